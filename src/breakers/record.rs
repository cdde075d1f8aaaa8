//! What the store keeps of a scope, and its keys.

use serde::{Deserialize, Serialize};

use crate::breaker::{Breaker, Scope};
use crate::store::StoreError;

/// One breaker with the counts of its incident, as JSON.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    breaker: Breaker,
    rejected: u64,
    would_reject: u64,
    leaked: u64,
}

/// Rejected, would-be rejected, leaked.
type Counts = (u64, u64, u64);

/// The key of a scope's breaker.
pub(super) fn key(scope: Scope) -> String {
    scope.to_string()
}

/// A breaker as it is now.
pub(super) fn write(breaker: &Breaker, (rejected, would_reject, leaked): Counts) -> Vec<u8> {
    let record = Record { breaker: breaker.clone(), rejected, would_reject, leaked };
    // Numbers, strings and lists always serialise.
    serde_json::to_vec(&record).unwrap_or_default()
}

/// Reads a record back. What cannot be read is an error: to forget it would open the gate to a locked number.
pub(super) fn read(key: &str, value: &[u8]) -> Result<(Scope, Breaker, Counts), StoreError> {
    let scope =
        key.parse().map_err(|_| StoreError(format!("the store has a breaker of an unknown scope: {key}")))?;
    let Record { breaker, rejected, would_reject, leaked } = serde_json::from_slice(value)
        .map_err(|error| StoreError(format!("the store's record of {key} cannot be read: {error}")))?;
    Ok((scope, breaker, (rejected, would_reject, leaked)))
}
