//! Whatever is said, of whichever class and until whatever date: nothing is for ever, nothing is busy, no date is left early.

use proptest::prelude::*;

use super::*;
use crate::graph::class::Class;
use Class::{BusinessInitiated as Business, CustomerInitiated as Customer};

/// One thing that happens to a breaker. Times are milliseconds from now.
#[derive(Clone, Debug)]
enum Happens {
    Clock(i64),
    /// To what is due next.
    Due,
    Lock {
        business: Option<Held>,
        customer: Option<Held>,
        dated: i64,
        only_trial: bool,
    },
    Account {
        topic: u8,
        says: u8,
        business: Option<Option<i64>>,
        customer: Option<Option<i64>>,
        dated: Option<i64>,
    },
    Probed(Option<bool>),
    Watched,
    CheckNow(bool),
    Proof {
        class: Option<Class>,
        dated: i64,
    },
    Trial {
        class: Option<Class>,
        sealed: bool,
        locked: Option<bool>,
    },
    Hold(OverrideOrder, Option<u64>),
    Lift,
    Reset,
    Replaced,
    Restart,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    until: Option<i64>,
    by_probe: bool,
}

const HOUR: i64 = 3_600_000;

fn ends() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![
        2 => Just(None),
        4 => (0..1_200_000_i64).prop_map(Some),
        1 => Just(Some(48 * HOUR)),
        1 => Just(Some(-HOUR)),
    ]
}

fn held() -> impl Strategy<Value = Option<Held>> {
    prop::option::of((ends(), any::<bool>()).prop_map(|(until, by_probe)| Held { until, by_probe }))
}

fn class() -> impl Strategy<Value = Option<Class>> {
    prop_oneof![Just(None), Just(Some(Business)), Just(Some(Customer))]
}

fn dates() -> impl Strategy<Value = i64> {
    prop_oneof![4 => Just(10_000_i64), 2 => -100_000..3_000_i64, 1 => Just(100 * 365 * 24 * HOUR)]
}

fn happens() -> impl Strategy<Value = Happens> {
    let order = prop_oneof![Just(OverrideOrder::Open), Just(OverrideOrder::Bypass)];
    prop_oneof![
        6 => prop_oneof![4 => 0..90_000_i64, 2 => 0..1_500_000_i64, 1 => -4_000_i64..0, 1 => Just(-HOUR)].prop_map(Happens::Clock),
        10 => Just(Happens::Due),
        6 => (held(), held(), dates(), prop::bool::weighted(0.2)).prop_map(|(business, customer, dated, only_trial)| {
            Happens::Lock { business, customer, dated, only_trial }
        }),
        6 => (0..4_u8, 0..4_u8, prop::option::of(ends()), prop::option::of(ends()), prop::option::weighted(0.9, dates()))
            .prop_map(|(topic, says, business, customer, dated)| Happens::Account { topic, says, business, customer, dated }),
        14 => prop_oneof![3 => Just(Some(true)), 1 => Just(Some(false)), 1 => Just(None)].prop_map(Happens::Probed),
        1 => Just(Happens::Watched),
        1 => any::<bool>().prop_map(Happens::CheckNow),
        5 => (class(), dates()).prop_map(|(class, dated)| Happens::Proof { class, dated }),
        8 => (class(), any::<bool>(), prop::option::of(any::<bool>()))
            .prop_map(|(class, sealed, locked)| Happens::Trial { class, sealed, locked }),
        1 => (order, prop::option::of(1..400_u64)).prop_map(|(order, seconds)| Happens::Hold(order, seconds)),
        1 => Just(Happens::Lift),
        1 => Just(Happens::Reset),
        1 => Just(Happens::Replaced),
        1 => Just(Happens::Restart),
    ]
}

fn policies() -> impl Strategy<Value = Policy> {
    let second = Duration::from_secs;
    let quick = Policy {
        min_open: second(0),
        skew: second(0),
        probe_interval: second(1),
        probe_max_interval: second(3),
        trial_timeout: second(1),
        ..Policy::default()
    };
    prop_oneof![
        3 => Just(Policy::default()),
        1 => Just(quick),
        1 => Just(Policy { half_open: false, trip_after: 2, ..Policy::default() }),
        1 => Just(Policy { trials_to_close: 2, no_webhooks: NoWebhooks::Hold, ..Policy::default() }),
    ]
}

