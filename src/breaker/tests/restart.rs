//! What the store keeps is enough to go on.

use super::*;

fn restarted(scene: &Scene) -> Scene {
    let json = serde_json::to_string(&scene.breaker).unwrap();
    let mut scene = scene.clone();
    scene.breaker = serde_json::from_str(&json).unwrap();
    scene
}

fn assert_same(before: &Scene, after: &Scene) {
    assert_eq!(after.generation(), before.generation());
    assert_eq!(after.breaker.fence, before.breaker.fence);
    assert_eq!(after.breaker.order, before.breaker.order);
    assert_eq!(after.breaker.next_check(), before.breaker.next_check());
    assert_eq!(after.shown(), before.shown());
    assert_eq!(after.breaker.incident(), before.breaker.incident());
    assert_eq!(
        after.breaker.lock().map(|lock| (
            lock.reason.clone(),
            lock.since,
            lock.attempt,
            lock.contradiction.clone()
        )),
        before.breaker.lock().map(|lock| (
            lock.reason.clone(),
            lock.since,
            lock.attempt,
            lock.contradiction.clone()
        )),
    );
}

#[test]
fn a_closed_breaker_keeps_its_generation_and_its_fence() {
    let mut scene = scene();
    let late = scene.sends("a");
    scene.close("t");
    let mut after = restarted(&scene);
    assert_same(&scene, &after);
    assert!(after.breaker.fence.is_some());
    assert_eq!(after.lock(late).notes, [Note::Stale]);
    assert_same(&self::scene(), &restarted(&self::scene()));
}

#[test]
fn an_open_breaker_keeps_its_incident_and_probes_anew() {
    let mut scene = scene();
    let lease = scene.trip();
    scene.hold(OverrideOrder::Bypass, Some(600));
    let mut after = restarted(&scene);
    assert_same(&scene, &after);
    assert_eq!(after.probed(lease, clear()).notes, [Note::ProbeIgnored], "leases die with the process");
    assert_eq!(after.due(), after.dated(30_000));
    assert!(after.later(30).apply(Event::Tick).probe.is_some());
}

#[test]
fn a_half_open_breaker_keeps_what_was_confirmed_and_its_permit_is_free() {
    let mut scene = scene_with(|policy| policy.trials_to_close = 2);
    scene.half_open();
    let about = scene.trial("t");
    scene.proof(about);
    scene.begins_trial();
    let mut after = restarted(&scene);
    assert_same(&scene, &after);
    assert_eq!(after.due(), None);
    let about = after.trial("u");
    assert_eq!(kinds(&after.proof(about)), [TransitionKind::Close]);
}

#[test]
fn a_contradiction_is_kept() {
    let mut scene = scene();
    scene.half_open();
    let about = scene.trial("t");
    scene.lock(about);
    let after = restarted(&scene);
    assert!(after.lock_of_incident().contradiction.is_some());
    assert_same(&scene, &after);
}
