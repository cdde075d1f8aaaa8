//! What may happen to a few accounts, and how it is made up.

use proptest::prelude::*;
use proptest::sample::Index;

use crate::breakers::OrderKind;
use crate::graph::class::Class;
use crate::graph::webhook::StatusKind;

/// The accounts, and the phones of each as far as Meta's truth goes when it begins.
pub(super) const WABAS: usize = 3;
pub(super) const PHONES: usize = 7;

/// What happens, from an empty store.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) spread: bool,
    pub(super) half_open: bool,
    pub(super) steps: Vec<Step>,
}

/// Seconds from now.
pub(super) type Ahead = i64;

#[derive(Clone, Debug)]
pub(super) enum Step {
    Wait(u64),
    /// Meta says something of an account.
    Account {
        waba: usize,
        news: News,
        dated: Option<Ahead>,
    },
    /// What was said before is said again, with its date.
    Again(Index),
    Send {
        phone: usize,
        class: Option<Class>,
        answer: Option<Answer>,
    },
    /// The answer of a send that was let out.
    Answer(Index, Answer),
    /// Of a message that was accepted here.
    Status {
        send: Index,
        kind: StatusKind,
    },
    /// Of a message that was sent past us.
    Foreign {
        phone: usize,
        message: u8,
        kind: StatusKind,
        dated: Option<Ahead>,
        names_waba: bool,
    },
    /// `value.errors[]`
    Error {
        phone: usize,
        dated: Option<Ahead>,
    },
    /// A probe that is under way is answered.
    Probe(Index, Found),
    /// A probe of a breaker that need not be open.
    Ask(Place),
    Order {
        place: Place,
        kind: OrderKind,
        seconds: Option<u64>,
    },
    /// Meta tells an account's phones.
    Numbers(usize),
    /// A phone is another account's from now on; who is not told of it does not know.
    Moves {
        phone: usize,
        waba: usize,
    },
    Restart,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Phone(usize),
    Waba(usize),
}

#[derive(Clone, Debug)]
pub(super) enum News {
    Disabled,
    Reinstated,
    Restricted(Vec<(Class, Option<Ahead>)>),
    Deleted,
    Offboarded,
    Reconnected,
    Rejected,
    Approved,
    Warning,
    Unreadable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Accepted,
    Locked,
    Other,
    Dropped,
}

/// What a probe finds: who blocks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    Clear,
    Blocked { phone: bool, account: Option<&'static str> },
    Unknown,
}

pub(super) fn histories() -> impl Strategy<Value = History> {
    (prop::bool::weighted(0.3), prop::bool::weighted(0.8), prop::collection::vec(step(), 1..70))
        .prop_map(|(spread, half_open, steps)| History { spread, half_open, steps })
}

/// Most of what happens is about the first account and its phones, so that it meets.
fn waba() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0), 1 => 1..WABAS]
}

fn phone() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0..2_usize, 1 => 2..PHONES]
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![phone().prop_map(Place::Phone), waba().prop_map(Place::Waba)]
}

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![3 => Just(Class::BusinessInitiated), 2 => Just(Class::CustomerInitiated)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop_oneof![Just(1), Just(31), 1..400_u64].prop_map(Step::Wait),
        7 => (waba(), news(), dated()).prop_map(|(waba, news, dated)| Step::Account { waba, news, dated }),
        3 => any::<Index>().prop_map(Step::Again),
        10 => (phone(), prop::option::weighted(0.8, class()), prop::option::weighted(0.7, answer()))
            .prop_map(|(phone, class, answer)| Step::Send { phone, class, answer }),
        4 => (any::<Index>(), answer()).prop_map(|(send, answer)| Step::Answer(send, answer)),
        9 => (any::<Index>(), kind()).prop_map(|(send, kind)| Step::Status { send, kind }),
        3 => (phone(), 0..3_u8, kind(), dated(), any::<bool>()).prop_map(
            |(phone, message, kind, dated, names_waba)| Step::Foreign { phone, message, kind, dated, names_waba }
        ),
        1 => (phone(), dated()).prop_map(|(phone, dated)| Step::Error { phone, dated }),
        14 => (any::<Index>(), found()).prop_map(|(ticket, found)| Step::Probe(ticket, found)),
        1 => place().prop_map(Step::Ask),
        3 => order(),
        3 => waba().prop_map(Step::Numbers),
        1 => (phone(), waba()).prop_map(|(phone, waba)| Step::Moves { phone, waba }),
        1 => Just(Step::Restart),
    ]
}

fn news() -> impl Strategy<Value = News> {
    let ends = prop_oneof![
        3 => (5..400_i64).prop_map(Some),
        1 => Just(None),
        1 => Just(Some(-100)),
        1 => Just(Some(2_300_000_000)),
    ];
    prop_oneof![
        2 => Just(News::Disabled),
        2 => Just(News::Reinstated),
        8 => prop::collection::vec((class(), ends), 0..3).prop_map(News::Restricted),
        1 => prop_oneof![Just(News::Deleted), Just(News::Offboarded)],
        1 => Just(News::Reconnected),
        1 => Just(News::Rejected),
        1 => Just(News::Approved),
        1 => prop_oneof![Just(News::Warning), Just(News::Unreadable)],
    ]
}

fn dated() -> impl Strategy<Value = Option<Ahead>> {
    prop_oneof![
        5 => Just(Some(0)),
        4 => (-60..3_i64).prop_map(Some),
        1 => Just(Some(-100_000)),
        1 => Just(Some(2_300_000_000)),
        1 => Just(None),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        7 => Just(Answer::Accepted),
        2 => Just(Answer::Locked),
        1 => Just(Answer::Other),
        1 => Just(Answer::Dropped),
    ]
}

fn kind() -> impl Strategy<Value = StatusKind> {
    prop_oneof![
        3 => Just(StatusKind::Sent),
        2 => Just(StatusKind::Delivered),
        2 => Just(StatusKind::Failed),
        // Failed, for another reason than a lock.
        1 => Just(StatusKind::Other),
    ]
}

fn found() -> impl Strategy<Value = Found> {
    let account = prop::option::of(prop_oneof![Just("WABA"), Just("BUSINESS"), Just("APP")]);
    prop_oneof![
        8 => Just(Found::Clear),
        3 => (any::<bool>(), account).prop_map(|(phone, account)| Found::Blocked { phone: phone || account.is_none(), account }),
        1 => Just(Found::Unknown),
    ]
}

fn order() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        3 => Just(OrderKind::Reset),
        1 => Just(OrderKind::Open),
        2 => Just(OrderKind::Bypass),
        2 => Just(OrderKind::Lift),
    ];
    (place(), kind, prop::option::weighted(0.7, 1..100_u64)).prop_map(|(place, kind, seconds)| Step::Order {
        place,
        kind,
        seconds,
    })
}
