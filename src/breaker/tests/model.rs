//! The machine against a dumb reference, over some fifty random events a case. `PROPTEST_CASES` asks for more cases.
//!
//! After each event both must be in the same state, and what [`invariants`] lists must hold whatever the reference says.

mod happenings;
mod invariants;
mod reference;

use proptest::strategy::{BoxedStrategy, Strategy};
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use self::happenings::{Answer, Happens};
use self::reference::World;
use super::*;

/// The same jitter always, so that the reference can foresee each wait: it takes off a tenth.
const JITTER: Jitter = Jitter(100);

/// The real machine, and what its surroundings would remember.
pub(super) struct Real {
    breaker: Breaker,
    /// For each send: the generation that admitted it, and its permit. `None` if it was rejected, or a restart forgot it.
    sends: Vec<Option<(Generation, Option<Lease>)>>,
    probes: Vec<Lease>,
    witness: invariants::Witness,
}

impl ReferenceStateMachine for World {
    type State = Self;
    type Transition = Happens;

    fn init_state() -> BoxedStrategy<Self> {
        (happenings::policies(), happenings::preludes())
            .prop_map(|(policy, prelude)| Self::after(policy, prelude))
            .boxed()
    }

    fn transitions(world: &Self) -> BoxedStrategy<Happens> {
        happenings::next(world)
    }

    fn apply(mut world: Self, happens: &Happens) -> Self {
        world.happens(happens);
        world
    }
}

struct Model;

impl StateMachineTest for Model {
    type SystemUnderTest = Real;
    type Reference = World;

    fn init_test(world: &World) -> Real {
        let mut real = Real {
            breaker: Breaker::default(),
            sends: Vec::new(),
            probes: Vec::new(),
            witness: invariants::Witness::default(),
        };
        let mut before = World::after(world.policy.clone(), Vec::new());
        for happens in &world.prelude {
            before.happens(happens);
            real.happens(&before, happens);
        }
        real
    }

    fn apply(mut real: Real, world: &World, happens: Happens) -> Real {
        real.witness.forget_steps();
        real.happens(world, &happens);
        assert_eq!(real.witness.steps(), world.steps, "the transitions of {happens:?}");
        real
    }

    fn check_invariants(real: &Real, world: &World) {
        world.agrees_with(&real.breaker);
        invariants::nothing_waits_too_long(&real.breaker, world);
        invariants::recovery_is_possible(&real.breaker, world);
    }
}

impl Real {
    fn happens(&mut self, world: &World, happens: &Happens) {
        match *happens {
            Happens::Clock(_) | Happens::Heard => {}
            Happens::Tick | Happens::Wait => self.apply(world, Event::Tick),
            Happens::CheckNow { asked } => self.apply(world, Event::CheckNow { asked }),
            Happens::Watched { stale, ref health } => {
                // One that no step reaches.
                let generation = if stale { Generation(u64::MAX) } else { self.breaker.generation() };
                self.apply(world, Event::Watched { generation, health: health.clone() });
            }
            Happens::Lift => self.apply(world, Event::Lift { text: String::new() }),
            Happens::Reset => self.apply(world, Event::Reset { text: String::new() }),
            Happens::Hold { order, seconds } => {
                let (at, until) = (world.time(), seconds.map(|seconds| world.now + seconds * 1000));
                let until = until.map(Timestamp::from_millis);
                let hold = Override { order, by: String::new(), reason: String::new(), at, until };
                self.apply(world, Event::Hold(hold));
            }
            Happens::Probed { back, ref health } => {
                let lease = World::nth_last(self.probes.len(), back).map_or(Lease(0), |n| self.probes[n]);
                self.apply(world, Event::Probed { lease, health: health.clone() });
            }
            Happens::Send { observed } => self.send(world, observed),
            Happens::Answer { back, answer } => self.answer(world, back, answer),
            Happens::Status { back, failed, dated } => {
                let Some(n) = World::nth_last(self.sends.len(), back) else { return };
                let key = Some(message(n));
                let about = match (self.sends[n], world.sends[n].answer) {
                    (Some((generation, _)), Some(Answer::Accepted)) => About::Send { generation, key },
                    _ => About::Unknown { key, dated: world.dated(dated) },
                };
                self.said(world, about, failed);
            }
            Happens::Failed { back } => {
                let Some(n) = World::nth_last(self.sends.len(), back) else { return };
                // Of which generation it is does not matter.
                let about = About::Unknown { key: Some(message(n)), dated: None };
                self.apply(world, Event::Failed { about });
            }
            Happens::Foreign { message: foreign, failed, dated } => {
                let key = foreign.map(|foreign| message(usize::from(foreign)));
                self.said(world, About::Unknown { key, dated: world.dated(dated) }, failed);
            }
            Happens::Restart => {
                let json = serde_json::to_string(&self.breaker).unwrap();
                self.breaker = serde_json::from_str(&json).unwrap();
                self.sends.iter_mut().for_each(|send| *send = None);
                self.probes.clear();
                self.witness.restarted();
            }
        }
    }

