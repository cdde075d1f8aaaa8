//! The answer to a batch: one result for each operation, in their order.

use std::borrow::Cow;
use std::ops::Range;

use serde::Serialize;
use serde::de::MapAccess;

use super::super::lenient::{self, Object, Value};
use super::MOST_OPERATIONS;
use super::scan::Items;

/// An answer's results, as far as it goes.
pub struct Results<'a> {
    text: &'a [u8],
    elements: Vec<Range<usize>>,
    whole: bool,
}

/// What became of one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The HTTP status that it would have had.
    pub code: Option<i64>,
    /// Its body; empty if there is none.
    pub body: String,
    /// Meta's id of the call, from its headers.
    pub fbtrace_id: Option<String>,
}

impl<'a> Results<'a> {
    /// Reads a decoded answer. `None`: it does not begin as an array, so it is not about the operations. An array that breaks
    /// off is read as far as it goes. More results than a batch can have are not looked at.
    pub fn read(answer: &'a [u8]) -> Option<Self> {
        let mut items = Items::of(answer, b'[')?;
        let elements = items.by_ref().take(MOST_OPERATIONS).collect();
        items.by_ref().for_each(drop);
        Some(Self { text: answer, elements, whole: items.is_whole() })
    }

    /// Whether the array is all there.
    pub const fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether the result in this place is there, and is `null`: not done in time, or left out at the app's own wish.
    pub fn is_null(&self, place: usize) -> bool {
        self.element(place) == Some(b"null")
    }

    fn element(&self, place: usize) -> Option<&'a [u8]> {
        self.text.get(self.elements.get(place)?.clone())
    }

    /// What became of the operation in this place, of those that were forwarded. `None`: there is no such result, or it
    /// is none.
    pub fn outcome(&self, place: usize) -> Option<Outcome> {
        let text = lenient::text_of(self.element(place)?);
        let fields: Fields<'_> = lenient::document(&text)?;
        Some(Outcome {
            code: fields.code,
            body: fields.body.map(Cow::into_owned).unwrap_or_default(),
            fbtrace_id: fields.headers.fbtrace_id,
        })
    }

    /// The answer as the app expects it: our `entries` in the places of the operations that were held, Meta's results, to the
    /// byte, in all others. A result that is missing is `null`, as Graph itself says it.
    pub fn merged(&self, entries: &[Option<String>]) -> Vec<u8> {
        let mut results = self.elements.iter().filter_map(|range| self.text.get(range.clone()));
        let elements = entries.iter().map(|entry| match entry {
            Some(entry) => entry.as_bytes(),
            None => results.next().unwrap_or(b"null"),
        });
        let elements: Vec<&[u8]> = elements.collect();
        [b"[", elements.join(&b","[..]).as_slice(), b"]"].concat()
    }
}

#[derive(Default)]
struct Fields<'a> {
    code: Option<i64>,
    body: Option<Cow<'a, str>>,
    headers: Headers,
}

impl<'de> Object<'de> for Fields<'de> {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"code" => self.code = value.integer()?,
            // JSON as text; an object is the JSON that it is.
            b"body" => self.body = Some(value.written()?),
            b"headers" => {
                let headers = &mut self.headers;
                value.list(|header: Option<Header<'de>>| headers.take(header.unwrap_or_default()))?;
            }
            _ => value.skip()?,
        }
        Ok(())
    }
}

#[derive(Default)]
struct Headers {
    fbtrace_id: Option<String>,
}

impl Headers {
    fn take(&mut self, header: Header<'_>) {
        let (Some(name), Some(value)) = (header.name, header.value) else { return };
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("x-fb-request-id") || (is("x-fb-trace-id") && self.fbtrace_id.is_none()) {
            self.fbtrace_id = Some(value.into_owned());
        }
    }
}

#[derive(Default)]
struct Header<'a> {
    name: Option<Cow<'a, str>>,
    value: Option<Cow<'a, str>>,
}

