//! What the simulator remembers of its traffic: counts, and the last requests.

use std::collections::BTreeMap;

use serde::Serialize;

/// What has been counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests that arrived whole, those under `/_simulator/` left out.
    pub requests: u64,
    /// Requests whose body broke off.
    pub broken_requests: u64,
    /// Bytes of request bodies.
    pub body_bytes: u64,
    /// Attempts to deliver a webhook.
    pub webhooks: u64,
    /// Attempts that were answered 200.
    pub webhooks_acknowledged: u64,
    /// Per phone that was ever named, or of which anything was counted: not all that were made at once.
    pub phones: BTreeMap<String, PhoneCounts>,
}

/// What has been counted for one phone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PhoneCounts {
    /// Sends that arrived whole, whatever became of them.
    pub arrived: u64,
    /// Of these, the ones that arrived while a lock held them, of the phone or of its WABA (by any profile).
    pub arrived_after_lock: u64,
    /// Sends that were given a wamid.
    pub accepted: u64,
    /// Sends that were answered 131031, or whatever code the lock has.
    pub refused: u64,
    /// Messages that were told to have failed by 131031, or whatever code the lock has.
    pub failed: u64,
    /// Messages that were told to have failed by 131047.
    pub windows_closed: u64,
    /// Read receipts and typing indicators.
    pub read_receipts: u64,
    /// Reads of the health status.
    pub probes: u64,
    /// Calls of `register`.
    pub registrations: u64,
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The method.
    pub method: http::Method,
    /// Path and query, not normalised.
    pub target: String,
    /// The version spoken on the connection.
    pub version: http::Version,
    /// The `:authority` of h2; the `host` header of HTTP/1.1 is among the headers.
    pub authority: Option<String>,
    /// Names in lower case and values as bytes, in hyper's order (repeated ones in theirs).
    pub headers: Vec<(String, Vec<u8>)>,
    /// How long the body was.
    pub body_bytes: u64,
    /// SHA-256 of the body.
    pub body_sha256: [u8; 32],
    /// Whether the body came to its end.
    pub complete: bool,
}

impl Recorded {
    /// The values of a header.
    pub fn header(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.headers.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_slice())
    }
}
