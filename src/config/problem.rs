//! What is wrong with a configuration: every mistake, each with its place, its value and the rule that it breaks.

use std::fmt;

/// The most characters of a value, or of a key that nobody knows, that are shown.
const SHOWN: usize = 80;

/// One mistake. It never holds a secret's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is: a key's full path, a variable's name, or the file with line and column.
    pub at: String,
    /// The offending value as it was written, shortened; `None` if there is none to show, or it may be a secret.
    pub value: Option<String>,
    /// The rule.
    pub rule: String,
}

impl Problem {
    pub(super) fn new(at: impl Into<String>, value: Option<String>, rule: impl Into<String>) -> Self {
        Self { at: at.into(), value: value.as_deref().map(shorten), rule: rule.into() }
    }
}

/// `breaker.min_open = "60": a duration is …`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.at)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        write!(f, ": {}", self.rule)
    }
}

/// All the mistakes of one configuration, at least one. Displayed one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl FromIterator<Problem> for Problems {
    fn from_iter<I: IntoIterator<Item = Problem>>(problems: I) -> Self {
        Self(problems.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The head of a text, if it is too long to show; on one line.
pub(super) fn shorten(text: &str) -> String {
    let head: String = text.chars().take(SHOWN).collect();
    let more = if head.len() < text.len() { "…" } else { "" };
    format!("{}{more}", head.replace(char::is_control, " "))
}

/// The end of a rule that says which of `known` was probably meant by `unknown`, if one is near. `separator` is what
/// stands between the names of a path.
pub(super) fn did_you_mean<'a>(
    unknown: &str,
    separator: &str,
    known: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let last = |path: &'a str| path.rsplit(separator).next();
    known
        .map(|path| {
            // The right key in the wrong section is as good as no slip at all.
            let moved = last(path) == unknown.rsplit(separator).next();
            (if moved { 0 } else { strsim::damerau_levenshtein(unknown, path) }, path)
        })
        .min()
        .filter(|(slips, _)| *slips <= (unknown.len() / 6).clamp(1, 3))
        .map(|(_, path)| format!("; did you mean {path}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_one_line() {
        let with = Problem::new("breaker.min_open", Some("\"60\"".to_owned()), "needs a unit");
        let without = Problem::new("admin.token", None, "is empty");
        assert_eq!(with.to_string(), "breaker.min_open = \"60\": needs a unit");
        assert_eq!(
            Problems(vec![with, without]).to_string(),
            "breaker.min_open = \"60\": needs a unit\nadmin.token: is empty"
        );
    }

    #[test]
    fn a_value_is_shown_on_one_line_and_shortened_between_characters() {
        let long = "é".repeat(200);
        assert_eq!(shorten(&long), format!("{}…", "é".repeat(80)));
        assert_eq!(shorten("é\n\u{1b}[1m"), "é  [1m");
    }

    #[test]
    fn the_nearest_name_is_suggested() {
        let known = ["breaker.min_open", "probe.interval", "probe.max_interval", "mode"];
        let ask = |unknown| did_you_mean(unknown, ".", known.into_iter());
        assert_eq!(ask("breaker.min_opn").as_deref(), Some("; did you mean breaker.min_open?"));
        assert_eq!(ask("braeker.min_open").as_deref(), Some("; did you mean breaker.min_open?"));
        assert_eq!(ask("probe.min_open").as_deref(), Some("; did you mean breaker.min_open?"));
        assert_eq!(ask("moed").as_deref(), Some("; did you mean mode?"));
        assert_eq!(ask("completely.else"), None);
    }
}
