//! Whether statuses reach us: a phone whose sends are accepted while no status comes is *deaf*. A lock that is told by
//! webhook would go unseen there.
//!
//! Silence of a phone that sends nothing means nothing: time runs from the first send that was accepted after the last status.
//! A status may overtake the answer to its own send; so a send waits for a status only if none has come since it was admitted.
//! That order is counted and not timed: it holds whatever the clock does, and costs an admission one atomic load.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;

use crate::graph::ids::PhoneNumberId;
use crate::time::Timestamp;

/// The most phones that are listened for. Only Meta's own acceptance or a signed status adds one; some 100 bytes each.
const MOST_PHONES: usize = 1_000_000;

/// All phones that have sent or were heard of.
#[derive(Debug, Default)]
pub struct Hearing {
    phones: DashMap<PhoneNumberId, Phone>,
    /// How many statuses came, of all phones.
    statuses: AtomicU64,
}

/// A point in the order of all statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(u64);

#[derive(Debug, Default)]
struct Phone {
    /// When its last status came.
    heard: Moment,
    /// Since when an accepted send waits for a status.
    waiting_since: Option<Timestamp>,
    last_accepted: Option<Timestamp>,
    deaf: bool,
}

impl Hearing {
    /// Now. To be kept from a send's admission until it is accepted.
    pub fn moment(&self) -> Moment {
        Moment(self.statuses.load(Ordering::Acquire))
    }

    /// Meta accepted a send that was admitted at `admitted`.
    pub fn accepted(&self, id: PhoneNumberId, admitted: Moment, now: Timestamp) {
        self.change(id, |phone| {
            phone.last_accepted = Some(now);
            if phone.heard <= admitted {
                phone.waiting_since.get_or_insert(now);
            }
        });
    }

    /// A status came. Says whether the phone was deaf until now.
    pub fn heard(&self, id: PhoneNumberId) -> bool {
        let now = Moment(self.statuses.fetch_add(1, Ordering::AcqRel) + 1);
        let was_deaf = self.change(id, |phone| {
            phone.heard = phone.heard.max(now);
            phone.waiting_since = None;
            std::mem::take(&mut phone.deaf)
        });
        was_deaf.unwrap_or_default()
    }

    /// Which phones have become deaf since this was last asked.
    pub fn newly_deaf(&self, now: Timestamp, after: Duration) -> Vec<PhoneNumberId> {
        let mut new = Vec::new();
        for mut phone in self.phones.iter_mut() {
            if !phone.deaf && phone.waiting_since.is_some_and(|since| now.since(since) >= after) {
                phone.deaf = true;
                new.push(*phone.key());
            }
        }
        new
    }

    /// No status is expected any more, so nobody waits for one.
    pub fn stop_waiting(&self) {
        for mut phone in self.phones.iter_mut() {
            (phone.deaf, phone.waiting_since) = (false, None);
        }
    }

    /// Since when a deaf phone has waited for a status.
    pub fn deaf_since(&self, id: PhoneNumberId) -> Option<Timestamp> {
        self.phones.get(&id).filter(|phone| phone.deaf)?.waiting_since
    }

    /// The phones that are deaf, in no order.
    pub fn deaf_phones(&self) -> Vec<PhoneNumberId> {
        self.those(|phone| phone.deaf)
    }

    /// The phones of which a send was accepted at `since` or later, in no order.
    pub fn sent_since(&self, since: Timestamp) -> Vec<PhoneNumberId> {
        self.those(|phone| phone.last_accepted.is_some_and(|at| at >= since))
    }

    fn those(&self, wanted: impl Fn(&Phone) -> bool) -> Vec<PhoneNumberId> {
        self.phones.iter().filter(|phone| wanted(phone)).map(|phone| *phone.key()).collect()
    }

    /// One step: nobody else sees or changes the phone meanwhile. `None`: there are too many phones for a new one.
    fn change<R>(&self, id: PhoneNumberId, change: impl FnOnce(&mut Phone) -> R) -> Option<R> {
        if let Some(mut phone) = self.phones.get_mut(&id) {
            return Some(change(&mut phone));
        }
        (self.phones.len() < MOST_PHONES).then(|| change(&mut self.phones.entry(id).or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(600);

    fn house() -> (Hearing, PhoneNumberId) {
        (Hearing::default(), PhoneNumberId::parse("1").unwrap())
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_000 + seconds)
    }

    #[test]
    fn time_runs_from_the_first_send_after_the_last_status() {
        let (hearing, phone) = house();
        assert_eq!(hearing.newly_deaf(at(9_999), AFTER), [], "an idle phone is not deaf");
        hearing.accepted(phone, hearing.moment(), at(0));
        hearing.accepted(phone, hearing.moment(), at(500));
        assert_eq!(hearing.newly_deaf(at(599), AFTER), []);
        assert!(!hearing.heard(phone));
        assert_eq!(hearing.newly_deaf(at(9_999), AFTER), [], "all is answered");
        hearing.accepted(phone, hearing.moment(), at(10_000));
        assert_eq!(hearing.newly_deaf(at(10_600), AFTER), [phone]);
        assert_eq!(hearing.newly_deaf(at(10_601), AFTER), [], "told once");
        assert_eq!((hearing.deaf_phones(), hearing.deaf_since(phone)), (vec![phone], Some(at(10_000))));
        hearing.accepted(phone, hearing.moment(), at(11_000));
        assert_eq!(hearing.deaf_since(phone), Some(at(10_000)), "accepted is not heard");
        assert!(hearing.heard(phone));
        assert_eq!((hearing.deaf_phones(), hearing.deaf_since(phone)), (vec![], None));
        assert!(!hearing.heard(phone), "told once");
    }

    #[test]
    fn a_status_that_overtakes_its_answer_is_a_status() {
        let (hearing, phone) = house();
        // A fresh phone, and then an idle one.
        for day in [0, 86_400] {
            let admitted = hearing.moment();
            hearing.heard(phone);
            hearing.accepted(phone, admitted, at(day));
            assert_eq!(hearing.newly_deaf(at(day + 9_999), AFTER), [], "{day}");
        }
        // Another phone's status says nothing of this one.
        let admitted = hearing.moment();
        hearing.heard(PhoneNumberId::parse("2").unwrap());
        hearing.accepted(phone, admitted, at(200_000));
        assert_eq!(hearing.newly_deaf(at(200_600), AFTER), [phone]);
    }

    #[test]
    fn who_expects_no_status_is_not_deaf() {
        let (hearing, phone) = house();
        hearing.accepted(phone, hearing.moment(), at(0));
        assert_eq!(hearing.newly_deaf(at(600), AFTER), [phone]);
        hearing.stop_waiting();
        assert_eq!((hearing.deaf_phones(), hearing.deaf_since(phone)), (vec![], None));
        assert_eq!(hearing.newly_deaf(at(9_999), AFTER), [], "what was sent before waits no more");
    }

    #[test]
    fn phones_that_send_are_known() {
        let (hearing, phone) = house();
        hearing.heard(phone);
        assert_eq!(hearing.sent_since(at(0)), [], "heard is not sent");
        hearing.accepted(phone, hearing.moment(), at(10));
        hearing.accepted(phone, hearing.moment(), at(20));
        assert_eq!(hearing.sent_since(at(20)), [phone]);
        assert_eq!(hearing.sent_since(at(21)), []);
    }
}
