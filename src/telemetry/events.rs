//! What can happen. Each type is one event: its line in the log, if it has one, and what it counts.
//!
//! Transitions and what needs an operator are logged; what comes once a request or once a message is only counted, or logged
//! at `debug`.

use std::time::{Duration, Instant};

use super::labels::{
    AccountLabel, Admission, PinOutcome, ProbeOutcome, RejectReason, ReloadResult, Verdict, WebhookResult,
};
use super::metrics::Metrics;
use crate::breaker::{Scope, Source, TransitionKind, TrialOutcome};
use crate::graph::ids::{PhoneNumberId, WabaId};

/// An event.
pub trait Event {
    /// Logs and counts it.
    fn record(self, metrics: &Metrics);
}

/// The gate has decided on a send. Never logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendEvent {
    /// It goes on.
    Forward,
    /// It goes on as a trial.
    Trial,
    /// It is answered here.
    Reject(RejectReason),
    /// It goes on, but only because the mode is observe.
    WouldReject,
}

impl Event for SendEvent {
    fn record(self, metrics: &Metrics) {
        let admission = match self {
            Self::Forward => Admission::Forward,
            Self::Trial => Admission::Trial,
            Self::Reject(reason) => {
                metrics.rejected_sends.add((reason,));
                Admission::Reject
            }
            Self::WouldReject => Admission::WouldReject,
        };
        metrics.sends.add((admission,));
    }
}

/// A forwarded send is done; so long it spent in sendfuse and not at Meta. Never logged.
#[derive(Clone, Copy, Debug)]
pub struct OverheadEvent(pub Duration);

impl Event for OverheadEvent {
    fn record(self, metrics: &Metrics) {
        metrics.overhead.observe(self.0.as_secs_f64());
    }
}

/// Meta answered a send with this error code. Never logged.
#[derive(Clone, Copy, Debug)]
pub struct GraphErrorEvent(pub i64);

impl Event for GraphErrorEvent {
    fn record(self, metrics: &Metrics) {
        metrics.graph_error(self.0);
    }
}

/// A request that may have been a batch could not be looked into, or not into all of it: it is too long or too odd, its body is compressed,
/// or whose sends are in it is another operation's to say. Never logged.
#[derive(Clone, Copy, Debug)]
pub struct UnreadBatchEvent;

impl Event for UnreadBatchEvent {
    fn record(self, metrics: &Metrics) {
        metrics.unread_batches.inc();
    }
}

/// Meta has failed a message with a lock that it had accepted after the lock began.
#[derive(Clone, Copy, Debug)]
pub struct LeakEvent {
    /// Whose message it was.
    pub scope: Scope,
}

impl Event for LeakEvent {
    fn record(self, metrics: &Metrics) {
        tracing::debug!(scope = %self.scope, "a send leaked");
        metrics.leaked_sends.inc();
    }
}

/// Meta said something of an account. One line each: Meta says such things rarely, and retries them rarely.
#[derive(Clone, Copy, Debug)]
pub struct AccountNewsEvent<'a> {
    /// Which account.
    pub waba: WabaId,
    /// What.
    pub label: AccountLabel,
    /// In words.
    pub text: &'a str,
}

impl Event for AccountNewsEvent<'_> {
    fn record(self, metrics: &Metrics) {
        tracing::warn!(waba = %self.waba, event = self.label.name(), text = self.text, "an account event");
        metrics.account_events.add((self.label,));
    }
}

/// What Meta said of an account was not acted on: no phone of it is known, and there are too many such accounts.
#[derive(Clone, Copy, Debug)]
pub struct UnheldAccountEvent {
    /// Which account.
    pub waba: WabaId,
    /// Whether this was not so for the account before it.
    pub is_first: bool,
}

impl Event for UnheldAccountEvent {
    fn record(self, metrics: &Metrics) {
        if self.is_first {
            tracing::error!(
                waba = %self.waba,
                "too many accounts are held of which no number is known: events of more of them are not acted on (said once)"
            );
        }
        metrics.unheld_account_events.inc();
    }
}

