//! closed → open.

use super::*;

#[test]
fn one_131031_or_368_trips_wherever_it_stood() {
    for code in [131_031, 368] {
        for source in [Source::Response, Source::Webhook] {
            for about in [
                About::Send { generation: Generation(0), key: None },
                About::Send { generation: Generation(0), key: Some(key("a")) },
                About::Unknown { key: Some(key("a")), dated: None },
                About::Unknown { key: None, dated: None },
            ] {
                let mut scene = scene();
                let reason = Reason { code, ..reason(source, scene.now()) };
                let applied = scene.apply(Event::Lock {
                    about,
                    reason: reason.clone(),
                    extent: Extent::default(),
                    only_trial: false,
                });
                let [step] = &applied.transitions[..] else { panic!("{applied:?}") };
                assert_eq!(
                    (step.kind, step.from, step.to),
                    (TransitionKind::Trip, Shown::Closed, Shown::Open)
                );
                assert_eq!((step.generation, step.source), (Generation(1), source));
                assert!(applied.changed && applied.probe.is_some(), "a trip is kept, and diagnosed at once");
                assert_eq!(scene.admit(), Admission::Reject);
                assert_eq!(scene.lock_of_incident().reason, reason);
            }
        }
    }
}

#[test]
fn a_delivery_leaves_a_closed_breaker_as_it_is() {
    let mut scene = scene();
    let applied = scene.proof(scene.sends("a"));
    assert!(applied.transitions.is_empty() && !applied.changed);
    assert_eq!((scene.admit(), scene.generation()), (Admission::Forward, Generation(0)));
}

#[test]
fn trip_after_counts_messages_and_not_what_is_said_of_them() {
    let mut scene = scene_with(|policy| policy.trip_after = 3);
    for name in ["a", "a", "b", "a", "b"] {
        assert!(scene.lock(scene.sends(name)).transitions.is_empty(), "{name}");
        assert_eq!(scene.admit(), Admission::Forward);
    }
    assert_eq!(kinds(&scene.lock(scene.sends("c"))), [TransitionKind::Trip]);
}

#[test]
fn trip_after_counts_each_answer() {
    let mut scene = scene_with(|policy| policy.trip_after = 2);
    let about = About::Send { generation: Generation(0), key: None };
    assert!(scene.lock(about).transitions.is_empty());
    assert_eq!(kinds(&scene.lock(about)), [TransitionKind::Trip]);
}

#[test]
fn late_news_is_no_strike() {
    let mut scene = scene_with(|policy| policy.trip_after = 2);
    let old = [scene.sends("a"), scene.sends("b")];
    let about = About::Send { generation: scene.generation(), key: None };
    scene.lock(about);
    scene.lock(about);
    scene.close("t");
    for about in old {
        assert_eq!(scene.lock(about).notes, [Note::Stale]);
    }
    assert!(scene.lock(scene.sends("c")).transitions.is_empty(), "the first of two");
    assert_eq!(kinds(&scene.lock(scene.sends("d"))), [TransitionKind::Trip]);
}

#[test]
fn more_evidence_leaves_an_open_breaker_as_it_is() {
    let mut scene = scene();
    scene.trip();
    let before = scene.lock_of_incident().reason.clone();
    scene.later(5);
    let applied = scene.lock(About::Unknown { key: None, dated: scene.dated(0) });
    assert!(applied.transitions.is_empty() && applied.probe.is_none());
    assert_eq!((scene.generation(), &scene.lock_of_incident().reason), (Generation(1), &before));
}

#[test]
fn delivered_and_131031_for_one_ordinary_message_is_open_in_either_order() {
    for known in [true, false] {
        let about = |scene: &Scene, millis| match known {
            true => About::Send { generation: Generation(0), key: Some(key("a")) },
            false => About::Unknown { key: Some(key("a")), dated: scene.dated(millis) },
        };
        let mut scene = scene();
        scene.proof(about(&scene, 0));
        scene.lock(about(&scene, 0));
        assert_eq!(scene.shown(), Shown::Open, "delivered, then locked; known: {known}");

        let mut scene = self::scene();
        scene.lock(about(&scene, 0));
        scene.later(60);
        scene.proof(about(&scene, 0));
        assert_eq!(scene.shown(), Shown::Open, "locked, then delivered; known: {known}");
    }
}

#[test]
fn the_strikes_that_trip_prove_nothing_either() {
    let mut scene = scene_with(|policy| policy.trip_after = 2);
    for name in ["a", "b"] {
        scene.lock(About::Unknown { key: Some(key(name)), dated: None });
    }
    scene.later(60);
    for name in ["a", "b"] {
        scene.proof(About::Unknown { key: Some(key(name)), dated: scene.dated(0) });
        assert_eq!(scene.shown(), Shown::Open);
    }
    scene.proof(About::Unknown { key: Some(key("c")), dated: scene.dated(0) });
    assert_eq!(scene.shown(), Shown::HalfOpen);
}

#[test]
fn an_incident_is_named_after_its_trip() {
    let mut scene = scene();
    assert_eq!(scene.breaker.incident(), None);
    scene.millis = 1_999;
    scene.trip();
    let id = scene.breaker.incident();
    assert_eq!(id.unwrap().id("15551234567"), "15551234567-1-1777629601");
    assert_eq!(scene.breaker.incident(), id);
    scene.half_open();
    assert_eq!(scene.breaker.incident(), id, "one incident from trip to close");
    scene.trial("t");
    scene.lock(scene.sends("t"));
    assert_eq!(scene.breaker.incident(), id, "a reopen begins none");
    scene.close("u");
    assert_eq!(scene.breaker.incident(), None);
    scene.trip();
    assert_ne!(scene.breaker.incident(), id);
}
