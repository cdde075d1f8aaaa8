//! The numbers that a breaker goes by.

use std::time::Duration;

/// How a breaker trips, waits and recovers. Made from a checked configuration; the machine trusts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Distinct pieces of evidence that open a closed breaker; at least 1.
    pub trip_after: u32,
    /// The least time in `open`, however clear the health.
    pub min_open: Duration,
    /// Whether a clear probe leads to trials (`true`) or closes at once.
    pub half_open: bool,
    /// Confirmed trials that close; at least 1.
    pub trials_to_close: u32,
    /// The lease of a trial: after it the next send may be the next trial.
    pub trial_timeout: Duration,
    /// What to do where no webhook ever came, so that no trial can be confirmed.
    pub no_webhooks: NoWebhooks,
    /// How long an accepted trial must go without failure, where no webhook ever came.
    pub trial_grace: Duration,
    /// How far Meta's clock may be from ours.
    pub skew: Duration,
    /// The first wait between probes.
    pub probe_interval: Duration,
    /// The longest wait between probes.
    pub probe_max_interval: Duration,
    /// The lease of a probe: after it, its outcome is *unknown*.
    pub probe_lease: Duration,
}

/// A breaker that was closed for this many of the longest probe waits starts its back-off anew.
const GOOD_WHILE: u32 = 4;

impl Policy {
    /// How long a breaker must have been closed for a trip to be a new trouble, and not the old one again.
    pub const fn good_while(&self) -> Duration {
        self.probe_max_interval.saturating_mul(GOOD_WHILE)
    }
}

/// See [`Policy::no_webhooks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoWebhooks {
    /// Take an accepted trial without failure for a confirmed one.
    Close,
    /// Stay half-open until a status comes or an operator resets.
    Hold,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            trip_after: 1,
            min_open: Duration::from_secs(60),
            half_open: true,
            trials_to_close: 1,
            trial_timeout: Duration::from_secs(120),
            no_webhooks: NoWebhooks::Close,
            trial_grace: Duration::from_secs(60),
            skew: Duration::from_secs(2),
            probe_interval: Duration::from_secs(30),
            probe_max_interval: Duration::from_secs(900),
            probe_lease: Duration::from_secs(15),
        }
    }
}
