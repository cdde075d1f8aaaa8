//! Trials that hang: two of one half-open under way at once, and one of an earlier half-open that comes back in a later one.

use super::*;

/// Half-open, with a trial whose lease is over and another that has the permit, both without an answer.
fn two_under_way() -> (Scene, Lease, Lease) {
    let mut scene = scene();
    scene.half_open();
    let first = scene.begins_trial();
    assert_eq!(scene.later(120).apply(Event::Tick).notes, [Note::Trial(TrialOutcome::TimedOut)]);
    let second = scene.begins_trial();
    (scene, first, second)
}

#[test]
fn of_two_trials_under_way_the_first_word_counts() {
    for delivered_first in [true, false] {
        let (mut scene, hung, current) = two_under_way();
        let [a, b] = ["a", "b"].map(|name| scene.sends(name));
        scene.accepted(hung, scene.generation(), &["a"]);
        scene.accepted(current, scene.generation(), &["b"]);
        if delivered_first {
            assert_eq!(kinds(&scene.proof(b)), [TransitionKind::Close]);
            assert_eq!(scene.lock(a).notes, [Note::Stale], "a was accepted before the close");
            assert_eq!(scene.shown(), Shown::Closed);
        } else {
            assert_eq!(kinds(&scene.lock(a)), [TransitionKind::Reopen]);
            assert!(scene.proof(b).transitions.is_empty(), "b was accepted before the reopen");
            assert_eq!(scene.shown(), Shown::Open);
        }
    }
}

#[test]
fn a_refused_trial_opens_though_another_one_has_the_permit_by_now() {
    let (mut scene, ..) = two_under_way();
    let refused = About::Send { generation: scene.generation(), key: None };
    assert_eq!(kinds(&scene.lock(refused)), [TransitionKind::Reopen]);
}

#[test]
fn a_hung_trial_that_ends_leaves_the_permit_of_the_next_alone() {
    for abandoned in [false, true] {
        let (mut scene, hung, current) = two_under_way();
        assert!(scene.apply(Event::TrialEnded { lease: hung, abandoned }).notes.is_empty());
        assert_eq!(scene.admit(), Admission::Reject, "the next one is still out");
        scene.accepted(hung, scene.generation(), &["a"]);
        scene.apply(Event::Failed { about: scene.sends("a") });
        assert_eq!(scene.admit(), Admission::Reject, "whatever is said of the first");
        scene.apply(Event::TrialEnded { lease: current, abandoned });
        assert_eq!(scene.admit(), Admission::Trial);
    }
}

#[test]
fn a_delivery_of_a_hung_trial_is_one_of_those_to_close_and_leaves_the_permit_of_the_next_alone() {
    let (mut scene, hung, current) = two_under_way();
    scene.policy.trials_to_close = 2;
    scene.accepted(hung, scene.generation(), &["a"]);
    assert_eq!(scene.proof(scene.sends("a")).notes, [Note::Trial(TrialOutcome::Confirmed)]);
    assert_eq!((scene.shown(), scene.admit()), (Shown::HalfOpen, Admission::Reject));
    scene.accepted(current, scene.generation(), &["b"]);
    assert_eq!(kinds(&scene.proof(scene.sends("b"))), [TransitionKind::Close]);
}

#[test]
fn whatever_becomes_of_a_trial_of_an_earlier_half_open_it_moves_nothing() {
    let mut before = scene();
    before.half_open();
    let (hung, earlier) = (before.begins_trial(), before.generation());
    before.lock(About::Send { generation: earlier, key: None });
    before.half_open();
    let about = About::Send { generation: earlier, key: Some(key("hung")) };
    let unknown = About::Unknown { key: Some(key("hung")), dated: before.dated(0) };
    let refused = About::Send { generation: earlier, key: None };
    let reason = reason(Source::Webhook, before.now());
    let lock =
        |about| Event::Lock { about, reason: reason.clone(), extent: Extent::default(), only_trial: false };
    let accepted = |names: &[&str]| {
        let keys = names.iter().map(|name| key(name)).collect();
        Event::TrialAccepted { lease: hung, generation: earlier, keys, proves: false }
    };
    let late = [
        vec![accepted(&["hung"])],
        vec![accepted(&[])],
        vec![Event::TrialEnded { lease: hung, abandoned: false }],
        vec![Event::TrialEnded { lease: hung, abandoned: true }],
        vec![lock(refused)],
        vec![accepted(&["hung"]), lock(about)],
        vec![accepted(&["hung"]), Event::Failed { about }],
        vec![accepted(&["hung"]), Event::Proof { about, sent: true, class: None }],
        vec![Event::Proof { about: unknown, sent: true, class: None }, accepted(&["hung"])],
        vec![lock(unknown), accepted(&["hung"])],
    ];
    for has_trial in [false, true] {
        for events in &late {
            let mut scene = before.clone();
            if has_trial {
                scene.begins_trial();
            }
            let (generation, admission) = (scene.generation(), scene.admit());
            for event in events {
                assert!(scene.apply(event.clone()).transitions.is_empty(), "{events:?}");
            }
            let now = (scene.shown(), scene.generation(), scene.admit());
            assert_eq!(now, (Shown::HalfOpen, generation, admission), "{events:?}");
        }
    }
}

#[test]
fn three_trials_one_after_the_other() {
    let mut scene = scene_with(|policy| policy.trials_to_close = 3);
    scene.half_open();
    for (name, shown) in [("a", Shown::HalfOpen), ("b", Shown::HalfOpen), ("c", Shown::Closed)] {
        let lease = scene.begins_trial();
        assert_eq!(scene.admit(), Admission::Reject, "one at a time");
        scene.accepted(lease, scene.generation(), &[name]);
        scene.proof(scene.sends(name));
        assert_eq!(scene.shown(), shown);
    }
}

#[test]
fn a_trial_that_fails_after_two_that_did_not_opens_and_the_count_begins_anew() {
    let mut scene = scene_with(|policy| policy.trials_to_close = 3);
    scene.half_open();
    for name in ["a", "b"] {
        let about = scene.trial(name);
        scene.proof(about);
    }
    let about = scene.trial("c");
    assert_eq!(kinds(&scene.lock(about)), [TransitionKind::Reopen]);
    scene.half_open();
    for (name, shown) in [("d", Shown::HalfOpen), ("e", Shown::HalfOpen), ("f", Shown::Closed)] {
        let about = scene.trial(name);
        scene.proof(about);
        assert_eq!(scene.shown(), shown);
    }
}
