//! Lines, names, times: the frame of a timeline.

use std::collections::BTreeMap;
use std::time::Duration;

use super::steps;
use super::{Moment, Phones, Timeline, TimelineError};

/// What is wrong, and the rule.
pub(in crate::simulator) type Wrong = (String, &'static str);

const LINE: &str = "a line is `at TIME STEP`, `phones NAME = IDS` or a comment";
const TIME: &str = "a time is a duration from the start, as in 5s or 1m30s";
const WHO: &str =
    "phones are a number id, a range as 206540352242000..206540352242008, or a name that a line above gives";
const NAME: &str =
    "a name begins with a letter, goes on with letters, digits and _, is given once, and is not `all`";
const IDS: &str =
    "a phone number id is 1 to 20 digits; a range goes up, by at most 10000, between ids of the same length";
/// The most phones in a range.
const MOST: u64 = 10_000;

pub(super) fn parse(text: &str) -> Result<Timeline, TimelineError> {
    let mut timeline = Timeline { phones: BTreeMap::new(), moments: Vec::new() };
    for (number, line) in text.lines().enumerate() {
        let line = without_comment(line).trim();
        if !line.is_empty() {
            read(line, &mut timeline).map_err(|(what, rule)| TimelineError {
                line: number + 1,
                what,
                rule,
            })?;
        }
    }
    Ok(timeline)
}

/// A line up to its comment. A `#` within a word begins none: `(#131031)`.
fn without_comment(line: &str) -> &str {
    let begins =
        |at: usize| line.get(..at).is_none_or(|before| before.is_empty() || before.ends_with([' ', '\t']));
    let comment = line.match_indices('#').map(|(at, _)| at).find(|at| begins(*at));
    comment.and_then(|at| line.get(..at)).unwrap_or(line)
}

fn read(line: &str, timeline: &mut Timeline) -> Result<(), Wrong> {
    match word(line) {
        ("phones", rest) => {
            let (name, ids) = rest.split_once('=').ok_or((line.to_owned(), LINE))?;
            let name = name.trim();
            let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !name.starts_with(|c: char| c.is_ascii_alphabetic())
                || !letters
                || name == "all"
                || timeline.phones.contains_key(name)
            {
                return Err((name.to_owned(), NAME));
            }
            let ids = ids.split_whitespace().map(range).collect::<Result<Vec<_>, _>>()?.concat();
            if ids.is_empty() {
                return Err((line.to_owned(), IDS));
            }
            timeline.phones.insert(name.to_owned(), ids);
            Ok(())
        }
        ("at", rest) => {
            let (time, step) = word(rest);
            let at = duration(time).ok_or((time.to_owned(), TIME))?;
            let step = steps::read(step, timeline)?;
            match timeline.moments.last_mut() {
                Some(last) if last.at > at => {
                    return Err((time.to_owned(), "times do not go back"));
                }
                Some(last) if last.at == at => last.steps.push(step),
                _ => timeline.moments.push(Moment { at, steps: vec![step] }),
            }
            Ok(())
        }
        _ => Err((line.to_owned(), LINE)),
    }
}

/// The first word, and what follows it.
pub(super) fn word(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (first, rest.trim())
}

pub(super) fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

/// Whom a step is about.
pub(super) fn phones(text: &str, timeline: &Timeline) -> Result<Phones, Wrong> {
    if timeline.phones.contains_key(text) {
        return Ok(Phones::Named(text.to_owned()));
    }
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return Err((text.to_owned(), WHO));
    }
    range(text).map(Phones::Ids)
}

/// One id, or all from one to another.
pub(in crate::simulator) fn range(text: &str) -> Result<Vec<String>, Wrong> {
    let wrong = || (text.to_owned(), IDS);
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let digits = |id: &str| (1..=20).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit());
    if !digits(first) || !digits(last) || first.len() != last.len() {
        return Err(wrong());
    }
    if first == last {
        return Ok(vec![first.to_owned()]);
    }
    let number = |id: &str| id.parse::<u64>().map_err(|_| wrong());
    let (from, to, width) = (number(first)?, number(last)?, first.len());
    if to.checked_sub(from).is_none_or(|more| more >= MOST) {
        return Err(wrong());
    }
    Ok((from..=to).map(|id| format!("{id:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ranges_and_comments() {
        let text = "# what it is\n\nphones some = 1 07..10\t# four\n at 1s unlock some\nat 1s unlock 3..4 #x\nat 2m unlock 5";
        let timeline = Timeline::parse(text).unwrap();
        assert_eq!(timeline.phones("some"), ["1", "07", "08", "09", "10"]);
        assert_eq!(timeline.phones("none"), [""; 0]);
        let steps: Vec<usize> = timeline.moments.iter().map(|moment| moment.steps.len()).collect();
        assert_eq!((steps, timeline.length()), (vec![2, 1], Duration::from_secs(120)));
        assert_eq!(Timeline::parse("").unwrap().length(), Duration::ZERO);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_rule() {
        for (line, what, rule) in [
            ("then 5s unlock 1", "then 5s unlock 1", LINE),
            ("phones some", "phones some", LINE),
            ("at soon unlock 1", "soon", TIME),
            ("at 5 unlock 1", "5", TIME),
            ("at", "", TIME),
            ("at 1s unlock 1", "1s", "times do not go back"),
            ("at 5s unlock some", "some", WHO),
            ("at 5s unlock", "", WHO),
            ("at 5s unlock 1..", "1..", IDS),
            ("at 5s unlock 1x", "1x", IDS),
            ("at 5s unlock 9..1", "9..1", IDS),
            ("at 5s unlock 9..10", "9..10", IDS),
            ("at 5s unlock 10000..20000", "10000..20000", IDS),
            ("at 5s unlock 123456789012345678901", "123456789012345678901", IDS),
            ("phones x = 1 y", "y", IDS),
            ("phones x =", "phones x =", IDS),
            ("phones all = 1", "all", NAME),
            ("phones 1 = 1", "1", NAME),
            ("phones a-b = 1", "a-b", NAME),
            ("phones given = 2", "given", NAME),
        ] {
            let error =
                Timeline::parse(&format!("phones given = 1\nat 2s unlock given\n{line}")).unwrap_err();
            assert_eq!(error, TimelineError { line: 3, what: what.into(), rule }, "{line}");
        }
        let error = Timeline::parse("at 1s unlock x").unwrap_err().to_string();
        assert_eq!(error, format!("line 1: `x`: {WHO}"));
    }
}
