//! What was learned about phones: whose they are, and whether webhooks about them reach us.
//!
//! Only signed webhooks and Meta's own answers teach, so a stranger cannot fill this; it is bounded all the same.

use std::collections::BTreeSet;

use dashmap::DashMap;
use serde::{Deserialize, Serialize};

use crate::graph::ids::{PhoneNumberId, WabaId};

/// The most phones that are remembered; beyond it nothing new is learned. Some 150 bytes each.
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
    accounts: DashMap<WabaId, Account>,
}

/// What is known of one account.
#[derive(Debug, Default)]
struct Account {
    phones: BTreeSet<PhoneNumberId>,
    /// Whether a status webhook about one of them ever came.
    heard: bool,
}

impl Phones {
    /// Puts back what the store kept.
    pub fn restore(&self, id: PhoneNumberId, phone: Phone) {
        let before = self.phones.insert(id, phone);
        // A number may move to another account.
        if let Some(before) =
            before.and_then(|before| before.waba).filter(|before| phone.waba != Some(*before))
            && let Some(mut account) = self.accounts.get_mut(&before)
        {
            account.phones.remove(&id);
        }
        if let Some(waba) = phone.waba {
            let mut account = self.accounts.entry(waba).or_default();
            account.phones.insert(id);
            account.heard |= phone.heard;
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
        phone.heard || phone.waba.is_some_and(|waba| self.account_heard(waba))
    }

    /// Whether a status webhook ever came for a phone of this account.
    pub fn account_heard(&self, waba: WabaId) -> bool {
        self.accounts.get(&waba).is_some_and(|account| account.heard)
    }

    /// Whether a phone is known to be this account's.
    pub fn knows(&self, waba: WabaId) -> bool {
        self.accounts.get(&waba).is_some_and(|account| !account.phones.is_empty())
    }

    /// The phones that are known to be an account's, in the order of their ids.
    pub fn of(&self, waba: WabaId) -> Vec<PhoneNumberId> {
        self.accounts.get(&waba).map(|account| account.phones.iter().copied().collect()).unwrap_or_default()
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