/// A breaker has moved, or an operator's order on it has begun or ended. One line each, with the evidence.
#[derive(Clone, Copy, Debug)]
pub struct TransitionEvent<'a> {
    /// What the breaker is about.
    pub scope: Scope,
    /// The move.
    pub transition: TransitionKind,
    /// The state before, as shown.
    pub from: &'static str,
    /// The state now, as shown.
    pub to: &'static str,
    /// The breaker's generation now.
    pub generation: u64,
    /// Where the evidence came from.
    pub source: Source,
    /// Meta's code, where there is one.
    pub code: Option<i64>,
    /// The evidence or the operator's reason in words. Nothing secret, no recipient.
    pub text: &'a str,
    /// Whether it only observes: then no send is stopped.
    pub observe: bool,
    /// The incident that it belongs to.
    pub incident: &'a str,
    /// Of a trip by a message that Meta had accepted: the time from then to now.
    pub detection: Option<Duration>,
}

impl TransitionEvent<'_> {
    const fn meaning(&self) -> &'static str {
        match self.transition {
            TransitionKind::Trip if self.observe => "observed: sends would be stopped",
            TransitionKind::HalfOpen if self.observe => "observed: only trial sends would pass",
            TransitionKind::Reopen if self.observe => "observed: sends would be stopped again",
            TransitionKind::ForceOpen if self.observe => "observed: an operator would stop sends",
            TransitionKind::Trip => "sends are stopped",
            TransitionKind::HalfOpen => "trial sends may pass",
            TransitionKind::Reopen => "sends are stopped again",
            TransitionKind::Extent => "what is stopped has changed",
            TransitionKind::Close => "sends flow again",
            TransitionKind::Reset => "reset by an operator: sends flow again",
            TransitionKind::ForceOpen => "sends are stopped by an operator",
            TransitionKind::Bypass => "sends flow by an operator's order",
            TransitionKind::Lift => "an operator's order is over",
        }
    }
}

impl Event for TransitionEvent<'_> {
    fn record(self, metrics: &Metrics) {
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    scope = self.scope.kind().name(),
                    id = &*self.scope.id(),
                    transition = self.transition.name(),
                    from = self.from,
                    to = self.to,
                    generation = self.generation,
                    source = self.source.name(),
                    code = self.code,
                    text = self.text,
                    incident = self.incident,
                    detection_seconds = self.detection.map(|time| time.as_secs_f64()),
                    "{}",
                    self.meaning()
                )
            };
        }
        match self.transition {
            TransitionKind::Trip
            | TransitionKind::Reopen
            | TransitionKind::Extent
            | TransitionKind::ForceOpen
            | TransitionKind::Bypass => line!(warn),
            TransitionKind::HalfOpen
            | TransitionKind::Close
            | TransitionKind::Reset
            | TransitionKind::Lift => line!(info),
        }
        metrics.transitions.add((self.transition, self.source, self.scope.kind()));
        if let Some(time) = self.detection {
            metrics.detection.observe(time.as_secs_f64());
        }
    }
}

/// Evidence was taken in.
#[derive(Clone, Copy, Debug)]
pub struct EvidenceEvent {
    /// Whom it is about.
    pub scope: Scope,
    /// What it says.
    pub verdict: Verdict,
    /// Where it came from.
    pub source: Source,
    /// Whether it was older than the state that it would have changed.
    pub stale: bool,
}

impl Event for EvidenceEvent {
    fn record(self, metrics: &Metrics) {
        let Self { scope, verdict, source, stale } = self;
        tracing::debug!(
            %scope,
            verdict = verdict.name(),
            source = source.name(),
            stale,
            "evidence"
        );
        metrics.evidence.add((verdict, source));
        if stale {
            metrics.stale_evidence.inc();
        }
    }
}

/// A phone has become deaf, or hears again.
#[derive(Clone, Copy, Debug)]
pub struct HearingEvent {
    /// Whose statuses they are.
    pub id: PhoneNumberId,
    /// Sends are accepted, and no status comes.
    pub deaf: bool,
}

impl Event for HearingEvent {
    fn record(self, _: &Metrics) {
        // What is counted is how many are deaf, and that is asked for by the scrape.
        let phone = self.id.as_str();
        if self.deaf {
            tracing::warn!(
                phone,
                "deaf: sends are accepted and no status webhook comes; where does Meta send them?"
            );
        } else {
            tracing::info!(phone, "status webhooks come again");
        }
    }
}

/// A probe has ended.
#[derive(Clone, Copy, Debug)]
pub struct ProbeEvent {
    /// Whom it was about.
    pub scope: Scope,
    /// How it ended.
    pub outcome: ProbeOutcome,
}

impl Event for ProbeEvent {
    fn record(self, metrics: &Metrics) {
        tracing::debug!(scope = %self.scope, outcome = self.outcome.name(), "probe");
        metrics.probes.add((self.outcome,));
    }
}

