//! What may happen, and how it is made up.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::breaker::{NoWebhooks, Policy};
use crate::breakers::OrderKind;
use crate::graph::health::{Health, Unknown};

/// How many phones there are: the second one shows that what is said of one says nothing of the other.
pub(super) const PHONES: usize = 2;

/// Everything that one case is made of.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) policy: Policy,
    /// How far Meta's clock is ahead of ours, in milliseconds; within the policy's skew.
    pub(super) ahead: i64,
    pub(super) steps: Vec<Step>,
    /// The order in which what was not delivered yet is delivered in the end.
    pub(super) order: u64,
    /// Whether the lock is still on for a while when all is delivered.
    pub(super) stays_locked: bool,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Wait(Duration),
    /// Time goes by until something is due, and no further.
    Due,
    /// The app sends. What Meta says comes back with an [`Step::Answer`].
    Send(Sending),
    /// The app sends, and all that Meta says of it comes at once; its answer first, or (`true`) last.
    Talk(Sending, bool),
    /// Somebody sends past the proxy.
    Past(Sending),
    /// The answer of a send under way arrives.
    Answer(Pick),
    /// A send under way is given up without an answer.
    HangUp(Pick),
    /// One webhook, with all of these facts.
    Post(Vec<Pick>),
    /// The outcome of a probe under way.
    Probed(Pick, Health),
    /// A look at the health of a phone that is not held begins.
    Look(usize),
    /// Probes that all say that nothing blocks, for as long as it takes: leads to half-open what has just opened.
    Healthy,
    /// Meta locks a phone.
    Lock(usize),
    /// And lets it go.
    Unlock(usize),
    /// The program dies and starts again.
    Restart,
    /// An operator's order, perhaps for so many seconds.
    Order(usize, OrderKind, Option<u64>),
}

/// One of those that there are when it comes to it, counted from the newest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pick(usize);

impl Pick {
    pub(super) const fn newest() -> Self {
        Self(0)
    }

    pub(super) fn of(self, among: usize) -> Option<usize> {
        Some(among.checked_sub(1)? - self.0.checked_rem(among)?)
    }
}

/// A message, and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending {
    pub(super) phone: usize,
    /// How Meta names it.
    pub(super) naming: Naming,
    /// If the phone is locked then.
    pub(super) locked: Locked,
    /// If it is not.
    pub(super) free: Free,
    /// From acceptance to the first status, and from each to the next, in milliseconds.
    pub(super) pace: i64,
}

/// How many wamids the answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    One,
    Several,
    /// `messages_encrypted`: the answer is opaque, the statuses have a wamid all the same.
    None,
}

/// What a locked phone's send meets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Locked {
    /// 131031 in the answer.
    Refused,
    /// Accepted; 131031 in a status of each message.
    Fails,
    /// Accepted; an error without a message.
    FailsNameless,
    /// Accepted; both delivered and 131031 are said of each message.
    Both,
    /// Accepted, and never heard of.
    Silent,
}

/// What becomes of a send otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) enum Free {
    /// So many of sent, delivered and read.
    Good(usize),
    /// Accepted, and never heard of.
    Silent,
    /// Accepted, and fails with a code that is no lock.
    FailsOtherwise,
    /// Answered with another error.
    OtherError,
}

pub(super) fn histories() -> impl Strategy<Value = History> {
    let steps = (preludes(), vec(steps(), 1..40)).prop_map(|(prelude, steps)| [prelude, steps].concat());
    (policies(), -2_000..=2_000_i64, steps, any::<u64>(), prop::bool::weighted(0.3)).prop_map(
        |(policy, ahead, steps, order, stays_locked)| History { policy, ahead, steps, order, stays_locked },
    )
}

