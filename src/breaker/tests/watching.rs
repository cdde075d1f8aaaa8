//! Probes of closed breakers: a block that they find opens before the first failed send does.

use super::*;
use crate::graph::health::{Entity, HealthError};

/// As Meta says it of a banned WABA, with a payment problem first.
fn banned() -> Health {
    let error = |code, description: &str| HealthError {
        code,
        description: description.to_owned(),
        possible_solution: None,
    };
    let entity = |kind: &str, can_send_message: &str, errors| Entity {
        kind: kind.to_owned(),
        id: Some("102290129340398".to_owned()),
        can_send_message: can_send_message.to_owned(),
        errors,
        blocks: can_send_message == "BLOCKED",
    };
    let errors = vec![error(141_006, "Payment"), error(141_014, "Restricted")];
    Health::Blocked(vec![entity("PHONE_NUMBER", "AVAILABLE", Vec::new()), entity("WABA", "BLOCKED", errors)])
}

fn watched(scene: &mut Scene, health: Health) -> Applied {
    let generation = scene.generation();
    scene.apply(Event::Watched { generation, health })
}

#[test]
fn a_block_opens_with_healths_own_code_and_words() {
    let mut scene = scene();
    let applied = watched(&mut scene, banned());
    assert_eq!(kinds(&applied), [TransitionKind::Trip]);
    assert_eq!(applied.probe, None, "it was diagnosed by what opened it");
    let lock = scene.lock_of_incident();
    assert_eq!((lock.reason.code, lock.reason.source, lock.probes), (141_014, Source::Probe, 1));
    assert_eq!(lock.reason.text, "WABA 102290129340398 is BLOCKED (141006: Payment) (141014: Restricted)");
    assert_eq!(scene.admit(), Admission::Reject);
    assert_eq!(scene.due(), scene.dated(30_000), "and the next probe is due as after any blocked one");
    let rejection = Rejection::of(&scene.breaker, &scope("1"), None, scene.now());
    assert_eq!(rejection.reason, "141014; source=probe");
}

#[test]
fn a_block_without_a_code_is_a_lock() {
    let mut scene = scene();
    watched(&mut scene, blocked());
    assert_eq!(scene.lock_of_incident().reason.code, 131_031);
}

#[test]
fn what_is_clear_or_unknown_changes_nothing() {
    let mut scene = scene();
    for health in [clear(), Health::Unknown(Unknown::NoToken), Health::Unknown(Unknown::NoAnswer)] {
        let applied = watched(&mut scene, health);
        assert!(applied.transitions.is_empty() && !applied.changed);
    }
    assert_eq!(scene.shown(), Shown::Closed);
}

#[test]
fn an_outcome_from_before_the_last_close_is_late_news() {
    let mut scene = scene();
    let before = scene.generation();
    scene.close("t");
    let applied = scene.apply(Event::Watched { generation: before, health: banned() });
    assert_eq!((applied.notes, scene.shown()), (vec![Note::ProbeIgnored], Shown::Closed));
}

#[test]
fn an_outcome_for_a_breaker_that_has_opened_meanwhile_is_ignored() {
    let mut scene = scene();
    let before = scene.generation();
    scene.trip();
    let applied = scene.apply(Event::Watched { generation: before, health: clear() });
    assert_eq!((applied.notes, scene.shown()), (vec![Note::ProbeIgnored], Shown::Open));
}

#[test]
fn an_operator_who_reset_it_knows_better_than_health() {
    let mut scene = scene();
    watched(&mut scene, banned());
    scene.apply(Event::Reset { text: String::new() });
    assert!(watched(&mut scene, banned()).transitions.is_empty());
    scene.hold(OverrideOrder::Open, None);
    scene.apply(Event::Reset { text: String::new() });
    assert!(watched(&mut scene, banned()).transitions.is_empty(), "nor does the end of an order forget it");
}
