//! Tables for the pure part.

use std::collections::BTreeSet;

use super::*;
use crate::breaker::{Reason, Source, TransitionKind, TrialOutcome};
use crate::graph::ids::{PhoneNumberId, Wamid};

const BEGIN: i64 = 1_777_629_600;

fn phone(id: &str) -> Scope {
    PhoneNumberId::parse(id).unwrap().into()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(BEGIN + seconds)
}

fn start(generation: u64, seconds: i64) -> IncidentStart {
    IncidentStart { generation: Generation(generation), at: at(seconds) }
}

fn step(generation: u64, to: Shown, incident: IncidentStart) -> Transition {
    Transition {
        kind: if to == Shown::Closed { TransitionKind::Close } else { TransitionKind::Trip },
        from: Shown::Open,
        to,
        generation: Generation(generation),
        source: Source::Webhook,
        at: at(i64::try_from(generation).unwrap()),
        text: format!("step {generation}"),
        incident,
    }
}

fn leak(n: usize) -> Leak {
    Leak {
        wamid: Wamid::parse(&format!("wamid.{n}")).unwrap(),
        accepted_at: at(0),
        failed_at: at(2),
        code: 131_031,
        fbtrace_id: None,
        biz_opaque_callback_data: None,
        recipient: None,
    }
}

fn evidence(text: String) -> Evidence {
    let (source, at) = (Source::Webhook, at(1));
    Evidence::of_reason(&Reason { code: 131_031, source, text, at, fbtrace_id: None })
}

/// An incident of phone 1 from one generation to another, if it is closed.
fn incident(from: u64, to: Option<u64>) -> Incident {
    let begun = start(from, i64::try_from(from).unwrap());
    let mut incident = Incident::begun(phone("1"), begun);
    incident.step(&step(from, Shown::Open, begun));
    if let Some(to) = to {
        incident.step(&step(to, Shown::Closed, begun));
    }
    incident
}

#[test]
fn an_incident_holds_the_sends_since_the_close_before_it_and_until_its_own() {
    for (from, to, held) in
        [(1, Some(3), 0..=2), (1, None, 0..=9), (4, Some(7), 3..=6), (4, None, 3..=9), (8, Some(9), 7..=8)]
    {
        for generation in 0..=9 {
            let incident = incident(from, to);
            assert_eq!(
                incident.holds(Generation(generation)),
                held.contains(&generation),
                "{from} {to:?} {generation}"
            );
        }
    }
    // One after the other, each send has exactly one.
    let mut book = Book::default();
    [incident(1, Some(3)), incident(4, Some(7)), incident(8, None)]
        .into_iter()
        .for_each(|it| book.restore(it));
    for (generation, owner) in [(0, 1), (2, 1), (3, 4), (6, 4), (7, 8), (99, 8)] {
        let key = book.owner(phone("1"), Generation(generation), at(5)).unwrap();
        assert_eq!(book.get(key).unwrap().generation.0, owner, "{generation}");
    }
    assert_eq!(book.owner(phone("2"), Generation(0), at(5)), None);
}

#[test]
fn a_send_after_the_breaker_was_forgotten_is_no_leak_of_an_incident_before() {
    let mut book = Book::default();
    book.restore(incident(1, Some(3)));
    let day = 24 * 3600;
    assert!(book.owner(phone("1"), Generation(0), at(7 * day)).is_some());
    assert_eq!(book.owner(phone("1"), Generation(0), at(9 * day)), None);
}

#[test]
fn steps_may_come_in_any_order_and_twice() {
    let begun = start(1, 1);
    let steps =
        [(1, Shown::Open), (2, Shown::HalfOpen), (3, Shown::Closed)].map(|(n, to)| step(n, to, begun));
    let mut ends = BTreeSet::new();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut incident = Incident::begun(phone("1"), begun);
        for n in order.into_iter().chain(order) {
            incident.step(&steps[n]);
        }
        let generations: Vec<u64> = incident.transitions.iter().map(|step| step.generation.0).collect();
        assert_eq!(generations, [1, 2, 3], "{order:?}");
        assert_eq!((incident.closed_at, incident.closed_generation), (Some(at(3)), Some(Generation(3))));
        ends.insert(serde_json::to_string(&incident).unwrap());
    }
    assert_eq!(ends.len(), 1);
}

