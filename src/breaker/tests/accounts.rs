//! Account events: bans, restrictions, reviews. In whatever order they come, and however often, Meta's dates decide.

use proptest::prelude::*;

use super::*;
use crate::graph::class::Class;
use crate::graph::webhook::Restriction;
use AccountSays::{Lifted, Locked, Reinstated};
use Class::{BusinessInitiated as Business, CustomerInitiated as Customer};

const HOUR: i64 = 3_600_000;

/// A restriction until so many milliseconds after [`START`].
fn until(class: Class, millis: impl Into<Option<i64>>) -> Restriction {
    Restriction { class, until: millis.into().map(|millis| Timestamp::from_millis(START + millis)) }
}

fn says() -> Reason {
    reason(Source::Webhook, Timestamp::from_millis(START))
}

fn list(restrictions: &[Restriction]) -> AccountSays {
    AccountSays::Restricted(Extent::restricted(restrictions), says())
}

impl Scene {
    /// An account event that Meta dates so many milliseconds after [`START`].
    fn account(&mut self, topic: Topic, dated: impl Into<Option<i64>>, says: AccountSays) -> Applied {
        let dated = dated.into().map(|millis| Timestamp::from_millis(START + millis));
        self.apply(Event::Account(Account { topic, dated, says }))
    }

    fn restricted(&mut self, dated: impl Into<Option<i64>>, restrictions: &[Restriction]) -> Applied {
        self.account(Topic::Restrictions, dated, list(restrictions))
    }

    /// Which classes are held, each until when at least.
    fn held(&self) -> [Option<Option<i64>>; 2] {
        let extent = self.breaker.lock().map(|lock| lock.extent);
        [Business, Customer].map(|class| {
            let extent = extent.filter(|extent| extent.holds(Some(class)))?;
            let date = extent.date(class);
            Some(date.map(|until| until.millis() - START))
        })
    }
}

#[test]
fn a_reinstatement_lifts_no_restriction_that_is_newer() {
    let mut scene = scene();
    scene.later(60);
    scene.account(Topic::Ban, 10_000, Reinstated(says()));
    scene.restricted(30_000, &[until(Business, HOUR)]);
    scene.account(Topic::Ban, 10_000, Reinstated(says()));
    assert_eq!(scene.held(), [Some(Some(HOUR)), None], "the same once more");
    scene.account(Topic::Ban, 20_000, Reinstated(says()));
    assert_eq!(scene.held(), [Some(Some(HOUR)), None], "another one, late");
    scene.account(Topic::Ban, 40_000, Reinstated(says()));
    assert_eq!(scene.held(), [Some(None), None], "a newer one lifts it: a probe decides");
}

#[test]
fn a_reinstatement_lifts_what_was_restricted_before_it_though_a_ban_followed() {
    let mut scene = scene();
    scene.later(60);
    scene.restricted(10_000, &[until(Business, HOUR)]);
    scene.account(Topic::Ban, 30_000, Locked(says()));
    scene.account(Topic::Ban, 20_000, Reinstated(says()));
    assert_eq!(scene.held(), [Some(None), Some(None)]);
    scene.restricted(15_000, &[until(Business, HOUR)]);
    assert_eq!(scene.held(), [Some(None), Some(None)], "it is older");
}

/// 2100 would make all that follows late news.
#[test]
fn an_event_from_the_future_is_one_of_now() {
    for says_first in [Lifted, list(&[]), Reinstated(says())] {
        let mut scene = scene();
        scene.account(Topic::Ban, 74 * 365 * 24 * HOUR, says_first.clone());
        scene.account(Topic::Restrictions, 74 * 365 * 24 * HOUR, says_first);
        scene.later(60);
        scene.restricted(60_000, &[until(Business, HOUR)]);
        assert_eq!(scene.held(), [Some(Some(HOUR)), None]);
        scene.account(Topic::Ban, 60_000, Locked(says()));
        assert_eq!(scene.held(), [Some(Some(HOUR)), Some(None)]);
    }
}

/// Nobody can say whether it is newer than what is known: then the date holds.
#[test]
fn a_list_without_a_date_of_its_own_dates_what_is_held() {
    for locks_first in [false, true] {
        let mut scene = scene();
        if locks_first {
            scene.account(Topic::Ban, 0, Locked(says()));
        }
        scene.restricted(None, &[until(Business, HOUR)]);
        if !locks_first {
            scene.account(Topic::Ban, 0, Locked(says()));
        }
        assert_eq!(scene.held(), [Some(Some(HOUR)), Some(None)], "{locks_first}");
        // What a list has lifted comes back by no copy of an older one.
        scene.restricted(1_000, &[]);
        scene.restricted(None, &[until(Business, HOUR)]);
        assert_eq!(scene.held(), [Some(None), Some(None)]);
    }
}

