//! What Meta's answers say about whose a phone is.

use super::Breakers;
use crate::graph::ids::{PhoneNumberId, WabaId};

impl Breakers {
    /// Meta says that these phones are this account's. What is known of other phones stays: a page is not all of an account's phones.
    pub fn learn_numbers(&self, waba: WabaId, phones: &[PhoneNumberId]) {
        for phone in phones {
            self.learn(*phone, Some(waba), false);
        }
    }
}
