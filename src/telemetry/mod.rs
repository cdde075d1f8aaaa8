//! Metrics and log lines: one type for each event, which is its line in the log *and* what it counts.
//!
//! Every [`Telemetry`] has a registry of its own, so two of them in one process do not meet. All counters are resolved when it
//! is made: to count is to add to one atomic. What is a property of the breakers and not an event (their states, deaf phones)
//! is handed in when a scrape asks for it.

mod codes;
pub mod events;
mod families;
pub mod labels;
pub mod logs;
mod metrics;
mod render;

use std::fmt;
use std::sync::Arc;

use events::Event;
use metrics::Metrics;
pub use render::{CONTENT_TYPE, Scrape};

/// All metrics of one sendfuse. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Telemetry(Arc<Metrics>);

impl Telemetry {
    /// All at zero; the store is taken to be up until an event says otherwise.
    pub fn new() -> Self {
        Self(Arc::new(Metrics::new()))
    }

    /// Counts an event, and logs it if its kind is logged. Never blocks, never fails.
    pub fn emit(&self, event: impl Event) {
        event.record(&self.0);
    }

    /// All metrics in Prometheus' text format, to be served as [`CONTENT_TYPE`].
    pub fn render(&self, scrape: &Scrape) -> String {
        render::render(&self.0, scrape)
    }
}

#[cfg(test)]
impl Telemetry {
    /// How much evidence was late news, for tests that ask thousands of times.
    pub(crate) fn stale_evidence(&self) -> u64 {
        self.0.stale_evidence.get()
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Telemetry")
    }
}

#[cfg(test)]
mod tests;
