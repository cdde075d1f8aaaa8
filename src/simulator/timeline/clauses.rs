//! What belongs to a step, after commas: `option value`, or an option alone.

use super::parse::Wrong;

/// The clauses of a step that nobody has taken yet.
pub(super) struct Clauses<'a> {
    text: &'a str,
    left: Vec<&'a str>,
    rule: &'static str,
}

impl<'a> Clauses<'a> {
    /// The first clause, and the others.
    pub(super) fn read(text: &'a str, rule: &'static str) -> (&'a str, Self) {
        let mut left = text.split(',').map(str::trim);
        let first = left.next().unwrap_or_default();
        (first, Self { text, left: left.collect(), rule })
    }

    /// What follows the words of an option, if it is there.
    pub(super) fn take(&mut self, option: &str) -> Option<&'a str> {
        let value = |clause: &'a str| {
            let rest = clause.strip_prefix(option)?;
            rest.starts_with(char::is_whitespace).then(|| rest.trim())
        };
        let (at, value) = self.left.iter().enumerate().find_map(|(at, clause)| Some((at, value(clause)?)))?;
        self.left.remove(at);
        Some(value)
    }

    /// As [`Self::take`], of an option that has to be there.
    pub(super) fn needed(&mut self, option: &str) -> Result<&'a str, Wrong> {
        self.take(option).ok_or_else(|| (self.text.to_owned(), self.rule))
    }

    /// As [`Self::take`], and what its value means.
    pub(super) fn read_as<T>(
        &mut self,
        option: &str,
        meaning: impl FnOnce(&'a str) -> Result<T, Wrong>,
    ) -> Result<Option<T>, Wrong> {
        self.take(option).map(meaning).transpose()
    }

    /// Whether an option is there that has no value.
    pub(super) fn flag(&mut self, option: &str) -> bool {
        let at = self.left.iter().position(|clause| *clause == option);
        at.map(|at| self.left.remove(at)).is_some()
    }

    /// Errors: a clause that nobody has taken, or that was there before.
    pub(super) fn finish(self) -> Result<(), Wrong> {
        self.left.first().map_or(Ok(()), |clause| Err(((*clause).to_owned(), self.rule)))
    }
}
