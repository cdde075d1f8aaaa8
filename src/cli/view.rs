//! A breaker as the admin API writes it, read back. What is not needed here is passed over, so that a newer sendfuse can
//! be asked too.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::exit;

/// One breaker.
#[derive(Debug, Deserialize)]
pub(super) struct Breaker {
    /// phone, waba, phone_country, token
    pub(super) scope: String,
    pub(super) id: String,
    pub(super) waba_id: Option<String>,
    /// Of a WABA.
    pub(super) phones: Option<Vec<String>>,
    /// The breaker that holds a phone's sends beside its own, as `waba/102290129340398`.
    pub(super) held_by: Option<String>,
    /// What holds some of a phone's sends.
    #[serde(default)]
    pub(super) also_held: Vec<AlsoHeld>,
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
    pub(super) pin_guard: Option<PinGuard>,
    pub(super) closes_when: String,
    /// What a probe that was ordered found.
    pub(super) probe: Option<Probe>,
}

impl Breaker {
    /// The exit code that tells whether sends are held, by this breaker or by the one that it names in `held_by`; if neither
    /// does, whether some are. None for a state that this version does not know.
    pub(super) fn exit_code(&self, holder: Option<&Self>) -> Option<u8> {
        let own = code_of(&self.state)?;
        match holder.map(|holder| code_of(&holder.state)) {
            // It has let go since.
            None | Some(Some(exit::DONE)) if own == exit::DONE => {
                let also = self.also_held.iter().map(|held| code_of(&held.state));
                // What is open before what lets trials out.
                also.collect::<Option<Vec<u8>>>().map(|codes| codes.into_iter().min().unwrap_or(own))
            }
            None | Some(Some(exit::DONE)) => Some(own),
            // What holds everything outranks what lets trials out.
            Some(_) if own == exit::OPEN => Some(own),
            Some(holders) => holders,
        }
    }

    /// Whether nothing is known of it: any well-formed id has a breaker.
    pub(super) fn is_unknown(&self) -> bool {
        let is_nobodys = self.waba_id.is_none() || self.scope == "waba";
        let has_phones = self.phones.as_ref().is_some_and(|phones| !phones.is_empty());
        let is_held = self.held_by.is_some() || !self.also_held.is_empty() || self.pin_guard.is_some();
        self.generation == 0 && is_nobodys && !has_phones && !is_held && self.conditions.is_empty()
    }

    /// As a sentence speaks of it.
    pub(super) fn name(&self) -> String {
        match &*self.scope {
            "waba" => format!("WABA {}", self.id),
            "phone" => format!("Phone {}", self.id),
            "token" => format!("Token {}", self.id),
            "phone_country" => self.id.clone(),
            other => format!("{other} {}", self.id),
        }
    }
}

fn code_of(state: &str) -> Option<u8> {
    match state {
        "closed" => Some(exit::DONE),
        "open" => Some(exit::OPEN),
        "half_open" => Some(exit::HALF_OPEN),
        "forced_open" | "bypassed" => Some(exit::HELD),
        _ => None,
    }
}

/// A breaker that holds some of a phone's sends.
#[derive(Debug, Deserialize)]
pub(super) struct AlsoHeld {
    scope: String,
    pub(super) scope_id: String,
    pub(super) state: String,
}

impl AlsoHeld {
    /// Which sends it holds.
    pub(super) fn what(&self) -> String {
        match (&*self.scope, self.scope_id.rsplit_once('.')) {
            ("phone_country", Some((_, country))) => format!("its messages to {country}"),
            ("token", _) => "its sends with one access token".to_owned(),
            (scope, _) => format!("some of its sends ({scope})"),
        }
    }
}

/// What is known of a phone's PINs.
#[derive(Debug, Deserialize)]
pub(super) struct PinGuard {
    pub(super) register: Option<PinCall>,
    pub(super) set: Option<PinCall>,
    pub(super) allowed: bool,
}

/// What is known of the PINs of one call.
#[derive(Debug, Deserialize)]
pub(super) struct PinCall {
    pub(super) refused: u64,
    pub(super) held_since: Option<String>,
    pub(super) waits_until: Option<String>,
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
