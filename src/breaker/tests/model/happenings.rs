//! What can happen, and how often it does.

use proptest::prelude::*;

use super::super::*;
use super::World;

/// One thing that happens. Sends and probes are named from the newest back.
#[derive(Clone, Debug)]
pub(super) enum Happens {
    /// The clock moves by so many milliseconds, also back.
    Clock(i64),
    /// The clock moves to what is due next, and it ticks.
    Wait,
    Tick,
    /// The first webhook comes.
    Heard,
    /// A send comes to the gate; in observe mode it goes out though it is rejected.
    Send {
        observed: bool,
    },
    Answer {
        back: usize,
        answer: Answer,
    },
    /// A status of a send's message, dated so many milliseconds from now.
    Status {
        back: usize,
        failed: bool,
        dated: Option<i64>,
    },
    /// A send's message failed with another code.
    Failed {
        back: usize,
    },
    /// A status of a message that was not sent here; or of none.
    Foreign {
        message: Option<u16>,
        failed: bool,
        dated: Option<i64>,
    },
    Probed {
        back: usize,
        health: Health,
    },
    CheckNow {
        asked: bool,
    },
    /// The outcome of a probe of a closed breaker, which was begun now or under an earlier generation.
    Watched {
        stale: bool,
        health: Health,
    },
    Hold {
        order: OverrideOrder,
        seconds: Option<i64>,
    },
    Lift,
    Reset,
    /// The process dies, and another one goes on from the store.
    Restart,
}

/// What becomes of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Accepted,
    /// Accepted, and the answer names no message.
    Encrypted,
    Locked,
    Other,
    Dropped,
}

pub(super) fn policies() -> impl Strategy<Value = Policy> {
    let second = Duration::from_secs;
    let lasting = Policy {
        trials_to_close: 2,
        trip_after: 2,
        trial_timeout: second(20),
        trial_grace: second(40),
        ..Policy::default()
    };
    let quick = Policy {
        min_open: second(0),
        trial_timeout: second(1),
        skew: second(0),
        probe_interval: second(1),
        probe_max_interval: second(3),
        trials_to_close: 2,
        ..Policy::default()
    };
    prop_oneof![
        3 => Just(Policy::default()),
        2 => Just(lasting),
        2 => Just(quick),
        1 => Just(Policy { no_webhooks: NoWebhooks::Hold, ..Policy::default() }),
        1 => Just(Policy { half_open: false, min_open: second(3600), ..Policy::default() }),
    ]
}

/// What happens before anything random: nothing; or a trip, and a clear probe an hour later; or that, and a hung trial that
/// makes way for a reopen and another clear probe.
pub(super) fn preludes() -> impl Strategy<Value = Vec<Happens>> {
    let locked = |message| Happens::Foreign { message: Some(message), failed: true, dated: Some(0) };
    let hour = || Happens::Clock(3_600_000);
    let half_open = || {
        let probed = Happens::Probed { back: 0, health: clear() };
        vec![locked(1000), locked(1001), hour(), Happens::CheckNow { asked: true }, probed, hour()]
    };
    let hung = || [half_open(), vec![Happens::Send { observed: false }], half_open()].concat();
    prop_oneof![3 => Just(Vec::new()), 2 => Just(half_open()), 1 => Just(hung())]
}

/// What may happen next. The state only shifts the odds, towards what leads on.
pub(super) fn next(world: &World) -> BoxedStrategy<Happens> {
    let recent = || prop_oneof![6 => Just(0_usize), 2 => Just(1), 1 => 2..6_usize];
    let trials = world.last_trials(3);
    let send = || match trials.is_empty() {
        true => recent().boxed(),
        false => prop_oneof![recent(), prop::sample::select(trials.clone())].boxed(),
    };
    let (open, free) = (world.phase == Shown::Open, world.admission() == Admission::Trial);
    let running = world.phase == Shown::HalfOpen && !free;
    let more = |when: bool, often: u32| if when { often } else { 2 };
    prop_oneof![
        3 => clock(),
        more(open, 16) => Just(Happens::Wait),
        1 => Just(Happens::Tick),
        1 => Just(Happens::Heard),
        more(free, 30) => prop::bool::weighted(0.4).prop_map(|observed| Happens::Send { observed }),
        more(running, 14) => (send(), answers()).prop_map(|(back, answer)| Happens::Answer { back, answer }),
        more(running, 14) => (send(), prop::bool::weighted(0.35), dates())
            .prop_map(|(back, failed, dated)| Happens::Status { back, failed, dated }),
        more(running, 4) => send().prop_map(|back| Happens::Failed { back }),
        more(running || world.phase == Shown::Closed, 8) => (foreign(), prop::bool::weighted(0.7), dates())
            .prop_map(|(message, failed, dated)| Happens::Foreign { message, failed, dated }),
        more(open, 25) => (recent(), healths()).prop_map(|(back, health)| Happens::Probed { back, health }),
        more(open, 4) => prop::bool::weighted(0.3).prop_map(|asked| Happens::CheckNow { asked }),
        more(world.phase == Shown::Closed, 5) => (prop::bool::weighted(0.2), healths())
            .prop_map(|(stale, health)| Happens::Watched { stale, health }),
        1 => (orders(), prop::option::of(1..200_i64))
            .prop_map(|(order, seconds)| Happens::Hold { order, seconds }),
        more(world.shown() != world.phase, 10) => Just(Happens::Lift),
        1 => Just(Happens::Reset),
        1 => Just(Happens::Restart),
    ]
    .boxed()
}

fn clock() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => 0..5_000_i64,
        6 => 1_000..130_000_i64,
        1 => Just(3_600_000),
        1 => Just(86_400_000),
        1 => -5_000..0_i64,
        1 => Just(-3_600_000),
    ]
    .prop_map(Happens::Clock)
}

fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        6 => Just(Answer::Accepted),
        2 => Just(Answer::Encrypted),
        2 => Just(Answer::Locked),
        1 => Just(Answer::Other),
        1 => Just(Answer::Dropped),
    ]
}

/// Milliseconds from now; none is no date. What Meta tells lies behind, by seconds or by days.
fn dates() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![
        6 => Just(Some(0)),
        3 => (-4_000..1_000_i64).prop_map(Some),
        2 => (-200_000..0_i64).prop_map(Some),
        1 => Just(Some(-86_400_000)),
        1 => Just(None),
    ]
}

fn foreign() -> impl Strategy<Value = Option<u16>> {
    prop_oneof![3 => (1000..1003_u16).prop_map(Some), 1 => Just(None)]
}

fn healths() -> impl Strategy<Value = Health> {
    prop_oneof![
        6 => Just(clear()),
        2 => Just(blocked()),
        1 => Just(Health::Unknown(Unknown::NoToken)),
        1 => Just(Health::Unknown(Unknown::NoAnswer)),
        1 => Just(Health::Unknown(Unknown::OverBudget)),
    ]
}

fn orders() -> impl Strategy<Value = OverrideOrder> {
    prop_oneof![Just(OverrideOrder::Open), Just(OverrideOrder::Bypass)]
}
