//! Short texts that live where they stand: a million of them must not be a million allocations.

use std::fmt;
use std::num::NonZeroU8;

/// A text of 1 to `N` bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Inline<const N: usize> {
    /// Never zero, so that an `Option` of this costs nothing more.
    len: NonZeroU8,
    bytes: [u8; N],
}

impl<const N: usize> Inline<N> {
    /// `None`: the text is empty, or does not fit. Half an id would name something else, so nothing is cut.
    pub fn new(text: &str) -> Option<Self> {
        let len = NonZeroU8::new(u8::try_from(text.len()).ok()?)?;
        let mut bytes = [0; N];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self { len, bytes })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        let text = self.bytes.get(..usize::from(self.len.get())).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Debug for Inline<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_kept_whole_and_what_does_not_is_not_kept() {
        for text in ["x", "…5334", "12345678"] {
            assert_eq!(Inline::<8>::new(text).unwrap().as_str(), text);
        }
        for text in ["", "123456789", "…äöü", &"x".repeat(264)] {
            assert_eq!(Inline::<8>::new(text), None, "{text}");
        }
        assert_eq!(size_of::<Option<Inline<8>>>(), 9);
    }
}
