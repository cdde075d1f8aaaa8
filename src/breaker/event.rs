//! What happens to a breaker, and what comes of it.

use serde::{Deserialize, Serialize};

use super::backoff::Jitter;
use super::evidence::{About, Reason, Source};
use super::extent::Extent;
use super::policy::Policy;
use super::state::{Generation, IncidentStart, Lease, Override, Shown};
use crate::graph::class::Class;
use crate::graph::health::Health;
use crate::graph::ids::WamidKey;
use crate::time::Timestamp;

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// 131031 or 368, or a code that a rule makes one like them.
    Lock {
        /// Which send it is about.
        about: About,
        /// What opens the breaker, if this does.
        reason: Reason,
        /// What it holds.
        extent: Extent,
        /// It says something here only if it is about a trial: a phone's lock says nothing else of its account.
        only_trial: bool,
    },
    /// What Meta says of the account.
    Account(Account),
    /// `sent`, `delivered` or `read`.
    Proof {
        /// Which message.
        about: About,
        /// Whether it is `sent`, which happens when Meta accepts; the others may come days later.
        sent: bool,
        /// The message's class, where it is known. Where one class flows, only a message of the other proves something.
        class: Option<Class>,
    },
    /// A trial was accepted. Also comes late, after its lease is over.
    TrialAccepted {
        /// Its permit.
        lease: Lease,
        /// The generation that admitted it.
        generation: Generation,
        /// Its messages; none if the answer is encrypted.
        keys: Vec<WamidKey>,
        /// That it was accepted is all that is to be shown: what it is the trial of is decided at once.
        proves: bool,
    },
    /// A trial ended and proved nothing: another error, no answer, or its permit was dropped.
    TrialEnded {
        /// Its permit.
        lease: Lease,
        /// Dropped, not answered.
        abandoned: bool,
    },
    /// A message failed with a code that is no lock. It proves nothing; if it was the trial, the next send may be the next.
    Failed {
        /// Which message.
        about: About,
    },
    /// A probe's outcome.
    Probed {
        /// Its lease.
        lease: Lease,
        /// What it found.
        health: Health,
    },
    /// What a probe of a closed breaker found: watching, or on an operator's word.
    Watched {
        /// The breaker's generation when the probe was begun.
        generation: Generation,
        /// What it found.
        health: Health,
    },
    /// Probe at once, if it is open and no probe is out.
    CheckNow {
        /// An operator, or Meta's word that it has been lifted: then a clear answer counts without waiting for the back-off.
        asked: bool,
    },
    /// Something may be due: see [`super::Breaker::next_due`].
    Tick,
    /// What it stands for is of no use any more, and something else has taken its place.
    Replaced {
        /// What.
        text: String,
    },
    /// An operator closes it.
    Reset {
        /// Who, and why.
        text: String,
    },
    /// An operator holds it open or bypasses it.
    Hold(Override),
    /// An operator ends `open` or `bypass`.
    Lift {
        /// Who, and why.
        text: String,
    },
}

/// An account event of Meta's.
#[derive(Clone, Debug)]
pub struct Account {
    /// What it is about. Of two events about one topic the one that Meta dated later holds, whichever comes last.
    pub topic: Topic,
    /// When it was, as Meta says.
    pub dated: Option<Timestamp>,
    /// What it says.
    pub says: AccountSays,
}

/// What an account event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Disabled, reinstated.
    Ban,
    /// The list of restrictions.
    Restrictions,
    /// The review.
    Review,
    /// Deleted, offboarded, reconnected.
    Membership,
}

/// What an account event says.
#[derive(Clone, Debug)]
pub enum AccountSays {
    /// Nothing may be sent.
    Locked(Reason),
    /// Just this is restricted; `None`: nothing is.
    Restricted(Option<Extent>, Reason),
    /// It is over, whatever it was: also restrictions that had a date.
    Reinstated(Reason),
    /// It may be over.
    Lifted,
}

/// What the machine must know beside the event.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What time it is.
    pub now: Timestamp,
    /// A random number.
    pub jitter: Jitter,
    /// Whether a webhook ever came for this phone or its WABA.
    pub heard: bool,
    /// The numbers.
    pub policy: &'a Policy,
}

/// What came of an event.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The transitions, in order: an override that ran out can come before another.
    pub transitions: Vec<Transition>,
    /// A probe to start now.
    pub probe: Option<Lease>,
    /// What else is worth counting.
    pub notes: Vec<Note>,
    /// Whether something that outlives the process has changed.
    pub changed: bool,
}

/// One step of a breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Which.
    pub kind: TransitionKind,
    /// The shown state before.
    pub from: Shown,
    /// The shown state after.
    pub to: Shown,
    /// The generation that it made.
    pub generation: Generation,
    /// Whose word it was.
    pub source: Source,
    /// When.
    pub at: Timestamp,
    /// The evidence in words.
    pub text: String,
    /// The incident that it belongs to: the one that it begins, goes on with or ends.
    pub incident: IncidentStart,
}

/// The kinds of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransitionKind {
    /// closed → open
    Trip,
    /// open → half-open
    HalfOpen,
    /// half-open → open
    Reopen,
    /// open → open: what it holds has changed, or until when.
    Extent,
    /// half-open → closed (or open → closed without half-open)
    Close,
    /// any → closed, by an operator
    Reset,
    /// An operator holds it open.
    ForceOpen,
    /// An operator bypasses it.
    Bypass,
    /// An operator's order ended: by word, or because its time was over.
    Lift,
}

impl TransitionKind {
    /// All of them, in the order in which they are declared.
    pub const ALL: [Self; 9] = [
        Self::Trip,
        Self::HalfOpen,
        Self::Reopen,
        Self::Extent,
        Self::Close,
        Self::Reset,
        Self::ForceOpen,
        Self::Bypass,
        Self::Lift,
    ];

    /// As the metrics write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trip => "trip",
            Self::HalfOpen => "half_open",
            Self::Reopen => "reopen",
            Self::Extent => "extent",
            Self::Close => "close",
            Self::Reset => "reset",
            Self::ForceOpen => "force_open",
            Self::Bypass => "bypass",
            Self::Lift => "lift",
        }
    }
}

/// Things that are counted and are no transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Note {
    /// Evidence that was late news.
    Stale,
    /// A trial has ended.
    Trial(TrialOutcome),
    /// A probe came back after its lease, or unasked.
    ProbeIgnored,
    /// A probe's lease ran out.
    ProbeLeaseOver,
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialOutcome {
    /// Its `sent`, `delivered` or `read` came.
    Confirmed,
    /// Taken for confirmed: it was accepted, and no webhook ever comes here.
    Unheard,
    /// It failed with 131031 or 368.
    Locked,
    /// It failed with another code, which proves nothing.
    OtherError,
    /// Nobody waited for its answer, or there was none.
    Abandoned,
    /// Its lease was over before a status came.
    TimedOut,
}

impl TrialOutcome {
    /// All of them, in the order in which they are declared.
    pub const ALL: [Self; 6] =
        [Self::Confirmed, Self::Unheard, Self::Locked, Self::OtherError, Self::Abandoned, Self::TimedOut];

    /// As the metrics write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Unheard => "unheard",
            Self::Locked => "locked",
            Self::OtherError => "other_error",
            Self::Abandoned => "abandoned",
            Self::TimedOut => "timed_out",
        }
    }
}