impl Scene {
    fn extent_of(&self, business: Option<Held>, customer: Option<Held>) -> Extent {
        let hold = |held: Held| {
            let until = held.until.and_then(|millis| self.dated(millis));
            Hold { until, by_probe: held.by_probe, restricted: false }
        };
        match (business, customer) {
            (Some(business), None) => Extent::of(Business, hold(business)),
            (None, Some(customer)) => Extent::of(Customer, hold(customer)),
            (Some(both), Some(_)) => Extent::all(hold(both)),
            (None, None) => Extent::default(),
        }
    }

    fn listed(&self, class: Class, until: Option<Option<i64>>) -> Option<crate::graph::webhook::Restriction> {
        let until = until?.and_then(|millis| self.dated(millis));
        Some(crate::graph::webhook::Restriction { class, until })
    }

    fn happens(&mut self, n: usize, happens: &Happens) -> Applied {
        let said = reason(Source::Webhook, self.now());
        let message = Some(key(&n.to_string()));
        match happens {
            Happens::Clock(millis) => {
                self.millis += millis;
                Applied::default()
            }
            Happens::Due => {
                self.millis = self.due().map_or(self.millis, |due| (due.millis() - START).max(self.millis));
                self.apply(Event::Tick)
            }
            Happens::Lock { business, customer, dated, only_trial } => {
                let about = About::Unknown { key: message, dated: self.dated(*dated) };
                let extent = self.extent_of(*business, *customer);
                self.apply(Event::Lock { about, reason: said, extent, only_trial: *only_trial })
            }
            Happens::Account { topic, says, business, customer, dated } => {
                let topics = [Topic::Ban, Topic::Restrictions, Topic::Review, Topic::Membership];
                let list: Vec<_> = [self.listed(Business, *business), self.listed(Customer, *customer)]
                    .into_iter()
                    .flatten()
                    .collect();
                let says = match says {
                    0 => AccountSays::Locked(said),
                    1 => AccountSays::Restricted(Extent::restricted(&list), said),
                    2 => AccountSays::Reinstated(said),
                    _ => AccountSays::Lifted,
                };
                let dated = dated.and_then(|dated| self.dated(dated));
                self.apply(Event::Account(Account { topic: topics[usize::from(*topic)], dated, says }))
            }
            Happens::Probed(clear) => {
                let health = match clear {
                    Some(true) => super::clear(),
                    Some(false) => blocked(),
                    None => Health::Unknown(Unknown::NoAnswer),
                };
                let lease = self.probe.unwrap_or(Lease(0));
                self.probed(lease, health)
            }
            Happens::Watched => {
                let generation = self.generation();
                self.apply(Event::Watched { generation, health: blocked() })
            }
            Happens::CheckNow(asked) => self.apply(Event::CheckNow { asked: *asked }),
            Happens::Proof { class, dated } => {
                let about = About::Unknown { key: message, dated: self.dated(*dated) };
                self.apply(Event::Proof { about, sent: true, class: *class })
            }
            Happens::Trial { class, sealed, locked } => {
                if self.breaker.admit(*class, self.now()) != Admission::Trial {
                    return Applied::default();
                }
                let policy = self.policy.clone();
                let lease = self.breaker.begin_trial(self.now(), &policy).unwrap();
                let generation = self.generation();
                let keys = message.filter(|_| !sealed).into_iter().collect();
                self.apply(Event::TrialAccepted { lease, generation, keys, proves: false });
                let about = About::Send { generation, key: message };
                match locked {
                    None => Applied::default(),
                    Some(true) => {
                        let extent = Extent::default();
                        self.apply(Event::Lock { about, reason: said, extent, only_trial: true })
                    }
                    Some(false) => self.apply(Event::Proof { about, sent: true, class: *class }),
                }
            }
            Happens::Hold(order, seconds) => self.hold(*order, *seconds),
            Happens::Lift => self.apply(Event::Lift { text: String::new() }),
            Happens::Reset => self.apply(Event::Reset { text: String::new() }),
            Happens::Replaced => self.apply(Event::Replaced { text: String::new() }),
            Happens::Restart => {
                let json = serde_json::to_string(&self.breaker).unwrap();
                self.breaker = serde_json::from_str(&json).unwrap();
                self.probe = None;
                Applied::default()
            }
        }
    }

    fn dates_of_lists(&self) -> [Option<Timestamp>; 2] {
        let extent = self.breaker.lock().map(|lock| lock.extent);
        [Business, Customer].map(|class| extent?.date(class).filter(|until| *until > self.now()))
    }

