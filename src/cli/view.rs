//! A breaker as the admin API writes it, read back. What is not needed here is passed over, so that a newer sendfuse can
//! be asked too.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::exit;

/// One breaker.
#[derive(Debug, Deserialize)]
pub(super) struct Breaker {
    /// phone, waba
    pub(super) scope: String,
    pub(super) id: String,
    pub(super) waba_id: Option<String>,
    /// Of a WABA.
    pub(super) phones: Option<Vec<String>>,
    /// The breaker that holds a phone's sends beside its own, as `waba/102290129340398`.
    pub(super) held_by: Option<String>,
    pub(super) state: String,
    pub(super) extent: Option<String>,
    pub(super) generation: u64,
    pub(super) reason: Option<Reason>,
    pub(super) diagnosis: Option<Diagnosis>,
    pub(super) since: Option<String>,
    pub(super) next_check: Option<String>,
    pub(super) probes: u64,
    pub(super) trials: u64,
    pub(super) rejected: u64,
    pub(super) leaked: u64,
    pub(super) would_reject: u64,
    pub(super) r#override: Option<Override>,
    pub(super) conditions: Vec<Condition>,
    pub(super) incident: Option<String>,
    #[serde(default)]
    pub(super) last_incident: Option<String>,
    #[serde(default)]
    pub(super) mode: String,
    pub(super) closes_when: String,
    /// What a probe that was ordered found.
    pub(super) probe: Option<Probe>,
}

impl Breaker {
    /// The exit code that tells whether sends are held, by this breaker or by the one that it names in `held_by`; none for a
    /// state that this version does not know.
    pub(super) fn exit_code(&self, holder: Option<&Self>) -> Option<u8> {
        let own = self.code_of_state()?;
        match holder.map(Self::code_of_state) {
            // It has let go since.
            None | Some(Some(exit::DONE)) => Some(own),
            // What holds everything outranks what lets trials out.
            Some(_) if own == exit::OPEN => Some(own),
            Some(holders) => holders,
        }
    }

    /// As a sentence speaks of it.
    pub(super) fn name(&self) -> String {
        match &*self.scope {
            "waba" => format!("WABA {}", self.id),
            "phone" => format!("Phone {}", self.id),
            other => format!("{other} {}", self.id),
        }
    }

    fn code_of_state(&self) -> Option<u8> {
        match &*self.state {
            "closed" => Some(exit::DONE),
            "open" => Some(exit::OPEN),
            "half_open" => Some(exit::HALF_OPEN),
            "forced_open" | "bypassed" => Some(exit::HELD),
            _ => None,
        }
    }
}

/// Why it is not closed.
#[derive(Debug, Deserialize)]
pub(super) struct Reason {
    pub(super) code: Option<i64>,
    pub(super) source: String,
    pub(super) text: String,
    pub(super) at: String,
}

/// What the first health check of a lock found.
#[derive(Debug, Deserialize)]
pub(super) struct Diagnosis {
    pub(super) at: String,
    pub(super) text: String,
    pub(super) entities: Vec<Entity>,
}

/// An operator's standing order.
#[derive(Debug, Deserialize)]
pub(super) struct Override {
    pub(super) order: String,
    pub(super) by: String,
    pub(super) reason: String,
    pub(super) until: Option<String>,
}

/// A condition that holds.
#[derive(Debug, Deserialize)]
pub(super) struct Condition {
    pub(super) name: String,
    pub(super) since: String,
    pub(super) count: u64,
    pub(super) text: String,
}

/// The outcome of an ordered probe.
#[derive(Debug, Deserialize)]
pub(super) struct Probe {
    pub(super) outcome: String,
    pub(super) unknown: Option<String>,
    pub(super) entities: Vec<Entity>,
}

/// One entity that a probe asked about.
#[derive(Debug, Deserialize)]
pub(super) struct Entity {
    pub(super) kind: String,
    pub(super) id: Option<String>,
    pub(super) can_send_message: String,
    #[serde(default)]
    pub(super) blocks: bool,
    pub(super) errors: Vec<EntityError>,
}

/// What Meta says is wrong with an entity.
#[derive(Debug, Deserialize)]
pub(super) struct EntityError {
    pub(super) code: i64,
    pub(super) description: String,
    pub(super) possible_solution: Option<String>,
}

/// What observe mode has seen.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub(super) phones: Vec<Observed>,
}

/// What observe mode has seen of one phone.
#[derive(Debug, Deserialize)]
pub(super) struct Observed {
    pub(super) id: String,
    pub(super) total: u64,
    pub(super) failed: u64,
    pub(super) unknown: u64,
}

/// One page of breakers. The items keep their text: `--json` prints it as it came.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) items: Vec<Box<RawValue>>,
    pub(super) next_cursor: Option<String>,
}
