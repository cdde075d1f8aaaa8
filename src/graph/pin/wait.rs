//! How long Meta wants no PIN. It documents that the details of 133008 say so, but not in which words, and no figure.

use std::time::Duration;

/// Where nothing is said, after too many PINs: long enough that one more try an hour costs little, if each one prolongs it.
pub(super) const TOO_OFTEN: Duration = Duration::from_secs(3600);

/// Where nothing is said, after PINs that came too fast.
pub(super) const TOO_FAST: Duration = Duration::from_secs(60);

/// No stated wait is believed beyond this: the longest that anybody has told of.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// The wait that a sentence states: `90 seconds`, `5 minutes`, `1 hour and 30 minutes`, `12h`, `7 days`. Of several that stand
/// apart the longest, for a sentence may also name the time within which too many were tried. Nothing, or zero: none.
pub(super) fn stated(sentence: &str) -> Option<Duration> {
    let (mut longest, mut sum) = (Duration::ZERO, Duration::ZERO);
    let mut number = None;
    for word in words(sentence) {
        if let Ok(value) = word.parse::<u64>() {
            number = Some(value);
        } else if let Some(unit) = unit(word).filter(|_| number.is_some()) {
            let seconds = unit.saturating_mul(number.take().unwrap_or_default());
            sum = sum.saturating_add(Duration::from_secs(seconds));
            longest = longest.max(sum);
        } else {
            number = None;
            if word != "and" {
                sum = Duration::ZERO;
            }
        }
    }
    (!longest.is_zero()).then_some(longest.min(LONGEST))
}

/// The runs of digits and the runs of letters.
fn words(sentence: &str) -> impl Iterator<Item = &str> {
    let kinds = sentence.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|run| !run.is_empty());
    kinds.flat_map(|run| {
        // `12h` is two, and `h12x` none that means anything.
        let digits = run.bytes().take_while(u8::is_ascii_digit).count();
        let (number, letters) = run.split_at_checked(digits).unwrap_or((run, ""));
        [number, letters].into_iter().filter(|word| !word.is_empty())
    })
}

/// The seconds of a unit.
fn unit(word: &str) -> Option<u64> {
    let is_one_of = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(word));
    match () {
        () if is_one_of(&["s", "sec", "secs", "second", "seconds"]) => Some(1),
        () if is_one_of(&["m", "min", "mins", "minute", "minutes"]) => Some(60),
        () if is_one_of(&["h", "hr", "hrs", "hour", "hours"]) => Some(3600),
        () if is_one_of(&["d", "day", "days"]) => Some(24 * 3600),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_from_prose() {
        for (sentence, seconds) in [
            ("Try again in 3412 seconds.", Some(3412)),
            ("Please wait 5 minutes", Some(300)),
            ("Too many attempts; retry after 1 hour and 30 minutes.", Some(5400)),
            ("wait 1 hour, 30 minutes", Some(5400)),
            ("12h", Some(12 * 3600)),
            ("locked for 7 Days", Some(7 * 86_400)),
            ("locked for 8 days", Some(7 * 86_400)),
            ("locked for 99999999999999999999 days", None),
            ("18446744073709551615 hours", Some(7 * 86_400)),
            ("You tried 3 times within 5 minutes. Wait 2 hours.", Some(7200)),
            ("In 24 hours 10 tries are allowed; wait 2 minutes", Some(86_400)),
            ("0 seconds", None),
            ("Wait some time.", None),
            ("guessed 3 times", None),
            ("(#133008)", None),
            ("5 of 6 digits, an hour", None),
            ("", None),
            ("10 ١ seconds", Some(10)),
        ] {
            assert_eq!(stated(sentence), seconds.map(Duration::from_secs), "{sentence}");
        }
    }
}
