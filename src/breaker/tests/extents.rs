//! Breakers that hold one class of messages: the other flows, and proves nothing.

use super::*;
use crate::graph::class::Class;
use Class::{BusinessInitiated as Business, CustomerInitiated as Customer};

/// A hold that needs no health check, for so many seconds from now.
fn for_time(scene: &Scene, seconds: i64) -> Hold {
    Hold { until: scene.dated(seconds * 1000), by_probe: false, restricted: false }
}

impl Scene {
    /// Evidence that holds so much, dated later than all before.
    fn locks(&mut self, extent: Extent) -> Applied {
        let about = About::Unknown { key: None, dated: self.dated(10_000) };
        let reason = reason(Source::Webhook, self.now());
        self.apply(Event::Lock { about, reason, extent, only_trial: false })
    }

    fn goes(&self, class: Class) -> Admission {
        self.breaker.admit(Some(class), self.now())
    }

    fn delivered(&mut self, name: &str, class: Option<Class>) -> Applied {
        let about = About::Unknown { key: Some(key(name)), dated: self.dated(10_000) };
        self.apply(Event::Proof { about, sent: true, class })
    }

    /// Goes to whatever is due next, at most so many seconds from now, and lets it tick.
    fn waits(&mut self, most: i64) -> Applied {
        let due = self.due().map_or(i64::MAX, |due| due.millis() - START);
        self.millis = due.clamp(self.millis, self.millis + most * 1000);
        self.apply(Event::Tick)
    }
}

#[test]
fn the_other_class_flows_in_every_state() {
    let mut scene = scene();
    scene.locks(Extent::of(Business, Hold::PROBE));
    assert_eq!((scene.goes(Business), scene.goes(Customer)), (Admission::Reject, Admission::Forward));
    scene.half_open();
    assert_eq!((scene.goes(Business), scene.goes(Customer)), (Admission::Trial, Admission::Forward));
    scene.trial("t");
    assert_eq!((scene.goes(Business), scene.goes(Customer)), (Admission::Reject, Admission::Forward));
    assert_eq!(scene.admit(), Admission::Reject, "of an unknown class");
}

#[test]
fn a_delivery_of_the_class_that_flows_proves_nothing() {
    for class in [Some(Customer), None] {
        let mut scene = scene();
        scene.locks(Extent::of(Business, Hold::PROBE));
        scene.delivered("m", class);
        assert_eq!(scene.shown(), Shown::Open, "{class:?}");
    }
    let mut scene = scene();
    scene.locks(Extent::of(Business, Hold::PROBE));
    scene.delivered("m", Some(Business));
    assert_eq!(scene.shown(), Shown::HalfOpen);
}

/// The trial's answer is sealed, so any new message may be its; but not one that needed no trial.
#[test]
fn a_delivery_of_the_class_that_flows_is_no_sealed_trials() {
    let mut scene = scene();
    scene.locks(Extent::of(Business, Hold::PROBE));
    scene.half_open();
    let (lease, generation) = (scene.begins_trial(), scene.generation());
    scene.accepted(lease, generation, &[]);
    scene.delivered("reply", Some(Customer));
    assert_eq!(scene.shown(), Shown::HalfOpen);
    scene.delivered("sealed", None);
    assert_eq!(scene.shown(), Shown::Closed);
}

/// It is what it was when the message went out that the delivery says something of.
#[test]
fn what_is_held_since_a_delivery_is_not_left_by_it() {
    for half_open in [true, false] {
        let mut scene =
            scene_with(|policy| (policy.half_open, policy.min_open) = (half_open, Duration::ZERO));
        scene.trip();
        scene.apply(Event::Reset { text: String::new() });
        scene.locks(Extent::of(Business, Hold::PROBE));
        scene.probed(scene.probe.unwrap(), clear());
        // A second trouble soon after the first: it backs off.
        match half_open {
            true => {
                let about = scene.trial("t");
                let (reason, extent) =
                    (reason(Source::Webhook, scene.now()), Extent::of(Business, Hold::PROBE));
                scene.apply(Event::Lock { about, reason, extent, only_trial: false });
            }
            false => drop(scene.locks(Extent::of(Business, Hold::PROBE))),
        }
        scene.probed(scene.probe.unwrap_or(Lease(0)), blocked());
        scene.delivered("m", Some(Business));
        assert_eq!(scene.shown(), Shown::Open, "it backs off");
        let week = Hold { until: scene.dated(7 * 86_400_000), by_probe: true, restricted: true };
        scene.locks(Extent::of(Customer, week));
        for _ in 0..20 {
            scene.waits(900);
            assert_eq!(scene.goes(Customer), Admission::Reject, "before its date");
        }
    }
}

