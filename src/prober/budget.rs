//! The hourly budget of probes.
//!
//! Meta counts probes against a quota of an hour (at least 200 for each app and WABA), and apps spend from the same
//! quota. So this is a sliding window, exact: no sixty minutes ever hold more probes than the budget. A token bucket would
//! let nearly twice as many through after a quiet hour.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const HOUR: Duration = Duration::from_hours(1);

/// What was spent in the last hour. Holds one instant for each probe of that hour. Time is monotonic and an argument.
#[derive(Debug, Default)]
pub(super) struct Budget {
    spent: VecDeque<Instant>,
}

impl Budget {
    /// Spends one probe, if fewer than `per_hour` were spent in the hour before `now`. The limit is an argument, because it
    /// may change between two calls.
    pub(super) fn try_take(&mut self, per_hour: u32, now: Instant) -> bool {
        while self.spent.front().is_some_and(|then| now.saturating_duration_since(*then) >= HOUR) {
            self.spent.pop_front();
        }
        let affordable = usize::try_from(per_hour).is_ok_and(|limit| self.spent.len() < limit);
        if affordable {
            self.spent.push_back(now);
        }
        affordable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn no_hour_holds_more_than_the_budget() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        let granted: Vec<_> =
            (0..600).map(|minute| start + MINUTE * minute).filter(|now| budget.try_take(7, *now)).collect();
        for window in granted.windows(8) {
            assert!(window[7] - window[0] >= HOUR);
        }
        assert_eq!(granted.len(), 70, "and every hour may use all of it");
    }

    #[test]
    fn a_burst_is_paid_back_an_hour_later() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        assert!(budget.try_take(2, start) && budget.try_take(2, start + MINUTE));
        assert!(!budget.try_take(2, start + HOUR - Duration::from_millis(1)));
        assert!(budget.try_take(2, start + HOUR));
        assert!(!budget.try_take(2, start + HOUR));
        assert!(budget.try_take(2, start + HOUR + MINUTE));
    }

    #[test]
    fn the_limit_may_change() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        assert!(!budget.try_take(0, now));
        assert!(budget.try_take(1, now));
        assert!(!budget.try_take(1, now));
        assert!(budget.try_take(2, now));
        assert!(!budget.try_take(1, now));
    }
}
