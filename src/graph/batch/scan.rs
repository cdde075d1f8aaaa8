//! Where the items of a JSON array or object stand in its text, to the byte.
//!
//! What is kept of a batch must stay as it came, so its text is cut and never written anew. The scan knows strings and brackets
//! only; whether an item is JSON is for its reader to say.

use std::ops::Range;

/// The items between the brackets, one after the other, without the whitespace around them.
///
/// It ends at the closing bracket, and at the end of a text that breaks off: then the item that is not whole is not told.
pub(super) struct Items<'t> {
    text: &'t [u8],
    at: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Opened,
    Between,
    /// The closing bracket was there.
    Closed,
    Broken,
}

impl<'t> Items<'t> {
    /// `None`: the text does not begin with this bracket.
    pub(super) fn of(text: &'t [u8], bracket: u8) -> Option<Self> {
        let bom = if text.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        let at = bom + whitespace(text.get(bom..)?);
        (text.get(at) == Some(&bracket)).then_some(Self { text, at: at + 1, state: State::Opened })
    }

    /// Whether all items were told, and nothing but whitespace follows the bracket that closes them.
    pub(super) fn is_whole(&self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.state == State::Closed && whitespace(rest) == rest.len()
    }
}

impl Iterator for Items<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        if matches!(self.state, State::Closed | State::Broken) {
            return None;
        }
        let rest = self.text.get(self.at..)?;
        let Some(length) = length(rest) else {
            self.state = State::Broken;
            return None;
        };
        let item = rest.get(..length)?;
        let from = self.at + whitespace(item);
        let item = self.at..self.at + item.trim_ascii_end().len();
        let ends = rest.get(length) != Some(&b',');
        let is_empty = ends && self.state == State::Opened && item.end <= from;
        self.state = if ends { State::Closed } else { State::Between };
        self.at += length + 1;
        (!is_empty).then_some(from.min(item.end)..item.end)
    }
}

fn whitespace(text: &[u8]) -> usize {
    text.len() - text.trim_ascii_start().len()
}

/// How far it is to the comma or the bracket that ends the item. `None`: it does not end.
fn length(text: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0_usize, 0_usize);
    loop {
        match text.get(at)? {
            b'"' => at = after_string(text, at)?,
            b'[' | b'{' => (at, depth) = (at + 1, depth + 1),
            b']' | b'}' if depth > 0 => (at, depth) = (at + 1, depth - 1),
            b',' | b']' | b'}' if depth == 0 => return Some(at),
            _ => at += 1,
        }
    }
}

/// Where the string that begins at `at` has ended.
fn after_string(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The name and the value of a member of an object, both as they stand there.
pub(super) fn member(text: &[u8], member: Range<usize>) -> Option<(&[u8], Range<usize>)> {
    let bytes = text.get(member.clone())?;
    let name = bytes.get(..after_string(bytes, 0).filter(|_| bytes.starts_with(b"\""))?)?;
    let colon = name.len() + whitespace(bytes.get(name.len()..)?);
    let value = bytes.get(colon..)?.strip_prefix(b":")?;
    let from = member.end - value.len() + whitespace(value);
    Some((name, from..member.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> (Vec<&str>, bool) {
        let mut items = Items::of(text.as_bytes(), b'[').unwrap();
        let told = items.by_ref().map(|range| &text[range]).collect();
        (told, items.is_whole())
    }

    #[test]
    fn items_are_told_as_they_stand_there() {
        for (text, expected) in [
            ("[]", &[][..]),
            (" [ ] ", &[]),
            ("[1]", &["1"]),
            (
                "[ {\"a\": [1, 2]} ,\n\"x,]\\\"\\\\\", null ]\n",
                &["{\"a\": [1, 2]}", "\"x,]\\\"\\\\\"", "null"],
            ),
            ("\u{FEFF}[1,2]", &["1", "2"]),
            ("[1,]", &["1", ""]),
            ("[,]", &["", ""]),
        ] {
            assert_eq!(items(text), (expected.to_vec(), true), "{text}");
        }
    }

    #[test]
    fn what_breaks_off_is_told_as_far_as_it_goes() {
        for (text, expected) in [
            ("[", &[][..]),
            ("[1", &[]),
            ("[1,", &["1"]),
            ("[{\"a\":1},{\"b\":", &["{\"a\":1}"]),
            ("[\"x\\", &[]),
            ("[1] 2", &["1"]),
        ] {
            assert_eq!(items(text), (expected.to_vec(), false), "{text}");
        }
        assert!(Items::of(b"{}", b'[').is_none());
        assert!(Items::of(b"", b'[').is_none());
    }

    #[test]
    fn members_have_names_and_values() {
        let text = br#"{"a\"" : [1] , "b":2}"#;
        let members: Vec<_> =
            Items::of(text, b'{').unwrap().map(|range| member(text, range).unwrap()).collect();
        let [(a, one), (b, two)] = &members[..] else { panic!("{members:?}") };
        assert_eq!((*a, &text[one.clone()]), (&br#""a\"""#[..], &b"[1]"[..]));
        assert_eq!((*b, &text[two.clone()]), (&br#""b""#[..], &b"2"[..]));
        assert_eq!(member(b"x:1", 0..3), None);
        assert_eq!(member(b"\"x\" 1", 0..5), None);
    }
}
