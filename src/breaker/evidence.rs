//! Evidence: what was said, where, and about which send.

use serde::{Deserialize, Serialize};

use super::Generation;
use crate::graph::error::{ACCOUNT_LOCKED, may_lock};
use crate::graph::health::Health;
use crate::graph::ids::WamidKey;
use crate::time::Timestamp;

/// Where evidence came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The answer to a send.
    Response,
    /// A status or an error in a webhook.
    Webhook,
    /// A Health Status call.
    Probe,
    /// An operator's order.
    Operator,
    /// A time-out of the breaker's own.
    Timer,
}

impl Source {
    /// All of them, in the order in which they are declared.
    pub const ALL: [Self; 5] = [Self::Response, Self::Webhook, Self::Probe, Self::Operator, Self::Timer];

    /// As it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Webhook => "webhook",
            Self::Probe => "probe",
            Self::Operator => "operator",
            Self::Timer => "timer",
        }
    }
}

/// Which send a piece of evidence is about. This decides whether it is news: see [`About::is_newer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A send that went through here: the generation under which it was admitted, and its wamid if it has one yet.
    Send {
        /// The breaker's generation when the gate admitted it.
        generation: Generation,
        /// Its message.
        key: Option<WamidKey>,
    },
    /// A message that we do not know (sent past us, forgotten, or its answer is still on the way), or none at all.
    Unknown {
        /// The message.
        key: Option<WamidKey>,
        /// When Meta says that it happened.
        dated: Option<Timestamp>,
    },
}

impl About {
    /// Whether this is about something that began after a state that was entered at `entered` with `generation`.
    ///
    /// A send of ours is judged by the generation that admitted it, whatever the clocks say. Anything else is judged by
    /// Meta's own date, which must be later by more than `skew`; without a date it is never newer.
    pub fn is_newer(&self, generation: Generation, entered: Timestamp, skew: std::time::Duration) -> bool {
        match self {
            Self::Send { generation: admitted, .. } => *admitted >= generation,
            Self::Unknown { dated, .. } => dated.is_some_and(|dated| dated > entered.plus(skew)),
        }
    }

    /// The message, where there is one.
    pub const fn key(&self) -> Option<WamidKey> {
        match self {
            Self::Send { key, .. } | Self::Unknown { key, .. } => *key,
        }
    }
}

/// Why a breaker opened: the first authoritative word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// 131031 or 368; of a health answer, the code of the entity that blocks.
    pub code: i64,
    /// Where it stood.
    pub source: Source,
    /// Meta's words for it.
    pub text: String,
    /// When we learned it.
    pub at: Timestamp,
    /// Meta's id of the call, where the answer has one.
    pub fbtrace_id: Option<String>,
}

impl Reason {
    /// What a health answer says, if it says that messaging is blocked, with the first code that is known to mean so.
    pub(super) fn of_health(health: &Health, at: Timestamp) -> Option<Self> {
        let Health::Blocked(entities) = health else { return None };
        let errors = entities.iter().filter(|entity| entity.blocks).flat_map(|entity| &entity.errors);
        let code = errors
            .map(|error| error.code)
            .find(|code| *code != 0 && may_lock(*code))
            .unwrap_or(ACCOUNT_LOCKED);
        Some(Self { code, source: Source::Probe, text: health.to_string(), at, fbtrace_id: None })
    }
}

/// `131031 (webhook): Business Account locked`
impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.code, self.source.name(), self.text)?;
        match &self.fbtrace_id {
            Some(id) => write!(f, ", fbtrace_id {id}"),
            None => Ok(()),
        }
    }
}
