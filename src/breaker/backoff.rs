//! When the next probe is due.

use std::time::Duration;

/// The share of a wait that jitter may take off, in thousandths. It only shortens: no wait is longer than `longest`.
const JITTER_PERMILLE: u64 = 200;

/// A random number as an argument: uniform over all of `u64`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Jitter(pub u64);

/// The wait after `attempt` waits that ended in no clear probe: `first`, doubled for each, up to `longest`, less up to a fifth.
pub fn wait(attempt: u32, first: Duration, longest: Duration, jitter: Jitter) -> Duration {
    let doubled = first.saturating_mul(1_u32.checked_shl(attempt).unwrap_or(u32::MAX));
    let wait = doubled.min(longest);
    let off = wait.as_millis().saturating_mul(u128::from(jitter.0 % (JITTER_PERMILLE + 1))) / 1000;
    wait.saturating_sub(Duration::from_millis(u64::try_from(off).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(30);
    const LONGEST: Duration = Duration::from_secs(900);

    #[test]
    fn doubles_up_to_the_longest() {
        let waits: Vec<u64> =
            (0..8).map(|attempt| wait(attempt, FIRST, LONGEST, Jitter(0)).as_secs()).collect();
        assert_eq!(waits, [30, 60, 120, 240, 480, 900, 900, 900]);
        assert_eq!(wait(u32::MAX, FIRST, LONGEST, Jitter(0)), LONGEST);
        assert_eq!(wait(31, Duration::MAX, Duration::MAX, Jitter(0)), Duration::MAX);
    }

    #[test]
    fn jitter_takes_off_a_fifth_at_most_and_spreads() {
        for jitter in [0, 1, 77, 200, u64::MAX] {
            let waited = wait(1, FIRST, LONGEST, Jitter(jitter));
            assert!(waited <= Duration::from_secs(60) && waited >= Duration::from_secs(48), "{waited:?}");
        }
        assert_ne!(wait(1, FIRST, LONGEST, Jitter(3)), wait(1, FIRST, LONGEST, Jitter(190)));
    }
}
