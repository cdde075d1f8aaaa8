//! Accepted sends by their wamid, so that a status can be judged by the generation that admitted its send.
//!
//! Bounded: the newest and the most looked-up stay. What is forgotten is then judged by Meta's own date, so only precision
//! is lost within the clock skew, never safety.

use quick_cache::sync::Cache;

use crate::breaker::Generation;
use crate::graph::ids::{PhoneNumberId, WamidHasher, WamidKey};
use crate::time::Timestamp;

/// How many accepted sends are remembered: over four minutes at a number's top rate of 1,000 a second, while statuses come
/// within seconds. Some 70 bytes each.
const REMEMBERED: usize = 262_144;

/// An accepted send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Who sent it.
    pub phone: PhoneNumberId,
    /// When Meta's answer came.
    pub at: Timestamp,
    /// The generation that admitted it.
    pub generation: Generation,
    /// Whether it was counted as a leak already.
    pub leaked: bool,
}

/// The memory.
pub struct Sends {
    hasher: WamidHasher,
    accepted: Cache<WamidKey, Accepted>,
}

impl Sends {
    /// An empty memory whose keys nobody can foresee, if `key` is random.
    pub fn new(key: [u8; 16]) -> Self {
        Self { hasher: WamidHasher::new(key), accepted: Cache::new(REMEMBERED) }
    }

    /// The key of a wamid.
    pub fn key_of(&self, wamid: &str) -> WamidKey {
        self.hasher.key_of(wamid)
    }

    /// Remembers an accepted send.
    pub fn remember(&self, key: WamidKey, accepted: Accepted) {
        self.accepted.insert(key, accepted);
    }

    /// The send of this message, if it is remembered.
    pub fn get(&self, key: WamidKey) -> Option<Accepted> {
        self.accepted.get(&key)
    }
}
