//! Where in a request a batch stands, how it is written there, and how parts of it are taken out.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;
use serde::de::IgnoredAny;

use super::super::form::{self, Writing};
use super::super::lenient::text_of;
use super::super::route::percent_decoded;
use super::operation::flag;
use super::scan::{Items, member};

/// The parameters of a request that matter to a batch. Holds secrets, so it prints nothing.
#[derive(Default)]
pub(super) struct Parameters {
    pub(super) batch: Option<Place>,
    pub(super) include_headers: Option<bool>,
    pub(super) access_token: Option<String>,
    pub(super) appsecret_proof: Option<String>,
    /// There is something else that may be the batch to Meta: in the query beside one in the body, by a name that is nearly
    /// `batch`, or in a body that cannot be read.
    pub(super) is_odd: bool,
}

/// Where the batch stands.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// In the query, else in the body.
    pub(super) in_query: bool,
    range: Range<usize>,
    code: Code,
}

/// How its text is written there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    /// As it is.
    Plain,
    /// Percent-encoded, as in a form.
    Form,
    /// As the inside of a JSON string.
    Text,
}

impl Parameters {
    /// Reads them where they are. Of a parameter that comes twice the last counts; the body outranks the query, as PHP has it.
    pub(super) fn read(query: Option<&str>, content_type: Option<&str>, body: &[u8]) -> Self {
        let mut found = Self::default();
        let query = query.unwrap_or_default().as_bytes();
        found.take_form(query, true);
        match Writing::of(content_type) {
            Writing::Form => found.take_form(body, false),
            Writing::Multipart(boundary) => {
                let mut fields = Self::default();
                let whole = form::fields(boundary, body, |name, range| {
                    fields.take(body, name.as_bytes(), false, range, Code::Plain);
                });
                found.outranked_by(if whole.is_some() { fields } else { Self::unreadable(body) });
            }
            Writing::Other => {
                found.outranked_by(Self::in_json(body).unwrap_or_else(|| Self::unreadable(body)))
            }
        }
        found
    }

    fn unreadable(body: &[u8]) -> Self {
        Self { is_odd: memmem::find(&percent_decoded(body), b"batch").is_some(), ..Self::default() }
    }

    fn take_form(&mut self, form: &[u8], in_query: bool) {
        for (name, range) in form::pairs(form) {
            self.take(form, &name, in_query, range, Code::Form);
        }
    }

    fn in_json(body: &[u8]) -> Option<Self> {
        let mut found = Self::default();
        let mut items = Items::of(body, b'{')?;
        for item in items.by_ref() {
            let (name, range) = member(body, item)?;
            let name: String = serde_json::from_str(&text_of(name)).ok()?;
            let text = body.get(range.clone()).is_some_and(|value| value.starts_with(b"\""));
            let inside = range.start + 1..range.end.saturating_sub(1);
            let (range, code) = if text { (inside, Code::Text) } else { (range, Code::Plain) };
            found.take(body, name.as_bytes(), false, range, code);
        }
        let is_json = items.is_whole() && serde_json::from_str::<IgnoredAny>(&text_of(body)).is_ok();
        is_json.then_some(found)
    }

    fn take(&mut self, source: &[u8], name: &[u8], in_query: bool, range: Range<usize>, code: Code) {
        let place = Place { in_query, range, code };
        let text = |place: &Place| String::from_utf8_lossy(&place.text(source)).into_owned();
        match name {
            b"batch" => {
                self.is_odd |= self.batch.as_ref().is_some_and(|before| before.in_query != in_query);
                self.batch = Some(place);
            }
            b"include_headers" => self.include_headers = flag(&text(&place)),
            b"access_token" => self.access_token = Some(text(&place)),
            b"appsecret_proof" => self.appsecret_proof = Some(text(&place)),
            name => self.is_odd |= is_nearly_batch(name),
        }
    }

    fn outranked_by(&mut self, other: Self) {
        self.is_odd |= other.is_odd || (self.batch.is_some() && other.batch.is_some());
        self.batch = other.batch.or(self.batch.take());
        self.include_headers = other.include_headers.or(self.include_headers);
        self.access_token = other.access_token.or(self.access_token.take());
        self.appsecret_proof = other.appsecret_proof.or(self.appsecret_proof.take());
    }
}

/// Whether PHP would make a parameter of this name `batch`, or an array of that name.
pub(super) fn is_nearly_batch(name: &[u8]) -> bool {
    let begin = name.iter().position(|byte| !matches!(byte, b' ' | b'+')).unwrap_or_default();
    let name = name.get(begin..).unwrap_or_default();
    name.split(|&byte| byte == b'[').next() == Some(b"batch")
}

