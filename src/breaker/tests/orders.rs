//! Operators' orders, and automation beneath them.

use super::*;

#[test]
fn open_rejects_and_bypass_admits_in_every_state() {
    let states: [fn(&mut Scene); 3] = [
        |_| {},
        |scene| {
            scene.trip();
        },
        |scene| {
            scene.half_open();
            scene.begins_trial();
        },
    ];
    for reach in states {
        let mut scene = scene();
        reach(&mut scene);
        let (before, shown, generation) = (scene.admit(), scene.shown(), scene.generation().0);
        assert_eq!(kinds(&scene.hold(OverrideOrder::Open, None)), [TransitionKind::ForceOpen]);
        assert_eq!((scene.shown(), scene.admit()), (Shown::ForcedOpen, Admission::Reject));
        assert_eq!(kinds(&scene.hold(OverrideOrder::Bypass, None)), [TransitionKind::Bypass]);
        assert_eq!((scene.shown(), scene.admit()), (Shown::Bypassed, Admission::Forward));
        let applied = scene.apply(Event::Lift { text: "ann: done".to_owned() });
        assert_eq!((kinds(&applied), applied.transitions[0].to), (vec![TransitionKind::Lift], shown));
        assert_eq!((scene.admit(), scene.generation().0), (before, generation + 3), "as it was");
    }
}

#[test]
fn a_bypassed_half_open_still_has_its_trial() {
    let mut scene = scene();
    scene.half_open();
    scene.hold(OverrideOrder::Bypass, None);
    let about = scene.trial("t");
    assert_eq!(scene.admit(), Admission::Forward, "and lets the others through");
    assert_eq!(kinds(&scene.proof(about)), [TransitionKind::Close]);
    assert_eq!(scene.shown(), Shown::Bypassed);
}

#[test]
fn a_forced_open_half_open_gives_no_trial() {
    let mut scene = scene();
    scene.half_open();
    scene.hold(OverrideOrder::Open, None);
    assert_eq!(scene.admit(), Admission::Reject);
}

#[test]
fn beneath_an_order_automation_goes_on() {
    let mut scene = scene();
    scene.hold(OverrideOrder::Bypass, None);
    scene.trip();
    assert_eq!((scene.shown(), scene.admit()), (Shown::Bypassed, Admission::Forward));
    scene.later(60);
    assert!(scene.due().is_some(), "the probe's lease");
    scene.apply(Event::Tick);
    let lease = scene.check();
    let applied = scene.probed(lease, clear());
    let [step] = &applied.transitions[..] else { panic!("{applied:?}") };
    assert_eq!((step.kind, step.to), (TransitionKind::HalfOpen, Shown::Bypassed));
    scene.apply(Event::Lift { text: "ann: done".to_owned() });
    assert_eq!(scene.shown(), Shown::HalfOpen);
}

#[test]
fn a_bypassed_send_that_is_delivered_leads_to_half_open() {
    let mut scene = scene();
    scene.trip();
    scene.hold(OverrideOrder::Bypass, None);
    let about = scene.sends("a");
    assert_eq!(kinds(&scene.proof(about)), [TransitionKind::HalfOpen]);
}

#[test]
fn an_order_ends_with_its_time() {
    let mut scene = scene();
    scene.hold(OverrideOrder::Open, Some(60));
    assert_eq!(scene.due(), scene.dated(60_000));
    scene.millis = 59_999;
    assert!(scene.apply(Event::Tick).transitions.is_empty());
    assert_eq!(scene.admit(), Admission::Reject);
    scene.millis = 60_000;
    assert_eq!((scene.shown(), scene.admit()), (Shown::Closed, Admission::Forward), "before any tick");
    let applied = scene.apply(Event::Tick);
    let [step] = &applied.transitions[..] else { panic!("{applied:?}") };
    assert_eq!(
        (step.kind, step.from, step.to, step.source),
        (TransitionKind::Lift, Shown::ForcedOpen, Shown::Closed, Source::Timer)
    );
    assert!(scene.breaker.is_plainly_closed());
    assert_eq!(scene.due(), None);
}

#[test]
fn an_order_that_ran_out_is_ended_before_anything_else() {
    let mut scene = scene();
    scene.hold(OverrideOrder::Bypass, Some(60));
    let about = scene.sends("a");
    let applied = scene.later(61).lock(about);
    assert_eq!(kinds(&applied), [TransitionKind::Lift, TransitionKind::Trip]);
    let generations: Vec<u64> = applied.transitions.iter().map(|step| step.generation.0).collect();
    assert_eq!(generations, [2, 3]);
}

#[test]
fn a_reset_ends_an_order_too() {
    for order in [OverrideOrder::Open, OverrideOrder::Bypass] {
        let mut scene = scene();
        scene.hold(order, None);
        let applied = scene.apply(Event::Reset { text: "ann: sure".to_owned() });
        assert_eq!(kinds(&applied), [TransitionKind::Reset]);
        assert!(scene.breaker.is_plainly_closed());
    }
}

#[test]
fn a_lift_without_an_order_changes_nothing() {
    let mut scene = scene();
    scene.trip();
    let applied = scene.apply(Event::Lift { text: "ann: done".to_owned() });
    assert!(applied.transitions.is_empty() && !applied.changed);
    assert_eq!(scene.generation(), Generation(1));
}

#[test]
fn an_order_over_a_closed_breaker_has_an_incident_of_its_own() {
    let mut scene = scene();
    scene.hold(OverrideOrder::Open, None);
    let incident = scene.breaker.incident().unwrap();
    assert_eq!(incident.id("15551234567"), "15551234567-1-1777629600");
    scene.later(5).trip();
    let applied = scene.apply(Event::Lift { text: "ann: done".to_owned() });
    assert_eq!(applied.transitions[0].incident, incident, "a lock beneath it belongs to the same");
    assert_eq!(scene.breaker.incident(), Some(incident));
    let applied = scene.apply(Event::Reset { text: "ann: solved".to_owned() });
    assert_eq!(applied.transitions[0].incident, incident, "as does its end");
    assert_eq!(scene.breaker.incident(), None);
}
