//! What answers of sendfuse's own have in common.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderName, HeaderValue};

/// Graph's own content type.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");

/// What Meta has said, and where: `131031; source=webhook`.
pub(super) const REASON: HeaderName = HeaderName::from_static("x-sendfuse-reason");
/// Seconds.
pub(super) const NEXT_CHECK: HeaderName = HeaderName::from_static("x-sendfuse-next-check");
/// RFC 9209.
pub(super) const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// Names requests that are answered here: a random beginning for each process, then a count.
pub(super) struct RequestIds {
    process: u32,
    count: AtomicU64,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        // Without randomness the names of two processes may meet, and nothing worse.
        Self { process: getrandom::u32().unwrap_or_default(), count: AtomicU64::new(0) }
    }

    pub(super) fn next(&self) -> String {
        format!("{:08x}-{:x}", self.process, self.count.fetch_add(1, Ordering::Relaxed))
    }
}
