//! What holds some of a phone's sends, beside its own breaker and its account's: those to a country, those with a token.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use super::Breakers;
use crate::breaker::{Admission, Scope};
use crate::graph::ids::PhoneNumberId;
use crate::registry::Cell;
use crate::time::Timestamp;

/// The most that are named of one phone. Countries come first.
const MOST: usize = 100;

/// A breaker that holds some of a phone's sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlsoHeld {
    /// As `scope` and `scope_id`: the phone's messages to a country, or a token that Meta refused on the phone.
    #[serde(flatten)]
    pub scope: Scope,
    /// open, half_open, forced_open
    pub state: &'static str,
}

/// By phone.
pub(super) type PartlyHeld = HashMap<PhoneNumberId, Vec<AlsoHeld>>;

impl Breakers {
    /// What holds some of the phones' sends, of all these breakers.
    pub(super) fn partly_held(&self, cells: &[(Scope, Arc<Cell>)], now: Timestamp) -> PartlyHeld {
        let mut held = PartlyHeld::new();
        // Asked for once, and only if there is any.
        let mut refused_on = None;
        for (scope, cell) in cells.iter().filter(|(_, cell)| cell.plainly_closed().is_none()) {
            let phones = match *scope {
                Scope::PhoneCountry(phone, _) => vec![phone],
                Scope::Token(token) => {
                    let refused_on = refused_on.get_or_insert_with(|| self.refused_on());
                    refused_on.remove(&token).unwrap_or_default()
                }
                Scope::Phone(_) | Scope::Waba(_) => continue,
            };
            for phone in phones.into_iter().filter(|_| holds(cell, now)) {
                let of_phone = held.entry(phone).or_default();
                if of_phone.len() < MOST {
                    of_phone.push(AlsoHeld { scope: *scope, state: cell.shown(now).name() });
                }
            }
        }
        held
    }
}

/// Whether it holds anything. Half-open holds all but the trials, of which there is one now and then.
pub(super) fn holds(cell: &Cell, now: Timestamp) -> bool {
    cell.read(|breaker| breaker.admit(None, now)) != Admission::Forward
}
