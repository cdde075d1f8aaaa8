//! How long something takes: always the same, or drawn anew each time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Simulator;

/// How long something takes: `2s`, or from a range, `200ms..30s`, of which every millisecond is as likely as any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Delay {
    least: Duration,
    most: Duration,
}

impl Delay {
    /// From `least` to `most`, both included. Written the wrong way round, they change places.
    pub fn between(least: Duration, most: Duration) -> Self {
        Self { least: least.min(most), most: least.max(most) }
    }

    pub(super) fn draw(self, simulator: &Simulator) -> Duration {
        let span = u64::try_from((self.most - self.least).as_millis()).unwrap_or(u64::MAX);
        // Where there is nothing to draw, chance is left as it is: older seeds give what they gave.
        let more = if span == 0 { 0 } else { simulator.draw() % span.saturating_add(1) };
        self.least.saturating_add(Duration::from_millis(more))
    }
}

impl From<Duration> for Delay {
    fn from(always: Duration) -> Self {
        Self { least: always, most: always }
    }
}

/// Not a delay. Says the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a delay is a duration, as in 2s, or the shortest and the longest, as in 200ms..30s")]
pub struct MalformedDelay;

impl FromStr for Delay {
    type Err = MalformedDelay;

    fn from_str(text: &str) -> Result<Self, MalformedDelay> {
        let duration = |text| humantime::parse_duration(text).map_err(|_| MalformedDelay);
        let Some((least, most)) = text.split_once("..") else { return Ok(duration(text)?.into()) };
        let (least, most) = (duration(least)?, duration(most)?);
        if least > most { Err(MalformedDelay) } else { Ok(Self { least, most }) }
    }
}

impl TryFrom<String> for Delay {
    type Error = MalformedDelay;

    fn try_from(text: String) -> Result<Self, MalformedDelay> {
        text.parse()
    }
}

impl From<Delay> for String {
    fn from(delay: Delay) -> Self {
        delay.to_string()
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.least))?;
        if self.least != self.most {
            write!(f, "..{}", humantime::format_duration(self.most))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::Options;

    #[test]
    fn a_delay_is_a_duration_or_a_range() {
        let between = |least, most| Delay::between(Duration::from_millis(least), Duration::from_millis(most));
        for (text, delay) in [
            ("2s", between(2000, 2000)),
            ("200ms..30s", between(200, 30_000)),
            ("0s..1m 30s", between(0, 90_000)),
        ] {
            assert_eq!(text.parse(), Ok(delay), "{text}");
            assert_eq!(delay.to_string(), text);
        }
        for bad in ["", "2", "..", "2s..", "..2s", "30s..2s", "-1s", "1s..2s..3s", "soon"] {
            assert_eq!(bad.parse::<Delay>(), Err(MalformedDelay), "{bad:?}");
        }
    }

    #[test]
    fn draws_spread_over_the_range_and_do_not_leave_it() {
        let (meta, at) = (Simulator::new(Options::default()), Duration::from_millis);
        let drawn: Vec<Duration> = (0..1000).map(|_| Delay::between(at(10), at(19)).draw(&meta)).collect();
        for millis in 10..=19 {
            assert!(drawn.iter().filter(|delay| **delay == at(millis)).count() > 50, "{millis}");
        }
        assert!(drawn.iter().all(|delay| (at(10)..=at(19)).contains(delay)));
        assert_eq!(Delay::between(Duration::ZERO, Duration::MAX).draw(&meta).min(at(1)), at(1));
    }
}
