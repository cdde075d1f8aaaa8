//! When a wait is over, whatever the clock has done.

use std::time::Duration;

use super::super::policy::Policy;
use crate::time::Timestamp;

/// Clocks are set by less than this in the ordinary course of things. Such a step lengthens a wait by itself; taken for a
/// clock that was set back, it would end the wait.
const CLOCK_STEP: Duration = Duration::from_secs(2);

pub(super) fn longest_wait(policy: &Policy) -> Duration {
    policy.probe_max_interval.max(policy.min_open)
}

/// Whether a deadline is over. One that lies further ahead than it could ever have been set was set by a clock that has
/// gone back since, and is over too.
pub(super) fn is_over(deadline: Timestamp, longest: Duration, now: Timestamp) -> bool {
    now >= deadline || deadline.since(now) > longest.saturating_add(CLOCK_STEP)
}

pub(super) fn soonest(deadline: Timestamp, longest: Duration, now: Timestamp) -> Timestamp {
    if is_over(deadline, longest, now) { now } else { deadline }
}
