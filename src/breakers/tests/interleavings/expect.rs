//! What to expect of one step of a breaker.

use super::house::{Beneath, Stand};

/// What to expect of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// No transition at all.
    Nothing,
    /// To end there.
    Must(Beneath),
    /// To stay, or to end there.
    May(Beneath),
    /// To stay, or to end in either.
    Any(Beneath, Beneath),
}

impl Expect {
    /// Fails with what was done, if it does not end as expected.
    pub(super) fn check(self, before: Stand, after: Stand, what: &str) {
        let met = match self {
            Self::Nothing => after == before,
            Self::Must(beneath) => after.beneath == beneath,
            Self::May(beneath) => {
                after == before || after.beneath == beneath || after.beneath == before.beneath
            }
            Self::Any(one, other) => {
                after == before || after.beneath == before.beneath || [one, other].contains(&after.beneath)
            }
        };
        assert!(met, "{what}: expected {self:?}, and it went from {before:?} to {after:?}");
        assert!(after.generation >= before.generation, "{what}: the generation shrank");
    }
}
