//! The catalogue of metrics, and that each event counts where it should.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::events::*;
use super::labels::*;
use super::*;
use crate::breaker::{Source, TransitionKind, TrialOutcome};
use crate::graph::health::{Health, Unknown};
use crate::graph::ids::{PhoneNumberId, WabaId};

/// The names and types that users build dashboards and alerts on.
const CATALOGUE: &[(&str, &str)] = &[
    ("sendfuse_account_events_total", "counter"),
    ("sendfuse_breaker_state", "gauge"),
    ("sendfuse_breakers", "gauge"),
    ("sendfuse_build_info", "gauge"),
    ("sendfuse_config_reloads_total", "counter"),
    ("sendfuse_contradictions", "gauge"),
    ("sendfuse_deaf_phones", "gauge"),
    ("sendfuse_detection_seconds", "histogram"),
    ("sendfuse_evidence_total", "counter"),
    ("sendfuse_graph_errors_total", "counter"),
    ("sendfuse_leaked_sends_total", "counter"),
    ("sendfuse_overhead_seconds", "histogram"),
    ("sendfuse_pin_tries_total", "counter"),
    ("sendfuse_probes_total", "counter"),
    ("sendfuse_rejected_sends_total", "counter"),
    ("sendfuse_sends_total", "counter"),
    ("sendfuse_stale_evidence_total", "counter"),
    ("sendfuse_store_up", "gauge"),
    ("sendfuse_transitions_total", "counter"),
    ("sendfuse_trials_total", "counter"),
    ("sendfuse_unheld_account_events_total", "counter"),
    ("sendfuse_unread_batches_total", "counter"),
    ("sendfuse_webhooks_total", "counter"),
    #[cfg(target_os = "linux")]
    ("process_cpu_seconds_total", "counter"),
    #[cfg(target_os = "linux")]
    ("process_resident_memory_bytes", "gauge"),
];

fn phone() -> PhoneNumberId {
    PhoneNumberId::parse("106540352242922").unwrap()
}

fn scrape() -> Scrape {
    Scrape {
        breakers: [("closed", 3), ("open", 1), ("half_open", 0), ("forced_open", 0), ("bypassed", 0)],
        phones: vec![(phone(), "open")],
        deaf: 2,
        contradictions: 1,
    }
}

/// Samples by series, but for those of the process.
fn samples(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter(|line| line.starts_with("sendfuse_"));
    lines.map(|line| line.rsplit_once(' ').unwrap()).collect()
}

/// The samples that an event changes.
fn changes(telemetry: &Telemetry, event: impl Event) -> Vec<String> {
    let before = telemetry.render(&Scrape::default());
    telemetry.emit(event);
    let after = telemetry.render(&Scrape::default());
    let before = samples(&before);
    samples(&after)
        .into_iter()
        .filter(|(series, value)| before.get(series) != Some(value) && !series.contains("_bucket"))
        .map(|(series, value)| format!("{series} {value}"))
        .collect()
}

#[test]
fn what_is_exposed_is_the_catalogue() {
    let text = Telemetry::new().render(&scrape());
    let mut exposed = BTreeMap::new();
    let mut helped = BTreeSet::new();
    let mut family = "";
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(help.len() > 10 && helped.insert(name), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(helped.contains(name), "{name} has no help");
            assert_eq!(exposed.insert(name, kind), None, "{name} comes twice");
            family = name;
        } else {
            assert!(line.starts_with(family), "{line} is not of {family}");
            assert!(line.rsplit_once(' ').unwrap().1.parse::<f64>().is_ok(), "{line}");
        }
    }
    let mut sorted = CATALOGUE.to_vec();
    sorted.sort_unstable();
    // The other properties of the process are the library's to choose.
    exposed.retain(|name, _| {
        !name.starts_with("process_") || CATALOGUE.iter().any(|(listed, _)| listed == name)
    });
    assert_eq!(exposed.into_iter().collect::<Vec<_>>(), sorted);
    assert!(text.ends_with('\n'));
}

#[test]
fn conventions_of_names_hold() {
    for &(name, kind) in CATALOGUE {
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        assert!(kind != "histogram" || name.ends_with("_seconds"), "{name}");
    }
}

