//! half-open: trials and what becomes of them.

use super::*;

#[test]
fn one_send_is_the_trial_and_the_others_are_rejected() {
    let mut scene = scene();
    scene.half_open();
    let generation = scene.generation();
    let lease = scene.begins_trial();
    let policy = scene.policy.clone();
    assert_eq!(scene.admit(), Admission::Reject);
    assert_eq!(scene.breaker.begin_trial(scene.now(), &policy), None);
    assert_eq!(scene.breaker.trial().map(|(_, until)| until), scene.dated(120_000));
    scene.accepted(lease, generation, &["t"]);
    assert_eq!(scene.admit(), Admission::Reject, "accepted is not delivered");
    assert_eq!(scene.generation(), generation, "a permit is no transition");
    assert_eq!(scene.lock_of_incident().trials, 1);
}

#[test]
fn there_is_no_permit_in_other_states() {
    let mut scene = scene();
    let policy = scene.policy.clone();
    assert_eq!(scene.breaker.begin_trial(scene.now(), &policy), None);
    scene.trip();
    assert_eq!(scene.breaker.begin_trial(scene.now(), &policy), None);
}

#[test]
fn a_trials_delivery_closes() {
    let mut scene = scene();
    scene.half_open();
    let about = scene.trial("t");
    let applied = scene.proof(about);
    let [step] = &applied.transitions[..] else { panic!("{applied:?}") };
    assert_eq!((step.kind, step.from, step.to), (TransitionKind::Close, Shown::HalfOpen, Shown::Closed));
    assert_eq!(
        (applied.notes, scene.admit()),
        (vec![Note::Trial(TrialOutcome::Confirmed)], Admission::Forward)
    );
}

#[test]
fn only_a_trials_delivery_closes() {
    let mut scene = scene();
    scene.half_open().later(60);
    let about = scene.trial("t");
    for other in [
        scene.sends("other"),
        About::Send { generation: scene.generation(), key: None },
        About::Unknown { key: Some(key("other")), dated: scene.dated(0) },
        About::Unknown { key: None, dated: scene.dated(0) },
    ] {
        assert!(scene.proof(other).transitions.is_empty(), "{other:?}");
    }
    // However it is known.
    scene.proof(About::Unknown { key: about.key(), dated: None });
    assert_eq!(scene.shown(), Shown::Closed);
}

#[test]
fn trials_to_close_counts_trials_and_not_what_is_said_of_them() {
    let mut scene = scene_with(|policy| policy.trials_to_close = 2);
    scene.half_open();
    let first = scene.trial("t");
    assert_eq!(scene.proof(first).notes, [Note::Trial(TrialOutcome::Confirmed)]);
    for _ in ["delivered", "read"] {
        assert!(scene.proof(first).notes.is_empty());
        assert_eq!(scene.shown(), Shown::HalfOpen);
    }
    let second = scene.trial("u");
    assert!(scene.proof(first).transitions.is_empty(), "it counts for no other trial either");
    assert_eq!(kinds(&scene.proof(second)), [TransitionKind::Close]);
}

#[test]
fn a_trial_of_several_messages_counts_once() {
    let mut scene = scene_with(|policy| policy.trials_to_close = 2);
    scene.half_open();
    let lease = scene.begins_trial();
    scene.accepted(lease, scene.generation(), &["t", "u"]);
    scene.proof(scene.sends("t"));
    scene.proof(scene.sends("u"));
    assert_eq!((scene.shown(), scene.admit()), (Shown::HalfOpen, Admission::Trial));
}

#[test]
fn a_locked_trial_reopens_by_its_answer_and_by_its_status() {
    for by_status in [false, true] {
        let mut scene = scene();
        scene.half_open();
        let about = match by_status {
            true => scene.trial("t"),
            false => {
                scene.begins_trial();
                About::Send { generation: scene.generation(), key: None }
            }
        };
        let applied = scene.lock(about);
        assert_eq!(kinds(&applied), [TransitionKind::Reopen]);
        assert_eq!(applied.notes, [Note::Trial(TrialOutcome::Locked)]);
        assert_eq!((scene.admit(), scene.generation()), (Admission::Reject, Generation(3)));
        assert!(scene.proof(about).transitions.is_empty(), "its delivery says nothing any more");
        assert!(scene.lock(about).transitions.is_empty());
    }
}

#[test]
fn newer_evidence_than_half_open_reopens_though_it_is_no_trials() {
    let mut scene = scene();
    scene.half_open();
    let news = About::Unknown { key: None, dated: scene.dated(2001) };
    assert_eq!(scene.lock(About::Unknown { key: None, dated: scene.dated(2000) }).notes, [Note::Stale]);
    assert_eq!(kinds(&scene.lock(news)), [TransitionKind::Reopen]);
}

