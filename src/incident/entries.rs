//! What stands in an incident's lists.

use serde::{Deserialize, Serialize};

use crate::breaker::{Generation, Note, Reason, Shown, Source, Transition, TransitionKind};
use crate::graph::health::{Entity, Health, Unknown};
use crate::graph::ids::Wamid;
use crate::time::{Timestamp, rfc3339};

/// The most entities of a probe that are kept, and errors of an entity. Meta's answers have four, and one or two.
const MOST_ENTITIES: usize = 4;
const MOST_ERRORS: usize = 2;

/// What a piece of evidence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// 131031 or 368, or a health answer that blocks.
    Lock,
    /// `sent`, `delivered` or `read`.
    Delivered,
}

/// A piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// When we learned it.
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    /// What it says.
    pub verdict: Verdict,
    /// Where it came from.
    pub source: Source,
    /// Meta's code.
    pub code: Option<i64>,
    /// In Meta's words, or ours.
    pub text: String,
    /// Late news: it was about something older than the state that it would have changed.
    pub stale: bool,
    /// The message that it is about.
    pub wamid: Option<Wamid>,
    /// When Meta accepted that message here.
    #[serde(with = "rfc3339::option", default)]
    pub accepted_at: Option<Timestamp>,
    /// When it happened, as Meta says.
    #[serde(with = "rfc3339::option", default)]
    pub dated: Option<Timestamp>,
    /// Meta's id of the call that it stood in, or of the send that it is about.
    pub fbtrace_id: Option<String>,
    /// The generation that admitted the send.
    pub generation: Option<Generation>,
}

impl Evidence {
    /// What opened a breaker, as the breaker itself remembers it.
    pub fn of_reason(reason: &Reason) -> Self {
        Self {
            at: reason.at,
            verdict: Verdict::Lock,
            source: reason.source,
            code: Some(reason.code),
            text: reason.text.clone(),
            stale: false,
            wamid: None,
            accepted_at: None,
            dated: None,
            fbtrace_id: reason.fbtrace_id.clone(),
            generation: None,
        }
    }

    /// A message was delivered, or is on its way.
    pub fn of_proof(text: &str, at: Timestamp) -> Self {
        Self {
            at,
            verdict: Verdict::Delivered,
            source: Source::Webhook,
            code: None,
            text: text.to_owned(),
            stale: false,
            wamid: None,
            accepted_at: None,
            dated: None,
            fbtrace_id: None,
            generation: None,
        }
    }
}

/// How a probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// No entity blocks messaging.
    Clear,
    /// At least one does.
    Blocked,
    /// It learned nothing.
    Unknown,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// When it came back.
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it is unknown.
    pub unknown: Option<Unknown>,
    /// Who was asked about, and what was said.
    pub entities: Vec<Entity>,
    /// It came too late to count: its lease was over, or the breaker had moved on.
    pub ignored: bool,
}

impl Probe {
    /// What health says, as far as it is kept.
    pub fn of(health: &Health, at: Timestamp, ignored: bool) -> Self {
        let (outcome, unknown, entities) = match health {
            Health::Clear(entities) => (Outcome::Clear, None, &**entities),
            Health::Blocked(entities) => (Outcome::Blocked, None, &**entities),
            Health::Unknown(why) => (Outcome::Unknown, Some(*why), &[][..]),
        };
        let kept = |entity: &Entity| {
            let mut entity = entity.clone();
            entity.errors.truncate(MOST_ERRORS);
            entity
        };
        Self {
            at,
            outcome,
            unknown,
            entities: entities.iter().take(MOST_ENTITIES).map(kept).collect(),
            ignored,
        }
    }
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialOutcome {
    /// Its `sent`, `delivered` or `read` came.
    Confirmed,
    /// Taken for confirmed: it was accepted, and no webhook ever comes here.
    Unheard,
    /// It failed with 131031 or 368.
    Locked,
    /// It failed with another code.
    OtherError,
    /// Nobody waited for its answer, or there was none.
    Abandoned,
    /// Its lease was over before a status came.
    TimedOut,
}

impl TrialOutcome {
    /// What a note of the breaker says of a trial, if it is about one.
    pub const fn of(note: Note) -> Option<Self> {
        Some(match note {
            Note::TrialConfirmed => Self::Confirmed,
            Note::TrialUnheard => Self::Unheard,
            Note::TrialLocked => Self::Locked,
            Note::TrialOther => Self::OtherError,
            Note::TrialAbandoned => Self::Abandoned,
            Note::TrialTimedOut => Self::TimedOut,
            Note::Stale | Note::ProbeIgnored | Note::ProbeLeaseOver => return None,
        })
    }
}

/// A trial's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// When.
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    /// How.
    pub outcome: TrialOutcome,
    /// Its message, where a status of it ended the trial.
    pub wamid: Option<Wamid>,
}

/// A step of the breaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When.
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    /// Which.
    pub transition: TransitionKind,
    /// The shown state before.
    pub from: Shown,
    /// The shown state after.
    pub to: Shown,
    /// The generation that it made.
    pub generation: Generation,
    /// Whose word it was.
    pub source: Source,
    /// The evidence in words.
    pub text: String,
}

impl From<&Transition> for Step {
    fn from(step: &Transition) -> Self {
        let Transition { kind, from, to, generation, source, at, text, .. } = step;
        Self {
            at: *at,
            transition: *kind,
            from: *from,
            to: *to,
            generation: *generation,
            source: *source,
            text: text.clone(),
        }
    }
}

/// What an operator can order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderName {
    /// Close now.
    Reset,
    /// Hold open.
    Open,
    /// Let everything pass.
    Bypass,
    /// End `open` or `bypass`.
    Lift,
    /// Check now.
    Probe,
}

/// An operator's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderGiven {
    /// When.
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    /// What.
    pub order: OrderName,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Until when it holds, where it does not hold until it is lifted.
    #[serde(with = "rfc3339::option", default)]
    pub until: Option<Timestamp>,
}

/// A message that Meta accepted after the lock began, and failed with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leak {
    /// The message: it names its recipient, whoever can read it.
    pub wamid: Wamid,
    /// When Meta's answer came.
    #[serde(with = "rfc3339")]
    pub accepted_at: Timestamp,
    /// When it failed, as Meta says; else when we heard of it.
    #[serde(with = "rfc3339")]
    pub failed_at: Timestamp,
    /// 131031 or 368.
    pub code: i64,
    /// Meta's id of the call that sent it.
    pub fbtrace_id: Option<String>,
    /// What the app asked to get back.
    pub biz_opaque_callback_data: Option<String>,
    /// Who was to get it, masked: `…1234`.
    pub recipient: Option<String>,
}

/// How many entries of each list are not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeftOut {
    /// Of `evidence`.
    pub evidence: u64,
    /// Of `probes`.
    pub probes: u64,
    /// Of `trials`.
    pub trials: u64,
    /// Of `transitions`.
    pub transitions: u64,
    /// Of `orders`.
    pub orders: u64,
    /// Of `leaks`.
    pub leaks: u64,
}
