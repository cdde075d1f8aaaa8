//! Health and messages say opposite things: named, counted, with both sides, and never a reason to flap.

use super::*;

#[test]
fn health_clear_and_sends_that_fail_is_a_contradiction_until_health_agrees() {
    let mut scene = scene();
    scene.half_open();
    let since = scene.now();
    for count in 1..=3 {
        let about = scene.trial("t");
        scene.lock(about);
        let contradiction = scene.lock_of_incident().contradiction.clone().unwrap();
        assert_eq!((contradiction.kind, contradiction.since), (ContradictionKind::ClearButFailing, since));
        assert_eq!(contradiction.count, count);
        assert!(contradiction.to_string().contains("nothing blocks messaging"), "{contradiction}");
        assert!(contradiction.to_string().contains("131031 (webhook)"), "{contradiction}");
        scene.half_open();
        assert!(scene.lock_of_incident().contradiction.is_some(), "clear health alone does not end it");
    }
    let about = scene.trial("t");
    scene.lock(about);
    let lease = scene.check();
    scene.probed(lease, Health::Unknown(Unknown::NoAnswer));
    assert!(scene.lock_of_incident().contradiction.is_some(), "nor does no answer");
    let lease = scene.check();
    scene.probed(lease, blocked());
    assert_eq!(scene.lock_of_incident().contradiction, None);
}

#[test]
fn a_trial_that_fails_without_clear_health_contradicts_nothing() {
    let mut scene = scene();
    let lease = scene.trip();
    scene.probed(lease, blocked());
    scene.proof(scene.sends("past"));
    let about = scene.trial("t");
    scene.lock(about);
    assert_eq!(scene.lock_of_incident().contradiction, None);
}

fn unknown(scene: &Scene, name: &str) -> About {
    About::Unknown { key: Some(key(name)), dated: scene.dated(3_000) }
}

/// Open, and health says so.
fn blocked_at_meta() -> Scene {
    let mut scene = scene();
    let lease = scene.trip();
    scene.probed(lease, blocked());
    scene
}

#[test]
fn health_blocked_and_messages_delivered_is_one_too() {
    let mut scene = blocked_at_meta();
    let health_at = scene.now();
    let since = scene.later(60).now();
    scene.proof(unknown(&scene, "past"));
    assert_eq!(scene.shown(), Shown::HalfOpen, "a delivery outranks health");
    let contradiction = scene.lock_of_incident().contradiction.clone().unwrap();
    assert_eq!(contradiction.kind, ContradictionKind::BlockedButDelivered);
    assert_eq!((contradiction.since, contradiction.count), (since, 1));
    assert_eq!((contradiction.health.at, contradiction.message.at), (health_at, since));
    assert_eq!(
        contradiction.to_string(),
        format!(
            "health said at {health_at}: messaging is blocked; but at {since}: a message accepted after the trip was delivered"
        )
    );
    let about = scene.later(5).trial("t");
    scene.proof(about);
    assert_eq!(scene.shown(), Shown::Closed);
    let now = scene.now();
    let after = scene.breaker.contradiction(now, &scene.policy).unwrap();
    assert_eq!((after.since, after.count), (since, 2), "it outlives the close, for health still says so");
    let later = now.plus(scene.policy.good_while());
    assert_eq!(scene.breaker.contradiction(later, &scene.policy), None, "and ends after a good while");
}

#[test]
fn a_failed_trial_or_a_clear_answer_ends_it() {
    let mut scene = blocked_at_meta();
    scene.proof(unknown(&scene, "past"));
    let about = scene.trial("t");
    scene.lock(about);
    assert_eq!(scene.lock_of_incident().contradiction, None, "the trial agrees with health");

    let mut scene = blocked_at_meta();
    scene.proof(unknown(&scene, "past"));
    let about = scene.trial("t");
    scene.proof(about);
    let generation = scene.generation();
    scene.apply(Event::Watched { generation, health: clear() });
    assert_eq!(scene.breaker.contradiction(scene.now(), &scene.policy), None);
}

#[test]
fn a_block_that_messages_have_refuted_does_not_trip_again_until_health_was_clear() {
    let mut scene = blocked_at_meta();
    scene.proof(unknown(&scene, "past"));
    let about = scene.trial("t");
    scene.proof(about);
    let generation = scene.generation();
    for health in [blocked(), Health::Unknown(Unknown::NoAnswer), blocked()] {
        assert!(scene.apply(Event::Watched { generation, health }).transitions.is_empty());
    }
    scene.apply(Event::Watched { generation, health: clear() });
    assert_eq!(kinds(&scene.apply(Event::Watched { generation, health: blocked() })), [TransitionKind::Trip]);
}

#[test]
fn an_old_message_that_is_read_contradicts_nothing_and_closes_nothing() {
    let read = |scene: &mut Scene| {
        scene.later(60);
        let about = unknown(scene, "old");
        scene.apply(Event::Proof { about, sent: false, class: None })
    };
    let mut scene = blocked_at_meta();
    assert_eq!(kinds(&read(&mut scene)), [TransitionKind::HalfOpen], "a trial decides");
    assert_eq!(scene.lock_of_incident().contradiction, None);
    let mut scene = blocked_at_meta();
    scene.policy.half_open = false;
    assert_eq!(kinds(&read(&mut scene)), [], "where there is none, it is not enough");
    scene.proof(unknown(&scene, "past"));
    assert_eq!(scene.shown(), Shown::Closed, "but what was sent since is");
}
