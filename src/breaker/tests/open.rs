//! open: probes, and what leads out.

use super::*;

#[test]
fn blocked_or_unknown_stays_open_and_backs_off() {
    let outcomes = [
        blocked(),
        Health::Unknown(Unknown::NoToken),
        Health::Unknown(Unknown::TokenInvalid),
        Health::Unknown(Unknown::NotPermitted),
        Health::Unknown(Unknown::RateLimited),
        Health::Unknown(Unknown::Failed),
        Health::Unknown(Unknown::Unreadable),
        Health::Unknown(Unknown::NoAnswer),
    ];
    for health in outcomes {
        let mut scene = scene();
        let mut lease = scene.trip();
        scene.later(3600);
        for wait in [30, 60, 120, 240, 480, 900, 900] {
            let applied = scene.probed(lease, health.clone());
            assert!(applied.transitions.is_empty() && applied.changed);
            assert_eq!(scene.shown(), Shown::Open, "{health:?}");
            assert_eq!(scene.due(), scene.dated(wait * 1000), "{health:?}");
            assert!(scene.later(wait - 1).apply(Event::Tick).probe.is_none(), "not yet due");
            lease = scene.later(1).apply(Event::Tick).probe.unwrap();
        }
        assert_eq!(scene.lock_of_incident().probes, 7);
        assert_eq!(scene.lock_of_incident().health.as_ref().unwrap().1, health);
    }
}

#[test]
fn no_token_is_a_condition_that_ends_with_its_cause() {
    for outcome in [Unknown::NoToken, Unknown::TokenInvalid] {
        let mut scene = scene();
        let lease = scene.trip();
        let since = scene.now();
        scene.probed(lease, Health::Unknown(outcome));
        scene.later(40);
        let lease = scene.check();
        scene.probed(lease, Health::Unknown(outcome));
        assert_eq!(scene.lock_of_incident().no_token, Some(since));
        let lease = scene.check();
        scene.probed(lease, blocked());
        assert_eq!(scene.lock_of_incident().no_token, None);
    }
}

#[test]
fn over_budget_is_no_probe_and_no_back_off() {
    let mut scene = scene();
    let lease = scene.trip();
    for _ in 0..5 {
        scene.probed(lease, Health::Unknown(Unknown::OverBudget));
        assert_eq!((scene.shown(), scene.due()), (Shown::Open, scene.dated(30_000)));
    }
    assert_eq!(scene.lock_of_incident().probes, 0);
}

#[test]
fn a_probe_whose_lease_is_over_is_unknown() {
    let mut scene = scene();
    let lease = scene.trip();
    assert_eq!(scene.due(), scene.dated(15_000));
    scene.millis += 14_999;
    assert!(scene.apply(Event::Tick).notes.is_empty());
    scene.millis += 1;
    assert_eq!(scene.apply(Event::Tick).notes, [Note::ProbeLeaseOver]);
    assert_eq!(scene.due(), scene.dated(30_000));
    scene.later(3600);
    let applied = scene.probed(lease, clear());
    assert_eq!((applied.notes, scene.shown()), (vec![Note::ProbeIgnored], Shown::Open), "it came too late");
}

#[test]
fn only_the_current_lease_counts() {
    let mut scene = scene();
    let first = scene.trip();
    scene.probed(first, blocked());
    scene.later(3600);
    for lease in [first, Lease(0), Lease(99)] {
        assert_eq!(scene.probed(lease, clear()).notes, [Note::ProbeIgnored], "nobody asked");
    }
    let second = scene.check();
    for lease in [first, Lease(0), Lease(99)] {
        assert_eq!(scene.probed(lease, clear()).notes, [Note::ProbeIgnored]);
        assert_eq!(scene.shown(), Shown::Open);
    }
    assert_eq!(kinds(&scene.probed(second, clear())), [TransitionKind::HalfOpen]);
}