/// The account's breaker hears of a phone's lock only where it is about a trial of its own.
#[test]
fn a_trial_that_is_refused_at_once_opens_what_it_was_the_trial_of() {
    let mut scene = scene();
    scene.half_open();
    scene.begins_trial();
    let about = About::Send { generation: scene.generation(), key: None };
    let reason = reason(Source::Response, scene.now());
    let refused = Event::Lock { about, reason, extent: Extent::default(), only_trial: true };
    assert_eq!(kinds(&scene.apply(refused.clone())), [TransitionKind::Reopen]);
    // Nobody's trial any more.
    scene.half_open();
    scene.begins_trial();
    assert_eq!(kinds(&scene.apply(refused)), []);
    assert!(scene.breaker.trial().is_some());
}

/// One phone's lock says nothing of replies that its account may send.
#[test]
fn a_trial_that_meets_one_phones_lock_widens_nothing() {
    for refused in [true, false] {
        let mut scene = scene();
        scene.locks(Extent::of(Business, Hold::PROBE));
        scene.half_open();
        let about = match refused {
            true => {
                scene.begins_trial();
                About::Send { generation: scene.generation(), key: None }
            }
            false => scene.trial("t"),
        };
        let reason = reason(Source::Response, scene.now());
        let applied = scene.apply(Event::Lock { about, reason, extent: Extent::default(), only_trial: true });
        assert_eq!(kinds(&applied), [TransitionKind::Reopen]);
        assert_eq!((scene.goes(Business), scene.goes(Customer)), (Admission::Reject, Admission::Forward));
    }
}

/// Delivered and 131031 for one message: the lock counts, also where only an account's breaker waits for it.
#[test]
fn a_delivery_that_an_account_waits_for_is_refuted_by_a_lock_of_the_same_message() {
    let mut scene = scene_with(|policy| policy.half_open = false);
    let probe = scene.trip();
    scene.later(60).probed(probe, clear());
    // A second trouble soon after the first: it backs off.
    scene.trip();
    let about = About::Send { generation: scene.generation(), key: Some(key("m")) };
    scene.proof(about);
    let reason = reason(Source::Webhook, scene.now());
    scene.apply(Event::Lock { about, reason, extent: Extent::default(), only_trial: true });
    scene.probed(scene.probe.unwrap(), blocked());
    for _ in 0..20 {
        scene.waits(900);
        assert_eq!(scene.shown(), Shown::Open);
        scene.probed(scene.probe.unwrap(), blocked());
    }
}

/// What a rule holds for a second is not tried each second.
#[test]
fn however_short_its_time_is_it_backs_off_where_it_fails_to_recover() {
    let mut scene = scene();
    scene.locks(Extent::of(Business, for_time(&scene, 1)));
    let mut steps = 0;
    while scene.millis < 3_600_000 {
        steps += scene.waits(60).transitions.len();
        if scene.goes(Business) == Admission::Trial {
            let name = scene.millis.to_string();
            let about = scene.trial(&name);
            let (reason, extent) =
                (reason(Source::Webhook, scene.now()), Extent::of(Business, for_time(&scene, 1)));
            steps += scene.apply(Event::Lock { about, reason, extent, only_trial: false }).transitions.len();
        }
    }
    assert!(steps <= 30, "{steps} in an hour");
    assert!(steps > 6, "{steps} in an hour");
}

/// A clear probe that comes too early does not put off what ends by itself.
#[test]
fn the_time_of_a_class_is_over_when_it_is_over() {
    let mut scene = scene();
    scene.locks(Extent::of(Customer, for_time(&scene, 20)));
    scene.locks(Extent::of(Business, Hold::PROBE));
    scene.probed(scene.probe.unwrap(), clear());
    while scene.goes(Customer) == Admission::Reject {
        scene.waits(60);
    }
    assert_eq!(scene.millis, 20_000);
    assert_eq!(scene.goes(Business), Admission::Reject);
}

/// In whichever order they come: a class goes on when both its date and a probe say so.
#[test]
fn a_date_and_a_probe_are_both_waited_for() {
    for time_first in [true, false] {
        let mut scene = scene();
        let mut holds = [Hold::PROBE, for_time(&scene, 300)];
        if time_first {
            holds.reverse();
        }
        for hold in holds {
            scene.locks(Extent::of(Business, hold));
        }
        for _ in 0..20 {
            scene.waits(30);
            if let Some(lease) = scene.probe.take() {
                scene.probed(lease, clear());
            }
            assert_eq!(
                scene.shown() == Shown::Open,
                scene.millis < 300_000,
                "{time_first} at {}",
                scene.millis
            );
        }
    }
}