#[test]
fn a_trial_that_ends_otherwise_frees_its_permit_and_proves_nothing() {
    for (abandoned, note) in
        [(false, Note::Trial(TrialOutcome::OtherError)), (true, Note::Trial(TrialOutcome::Abandoned))]
    {
        let mut scene = scene();
        scene.half_open();
        let lease = scene.begins_trial();
        for stranger in [Lease(0), Lease(lease.0 + 1)] {
            assert!(scene.apply(Event::TrialEnded { lease: stranger, abandoned }).notes.is_empty());
            assert_eq!(scene.admit(), Admission::Reject);
        }
        let applied = scene.apply(Event::TrialEnded { lease, abandoned });
        assert_eq!((applied.notes, scene.admit()), (vec![note], Admission::Trial));
        assert_eq!((applied.transitions.len(), scene.shown()), (0, Shown::HalfOpen));
    }
}

#[test]
fn a_hung_trial_loses_its_permit_and_may_still_prove_something() {
    let mut scene = scene();
    scene.half_open();
    let (lease, about) = (scene.begins_trial(), scene.sends("t"));
    assert_eq!(scene.due(), scene.dated(120_000));
    assert!(scene.later(119).apply(Event::Tick).notes.is_empty());
    assert_eq!(scene.later(1).apply(Event::Tick).notes, [Note::Trial(TrialOutcome::TimedOut)]);
    let next = scene.begins_trial();
    scene.accepted(lease, scene.generation(), &["t"]);
    assert_eq!(scene.admit(), Admission::Reject, "the next trial keeps its permit");
    assert_eq!(kinds(&scene.proof(about)), [TransitionKind::Close]);
    assert!(scene.apply(Event::TrialEnded { lease: next, abandoned: true }).notes.is_empty());
}

#[test]
fn a_trial_of_an_earlier_half_open_moves_nothing() {
    let mut scene = scene();
    scene.half_open();
    let (lease, generation, about) = (scene.begins_trial(), scene.generation(), scene.sends("hung"));
    scene.lock(About::Send { generation, key: None });
    scene.half_open();
    scene.begins_trial();
    scene.accepted(lease, generation, &["hung"]);
    assert!(scene.proof(about).notes.is_empty());
    assert_eq!(scene.lock(about).notes, [Note::Stale]);
    assert_eq!((scene.shown(), scene.admit()), (Shown::HalfOpen, Admission::Reject));
}

#[test]
fn without_webhooks_a_grace_without_failure_closes() {
    let mut scene = scene();
    scene.heard = false;
    scene.half_open();
    let about = scene.trial("t");
    assert_eq!(scene.due(), scene.dated(60_000));
    scene.millis += 59_999;
    assert!(scene.apply(Event::Tick).notes.is_empty());
    let mut failing = scene.clone();
    assert_eq!(kinds(&failing.lock(about)), [TransitionKind::Reopen], "a failure within the grace");
    scene.millis += 1;
    let applied = scene.apply(Event::Tick);
    assert_eq!(
        (kinds(&applied), applied.notes),
        (vec![TransitionKind::Close], vec![Note::Trial(TrialOutcome::Unheard)])
    );
    assert_eq!(applied.transitions[0].source, Source::Timer);
}

#[test]
fn without_webhooks_a_trial_that_was_not_accepted_proves_nothing() {
    let mut scene = scene();
    scene.heard = false;
    scene.half_open();
    scene.begins_trial();
    assert!(scene.later(60).apply(Event::Tick).notes.is_empty());
    assert_eq!(scene.later(60).apply(Event::Tick).notes, [Note::Trial(TrialOutcome::TimedOut)]);
    assert_eq!(scene.shown(), Shown::HalfOpen);
}

#[test]
fn where_webhooks_come_or_the_policy_holds_silence_closes_nothing() {
    for (heard, no_webhooks) in
        [(true, NoWebhooks::Close), (true, NoWebhooks::Hold), (false, NoWebhooks::Hold)]
    {
        let mut scene = scene_with(|policy| policy.no_webhooks = no_webhooks);
        scene.heard = heard;
        scene.half_open();
        for name in ["t", "u", "v"] {
            scene.trial(name);
            assert!(scene.later(119).apply(Event::Tick).notes.is_empty());
            assert_eq!(scene.later(1).apply(Event::Tick).notes, [Note::Trial(TrialOutcome::TimedOut)]);
        }
        assert_eq!(scene.shown(), Shown::HalfOpen, "{heard} {no_webhooks:?}");
    }
}