impl<'de> Object<'de> for Header<'de> {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"name" => self.name = value.text()?,
            b"value" => self.value = value.text()?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// A result of our own. `headers`: `None` if the app wants none. `body` is the JSON text that Meta would have sent.
pub fn entry<'h>(
    code: u16,
    headers: Option<impl Iterator<Item = (&'h str, &'h str)>>,
    body: &[u8],
) -> String {
    #[derive(Serialize)]
    struct Entry<'a> {
        code: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        headers: Option<Vec<Field<'a>>>,
        body: Cow<'a, str>,
    }
    #[derive(Serialize)]
    struct Field<'a> {
        name: &'a str,
        value: &'a str,
    }
    let headers = headers.map(|headers| headers.map(|(name, value)| Field { name, value }).collect());
    // Strings and numbers always serialise.
    serde_json::to_string(&Entry { code, headers, body: String::from_utf8_lossy(body) }).unwrap_or_default()
}

/// All our entries, where nothing was forwarded.
pub fn all(entries: &[Option<String>]) -> Vec<u8> {
    Results { text: b"", elements: Vec::new(), whole: true }.merged(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_leniently() {
        let answer = br#" [{"code":200,"headers":[{"name":"X-FB-Trace-ID","value":"t"},{"name":"x-fb-request-id","value":"r"},
            null,7],"body":"{\"a\":1}"}, null, {"code":"400","body":{"error":{}}}, 7, {}] "#;
        let results = Results::read(answer).unwrap();
        let outcome = |code, body: &str, trace: Option<&str>| {
            Some(Outcome { code, body: body.into(), fbtrace_id: trace.map(str::to_owned) })
        };
        assert_eq!(results.outcome(0), outcome(Some(200), r#"{"a":1}"#, Some("r")));
        assert_eq!(results.outcome(1), None);
        assert!(results.is_whole() && results.is_null(1) && !results.is_null(3) && !results.is_null(5));
        assert_eq!(results.outcome(2), outcome(Some(400), r#"{"error":{}}"#, None));
        assert_eq!(results.outcome(3), None);
        assert_eq!(results.outcome(4), outcome(None, "", None));
        assert_eq!(results.outcome(5), None);
        let cut = Results::read(br#"[{"code":200},{"code":4"#).unwrap();
        assert!(!cut.is_whole() && cut.outcome(0).is_some() && cut.outcome(1).is_none());
        for other in ["", "{}", "null", "<html>", "{\"error\":{\"code\":131031}}"] {
            assert!(Results::read(other.as_bytes()).is_none(), "{other}");
        }
    }

    #[test]
    fn results_go_back_in_the_callers_order_to_the_byte() {
        let answer = b"[ {\"code\" : 200} ,null]";
        let merged = |entries: &[Option<&str>]| {
            let entries: Vec<_> = entries.iter().map(|entry| entry.map(str::to_owned)).collect();
            String::from_utf8(Results::read(answer).unwrap().merged(&entries)).unwrap()
        };
        assert_eq!(merged(&[None, Some("A"), None]), "[{\"code\" : 200},A,null]");
        assert_eq!(merged(&[Some("A"), None, None, Some("B")]), "[A,{\"code\" : 200},null,B]");
        assert_eq!(
            merged(&[None, Some("A"), None, None]),
            "[{\"code\" : 200},A,null,null]",
            "one is missing"
        );
        assert_eq!(merged(&[None, Some("A")]), "[{\"code\" : 200},A]", "one too many");
        assert_eq!(all(&[Some("A".into()), Some("B".into())]), b"[A,B]");
    }

    #[test]
    fn an_entry_has_its_body_as_text() {
        let headers = || Some([("Content-Type", "x")].into_iter());
        assert_eq!(
            entry(403, headers(), br#"{"e":"x"}"#),
            r#"{"code":403,"headers":[{"name":"Content-Type","value":"x"}],"body":"{\"e\":\"x\"}"}"#
        );
        let none = None::<std::iter::Empty<_>>;
        assert_eq!(entry(403, none, b"{}"), r#"{"code":403,"body":"{}"}"#);
    }
}