/// A trial has ended.
#[derive(Clone, Copy, Debug)]
pub struct TrialEvent {
    /// Whose trial it was.
    pub scope: Scope,
    /// How it ended.
    pub outcome: TrialOutcome,
}

impl Event for TrialEvent {
    fn record(self, metrics: &Metrics) {
        tracing::debug!(scope = %self.scope, outcome = self.outcome.name(), "trial");
        metrics.trials.add((self.outcome,));
    }
}

/// A call that carries a PIN was decided on. Never logged.
#[derive(Clone, Copy, Debug)]
pub struct PinTryEvent(pub PinOutcome);

impl Event for PinTryEvent {
    fn record(self, metrics: &Metrics) {
        metrics.pin_tries.add((self.0,));
    }
}

/// Something is known of a phone's PINs, or no more.
#[derive(Clone, Copy, Debug)]
pub enum PinEvent {
    /// Meta has refused one.
    Refused {
        /// Whose.
        id: PhoneNumberId,
        /// With which code.
        code: i64,
        /// How many different ones it has refused in a row.
        different: usize,
        /// Whether that holds all others.
        holds: bool,
    },
    /// Meta looks at none for a while.
    Wait {
        /// Whose.
        id: PhoneNumberId,
        /// With which code it says so.
        code: i64,
        /// How long.
        wait: Duration,
    },
    /// Meta has accepted one after it had refused others.
    Accepted {
        /// Whose.
        id: PhoneNumberId,
    },
    /// Meta says that it was changed elsewhere.
    Changed {
        /// Whose.
        id: PhoneNumberId,
    },
}

impl Event for PinEvent {
    fn record(self, _: &Metrics) {
        match self {
            Self::Refused { id, code, different, holds: false } => {
                tracing::warn!(phone = %id, code, different, "Meta refused a PIN: it is not sent again");
            }
            Self::Refused { id, code, different, holds: true } => tracing::warn!(
                phone = %id, code, different,
                "Meta refused a PIN: all are held until an operator allows one or the PIN is changed"
            ),
            Self::Wait { id, code, wait } => {
                tracing::warn!(phone = %id, code, seconds = wait.as_secs(), "Meta looks at no PIN for a while");
            }
            Self::Accepted { id } => {
                tracing::info!(phone = %id, "Meta accepted a PIN: those before are forgotten")
            }
            Self::Changed { id } => {
                tracing::info!(phone = %id, "the PIN was changed: those that were refused are forgotten");
            }
        }
    }
}

/// A request to the webhook listener has ended.
#[derive(Clone, Copy, Debug)]
pub struct WebhookEvent {
    /// How.
    pub result: WebhookResult,
}

impl Event for WebhookEvent {
    fn record(self, metrics: &Metrics) {
        // Anybody can post there, so no forged one deserves a line of its own that is on by default. But a wrong secret must be
        // seen: its other signs (deaf phones, trials that nobody confirms) lead elsewhere.
        tracing::debug!(result = self.result.name(), "webhook");
        if self.result == WebhookResult::Forged && metrics.is_forgery_worth_a_line(Instant::now()) {
            tracing::warn!(
                "webhooks are refused: their signature is by none of webhook.app_secrets, or not by the secret of their source (said once an hour at most)"
            );
        }
        metrics.webhooks.add((self.result,));
    }
}

/// The store has gone, or come back.
#[derive(Clone, Copy, Debug)]
pub struct StoreEvent<'a> {
    /// Why it cannot be written; none: it can.
    pub error: Option<&'a str>,
}

impl Event for StoreEvent<'_> {
    fn record(self, metrics: &Metrics) {
        if let Some(error) = self.error {
            tracing::error!(
                error,
                "the store is down: breakers act, but a restart would forget what they do now"
            );
        } else {
            tracing::info!("the store is up: everything is stored");
        }
        metrics.store_up.set(i64::from(self.error.is_none()));
    }
}

/// A changed configuration was looked at.
#[derive(Clone, Copy, Debug)]
pub struct ReloadEvent<'a> {
    /// What is wrong with it; none: it is in force.
    pub refused: Option<&'a str>,
}

impl Event for ReloadEvent<'_> {
    fn record(self, metrics: &Metrics) {
        let result = if let Some(mistakes) = self.refused {
            tracing::warn!(mistakes, "the changed configuration is refused, the one before stays in force");
            ReloadResult::Refused
        } else {
            tracing::info!("the changed configuration is in force");
            ReloadResult::Applied
        };
        metrics.config_reloads.add((result,));
    }
}