/// Histories in which something was wrong once, with what it was.
pub(super) fn found() -> [(&'static str, History); 3] {
    let history =
        |steps| History { policy: Policy::default(), ahead: 0, steps, order: 0, stays_locked: false };
    let both = Step::Send(sending(Locked::Both));
    let delivered_and_failed = Step::Post(vec![Pick(0), Pick(1)]);
    let seconds = Step::Wait(Duration::from_secs(3));
    let one_webhook = [contradicted(), vec![both, answer(), seconds, delivered_and_failed]].concat();
    let relocked = [forgotten(), vec![send(Locked::Refused), answer()]].concat();
    let at_once = |locked| Step::Send(Sending { pace: 0, ..sending(locked) });
    let reset = vec![at_once(Locked::Refused), answer(), Step::Order(0, OrderKind::Reset, None)];
    let in_its_millisecond = [forgotten(), reset, vec![at_once(Locked::Fails), answer()]].concat();
    [
        (
            "a trial delivered and failed in one webhook: the one that stood first decided",
            history(one_webhook),
        ),
        (
            "a breaker that was forgotten began at 0: what its old sends were told by was news again",
            history(relocked),
        ),
        (
            "sent in the millisecond in which its breaker was forgotten: judged by the second, it was news from before a reset",
            history(in_its_millisecond),
        ),
    ]
}

const fn sending(locked: Locked) -> Sending {
    Sending { phone: 0, naming: Naming::One, locked, free: Free::Good(1), pace: 900 }
}

const fn send(locked: Locked) -> Step {
    Step::Send(sending(locked))
}

const fn answer() -> Step {
    Step::Answer(Pick(0))
}

/// Open by an answer, with two messages of which Meta has not told yet.
fn locked() -> Vec<Step> {
    let leak = [send(Locked::Fails), answer(), send(Locked::Fails)];
    [&[Step::Lock(0)], &leak[..], &[send(Locked::Refused), answer()]].concat()
}

/// Half-open, and locked all the same.
fn contradicted() -> Vec<Step> {
    [locked(), vec![Step::Healthy]].concat()
}

fn half_open() -> Vec<Step> {
    [locked(), vec![Step::Unlock(0), Step::Healthy]].concat()
}

/// Half-open, and the first trial has lost its permit.
fn hung() -> Vec<Step> {
    [half_open(), vec![send(Locked::Fails), Step::Wait(Duration::from_secs(121))]].concat()
}

fn closed() -> Vec<Step> {
    [half_open(), vec![Step::Talk(sending(Locked::Fails), false)]].concat()
}

/// Closed for so long that the breaker is forgotten, but not its last sends; and locked again.
fn forgotten() -> Vec<Step> {
    let days = |days: u64| Step::Wait(Duration::from_secs(days * 24 * 3600));
    let talks = vec![Step::Talk(sending(Locked::Fails), false), send(Locked::Fails), answer()];
    [closed(), vec![days(4)], talks, vec![days(5), Step::Lock(0)]].concat()
}

/// Where the odd things happen: at the beginning of a lock, in half-open, after it, and when it is nearly forgotten.
fn preludes() -> impl Strategy<Value = Vec<Step>> {
    let begin = prop_oneof![
        2 => Just(Vec::new()),
        1 => Just(locked()),
        2 => Just(contradicted()),
        3 => Just(half_open()),
        1 => Just(hung()),
        2 => Just(closed()),
        1 => Just(forgotten()),
    ];
    // What is said in the first seconds of a state is what its skew does not tell from what was before.
    let at_once = (sendings(), any::<bool>()).prop_map(|(sending, last)| Step::Talk(sending, last));
    (begin, option::of(at_once)).prop_map(|(begin, at_once)| begin.into_iter().chain(at_once).collect())
}

fn policies() -> impl Strategy<Value = Policy> {
    let trials = prop_oneof![3 => Just(1), 1 => Just(3)];
    let no_webhooks = prop_oneof![Just(NoWebhooks::Close), Just(NoWebhooks::Hold)];
    (trials, no_webhooks).prop_map(|(trials_to_close, no_webhooks)| Policy {
        trials_to_close,
        no_webhooks,
        ..Policy::default()
    })
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (sendings(), prop::bool::weighted(0.3)).prop_map(|(sending, last)| Step::Talk(sending, last)),
        6 => Just(Step::Due),
        6 => waits().prop_map(Step::Wait),
        8 => sendings().prop_map(Step::Send),
        1 => sendings().prop_map(Step::Past),
        9 => picks().prop_map(Step::Answer),
        1 => picks().prop_map(Step::HangUp),
        12 => vec(picks(), 1..5).prop_map(Step::Post),
        8 => (picks(), healths()).prop_map(|(pick, health)| Step::Probed(pick, health)),
        1 => phones().prop_map(Step::Look),
        2 => Just(Step::Healthy),
        1 => phones().prop_map(Step::Lock),
        2 => phones().prop_map(Step::Unlock),
        1 => Just(Step::Restart),
        1 => (phones(), orders(), option::of(1..600_u64)).prop_map(|(phone, kind, hold)| Step::Order(phone, kind, hold)),
    ]
}

/// Instants, seconds, probe waits, hours and days.
fn waits() -> impl Strategy<Value = Duration> {
    let millis = prop_oneof![
        6 => 1..4_000_u64,
        10 => 20_000..130_000_u64,
        2 => 130_000..3_600_000_u64,
        2 => 3_600_000..(7 * 24 * 3_600_000_u64),
    ];
    millis.prop_map(Duration::from_millis)
}

fn sendings() -> impl Strategy<Value = Sending> {
    let naming = prop_oneof![6 => Just(Naming::One), 1 => Just(Naming::Several), 1 => Just(Naming::None)];
    let locked = prop_oneof![
        2 => Just(Locked::Refused),
        5 => Just(Locked::Fails),
        1 => Just(Locked::FailsNameless),
        1 => Just(Locked::Both),
        1 => Just(Locked::Silent),
    ];
    let free = prop_oneof![
        8 => (1..=3_usize).prop_map(Free::Good),
        1 => Just(Free::Silent),
        1 => Just(Free::FailsOtherwise),
        1 => Just(Free::OtherError),
    ];
    let pace = prop_oneof![4 => 0..2_000_i64, 1 => 2_000..90_000_i64];
    (phones(), naming, locked, free, pace).prop_map(|(phone, naming, locked, free, pace)| Sending {
        phone,
        naming,
        locked,
        free,
        pace,
    })
}

fn phones() -> impl Strategy<Value = usize> {
    prop_oneof![9 => Just(0), 1 => 1..PHONES]
}

fn picks() -> impl Strategy<Value = Pick> {
    prop_oneof![3 => 0..3_usize, 1 => 0..1_000_usize].prop_map(Pick)
}

fn healths() -> impl Strategy<Value = Health> {
    prop_oneof![
        6 => Just(Health::Clear(Vec::new())),
        1 => Just(Health::Blocked(Vec::new())),
        1 => Just(Health::Unknown(Unknown::NoAnswer)),
        1 => Just(Health::Unknown(Unknown::NoToken)),
    ]
}

fn orders() -> impl Strategy<Value = OrderKind> {
    prop_oneof![
        3 => Just(OrderKind::Reset),
        1 => Just(OrderKind::Open),
        1 => Just(OrderKind::Bypass),
        2 => Just(OrderKind::Lift),
    ]
}