#[test]
fn a_long_list_keeps_its_beginning_and_its_end() {
    for length in [0, 1, 2 * KEPT_AT_EACH_END, 2 * KEPT_AT_EACH_END + 1, 1000] {
        let mut incident = incident(1, None);
        (0..length).for_each(|n| incident.hear(evidence(n.to_string()), n == 3));
        let kept: Vec<usize> = incident.evidence.iter().map(|it| it.text.parse().unwrap()).collect();
        let half = KEPT_AT_EACH_END.min(length);
        let expected: Vec<usize> =
            (0..length).filter(|n| *n < half || *n >= length.saturating_sub(KEPT_AT_EACH_END)).collect();
        assert_eq!(kept, expected, "{length}");
        assert_eq!(usize::try_from(incident.left_out.evidence).unwrap(), length - kept.len());
        assert_eq!(usize::try_from(incident.summary().counts.evidence).unwrap(), length);
        assert_eq!(incident.trip.is_some(), length > 3, "what tripped it is never left out");
    }
}

#[test]
fn an_incident_comes_back_from_the_store_as_it_was() {
    let mut whole = incident(1, Some(3));
    whole.hear(Evidence { wamid: Wamid::parse("wamid.x"), dated: Some(at(7)), ..evidence("x".into()) }, true);
    whole.leaks.push(leak(1));
    whole.trial(Trial { at: at(9), outcome: TrialOutcome::TimedOut, wamid: None });
    let health = crate::graph::health::Health::Unknown(crate::graph::health::Unknown::NoToken);
    whole.probe(Probe::of(&health, Timestamp::from_millis(1_777_629_600_123), true));
    let json = serde_json::to_string(&whole).unwrap();
    assert_eq!(serde_json::from_str::<Incident>(&json).unwrap(), whole);
    assert!(json.contains("2026-05-01T10:00:00.123Z"), "{json}");
}

#[test]
fn leaks_of_one_incident_are_listed_up_to_a_bound_and_counted_beyond() {
    let mut book = Book::default();
    let key = book.record(phone("1"), start(1, 1)).key;
    for n in 0..MOST_LEAKS_OF_ONE + 5 {
        let listed = book.leak(key, leak(n)).unwrap();
        assert_eq!(listed.place, (n < MOST_LEAKS_OF_ONE).then_some(n));
    }
    let incident = book.get(key).unwrap();
    assert_eq!(incident.leaks.len(), MOST_LEAKS_OF_ONE);
    assert_eq!((incident.leaked, incident.left_out.leaks), (MOST_LEAKS_OF_ONE as u64 + 5, 5));
}

#[test]
fn when_all_lists_are_full_the_oldest_finished_one_makes_room() {
    let mut book = Book::default();
    let mut keys = Vec::new();
    for n in 0..=10 {
        let begun = start(1, n);
        let key = book.record(phone(&(n + 1).to_string()), begun).key;
        keys.push(key);
        // The first goes on: it keeps its list.
        if n == 1 {
            book.get_mut(key).unwrap().step(&step(2, Shown::Closed, begun));
        }
    }
    let (full, last) = keys.split_at(10);
    for key in full {
        (0..MOST_LEAKS_OF_ONE).for_each(|n| drop(book.leak(*key, leak(n)).unwrap()));
    }
    let listed = book.leak(last[0], leak(0)).unwrap();
    let second = book.get(keys[1]).unwrap();
    assert_eq!(listed, Listed { place: Some(0), emptied: vec![(second.id.clone(), MOST_LEAKS_OF_ONE)] });
    assert_eq!((second.leaks.len(), second.leaked), (0, MOST_LEAKS_OF_ONE as u64));
    assert_eq!(second.left_out.leaks, MOST_LEAKS_OF_ONE as u64);
    assert_eq!(book.get(keys[0]).unwrap().leaks.len(), MOST_LEAKS_OF_ONE);
    assert_eq!(book.leak(last[0], leak(1)).unwrap().emptied, []);
}

#[test]
fn only_the_oldest_finished_ones_leave() {
    let mut book = Book::default();
    let count = i64::try_from(MOST_FINISHED).unwrap() + 3;
    for n in 0..count {
        let begun = start(1, n);
        let key = book.record(phone(&n.to_string()), begun).key;
        if n > 0 {
            book.get_mut(key).unwrap().step(&step(2, Shown::Closed, begun));
        }
        book.leak(key, leak(0)).unwrap();
    }
    let gone = book.trim();
    let expected: Vec<_> = (1..=2).map(|n| (start(1, n).id(&n.to_string()), 1)).collect();
    assert_eq!(gone, expected, "the first is still open");
    assert_eq!(book.trim(), []);
    assert!(book.find(&start(1, 1).id("1")).is_none());
    assert!(book.find(&start(1, 0).id("0")).is_some());
}