    fn send(&mut self, world: &World, observed: bool) {
        let (now, generation) = (world.time(), self.breaker.generation());
        let admission = self.breaker.admit(None, now);
        invariants::admission_is_as_shown(&self.breaker, now, admission);
        let admitted = match admission {
            Admission::Forward => Some((generation, None)),
            Admission::Trial => {
                let lease = self.breaker.begin_trial(now, &world.policy);
                assert!(lease.is_some(), "a trial was offered, and there is no permit");
                assert_eq!(self.breaker.begin_trial(now, &world.policy), None, "a second permit");
                Some((generation, lease))
            }
            Admission::Reject => observed.then_some((generation, None)),
        };
        assert_eq!(self.breaker.generation(), generation, "an admission is no transition");
        self.sends.push(admitted);
    }

    fn answer(&mut self, world: &World, back: usize, answer: Answer) {
        let Some(n) = World::nth_last(self.sends.len(), back) else { return };
        // The reference says whether this is the send's first answer.
        let (Some((generation, lease)), true) = (self.sends[n], world.answered == Some(n)) else { return };
        let keys = match answer {
            Answer::Accepted => vec![message(n)],
            _ => Vec::new(),
        };
        match (answer, lease) {
            (Answer::Locked, _) => self.said(world, About::Send { generation, key: None }, true),
            (_, None) => {}
            (Answer::Accepted | Answer::Encrypted, Some(lease)) => {
                self.apply(world, Event::TrialAccepted { lease, generation, keys, proves: false });
            }
            (Answer::Other | Answer::Dropped, Some(lease)) => {
                self.apply(world, Event::TrialEnded { lease, abandoned: answer == Answer::Dropped });
            }
        }
    }

    fn said(&mut self, world: &World, about: About, failed: bool) {
        let event = match failed {
            true => Event::Lock {
                about,
                reason: reason(Source::Webhook, world.time()),
                extent: Extent::default(),
                only_trial: false,
            },
            false => Event::Proof { about, sent: true, class: None },
        };
        self.apply(world, event.clone());
        if about.key().is_some() {
            invariants::a_duplicate_changes_nothing(&self.breaker, &event, &world.context());
        }
    }

    fn apply(&mut self, world: &World, event: Event) {
        let before = self.breaker.clone();
        let applied = self.breaker.apply(event.clone(), &world.context());
        self.witness.saw(&before, &event, &applied, &self.breaker, &world.policy);
        self.probes.extend(applied.probe);
    }
}

/// The key of the `n`th send's message.
fn message(n: usize) -> WamidKey {
    key(&n.to_string())
}

impl World {
    /// The real machine is where the reference is.
    fn agrees_with(&self, breaker: &Breaker) {
        let (now, cx) = (self.time(), self.context());
        let automation = match breaker.lock() {
            None => Shown::Closed,
            Some(_) if breaker.is_half_open() => Shown::HalfOpen,
            Some(_) => Shown::Open,
        };
        assert_eq!(automation, self.phase, "beneath any order");
        assert_eq!(breaker.shown(now), self.shown());
        assert_eq!(breaker.generation().0, self.generation);
        assert_eq!(breaker.admit(None, now), self.admission());
        let due = self.due().map(Timestamp::from_millis);
        assert_eq!(breaker.next_due(&cx), due, "when something is due");
    }
}

prop_state_machine! {
    #![proptest_config(Config { cases: Config::default().cases.max(1000), failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_machine_does_as_the_reference(sequential 1..100 => Model);
}
