//! However Meta contradicts itself, a breaker moves so many times an hour and no more.
//!
//! The adversary is as quick as can be: every probe is answered at once, every send goes out at once, every status comes at
//! once. Only the back-off slows the breaker down. Orders are not counted: an operator may move it as often as he likes.

use proptest::prelude::*;

use super::*;

/// The most transitions in any hour, with the default policy: after the first opening, recovery is tried after 60, 60, 96, 192,
/// 384 and then every 720 s (the waits less a fifth of jitter), and each try takes three steps at most.
const MOST_AN_HOUR: usize = 30;
/// The same, once the back-off has reached its longest wait.
const MOST_LATER: usize = 15;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// What Meta does next time, in the order in which it is asked.
#[derive(Clone, Copy, Debug)]
struct Whim {
    health_clear: bool,
    trial_delivered: bool,
    /// A message that went past this proxy is delivered.
    delivered_past: bool,
    /// And failed with the lock, as soon as it is closed.
    fails_when_closed: bool,
    watched_blocked: bool,
}

/// Runs a day, and says when there was a step.
fn steps_of_a_day(whims: &[Whim]) -> Vec<i64> {
    let (mut scene, mut steps, mut n) = (scene(), Vec::new(), 0_usize);
    scene.trip();
    while scene.millis < DAY {
        let whim = whims[n % whims.len()];
        n += 1;
        let name = n.to_string();
        let generation = scene.generation();
        // As late a date as can be believed: it is news whatever it is compared with.
        let past = About::Unknown { key: Some(key(&name)), dated: scene.dated(10_000) };
        match scene.shown() {
            Shown::Closed if whim.watched_blocked => {
                scene.apply(Event::Watched { generation, health: blocked() });
            }
            Shown::Closed if whim.fails_when_closed => {
                scene.trip();
            }
            Shown::Open => {
                let health = if whim.health_clear { clear() } else { blocked() };
                if let Some(lease) = scene.probe.take() {
                    scene.probed(lease, health);
                }
                if whim.delivered_past && scene.shown() == Shown::Open {
                    scene.proof(past);
                }
            }
            Shown::HalfOpen => {
                let about = scene.trial(&name);
                match whim.trial_delivered {
                    true => scene.proof(about),
                    false => scene.lock(about),
                };
            }
            _ => {}
        }
        if scene.generation() == generation {
            let due = scene.due().map_or(0, |due| due.millis() - START);
            scene.millis = due.max(scene.millis + 1_000);
            let policy = scene.policy.clone();
            // The jitter that makes the waits shortest.
            let cx = Context { now: scene.now(), jitter: Jitter(200), heard: true, policy: &policy };
            let applied = scene.breaker.apply(Event::Tick, &cx);
            scene.probe = applied.probe.or(scene.probe);
        }
        let moved = scene.generation().0 - generation.0;
        steps.extend((0..moved).map(|_| scene.millis));
    }
    steps
}

/// The most steps in an hour that begins after `from`.
fn most_in_an_hour(steps: &[i64], from: i64) -> usize {
    let begins = steps.iter().filter(|at| **at >= from);
    begins
        .map(|begin| steps.iter().filter(|at| (*begin..begin + HOUR).contains(at)).count())
        .max()
        .unwrap_or(0)
}

fn whims() -> impl Strategy<Value = Vec<Whim>> {
    let whim = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(health_clear, trial_delivered, delivered_past, fails_when_closed, watched_blocked)| Whim {
            health_clear,
            trial_delivered,
            delivered_past,
            fails_when_closed,
            watched_blocked,
        },
    );
    prop::collection::vec(whim, 1..12)
}

const CLEAR_AND_FAILS: Whim = Whim {
    health_clear: true,
    trial_delivered: false,
    delivered_past: false,
    fails_when_closed: false,
    watched_blocked: false,
};

#[test]
fn health_is_clear_and_trials_fail() {
    let steps = steps_of_a_day(&[CLEAR_AND_FAILS]);
    assert!((10..=MOST_AN_HOUR).contains(&most_in_an_hour(&steps, 0)), "{}", most_in_an_hour(&steps, 0));
    assert!(most_in_an_hour(&steps, 2 * HOUR) <= MOST_LATER);
    assert!(steps.len() > 150, "it goes on trying: {}", steps.len());
}

#[test]
fn messages_past_the_proxy_are_delivered_and_trials_fail() {
    let whim = Whim { health_clear: false, delivered_past: true, ..CLEAR_AND_FAILS };
    let steps = steps_of_a_day(&[whim]);
    assert!(most_in_an_hour(&steps, 0) <= MOST_AN_HOUR, "{}", most_in_an_hour(&steps, 0));
    assert!(most_in_an_hour(&steps, 2 * HOUR) <= MOST_LATER);
}

#[test]
fn every_trial_is_delivered_and_every_other_send_fails() {
    let whim = Whim { trial_delivered: true, fails_when_closed: true, ..CLEAR_AND_FAILS };
    let steps = steps_of_a_day(&[whim]);
    assert!(most_in_an_hour(&steps, 0) <= MOST_AN_HOUR, "{}", most_in_an_hour(&steps, 0));
    assert!(most_in_an_hour(&steps, 2 * HOUR) <= MOST_LATER + 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_meta_does(whims in whims()) {
        let steps = steps_of_a_day(&whims);
        prop_assert!(most_in_an_hour(&steps, 0) <= MOST_AN_HOUR, "{}", most_in_an_hour(&steps, 0));
    }
}