#[test]
fn a_scrape_shows_the_breakers_as_they_are_now() {
    let telemetry = Telemetry::new();
    let text = telemetry.render(&scrape());
    let shown = samples(&text);
    assert_eq!(shown["sendfuse_breaker_state{phone_number_id=\"106540352242922\",state=\"open\"}"], "1");
    assert_eq!(shown["sendfuse_breakers{state=\"closed\"}"], "3");
    assert_eq!(shown["sendfuse_breakers{state=\"half_open\"}"], "0");
    assert_eq!(shown["sendfuse_deaf_phones"], "2");
    assert_eq!(shown["sendfuse_contradictions"], "1");
    assert_eq!(shown["sendfuse_store_up"], "1");
    let version = format!("sendfuse_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(shown[version.as_str()], "1");

    let later = telemetry.render(&Scrape { phones: vec![(phone(), "half_open")], ..scrape() });
    assert!(later.contains("state=\"half_open\"} 1") && !later.contains("922\",state=\"open\""));
    assert!(!telemetry.render(&Scrape { phones: vec![], ..scrape() }).contains("breaker_state"));
}

#[test]
fn two_in_one_process_do_not_meet() {
    let (one, two) = (Telemetry::new(), Telemetry::new());
    one.clone().emit(SendEvent::Forward);
    assert!(one.render(&scrape()).contains("sendfuse_sends_total{admission=\"forward\"} 1"));
    assert!(two.render(&scrape()).contains("sendfuse_sends_total{admission=\"forward\"} 0"));
}

#[test]
fn each_event_counts_where_it_should_and_nowhere_else() {
    let telemetry = &Telemetry::new();
    assert_eq!(changes(telemetry, SendEvent::Trial), ["sendfuse_sends_total{admission=\"trial\"} 1"]);
    assert_eq!(
        changes(telemetry, SendEvent::WouldReject),
        ["sendfuse_sends_total{admission=\"would_reject\"} 1"]
    );
    assert_eq!(
        changes(telemetry, SendEvent::Reject(RejectReason::of(Some(368)))),
        ["sendfuse_rejected_sends_total{reason=\"368\"} 1", "sendfuse_sends_total{admission=\"reject\"} 1"]
    );
    assert_eq!(
        changes(telemetry, OverheadEvent(Duration::from_millis(2))),
        ["sendfuse_overhead_seconds_count 1", "sendfuse_overhead_seconds_sum 0.002"]
    );
    assert_eq!(
        changes(telemetry, GraphErrorEvent(131_031)),
        ["sendfuse_graph_errors_total{code=\"131031\"} 1"]
    );
    assert_eq!(changes(telemetry, GraphErrorEvent(-7)), ["sendfuse_graph_errors_total{code=\"other\"} 1"]);
    assert_eq!(changes(telemetry, UnreadBatchEvent), ["sendfuse_unread_batches_total 1"]);
    assert_eq!(changes(telemetry, LeakEvent { scope: phone().into() }), ["sendfuse_leaked_sends_total 1"]);
    let fresh = EvidenceEvent {
        scope: phone().into(),
        verdict: Verdict::Delivered,
        source: Source::Webhook,
        stale: false,
    };
    assert_eq!(
        changes(telemetry, fresh),
        ["sendfuse_evidence_total{source=\"webhook\",verdict=\"delivered\"} 1"]
    );
    assert_eq!(
        changes(telemetry, EvidenceEvent { stale: true, ..fresh }),
        [
            "sendfuse_evidence_total{source=\"webhook\",verdict=\"delivered\"} 2",
            "sendfuse_stale_evidence_total 1"
        ]
    );
    let outcome = ProbeOutcome::from(&Health::Unknown(Unknown::NoToken));
    assert_eq!(
        changes(telemetry, ProbeEvent { scope: phone().into(), outcome }),
        ["sendfuse_probes_total{outcome=\"unknown_no_token\"} 1"]
    );
    assert_eq!(
        changes(telemetry, TrialEvent { scope: phone().into(), outcome: TrialOutcome::TimedOut }),
        ["sendfuse_trials_total{outcome=\"timed_out\"} 1"]
    );
    assert_eq!(
        changes(telemetry, PinTryEvent(PinOutcome::WouldHold)),
        ["sendfuse_pin_tries_total{outcome=\"would_hold\"} 1"]
    );
    let waba = WabaId::parse("102290129340398").unwrap();
    assert_eq!(
        changes(
            telemetry,
            AccountNewsEvent { waba, label: AccountLabel::Warning, text: "SCHEDULE_FOR_DISABLE" }
        ),
        ["sendfuse_account_events_total{event=\"warning\"} 1"]
    );
    assert_eq!(
        changes(telemetry, UnheldAccountEvent { waba, is_first: true }),
        ["sendfuse_unheld_account_events_total 1"]
    );
    assert_eq!(
        changes(telemetry, WebhookEvent { result: WebhookResult::Forged }),
        ["sendfuse_webhooks_total{result=\"forged\"} 1"]
    );
    assert_eq!(changes(telemetry, StoreEvent { error: Some("disk full") }), ["sendfuse_store_up 0"]);
    assert_eq!(changes(telemetry, StoreEvent { error: None }), ["sendfuse_store_up 1"]);
    assert_eq!(
        changes(telemetry, ReloadEvent { refused: Some("two mistakes") }),
        ["sendfuse_config_reloads_total{result=\"refused\"} 1"]
    );
}

fn trip() -> TransitionEvent<'static> {
    TransitionEvent {
        scope: phone().into(),
        transition: TransitionKind::Trip,
        from: "closed",
        to: "open",
        generation: 7,
        source: Source::Webhook,
        code: Some(131_031),
        text: "Business Account locked\nsendfuse: all is well",
        observe: false,
        incident: "inc-1",
        detection: Some(Duration::from_secs(4)),
    }
}