impl Place {
    /// The batch's own text. `source`: the query or the body that it stands in.
    pub(super) fn text<'s>(&self, source: &'s [u8]) -> Cow<'s, [u8]> {
        let written = source.get(self.range.clone()).unwrap_or_default();
        match self.code {
            Code::Plain => Cow::Borrowed(written),
            Code::Form if memchr::memchr(b'+', written).is_none() => percent_decoded(written),
            Code::Form | Code::Text => {
                let mut text = Vec::with_capacity(written.len());
                let mut rest = written;
                while let Some((step, after)) = self.code.step(rest) {
                    text.extend_from_slice(step.as_bytes());
                    rest = after;
                }
                Cow::Owned(text)
            }
        }
    }

    /// The source without some elements of the batch. `elements`: where they stand in its text, in their order; `held`: which
    /// of them go. At least one must stay. Every byte that stays is as it came.
    pub(super) fn without(&self, source: &[u8], elements: &[Range<usize>], held: &[bool]) -> Vec<u8> {
        let written = source.get(self.range.clone()).unwrap_or_default();
        let ends: Vec<usize> = elements.iter().flat_map(|range| [range.start, range.end]).collect();
        let ends = self.code.places(written, &ends);
        let ends: Vec<(usize, usize)> =
            ends.chunks_exact(2).filter_map(|ends| Some((*ends.first()?, *ends.last()?))).collect();
        let piece = |range: Range<usize>| written.get(range).unwrap_or_default();
        let first = ends.first().map_or(0, |(start, _)| *start);
        let mut kept = source.get(..self.range.start).unwrap_or_default().to_vec();
        kept.extend_from_slice(piece(0..first));
        let (mut before, mut any) = (first, false);
        for ((start, end), held) in ends.iter().zip(held) {
            if !held {
                // The comma, and the whitespace around it.
                kept.extend_from_slice(if any { piece(before..*start) } else { b"" });
                kept.extend_from_slice(piece(*start..*end));
                any = true;
            }
            before = *end;
        }
        kept.extend_from_slice(piece(before..written.len()));
        kept.extend_from_slice(source.get(self.range.end..).unwrap_or_default());
        kept
    }
}

/// What one unit of the source stands for.
enum Step {
    Byte(u8),
    Letter([u8; 4], usize),
}

impl Step {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Byte(byte) => std::slice::from_ref(byte),
            Self::Letter(bytes, length) => bytes.get(..*length).unwrap_or_default(),
        }
    }

    fn letter(letter: char) -> Self {
        let mut bytes = [0; 4];
        let length = letter.encode_utf8(&mut bytes).len();
        Self::Letter(bytes, length)
    }
}

impl Code {
    /// The first unit of the source, decoded, and what comes after it.
    fn step(self, source: &[u8]) -> Option<(Step, &[u8])> {
        let (first, after) = source.split_first()?;
        Some(match (self, first) {
            (Self::Form, b'+') => (Step::Byte(b' '), after),
            (Self::Form, b'%') => {
                let unit = source.get(..3).unwrap_or_default();
                match *percent_decoded(unit) {
                    [byte] => (Step::Byte(byte), source.get(3..)?),
                    _ => (Step::Byte(b'%'), after),
                }
            }
            (Self::Text, b'\\') => escape(source)?,
            _ => (Step::Byte(*first), after),
        })
    }

    /// Where in the source these places of the decoded text are. They must come in their order.
    fn places(self, source: &[u8], decoded: &[usize]) -> Vec<usize> {
        if self == Self::Plain {
            return decoded.to_vec();
        }
        let (mut rest, mut at) = (source, 0);
        let places = decoded.iter().map(|place| {
            while at < *place
                && let Some((step, after)) = self.step(rest)
            {
                at += step.as_bytes().len();
                rest = after;
            }
            source.len() - rest.len()
        });
        places.collect()
    }
}

/// An escape of a JSON string, and what comes after it.
fn escape(source: &[u8]) -> Option<(Step, &[u8])> {
    let unit = |at: usize| {
        let digits = source.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    if let Some(high) = unit(0) {
        let low = unit(6).filter(|low| (0xD800..0xDC00).contains(&high) && (0xDC00..0xE000).contains(low));
        let (number, length) = match low {
            Some(low) => (0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00), 12),
            None => (high, 6),
        };
        let letter = char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER);
        return Some((Step::letter(letter), source.get(length..)?));
    }
    let byte = match source.get(1)? {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'b' => 8,
        b'f' => 12,
        other => *other,
    };
    Some((Step::Byte(byte), source.get(2..)?))
}
