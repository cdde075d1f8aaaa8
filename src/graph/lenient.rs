//! Reading JSON that may be odd.
//!
//! What Meta and the providers in between write is not always what Meta documents: numbers come as text, objects as text
//! or `null`, keys twice, texts with half a surrogate pair that an app once cut in two. One odd field must not hide the
//! code beside it. So an object is read field by field, and each field says what it wants: a value of another kind counts
//! as absent, an unknown field is skipped, and of a key that comes twice the last one counts unless its reader says
//! otherwise. Only what is no JSON at all is refused.
//!
//! Everything borrows from the text and streams through serde_json; depth of nesting costs no stack.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The body as text, without a byte order mark. Bytes that are no UTF-8 and escapes of half a character are replaced: they
/// are in a text that decides nothing, or the rest of the body shows that it is none of ours.
pub(super) fn text_of(body: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body));
    let halves = half_escapes(text.as_bytes());
    if halves.is_empty() {
        return text;
    }
    let mut bytes = text.into_owned().into_bytes();
    for at in halves {
        if let Some(half) = bytes.get_mut(at..at + ESCAPE.len()) {
            half.copy_from_slice(ESCAPE);
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// The escape of the replacement character.
const ESCAPE: &[u8] = b"\\ufffd";

/// Where `\ud83d` and the like stand without their other half. JSON's grammar allows them, serde_json does not.
fn half_escapes(text: &[u8]) -> Vec<usize> {
    let surrogate = |at: usize| match text.get(at..)? {
        [b'\\', b'u', b'd' | b'D', digit, ..] => match digit {
            b'8' | b'9' | b'a' | b'A' | b'b' | b'B' => Some("high"),
            b'c'..=b'f' | b'C'..=b'F' => Some("low"),
            _ => None,
        },
        _ => None,
    };
    let mut halves = Vec::new();
    let mut at = 0;
    while let Some(next) = text.get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        at += next;
        at += match (surrogate(at), surrogate(at + ESCAPE.len())) {
            (None, _) => 2,
            (Some("high"), Some("low")) => 2 * ESCAPE.len(),
            _ => {
                halves.push(at);
                ESCAPE.len()
            }
        };
    }
    halves
}

/// Reads a whole document. `None`: no JSON, or no object.
pub(super) fn document<'de, T: Object<'de>>(text: &'de str) -> Option<T> {
    serde_json::from_str::<Lenient<T>>(text).ok()?.0
}

/// At most `max` bytes of a text, cut between two characters.
pub(super) fn cut(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or_default()
}

/// What is read from a JSON object, field by field.
pub(super) trait Object<'de>: Default {
    /// Takes one field: `value` must be read or skipped. An error is one of JSON's grammar, and ends the reading.
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error>;
}

/// The value of the field at hand. Whoever takes it says what it should be.
#[must_use = "a value that is neither read nor skipped derails the reading"]
pub(super) struct Value<'m, M>(&'m mut M);

impl<'de, M: MapAccess<'de>> Value<'_, M> {
    /// Passes over it.
    pub(super) fn skip(self) -> Result<(), M::Error> {
        self.0.next_value::<IgnoredAny>().map(drop)
    }

    /// A text, or the digits of a number as they stand there.
    pub(super) fn text(self) -> Result<Option<Cow<'de, str>>, M::Error> {
        Ok(text(self.0.next_value::<&'de RawValue>()?.get()))
    }

    /// A text, or a list of texts. What is neither counts as an empty text: it is there, and says nothing.
    pub(super) fn texts(self) -> Result<Vec<Cow<'de, str>>, M::Error> {
        let raw = self.0.next_value::<&'de RawValue>()?.get();
        let list = serde_json::from_str::<Vec<&'de RawValue>>(raw);
        Ok(match list {
            Ok(list) => list.iter().map(|element| text(element.get()).unwrap_or_default()).collect(),
            Err(_) => vec![text(raw).unwrap_or_default()],
        })
    }

    /// A whole number, also as text (`"131031"`) or with a fraction of zero (`131031.0`).
    pub(super) fn integer(self) -> Result<Option<i64>, M::Error> {
        Ok(integer(self.0.next_value::<&'de RawValue>()?.get()))
    }

    /// An object.
    pub(super) fn object<T: Object<'de>>(self) -> Result<Option<T>, M::Error> {
        Ok(self.0.next_value::<Lenient<T>>()?.0)
    }

    /// An array of objects: each goes to `take` as it is read, `None` where an element is something else. Nothing is
    /// gathered here, so `take` decides what a long list costs. Says whether there was an array.
    pub(super) fn list<T: Object<'de>>(self, take: impl FnMut(Option<T>)) -> Result<bool, M::Error> {
        self.0.next_value_seed(List { take, element: PhantomData })
    }
}

/// A text, or a number's own digits.
fn text(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes() {
        [b'"', inner @ .., b'"'] if memchr::memchr(b'\\', inner).is_none() => {
            raw.get(1..raw.len() - 1).map(Cow::Borrowed)
        }
        [b'"', ..] => serde_json::from_str(raw).ok().map(Cow::Owned),
        [b'-' | b'0'..=b'9', ..] => Some(Cow::Borrowed(raw)),
        _ => None,
    }
}

fn integer(raw: &str) -> Option<i64> {
    let text = text(raw)?;
    let text = text.trim();
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole,
        _ => text,
    };
    whole.parse().ok()
}

/// An object, or `None` for anything else.
struct Lenient<T>(Option<T>);

impl<'de, T: Object<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ObjectVisitor(PhantomData)).map(Self)
    }
}

/// The parts of a visitor that take in, and forget, what is not wanted. `$nothing` is what it makes of them.
macro_rules! forget {
    ($nothing:expr) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any JSON")
        }

        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($nothing)
        }
    };
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Object<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Option<T>;

    forget!(None);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<T>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<T>, A::Error> {
        let mut object = T::default();
        while let Some(Name(name)) = map.next_key()? {
            object.field(&name, Value(&mut map))?;
        }
        Ok(Some(object))
    }
}

struct List<F, T> {
    take: F,
    element: PhantomData<T>,
}

impl<'de, T: Object<'de>, F: FnMut(Option<T>)> DeserializeSeed<'de> for List<F, T> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, T: Object<'de>, F: FnMut(Option<T>)> Visitor<'de> for List<F, T> {
    type Value = bool;

    forget!(false);

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<bool, A::Error> {
        while let Some(Lenient(element)) = seq.next_element()? {
            (self.take)(element);
        }
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        while map.next_entry::<Name<'de>, IgnoredAny>()?.is_some() {}
        Ok(false)
    }
}

/// A field's name as bytes: no name is odd enough to end the reading.
struct Name<'de>(Cow<'de, [u8]>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }

            fn visit_borrowed_bytes<E>(self, name: &'de [u8]) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_bytes<E>(self, name: &[u8]) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_vec())))
            }
        }

        from.deserialize_bytes(NameVisitor)
    }
}

#[cfg(test)]
mod tests;
