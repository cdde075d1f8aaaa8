//! Whether statuses reach us: a phone whose sends are accepted while no status comes is *deaf*. A lock that is told by
//! webhook would go unseen there.
//!
//! Silence of a phone that sends nothing means nothing: time runs from the first accepted send after the last status.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use dashmap::DashMap;

use crate::graph::ids::PhoneNumberId;
use crate::time::Timestamp;

/// The most phones that are listened for. Only Meta's own acceptance adds one; some 60 bytes each.
const MOST_PHONES: usize = 1_000_000;

/// No send waits for a status.
const NOTHING: i64 = 0;

/// All phones that have sent.
#[derive(Debug, Default)]
pub struct Hearing(DashMap<PhoneNumberId, Phone>);

#[derive(Debug)]
struct Phone {
    /// When the first send was accepted after the last status, in milliseconds.
    waiting_since: AtomicI64,
    deaf: AtomicBool,
}

impl Hearing {
    /// Meta accepted a send.
    pub fn accepted(&self, id: PhoneNumberId, now: Timestamp) {
        if let Some(phone) = self.0.get(&id) {
            if phone.waiting_since.load(Ordering::Relaxed) == NOTHING {
                phone.waiting_since.store(now.millis(), Ordering::Relaxed);
            }
        } else if self.0.len() < MOST_PHONES {
            let waiting_since = AtomicI64::new(now.millis());
            self.0.insert(id, Phone { waiting_since, deaf: AtomicBool::new(false) });
        }
    }

    /// A status came. Says whether the phone was deaf until now.
    pub fn heard(&self, id: PhoneNumberId) -> bool {
        self.0.get(&id).is_some_and(|phone| {
            phone.waiting_since.store(NOTHING, Ordering::Relaxed);
            phone.deaf.swap(false, Ordering::Relaxed)
        })
    }

    /// Which phones have become deaf since this was last asked.
    pub fn newly_deaf(&self, now: Timestamp, after: Duration) -> Vec<PhoneNumberId> {
        let is_deaf = |phone: &Phone| {
            let since = phone.waiting_since.load(Ordering::Relaxed);
            since != NOTHING && now.since(Timestamp::from_millis(since)) >= after
        };
        let new = self.0.iter().filter(|entry| is_deaf(entry) && !entry.deaf.swap(true, Ordering::Relaxed));
        new.map(|entry| *entry.key()).collect()
    }

    /// Since when a deaf phone has waited for a status.
    pub fn deaf_since(&self, id: PhoneNumberId) -> Option<Timestamp> {
        let phone = self.0.get(&id).filter(|phone| phone.deaf.load(Ordering::Relaxed))?;
        Some(Timestamp::from_millis(phone.waiting_since.load(Ordering::Relaxed)))
    }

    /// How many phones are deaf.
    pub fn deaf(&self) -> u64 {
        self.0.iter().map(|phone| u64::from(phone.deaf.load(Ordering::Relaxed))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_runs_from_the_first_send_after_the_last_status() {
        let (hearing, phone) = (Hearing::default(), PhoneNumberId::parse("1").unwrap());
        let (at, after) = (|seconds: i64| Timestamp::from_seconds(1_000 + seconds), Duration::from_secs(600));
        assert_eq!(hearing.newly_deaf(at(9_999), after), [], "an idle phone is not deaf");
        hearing.accepted(phone, at(0));
        hearing.accepted(phone, at(500));
        assert_eq!(hearing.newly_deaf(at(599), after), []);
        assert!(!hearing.heard(phone));
        assert_eq!(hearing.newly_deaf(at(9_999), after), [], "all is answered");
        hearing.accepted(phone, at(10_000));
        assert_eq!(hearing.newly_deaf(at(10_600), after), [phone]);
        assert_eq!(hearing.newly_deaf(at(10_601), after), [], "told once");
        assert_eq!((hearing.deaf(), hearing.deaf_since(phone)), (1, Some(at(10_000))));
        assert!(hearing.heard(phone));
        assert_eq!((hearing.deaf(), hearing.deaf_since(phone)), (0, None));
    }
}
