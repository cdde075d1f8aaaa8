//! The hourly budget of probes.
//!
//! Meta counts probes against a quota of an hour (at least 200 for each app and WABA), and apps spend from the same
//! quota. So this is a sliding window, exact: no sixty minutes ever hold more probes than the budget. A token bucket would
//! let nearly twice as many through after a quiet hour.
//!
//! Watching, and asking whether a refused token is good again, may use half of it: apps can make up tokens, and neither may ever take
//! the last probe from a locked number that waits for its recovery.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const HOUR: Duration = Duration::from_hours(1);

/// What of an hour's budget may be spent on watching.
pub const fn watching_share(per_hour: u32) -> u32 {
    per_hour / 2
}

/// What was spent in the last hour. Holds an instant for each probe of that hour, and another if it was to watch. Time is
/// monotonic and an argument.
#[derive(Debug, Default)]
pub(super) struct Budget {
    spent: VecDeque<Instant>,
    /// Of it, what those spent that can wait.
    watching: VecDeque<Instant>,
}

impl Budget {
    /// Spends one probe, if fewer than `per_hour` were spent in the hour before `now`, and if it can wait, fewer than its share on
    /// such. The limit is an argument, because it may change between two calls.
    pub(super) fn try_take(&mut self, can_wait: bool, per_hour: u32, now: Instant) -> bool {
        for spent in [&mut self.spent, &mut self.watching] {
            while spent.front().is_some_and(|then| now.saturating_duration_since(*then) >= HOUR) {
                spent.pop_front();
            }
        }
        let affordable = is_below(&self.spent, per_hour)
            && (!can_wait || is_below(&self.watching, watching_share(per_hour)));
        if affordable {
            self.spent.push_back(now);
            self.watching.extend(can_wait.then_some(now));
        }
        affordable
    }
}

fn is_below(spent: &VecDeque<Instant>, limit: u32) -> bool {
    usize::try_from(limit).is_ok_and(|limit| spent.len() < limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);
    const RECOVERY: bool = false;
    const ORDER: bool = false;
    const WATCH: bool = true;

    #[test]
    fn no_hour_holds_more_than_the_budget() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        let minutes = (0..600).map(|minute| start + MINUTE * minute);
        let granted: Vec<_> = minutes.filter(|now| budget.try_take(RECOVERY, 7, *now)).collect();
        for window in granted.windows(8) {
            assert!(window[7] - window[0] >= HOUR);
        }
        assert_eq!(granted.len(), 70, "and every hour may use all of it");
    }

    #[test]
    fn a_burst_is_paid_back_an_hour_later() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        assert!(budget.try_take(RECOVERY, 2, start) && budget.try_take(RECOVERY, 2, start + MINUTE));
        assert!(!budget.try_take(RECOVERY, 2, start + HOUR - Duration::from_millis(1)));
        assert!(budget.try_take(RECOVERY, 2, start + HOUR));
        assert!(!budget.try_take(RECOVERY, 2, start + HOUR));
        assert!(budget.try_take(RECOVERY, 2, start + HOUR + MINUTE));
    }

    #[test]
    fn the_limit_may_change() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        assert!(!budget.try_take(RECOVERY, 0, now));
        assert!(budget.try_take(RECOVERY, 1, now));
        assert!(!budget.try_take(RECOVERY, 1, now));
        assert!(budget.try_take(RECOVERY, 2, now));
        assert!(!budget.try_take(RECOVERY, 1, now));
    }

    #[test]
    fn watching_has_half_and_takes_nothing_from_the_other_half() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        let taken =
            |budget: &mut Budget, purpose, now| (0..20).filter(|_| budget.try_take(purpose, 9, now)).count();
        assert_eq!(taken(&mut budget, WATCH, start), 4);
        assert_eq!(taken(&mut budget, RECOVERY, start + MINUTE), 5);
        assert_eq!(taken(&mut budget, WATCH, start + HOUR - MINUTE), 0);
        // What recovery has not left, watching has not.
        assert_eq!(taken(&mut budget, ORDER, start + HOUR), 4);
        assert_eq!(taken(&mut budget, WATCH, start + HOUR), 0);
        assert_eq!(taken(&mut budget, WATCH, start + HOUR + MINUTE), 4, "its own half is all that it gets");
        assert_eq!(taken(&mut budget, RECOVERY, start + HOUR + MINUTE), 1);
        assert!(!Budget::default().try_take(WATCH, 1, start), "there is no half of one");
    }
}
