//! What was learned about phones: whose they are, and whether webhooks about them reach us.
//!
//! Only signed webhooks and Meta's own answers teach, so a stranger cannot fill this; it is bounded all the same.

use dashmap::DashMap;
use serde::{Deserialize, Serialize};

use crate::graph::ids::{PhoneNumberId, WabaId};

/// The most phones that are remembered; beyond it nothing new is learned. Some 60 bytes each.
const MOST_PHONES: usize = 1_000_000;

/// What is known of one phone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phone {
    /// Its account.
    pub waba: Option<WabaId>,
    /// Whether a status webhook about it ever came.
    pub heard: bool,
}

/// All that was learned.
#[derive(Debug, Default)]
pub struct Phones {
    phones: DashMap<PhoneNumberId, Phone>,
    heard: DashMap<WabaId, ()>,
}

impl Phones {
    /// Puts back what the store kept.
    pub fn restore(&self, id: PhoneNumberId, phone: Phone) {
        self.phones.insert(id, phone);
        if let (Some(waba), true) = (phone.waba, phone.heard) {
            self.heard.insert(waba, ());
        }
    }

    /// Learns an account, a status webhook, or both. `Some`: that was new, and is to be kept.
    pub fn learn(&self, id: PhoneNumberId, waba: Option<WabaId>, heard: bool) -> Option<Phone> {
        let known = self.get(id);
        let learned = Phone { waba: waba.or(known.waba), heard: heard || known.heard };
        if learned == known || (known == Phone::default() && self.phones.len() >= MOST_PHONES) {
            return None;
        }
        self.restore(id, learned);
        Some(learned)
    }

    /// What is known of a phone.
    pub fn get(&self, id: PhoneNumberId) -> Phone {
        self.phones.get(&id).map(|phone| *phone).unwrap_or_default()
    }

    /// Whether a status webhook ever came for this phone or for its account.
    pub fn heard(&self, id: PhoneNumberId) -> bool {
        let phone = self.get(id);
        phone.heard || phone.waba.is_some_and(|waba| self.heard.contains_key(&waba))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_is_heard_if_its_account_is() {
        let phones = Phones::default();
        let [one, two, other] = ["1", "2", "3"].map(|id| PhoneNumberId::parse(id).unwrap());
        let waba = WabaId::parse("9").unwrap();
        assert!(phones.learn(one, Some(waba), true).is_some());
        assert!(phones.learn(one, Some(waba), true).is_none(), "nothing new");
        assert!(!phones.heard(two));
        assert!(phones.learn(two, Some(waba), false).is_some());
        assert!(phones.heard(two));
        assert!(!phones.heard(other));
        assert_eq!(phones.learn(one, None, false), None);
        assert_eq!(phones.get(one).waba, Some(waba));
    }
}