#[test]
fn an_unheard_trial_counts_once_though_a_webhook_comes_after_all() {
    let mut scene = scene_with(|policy| policy.trials_to_close = 2);
    scene.heard = false;
    scene.half_open();
    let about = scene.trial("t");
    assert_eq!(scene.later(60).apply(Event::Tick).notes, [Note::Trial(TrialOutcome::Unheard)]);
    scene.heard = true;
    scene.proof(about);
    assert_eq!(scene.shown(), Shown::HalfOpen);
    let mut failing = scene.clone();
    assert_eq!(
        kinds(&failing.lock(about)),
        [TransitionKind::Reopen],
        "it is newer than half-open all the same"
    );
    let about = scene.trial("u");
    assert_eq!(kinds(&scene.proof(about)), [TransitionKind::Close]);
}

#[test]
fn an_encrypted_trial_is_confirmed_by_the_next_unknown_message_that_moves() {
    let mut scene = scene();
    scene.half_open().later(30);
    scene.millis += 400;
    let lease = scene.begins_trial();
    scene.accepted(lease, scene.generation(), &[]);
    let dated = |scene: &Scene, millis| About::Unknown { key: Some(key("e")), dated: scene.dated(millis) };
    for about in
        [dated(&scene, -1400), scene.sends("known"), About::Unknown { key: Some(key("e")), dated: None }]
    {
        assert!(scene.proof(about).notes.is_empty(), "{about:?}");
    }
    let read = Event::Proof { about: dated(&scene, -400), sent: false, class: None };
    assert!(scene.apply(read).notes.is_empty(), "it may be of a message that was accepted long ago");
    // Meta's date of something in the same second.
    assert_eq!(kinds(&scene.proof(dated(&scene, -400))), [TransitionKind::Close]);
}

#[test]
fn one_message_confirms_one_encrypted_trial() {
    let mut scene = scene_with(|policy| policy.trials_to_close = 2);
    scene.half_open();
    for (name, shown) in [("e", Shown::HalfOpen), ("f", Shown::Closed)] {
        let lease = scene.later(10).begins_trial();
        scene.accepted(lease, scene.generation(), &[]);
        scene.later(5);
        let earlier = About::Unknown { key: Some(key("e")), dated: scene.dated(0) };
        if name == "f" {
            scene.proof(earlier);
            assert_eq!(scene.admit(), Admission::Reject, "read, of the first trial's message");
        }
        scene.proof(About::Unknown { key: Some(key(name)), dated: scene.dated(0) });
        assert_eq!(scene.shown(), shown);
    }
}

#[test]
fn the_back_off_goes_on_over_a_reopen_and_a_close_soon_after() {
    let mut scene = scene();
    let mut lease = scene.trip();
    for _ in 0..3 {
        scene.later(600).probed(lease, blocked());
        lease = scene.check();
    }
    scene.probed(lease, clear());
    let about = scene.trial("t");
    scene.lock(about);
    assert_eq!(scene.due(), scene.dated(480_000), "three blocked probes and a reopen");

    scene.close("u");
    scene.later(3599).trip();
    assert_eq!(scene.breaker.next_check(), scene.dated(900_000), "a trip soon after goes on from there");

    scene.close("v");
    scene.later(3600).trip();
    assert_eq!(scene.breaker.next_check(), scene.dated(30_000), "after a good while it begins anew");
}

#[test]
fn a_trial_that_fails_with_another_code_makes_way_for_the_next_and_may_still_be_delivered() {
    let mut scene = scene();
    scene.half_open();
    let about = scene.trial("t");
    assert_eq!(scene.admit(), Admission::Reject);
    assert_eq!(scene.apply(Event::Failed { about }).notes, [Note::Trial(TrialOutcome::OtherError)]);
    let next = scene.trial("u");
    assert_eq!(scene.apply(Event::Failed { about }).notes, [], "once");
    assert_eq!(scene.admit(), Admission::Reject, "and it frees no permit but its own");
    assert_eq!(kinds(&scene.proof(about)), [TransitionKind::Close], "another device got it");
    assert!(scene.apply(Event::Failed { about: next }).notes.is_empty());
}

#[test]
fn a_trials_failure_counts_though_its_send_is_forgotten_and_its_date_is_near() {
    let mut scene = scene();
    scene.half_open();
    scene.trial("t");
    let forgotten = About::Unknown { key: Some(key("t")), dated: scene.dated(0) };
    assert_eq!(kinds(&scene.lock(forgotten)), [TransitionKind::Reopen]);
}