#[test]
fn a_long_lock_does_not_leave_when_it_ends() {
    let mut book = Book::default();
    let count = i64::try_from(MOST_FINISHED).unwrap();
    let long = book.record(phone("0"), start(1, 0)).key;
    for n in 1..=count {
        let begun = start(1, n);
        let key = book.record(phone(&n.to_string()), begun).key;
        book.get_mut(key).unwrap().step(&step(2, Shown::Closed, begun));
    }
    book.get_mut(long).unwrap().step(&step(9, Shown::Closed, start(1, 0)));
    assert_eq!(book.trim(), [(start(1, 1).id("1"), 0)], "the one that closed first");
}

#[test]
fn what_is_said_again_is_not_listed_again() {
    let mut incident = incident(1, None);
    let said = |wamid: &str, verdict| {
        let wamid = Wamid::parse(wamid);
        Evidence { wamid, verdict, ..evidence("locked".into()) }
    };
    let verdicts = [Verdict::Lock, Verdict::Delivered];
    for _ in 0..30 {
        for verdict in verdicts {
            incident.hear(said("wamid.a", verdict), false);
        }
    }
    assert_eq!(incident.evidence, verdicts.map(|verdict| said("wamid.a", verdict)));
    incident.hear(said("wamid.b", Verdict::Lock), false);
    assert_eq!((incident.evidence.len(), incident.left_out.evidence), (3, 0));
}

#[test]
fn what_failed_before_the_trip_waits_for_it() {
    let mut book = Book::default();
    book.restore(incident(1, Some(3)));
    book.leak_waits(phone("1"), leak(1));
    book.leak_waits(phone("2"), leak(2));
    book.evidence_waits(phone("1"), evidence("a strike".into()));
    let recorded = book.record(phone("1"), start(4, 9));
    assert_eq!((recorded.waited, recorded.is_new), (vec![leak(1)], true));
    assert_eq!(book.get(recorded.key).unwrap().evidence, [evidence("a strike".into())]);
    assert_eq!(recorded.before, Some(Key::from(&incident(1, Some(3)))));
    let again = book.record(phone("1"), start(4, 9));
    assert!(again.waited.is_empty() && !again.is_new);
    book.forget_waiting(phone("2"));
    assert_eq!(book.record(phone("2"), start(1, 9)).waited, []);
}

#[test]
fn a_key_goes_there_and_back_as_a_cursor() {
    let key = Key::from(&incident(4, None));
    assert_eq!(key.to_string().parse(), Ok(key));
    for bad in ["", "1", "1-2", "1-2-3-4", "a-2-3", "1--3", "-1-2-3", "1-2-x", "1-999999999999999999999-1"] {
        assert_eq!(bad.parse::<Key>(), Err(MalformedKey), "{bad}");
    }
}

#[test]
fn would_be_rejections_always_sum_up() {
    let mut outcomes = Outcomes::begin(at(0));
    for n in 1..=5 {
        outcomes.passed(at(n));
    }
    outcomes.delivered();
    outcomes.delivered();
    outcomes.failed(true);
    outcomes.failed(false);
    outcomes.withdrawn();
    assert_eq!(outcomes.sums, Sums { failed: 2, delivered: 1, unknown: 1 });
    let other = Outcomes { sums: Sums { unknown: 7, ..Sums::default() }, ..Outcomes::begin(at(-9)) };
    let none = Outcomes::begin(at(-99));
    let phones = || {
        ["2", "1", "3"]
            .map(|id| PhoneNumberId::parse(id).unwrap())
            .into_iter()
            .zip([outcomes, other, none])
            .collect()
    };
    let report = Report::of(phones(), None);
    assert_eq!((report.since, report.until), (Some(at(-9)), Some(at(5))));
    assert_eq!(report.would_reject, Sums { failed: 2, delivered: 1, unknown: 8 });
    assert_eq!(report.phones.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(Report::of(phones(), Some(at(60))).until, Some(at(60)));
    assert_eq!(Report::of(Vec::new(), Some(at(60))).until, None);
}
