//! How often a run came to what the properties are about: a generator that never gets there proves nothing.

use super::house::Beneath;
use super::witness::Cause;

/// Counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reached {
    trips: u64,
    half_opens: u64,
    reopens: u64,
    closes: u64,
    pub(super) resets: u64,
    pub(super) late: u64,
    pub(super) held_back: u64,
    pub(super) overtaken: u64,
    pub(super) forgotten: u64,
}

impl Reached {
    pub(super) fn moved(&mut self, before: Beneath, after: Beneath, cause: Cause) {
        let count = match (before, after) {
            (Beneath::Closed, Beneath::Open) => &mut self.trips,
            (Beneath::Open, Beneath::HalfOpen) => &mut self.half_opens,
            (Beneath::HalfOpen, Beneath::Open) => &mut self.reopens,
            (Beneath::HalfOpen, Beneath::Closed) if cause == Cause::Automation => &mut self.closes,
            _ => return,
        };
        *count += 1;
    }

    pub(super) fn add(&mut self, more: Self) {
        for ((_, sum), (_, more)) in self.counts().into_iter().zip({ more }.counts()) {
            *sum += *more;
        }
    }

    /// What came least often, and how often.
    pub(super) fn least(mut self) -> (&'static str, u64) {
        let [first, rest @ ..] = self.counts().map(|(name, count)| (name, *count));
        rest.into_iter().fold(first, |least, one| if one.1 < least.1 { one } else { least })
    }

    fn counts(&mut self) -> [(&'static str, &mut u64); 9] {
        [
            ("trips", &mut self.trips),
            ("half-opens", &mut self.half_opens),
            ("reopens", &mut self.reopens),
            ("closes", &mut self.closes),
            ("resets", &mut self.resets),
            ("late news", &mut self.late),
            ("sends held back", &mut self.held_back),
            ("answers that were overtaken and then decided", &mut self.overtaken),
            ("breakers forgotten after eight days", &mut self.forgotten),
        ]
    }
}