#[test]
fn a_date_is_kept_whatever_health_says_and_ends_in_a_probe() {
    let mut scene = scene();
    scene.restricted(0, &[until(Business, HOUR), until(Customer, 2 * HOUR)]);
    let admits = |scene: &Scene| {
        [Some(Business), Some(Customer), None].map(|class| scene.breaker.admit(class, scene.now()))
    };
    let looks = |scene: &mut Scene, now| {
        scene.millis = now;
        scene.apply(Event::CheckNow { asked: true });
        scene.probed(scene.probe.unwrap(), clear())
    };
    assert_eq!(kinds(&looks(&mut scene, HOUR - 1)), []);
    assert_eq!(admits(&scene), [Admission::Reject; 3]);
    assert_eq!(kinds(&looks(&mut scene, HOUR)), [TransitionKind::HalfOpen]);
    // Recovery is shown, of one class as of all; the other waits for its own date.
    assert_eq!(admits(&scene), [Admission::Trial, Admission::Reject, Admission::Reject]);
    let policy = scene.policy.clone();
    let lease = scene.breaker.begin_trial(scene.now(), &policy).unwrap();
    let about = scene.sends("a template");
    scene.accepted(lease, scene.generation(), &["a template"]);
    assert_eq!(kinds(&scene.proof(about)), [TransitionKind::Extent]);
    assert_eq!(scene.shown(), Shown::Open);
    assert_eq!(admits(&scene), [Admission::Forward, Admission::Reject, Admission::Reject]);
    looks(&mut scene, 2 * HOUR - 1);
    assert_eq!(scene.shown(), Shown::Open);
    scene.millis = 2 * HOUR;
    assert_eq!(scene.due(), Some(scene.now()), "it is looked at when its date is over");
    let probe = scene.apply(Event::Tick).probe.unwrap();
    assert_eq!(kinds(&scene.probed(probe, clear())), [TransitionKind::HalfOpen]);
}

#[test]
fn a_restriction_that_is_over_already_or_lasts_for_ever_waits_for_a_probe_within_the_longest_wait() {
    for date in [-HOUR, 0, 74 * 365 * 24 * HOUR, i64::MAX - START] {
        let mut scene = scene();
        scene.restricted(0, &[until(Business, date)]);
        for _ in 0..40 {
            let Some(due) = scene.due() else { break };
            assert!(due.since(scene.now()) <= scene.policy.probe_max_interval, "{date}: {due}");
            scene.millis = due.millis() - START;
            scene.apply(Event::Tick);
            if scene.shown() == Shown::Open {
                scene.probed(scene.probe.unwrap(), clear());
            }
        }
        assert_eq!(scene.shown() == Shown::HalfOpen, date <= 0, "{date}");
    }
}

/// One of a set of events.
#[derive(Clone, Debug)]
struct Said {
    topic: Topic,
    dated: i64,
    says: AccountSays,
}

fn events() -> impl Strategy<Value = Vec<Said>> {
    let class = prop_oneof![Just(Business), Just(Customer)];
    let date = prop_oneof![Just(None), (1..4_i64).prop_map(|n| Some(n * HOUR))];
    let restrictions =
        prop::collection::vec((class, date).prop_map(|(class, date)| until(class, date)), 0..4);
    let one = prop_oneof![
        2 => Just((Topic::Ban, Locked(says()))),
        2 => Just((Topic::Ban, Reinstated(says()))),
        4 => restrictions.prop_map(|restrictions| (Topic::Restrictions, list(&restrictions))),
        1 => Just((Topic::Review, Locked(says()))),
        1 => Just((Topic::Review, Lifted)),
        1 => Just((Topic::Membership, Locked(says()))),
        1 => Just((Topic::Membership, Lifted)),
    ];
    prop::collection::vec(one, 1..7).prop_map(|all| {
        // No two of one second: which of those holds nobody can say.
        let dated = all.into_iter().zip(0..);
        dated.map(|((topic, says), n)| Said { topic, dated: n * 1_000, says }).collect()
    })
}

/// What Meta's newest words hold: each class, and the date that is not to be left before.
fn standing(events: &[Said]) -> [Option<Option<i64>>; 2] {
    let newest = |topic| events.iter().filter(|said| said.topic == topic).max_by_key(|said| said.dated);
    let mut locked = [Topic::Ban, Topic::Review, Topic::Membership].into_iter().filter_map(newest);
    let is_locked = locked.any(|said| matches!(said.says, Locked(_)));
    let reinstated = newest_reinstated(events);
    let extent = newest(Topic::Restrictions).filter(|said| said.dated > reinstated);
    let extent = extent.and_then(|said| match &said.says {
        AccountSays::Restricted(extent, _) => *extent,
        _ => None,
    });
    [Business, Customer].map(|class| {
        let listed = extent.filter(|extent| extent.holds(Some(class)));
        match listed {
            Some(extent) => Some(extent.date(class).map(|until| until.millis() - START)),
            None => is_locked.then_some(None),
        }
    })
}

fn newest_reinstated(events: &[Said]) -> i64 {
    let reinstated = events.iter().filter(|said| matches!(said.says, Reinstated(_)));
    reinstated.map(|said| said.dated).max().unwrap_or(-1)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any order of any set of dated events of one account, some of them twice: what the newest of each topic says is held, until
    /// exactly the dates that it says. What an older one held may be held beside, but without a date: the next clear probe ends it.
    #[test]
    fn any_order_of_account_events_ends_the_same(
        (events, told) in events().prop_flat_map(|events| {
            let twice = [events.clone(), events.clone()].concat();
            let most = twice.len();
            let told = Just(twice).prop_shuffle();
            (Just(events), told, 0..=most)
        }).prop_map(|(events, told, extra)| {
            // All of them once, and the first so many of another order beside.
            let all: Vec<_> = told.iter().take(extra).cloned().chain(told.iter().cloned()).collect();
            (events, all)
        })
    ) {
        let mut scene = scene();
        scene.later(600);
        for Said { topic, dated, says } in told {
            scene.account(topic, dated, says);
        }
        let (standing, held) = (standing(&events), scene.held());
        for (standing, held) in standing.into_iter().zip(held) {
            match standing {
                Some(_) => prop_assert_eq!(held, standing),
                None => prop_assert!(matches!(held, None | Some(None)), "{:?} is held", held),
            }
        }
    }
}
