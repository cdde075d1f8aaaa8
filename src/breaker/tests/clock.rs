//! A clock that goes back delays nothing for longer than the policy's own waits; and what may be forgotten.

use super::*;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

#[test]
fn a_probe_is_due_though_the_clock_went_back() {
    let mut scene = scene();
    let lease = scene.trip();
    scene.later(-HOUR);
    assert_eq!(scene.due(), scene.dated(0), "a lease that reaches an hour ahead is over");
    assert_eq!(scene.apply(Event::Tick).notes, [Note::ProbeLeaseOver]);
    assert!(scene.breaker.next_check() <= scene.dated(900_000));
    assert_eq!(scene.probed(lease, clear()).notes, [Note::ProbeIgnored]);

    let mut scene = self::scene();
    let lease = scene.trip();
    scene.probed(lease, blocked());
    scene.later(-HOUR);
    assert_eq!(scene.due(), scene.dated(0));
    assert!(scene.apply(Event::Tick).probe.is_some());
}

#[test]
fn min_open_ends_though_the_clock_went_back() {
    let mut scene = scene();
    scene.trip();
    scene.later(-HOUR).apply(Event::Tick);
    let lease = scene.check();
    assert_eq!(kinds(&scene.probed(lease, clear())), [TransitionKind::HalfOpen]);
}

#[test]
fn a_clock_that_is_set_by_a_second_ends_no_wait() {
    let mut scene = scene();
    let lease = scene.trip();
    scene.later(-1).apply(Event::Tick);
    assert_eq!(kinds(&scene.probed(lease, clear())), [], "min_open has hardly begun");
}

#[test]
fn a_trial_ends_though_the_clock_went_back() {
    let mut scene = scene();
    scene.half_open();
    scene.begins_trial();
    scene.later(-HOUR);
    assert_eq!(scene.due(), scene.dated(0));
    assert_eq!(scene.apply(Event::Tick).notes, [Note::Trial(TrialOutcome::TimedOut)]);
    assert_eq!(scene.admit(), Admission::Trial);
}

#[test]
fn a_grace_ends_though_the_clock_went_back() {
    let mut scene = scene();
    scene.heard = false;
    scene.half_open();
    scene.trial("t");
    scene.later(-HOUR);
    assert_eq!(scene.due(), scene.dated(0));
    assert_eq!(kinds(&scene.apply(Event::Tick)), [TransitionKind::Close]);
}

#[test]
fn a_send_is_judged_by_its_generation_whatever_the_clock_says() {
    let mut scene = scene();
    let before = scene.sends("before");
    scene.close("t");
    scene.later(-HOUR);
    let after = scene.sends("after");
    assert_eq!(scene.later(2 * HOUR).lock(before).notes, [Note::Stale]);
    assert_eq!(kinds(&scene.later(-DAY).lock(after)), [TransitionKind::Trip]);
}

#[test]
fn the_back_off_goes_on_though_the_clock_went_back() {
    let mut scene = scene();
    let lease = scene.trip();
    scene.probed(lease, blocked());
    scene.close("t");
    scene.later(-DAY).trip();
    assert_eq!(scene.breaker.next_check(), scene.dated(120_000), "one blocked probe and a close before");
}

#[test]
fn what_was_closed_for_eight_days_may_be_forgotten_and_not_before() {
    let mut scene = scene();
    scene.close("t");
    scene.millis += 8 * DAY * 1000;
    assert!(!scene.breaker.is_forgettable(scene.now()));
    scene.millis += 1;
    assert!(scene.breaker.is_forgettable(scene.now()));
    scene.later(-30 * DAY);
    assert!(!scene.breaker.is_forgettable(scene.now()), "the clock went back");
}

#[test]
fn what_is_open_half_open_or_under_an_order_is_never_forgotten() {
    let mut open = scene();
    open.trip();
    let mut half_open = scene();
    half_open.half_open();
    let mut held = scene();
    held.hold(OverrideOrder::Bypass, None);
    for mut scene in [open, half_open, held] {
        scene.later(1000 * DAY);
        assert!(!scene.breaker.is_forgettable(scene.now()), "{:?}", scene.shown());
    }
}

#[test]
fn an_order_that_ended_is_remembered_like_a_close() {
    let mut scene = scene();
    scene.hold(OverrideOrder::Open, Some(60));
    scene.later(60).apply(Event::Tick);
    let json = serde_json::to_string(&scene.breaker).unwrap();
    scene.breaker = serde_json::from_str(&json).unwrap();
    scene.later(8 * DAY);
    assert!(!scene.breaker.is_forgettable(scene.now()));
    scene.later(1);
    assert!(scene.breaker.is_forgettable(scene.now()));
}

#[test]
fn a_strike_is_remembered_too() {
    let mut scene = scene_with(|policy| policy.trip_after = 2);
    scene.lock(scene.sends("a"));
    scene.later(8 * DAY);
    assert!(!scene.breaker.is_forgettable(scene.now()));
    scene.later(1);
    assert!(scene.breaker.is_forgettable(scene.now()));
}
