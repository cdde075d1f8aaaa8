//! How long an order holds: a number and its unit.

use std::time::Duration;

/// Ten years. An order without an end has no `for` at all.
const LONGEST: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// What [`parse_hold`] takes, in words.
pub(crate) const HOLD_RULE: &str =
    "a whole number with its unit, ms, s, m, h or d, such as 2h; more than nothing and at most 3650d";

/// Reads `90s`, `2h`, `7d`. None if it is anything else than [`HOLD_RULE`] says.
pub(crate) fn parse_hold(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.find(|c: char| !c.is_ascii_digit())?)?;
    let number: u64 = number.parse().ok()?;
    let millis_each = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let hold = Duration::from_millis(number.checked_mul(millis_each)?);
    (!hold.is_zero() && hold <= LONGEST).then_some(hold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_a_number_and_a_unit() {
        for (text, seconds) in
            [("1500ms", 1.5), ("90s", 90.0), ("5m", 300.0), ("2h", 7200.0), ("3650d", 315_360_000.0)]
        {
            assert_eq!(parse_hold(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for bad in [
            "",
            "2",
            "h",
            "0s",
            "-2h",
            "+2h",
            "2 h",
            "2H",
            "2h30m",
            "1.5h",
            "2w",
            "3651d",
            "99999999999999999999s",
        ] {
            assert_eq!(parse_hold(bad), None, "{bad:?}");
        }
    }
}
