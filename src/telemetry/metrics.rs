//! Every metric that counts events.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, Registry};

use super::codes;
use super::families::{Counters, counter, gauge, histogram, opts, register};
use super::labels::{
    AccountLabel, Admission, PinOutcome, ProbeOutcome, RejectReason, ReloadResult, Verdict, WebhookResult,
};
use crate::breaker::{ScopeKind, Source, TransitionKind, TrialOutcome};

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
const DAY: f64 = 86_400.0;

/// From an answer that says it at once to a webhook that Meta has retried for seven days.
const DETECTION_BUCKETS: [f64; 16] = [
    0.01,
    0.03,
    0.1,
    0.3,
    1.0,
    3.0,
    10.0,
    30.0,
    MINUTE,
    5.0 * MINUTE,
    30.0 * MINUTE,
    HOUR,
    6.0 * HOUR,
    DAY,
    3.0 * DAY,
    7.0 * DAY,
];

/// 10 µs to 100 ms.
const OVERHEAD_BUCKETS: [f64; 13] =
    [1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 1e-1];

/// The metrics, and the registry that only they are in.
pub struct Metrics {
    pub(super) registry: Registry,
    pub(super) sends: Counters<(Admission,)>,
    pub(super) rejected_sends: Counters<(RejectReason,)>,
    pub(super) leaked_sends: IntCounter,
    graph_errors: Box<[IntCounter]>,
    pub(super) unread_batches: IntCounter,
    pub(super) transitions: Counters<(TransitionKind, Source, ScopeKind)>,
    pub(super) evidence: Counters<(Verdict, Source)>,
    pub(super) stale_evidence: IntCounter,
    pub(super) detection: Histogram,
    pub(super) probes: Counters<(ProbeOutcome,)>,
    pub(super) trials: Counters<(TrialOutcome,)>,
    pub(super) pin_tries: Counters<(PinOutcome,)>,
    pub(super) account_events: Counters<(AccountLabel,)>,
    pub(super) unheld_account_events: IntCounter,
    pub(super) webhooks: Counters<(WebhookResult,)>,
    pub(super) store_up: IntGauge,
    pub(super) overhead: Histogram,
    pub(super) config_reloads: Counters<(ReloadResult,)>,
    /// When it was last said that webhooks are forged.
    forgery_told: Mutex<Option<Instant>>,
}

/// It is said again after so long.
const FORGERY_AGAIN: Duration = Duration::from_secs(3600);

impl Metrics {
    pub(super) fn new() -> Self {
        let to = Registry::new();
        let build = opts("build_info", "The version that runs; always 1.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        register(&to, IntGauge::with_opts(build)).set(1);
        #[cfg(target_os = "linux")]
        super::families::constant(
            to.register(Box::new(prometheus::process_collector::ProcessCollector::for_self())),
        );
        let store_up = gauge(&to, "store_up", "Whether the last write to the store succeeded.");
        store_up.set(1);
        Self {
            sends: Counters::new(&to, "sends_total", "Sends, by what the gate said to them."),
            rejected_sends: Counters::new(
                &to,
                "rejected_sends_total",
                "Sends that were answered here, by reason.",
            ),
            leaked_sends: counter(
                &to,
                "leaked_sends_total",
                "Sends that Meta accepted after a lock began, and failed with it.",
            ),
            graph_errors: graph_errors(&to),
            unread_batches: counter(
                &to,
                "unread_batches_total",
                "Calls that may have been batches, and could not be looked into, or not wholly.",
            ),
            transitions: Counters::new(
                &to,
                "transitions_total",
                "Transitions of breakers, and operators' orders.",
            ),
            evidence: Counters::new(&to, "evidence_total", "Evidence that was taken in, stale or not."),
            stale_evidence: counter(
                &to,
                "stale_evidence_total",
                "Evidence that was older than the state that it would have changed.",
            ),
            detection: histogram(
                &to,
                "detection_seconds",
                "Time from Meta's acceptance of a send to the trip that its failure caused.",
                &DETECTION_BUCKETS,
            ),
            probes: Counters::new(&to, "probes_total", "Health checks, by outcome."),
            trials: Counters::new(&to, "trials_total", "Trial sends of half-open breakers, by outcome."),
            account_events: Counters::new(
                &to,
                "account_events_total",
                "What Meta said of accounts, by event.",
            ),
            unheld_account_events: counter(
                &to,
                "unheld_account_events_total",
                "Events of accounts of which no phone is known, and which were too many to be held.",
            ),
            pin_tries: Counters::new(&to, "pin_tries_total", "Calls that carry a two-step PIN, by outcome."),
            webhooks: Counters::new(&to, "webhooks_total", "Requests to the webhook listener, by result."),
            store_up,
            overhead: histogram(
                &to,
                "overhead_seconds",
                "Time that a forwarded send spent in sendfuse and not at Meta.",
                &OVERHEAD_BUCKETS,
            ),
            config_reloads: Counters::new(&to, "config_reloads_total", "Changed configurations, by result."),
            forgery_told: Mutex::default(),
            registry: to,
        }
    }

    /// Whether it is time to say that webhooks are forged; then it is noted as said.
    pub(super) fn is_forgery_worth_a_line(&self, now: Instant) -> bool {
        let mut told = self.forgery_told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = told.is_none_or(|told| now.saturating_duration_since(told) >= FORGERY_AGAIN);
        if is_due {
            *told = Some(now);
        }
        is_due
    }

    /// Counts an error by its code, if it is known.
    pub(super) fn graph_error(&self, code: i64) {
        if let Some(child) = self.graph_errors.get(codes::place(code)) {
            child.inc();
        }
    }
}

/// In the order of [`codes::place`].
fn graph_errors(to: &Registry) -> Box<[IntCounter]> {
    let opts = opts("graph_errors_total", "Errors in Meta's answers to sends, by code.");
    let family = register(to, IntCounterVec::new(opts, &["code"]));
    let known = codes::KNOWN.iter().map(|code| family.with_label_values(&[code.to_string()]));
    known.chain([family.with_label_values(&[codes::OTHER.to_owned()])]).collect()
}
