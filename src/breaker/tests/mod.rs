//! The state table as tests, row by row, and a model of it. A [`Scene`] is one breaker with its clock.

mod accounts;
mod clock;
mod contradiction;
mod explaining;
mod extents;
mod flapping;
mod hung;
mod late_news;
mod model;
mod open;
mod orders;
mod overtaking;
mod rejecting;
mod restart;
mod trials;
mod trips;
mod watching;
mod wide;

use std::time::Duration;

use super::*;
use crate::graph::health::{Health, Unknown};
use crate::graph::ids::{PhoneNumberId, WamidHasher, WamidKey};
use crate::time::Timestamp;

/// 2026-05-01T10:00:00Z
const START: i64 = 1_777_629_600_000;

/// One breaker, its policy and its clock.
#[derive(Clone, Default)]
struct Scene {
    breaker: Breaker,
    policy: Policy,
    heard: bool,
    /// Milliseconds since [`START`].
    millis: i64,
    /// The probe that was started last.
    probe: Option<Lease>,
}

/// A scene whose webhooks come, at [`START`].
fn scene() -> Scene {
    Scene { heard: true, ..Scene::default() }
}

fn scene_with(change: impl FnOnce(&mut Policy)) -> Scene {
    let mut scene = scene();
    change(&mut scene.policy);
    scene
}

/// The key of a message.
fn key(name: &str) -> WamidKey {
    WamidHasher::new([7; 16]).key_of(PhoneNumberId::parse("1").unwrap(), name)
}

fn reason(source: Source, at: Timestamp) -> Reason {
    Reason { code: 131_031, source, text: "Business Account locked".to_owned(), at, fbtrace_id: None }
}

/// The breaker of a phone.
fn scope(id: &str) -> Scope {
    PhoneNumberId::parse(id).unwrap().into()
}

fn clear() -> Health {
    Health::Clear(Vec::new())
}

fn blocked() -> Health {
    Health::Blocked(Vec::new())
}

impl Scene {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(START + self.millis)
    }

    /// A date so many milliseconds from now.
    fn dated(&self, millis: i64) -> Option<Timestamp> {
        Some(Timestamp::from_millis(START + self.millis + millis))
    }

    fn later(&mut self, seconds: i64) -> &mut Self {
        self.millis += seconds * 1000;
        self
    }

    fn context(&self) -> Context<'_> {
        Context { now: self.now(), jitter: Jitter(0), heard: self.heard, policy: &self.policy }
    }

    fn apply(&mut self, event: Event) -> Applied {
        let policy = self.policy.clone();
        let cx = Context { now: self.now(), jitter: Jitter(0), heard: self.heard, policy: &policy };
        let applied = self.breaker.apply(event, &cx);
        self.probe = applied.probe.or(self.probe);
        applied
    }

    fn shown(&self) -> Shown {
        self.breaker.shown(self.now())
    }

    fn admit(&self) -> Admission {
        self.breaker.admit(None, self.now())
    }

    fn generation(&self) -> Generation {
        self.breaker.generation()
    }

    fn due(&self) -> Option<Timestamp> {
        self.breaker.next_due(&self.context())
    }

    /// A send of ours that is admitted now, as this message.
    fn sends(&self, name: &str) -> About {
        About::Send { generation: self.generation(), key: Some(key(name)) }
    }

    /// A lock without a message or a date, for this reason.
    fn locked_for(&mut self, reason: Reason) -> Applied {
        let about = About::Unknown { key: None, dated: None };
        self.apply(Event::Lock { about, reason, extent: Extent::default(), only_trial: false })
    }

    fn lock(&mut self, about: About) -> Applied {
        let reason = reason(Source::Webhook, self.now());
        self.apply(Event::Lock { about, reason, extent: Extent::default(), only_trial: false })
    }

    fn proof(&mut self, about: About) -> Applied {
        self.apply(Event::Proof { about, sent: true, class: None })
    }

    /// 131031 in the answer to a send that was admitted now.
    fn trip(&mut self) -> Lease {
        let about = About::Send { generation: self.generation(), key: None };
        let reason = reason(Source::Response, self.now());
        self.apply(Event::Lock { about, reason, extent: Extent::default(), only_trial: false }).probe.unwrap()
    }

    fn check(&mut self) -> Lease {
        self.apply(Event::CheckNow { asked: false }).probe.unwrap()
    }

    fn probed(&mut self, lease: Lease, health: Health) -> Applied {
        self.apply(Event::Probed { lease, health })
    }

    /// To half-open, by a clear probe after `min_open` that an operator asks for.
    fn half_open(&mut self) -> &mut Self {
        if !matches!(self.shown(), Shown::Open) {
            self.trip();
        }
        self.millis += i64::try_from(self.policy.min_open.as_millis()).unwrap();
        self.apply(Event::CheckNow { asked: true });
        let applied = self.probed(self.probe.unwrap(), clear());
        assert_eq!(kinds(&applied), [TransitionKind::HalfOpen]);
        self
    }

    /// Takes the trial's permit, as the gate does.
    fn begins_trial(&mut self) -> Lease {
        assert_eq!(self.admit(), Admission::Trial);
        let policy = self.policy.clone();
        self.breaker.begin_trial(self.now(), &policy).unwrap()
    }

    fn accepted(&mut self, lease: Lease, generation: Generation, names: &[&str]) -> Applied {
        let keys = names.iter().map(|name| key(name)).collect();
        self.apply(Event::TrialAccepted { lease, generation, keys, proves: false })
    }

    /// A trial that Meta accepts at once as this message.
    fn trial(&mut self, name: &str) -> About {
        let (lease, about) = (self.begins_trial(), self.sends(name));
        self.accepted(lease, self.generation(), &[name]);
        about
    }

    /// To closed, by a trial; gives the trial back.
    fn close(&mut self, name: &str) -> About {
        self.half_open();
        let about = self.trial(name);
        assert_eq!(kinds(&self.proof(about)), [TransitionKind::Close]);
        about
    }

    fn hold(&mut self, order: OverrideOrder, seconds: Option<u64>) -> Applied {
        let until = seconds.map(|seconds| self.now().plus(Duration::from_secs(seconds)));
        let at = self.now();
        let (by, reason) = ("ann".to_owned(), "a drill".to_owned());
        self.apply(Event::Hold(Override { order, by, reason, at, until }))
    }

    fn lock_of_incident(&self) -> &Lock {
        self.breaker.lock().unwrap()
    }
}

fn kinds(applied: &Applied) -> Vec<TransitionKind> {
    applied.transitions.iter().map(|step| step.kind).collect()
}