#[test]
fn every_combination_of_a_transition_has_its_own_series() {
    let telemetry = &Telemetry::new();
    for transition in TransitionKind::ALL {
        for source in Source::ALL {
            let (name, source_name) = (transition.name(), source.name());
            assert_eq!(
                changes(telemetry, TransitionEvent { transition, source, detection: None, ..trip() }),
                [format!(
                    "sendfuse_transitions_total{{scope=\"phone\",source=\"{source_name}\",transition=\"{name}\"}} 1"
                )]
            );
        }
    }
    assert_eq!(
        changes(telemetry, trip()),
        [
            "sendfuse_detection_seconds_count 1",
            "sendfuse_detection_seconds_sum 4",
            "sendfuse_transitions_total{scope=\"phone\",source=\"webhook\",transition=\"trip\"} 2"
        ]
    );
}

#[test]
fn a_transition_is_one_line_with_its_evidence() {
    let telemetry = Telemetry::new();
    let text = logs::tests::logged(logs::Format::Text, None, || telemetry.emit(trip()));
    assert_eq!(text.lines().count(), 1, "{text}");
    for part in [
        "WARN",
        "sends are stopped",
        "id=\"106540352242922\"",
        "transition=\"trip\"",
        "from=\"closed\"",
        "to=\"open\"",
        "generation=7",
        "source=\"webhook\"",
        "code=131031",
        "Business Account locked\\n",
        "incident=\"inc-1\"",
        "detection_seconds=4",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }

    let close = TransitionEvent { transition: TransitionKind::Close, code: None, ..trip() };
    let text = logs::tests::logged(logs::Format::Text, None, || telemetry.emit(close));
    assert!(text.contains("INFO") && !text.contains("code=") && text.lines().count() == 1, "{text}");
}

#[test]
fn what_comes_with_every_request_is_not_logged() {
    let telemetry = Telemetry::new();
    let text = logs::tests::logged(logs::Format::Text, Some("trace"), || {
        telemetry.emit(SendEvent::Forward);
        telemetry.emit(SendEvent::Reject(RejectReason::AccountLocked));
        telemetry.emit(GraphErrorEvent(131_031));
        telemetry.emit(OverheadEvent(Duration::ZERO));
        telemetry.emit(PinTryEvent(PinOutcome::Refused));
    });
    assert_eq!(text, "");
}

#[test]
fn a_wrong_secret_is_said_once_and_not_for_every_forged_webhook() {
    let telemetry = Telemetry::new();
    let text = logs::tests::logged(logs::Format::Text, None, || {
        for result in
            [WebhookResult::Accepted, WebhookResult::Forged, WebhookResult::Forged, WebhookResult::Unsigned]
        {
            telemetry.emit(WebhookEvent { result });
        }
    });
    assert!(text.contains("webhook.app_secrets") && text.lines().count() == 1, "{text}");
}

#[test]
fn observe_mode_does_not_say_that_sends_are_stopped() {
    let telemetry = Telemetry::new();
    let text = logs::tests::logged(logs::Format::Text, None, || {
        telemetry.emit(TransitionEvent { observe: true, ..trip() });
    });
    assert!(text.contains("sends would be stopped"), "{text}");
}