#[test]
fn one_probe_at_a_time() {
    let mut scene = scene();
    scene.trip();
    assert!(scene.apply(Event::CheckNow { asked: false }).probe.is_none());
    assert!(scene.apply(Event::Tick).probe.is_none());
    scene.later(15).apply(Event::Tick);
    assert!(scene.apply(Event::CheckNow { asked: false }).probe.is_some(), "the first one's lease is over");
    assert!(
        self::scene().apply(Event::CheckNow { asked: false }).probe.is_none(),
        "a closed breaker needs none"
    );
    assert!(
        self::scene().half_open().apply(Event::CheckNow { asked: false }).probe.is_none(),
        "nor does a half-open one"
    );
}

#[test]
fn clear_waits_for_min_open_and_is_then_asked_again() {
    let mut scene = scene();
    let lease = scene.trip();
    scene.millis = 59_999;
    assert!(scene.probed(lease, clear()).transitions.is_empty());
    assert_eq!(scene.due(), scene.dated(1), "at the end of min_open");
    scene.millis = 60_000;
    let lease = scene.apply(Event::Tick).probe.unwrap();
    let applied = scene.probed(lease, clear());
    let [step] = &applied.transitions[..] else { panic!("{applied:?}") };
    assert_eq!((step.from, step.to, step.source), (Shown::Open, Shown::HalfOpen, Source::Probe));
    assert_eq!((step.generation, scene.generation()), (Generation(2), Generation(2)));
    assert_eq!(scene.due(), None, "half-open waits for a send");
}

#[test]
fn without_half_open_a_clear_probe_closes() {
    let mut scene = scene_with(|policy| policy.half_open = false);
    let lease = scene.trip();
    let old = scene.sends("a");
    scene.later(59).probed(lease, clear());
    assert_eq!(scene.shown(), Shown::Open);
    let lease = scene.later(1).check();
    assert_eq!(kinds(&scene.probed(lease, clear())), [TransitionKind::Close]);
    assert_eq!((scene.admit(), scene.generation()), (Admission::Forward, Generation(2)));
    assert_eq!(scene.lock(old).notes, [Note::Stale], "it fences");
}

#[test]
fn a_delivery_of_what_was_accepted_after_the_trip_leads_to_half_open() {
    let mut scene = scene();
    let before = scene.sends("before");
    scene.trip();
    let skew = i64::try_from(scene.policy.skew.as_millis()).unwrap();
    for about in [
        before,
        About::Unknown { key: Some(key("a")), dated: scene.dated(skew) },
        About::Unknown { key: Some(key("a")), dated: scene.dated(-5000) },
        About::Unknown { key: Some(key("a")), dated: None },
    ] {
        assert!(scene.proof(about).transitions.is_empty(), "{about:?}");
    }
    for about in [scene.sends("after"), About::Unknown { key: Some(key("a")), dated: scene.dated(skew + 1) }]
    {
        let mut scene = scene.clone();
        let applied = scene.proof(about);
        assert_eq!(kinds(&applied), [TransitionKind::HalfOpen], "{about:?}");
        assert_eq!(applied.transitions[0].source, Source::Webhook);
    }
}

#[test]
fn what_led_to_half_open_leads_back_when_it_fails_after_all() {
    for known in [true, false] {
        let mut scene = scene();
        scene.trip();
        scene.later(10);
        let about = match known {
            true => scene.sends("a"),
            false => About::Unknown { key: Some(key("a")), dated: scene.dated(0) },
        };
        let other = scene.sends("b");
        let mut twin = scene.clone();
        scene.proof(about);
        assert!(scene.lock(other).transitions.is_empty(), "another one is older than half-open");
        assert_eq!(kinds(&scene.lock(about)), [TransitionKind::Reopen], "known: {known}");
        twin.lock(about);
        twin.proof(about);
        assert_eq!(twin.shown(), Shown::Open, "and in the other order; known: {known}");
    }
}
