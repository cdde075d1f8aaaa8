//! What the store keeps of a phone, and its keys.

use serde::{Deserialize, Serialize};

use crate::breaker::Breaker;
use crate::graph::ids::PhoneNumberId;
use crate::registry::Cell;
use crate::store::StoreError;

const PHONE: &str = "phone/";

/// One breaker with the counts of its incident, as JSON.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    breaker: Breaker,
    rejected: u64,
    would_reject: u64,
    leaked: u64,
}

/// The key of a phone's breaker.
pub(super) fn key(phone: PhoneNumberId) -> String {
    format!("{PHONE}{phone}")
}

/// A breaker as it is now.
pub(super) fn write(breaker: &Breaker, (rejected, would_reject, leaked): (u64, u64, u64)) -> Vec<u8> {
    let record = Record { breaker: breaker.clone(), rejected, would_reject, leaked };
    // Numbers, strings and lists always serialise.
    serde_json::to_vec(&record).unwrap_or_default()
}

/// Reads a record back. What cannot be read is an error: to forget it would open the gate to a locked number.
pub(super) fn read(key: &str, value: &[u8]) -> Result<(PhoneNumberId, Cell), StoreError> {
    let phone = key.strip_prefix(PHONE).and_then(|id| PhoneNumberId::parse(id).ok());
    let phone =
        phone.ok_or_else(|| StoreError(format!("the store has a breaker of an unknown scope: {key}")))?;
    let record: Record = serde_json::from_slice(value)
        .map_err(|error| StoreError(format!("the store's record of {key} cannot be read: {error}")))?;
    Ok((phone, Cell::new(record.breaker, record.rejected, record.would_reject, record.leaked)))
}