    /// Held, and the least that holds: one class.
    fn holds_something(&self) -> bool {
        let Some(lock) = self.breaker.lock() else { return true };
        [Business, Customer].iter().any(|class| lock.extent.holds(Some(*class)))
    }

    /// An hour of ticks, each when it is due: not more of them than there can be waits.
    fn is_not_busy(&self) {
        for clear in [None, Some(true), Some(false)] {
            let mut scene = self.clone();
            let (end, shortest) = (scene.millis + HOUR, scene.policy.probe_interval.as_secs().min(15));
            let most = 3 * 3600 / shortest.max(1);
            for n in 0.. {
                let Some(due) = scene.due().map(|due| due.millis() - START) else { break };
                if due > end {
                    break;
                }
                assert!(n < most, "{n} ticks in an hour, {clear:?}: {:?}", scene.breaker);
                scene.happens(0, &Happens::Due);
                if clear.is_some() {
                    scene.happens(0, &Happens::Probed(clear));
                }
            }
        }
    }

    /// Clear probes and delivered trials close it, once its dates are over.
    fn recovers(&self) {
        let mut scene = self.clone();
        scene.apply(Event::Lift { text: String::new() });
        let last = scene.breaker.lock().and_then(|lock| lock.extent.last_date());
        let waits = last
            .map_or(0, |last| last.since(scene.now()).as_secs() / scene.policy.probe_max_interval.as_secs());
        for n in 0..4 * waits + 40 {
            if scene.breaker.lock().is_none() {
                return;
            }
            let n = usize::try_from(n).unwrap() + 10_000;
            // One class may be on trial while the other waits for its date.
            let on_trial =
                |class: &Option<Class>| scene.breaker.admit(*class, scene.now()) == Admission::Trial;
            if let Some(class) = [None, Some(Business), Some(Customer)].into_iter().find(on_trial) {
                scene.happens(n, &Happens::Trial { class, sealed: false, locked: Some(false) });
            } else {
                // With nothing due it is a date that is waited for.
                if scene.due().is_none() {
                    scene.later(scene.policy.probe_max_interval.as_secs().cast_signed());
                }
                scene.happens(n, &Happens::Due);
                scene.happens(n, &Happens::Probed(Some(true)));
            }
        }
        panic!("it does not recover: {:?}, at {}", scene.breaker, scene.now());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_for_ever_nor_busy_nor_left_early(
        policy in policies(),
        heard in any::<bool>(),
        all in prop::collection::vec(happens(), 1..50),
    ) {
        let mut scene = Scene { policy, heard, ..Scene::default() };
        for (n, happens) in all.iter().enumerate() {
            let (before, dates, generation) = (scene.breaker.clone(), scene.dates_of_lists(), scene.generation());
            let applied = scene.happens(n, happens);
            let steps: Vec<_> = applied.transitions.iter().map(|step| step.generation.0).collect();
            let from = generation.0;
            prop_assert_eq!(&steps, &(from + 1..=scene.generation().0).skip(match happens {
                // Its own steps are not all told of here.
                Happens::Trial { .. } => usize::try_from(scene.generation().0 - from).unwrap() - steps.len(),
                _ => 0,
            }).collect::<Vec<_>>());
            prop_assert!(scene.holds_something(), "{:?}: {:?}", happens, scene.breaker);
            let may_lift = matches!(happens, Happens::Account { .. } | Happens::Reset | Happens::Replaced | Happens::Clock(_));
            // What was on trial may close, though the clock has gone back before its date since.
            let may_lift = may_lift || before.is_half_open() && scene.breaker.lock().is_none();
            for (date, now) in dates.into_iter().zip(scene.dates_of_lists()) {
                if !may_lift && date.is_some_and(|date| date > scene.now()) {
                    prop_assert_eq!(date, now, "{:?} of {:?}", happens, before);
                }
            }
            let due = scene.due();
            let waits = scene.breaker.next_check().is_some() || scene.breaker.trial().is_some();
            prop_assert!(!waits || due.is_some_and(|due| due.since(scene.now()).as_secs() <= 902), "due {:?}", due);
            if matches!(happens, Happens::Restart) {
                for class in [None, Some(Business), Some(Customer)] {
                    let (after, before) = (scene.breaker.admit(class, scene.now()), before.admit(class, scene.now()));
                    // A trial that was out is forgotten.
                    prop_assert!(after == before || after == Admission::Trial);
                }
                prop_assert_eq!(scene.breaker.lock().map(|lock| lock.extent), before.lock().map(|lock| lock.extent));
            }
        }
        scene.is_not_busy();
        scene.recovers();
    }
}
