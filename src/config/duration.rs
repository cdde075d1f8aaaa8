//! Durations as people write them here: whole numbers, each with its unit.

use std::time::Duration;

/// The longest duration that is taken: a year. It leaves room to add any of them to any time.
pub const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// The units, the longest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Not a duration. Says the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedDuration {
    /// A number without a unit, a unit without a number, a unit that is none of ours, a sign, a fraction, a space.
    #[error("a duration is a whole number and its unit, ms, s, m, h or d, as in \"90s\" or \"1h30m\"")]
    Form,
    /// Longer than [`LONGEST`].
    #[error("a duration is at most 365d")]
    TooLong,
}

/// Reads `90s`, `250ms`, `1h30m`. A bare number is refused: nobody can tell what it means.
pub fn parse(text: &str) -> Result<Duration, MalformedDuration> {
    let mut rest = text;
    let mut total: u64 = 0;
    if rest.is_empty() {
        return Err(MalformedDuration::Form);
    }
    while !rest.is_empty() {
        let (digits, tail) = split(rest, |c| c.is_ascii_digit());
        let (unit, tail) = split(tail, |c| c.is_ascii_alphabetic());
        let (_, millis) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or(MalformedDuration::Form)?;
        if digits.is_empty() {
            return Err(MalformedDuration::Form);
        }
        // All digits, so the only way to fail is to be too large.
        let number: u64 = digits.parse().map_err(|_| MalformedDuration::TooLong)?;
        total = number
            .checked_mul(millis)
            .and_then(|part| total.checked_add(part))
            .ok_or(MalformedDuration::TooLong)?;
        rest = tail;
    }
    let duration = Duration::from_millis(total);
    if duration > LONGEST { Err(MalformedDuration::TooLong) } else { Ok(duration) }
}

/// Writes a duration in the largest unit that leaves no remainder: `90s`, `2m`, `250ms`. [`parse`] reads it back.
pub fn show(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    UNITS
        .into_iter()
        .find(|(_, size)| millis.is_multiple_of(u128::from(*size)))
        .map_or_else(|| format!("{millis}ms"), |(unit, size)| format!("{}{unit}", millis / u128::from(size)))
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_numbers_with_units() {
        for (text, millis, shown) in [
            ("250ms", 250, "250ms"),
            ("90s", 90_000, "90s"),
            ("60s", 60_000, "1m"),
            ("2m", 120_000, "2m"),
            ("1h30m", 5_400_000, "90m"),
            ("365d", 31_536_000_000, "365d"),
            ("0s", 0, "0s"),
        ] {
            let duration = parse(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(show(duration), shown);
            assert_eq!(parse(shown), Ok(duration));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        use MalformedDuration::{Form, TooLong};
        for (text, why) in [
            ("", Form),
            ("60", Form),
            ("s", Form),
            ("-1s", Form),
            ("1.5s", Form),
            ("60 s", Form),
            ("60S", Form),
            ("1w", Form),
            ("10us", Form),
            ("1h30", Form),
            ("٣s", Form),
            ("366d", TooLong),
            ("99999999999999999999d", TooLong),
            ("18446744073709551615ms1d", TooLong),
            ("18446744073709551615d", TooLong),
        ] {
            assert_eq!(parse(text), Err(why), "{text:?}");
        }
    }
}
