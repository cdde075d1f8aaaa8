//! The ways in which Graph takes parameters: a urlencoded or multipart form is taken apart without copying.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use super::route::percent_decoded;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing<'h> {
    /// `application/x-www-form-urlencoded`
    Form,
    /// `multipart/form-data` with this boundary; empty if it names none.
    Multipart(&'h str),
    /// Anything else: JSON, if it is readable at all.
    Other,
}

impl<'h> Writing<'h> {
    /// What a content type says.
    pub(super) fn of(content_type: Option<&'h str>) -> Self {
        let content_type = content_type.unwrap_or_default();
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Self::Form
        } else if kind.eq_ignore_ascii_case("multipart/form-data") {
            Self::Multipart(parameter(content_type, "boundary").unwrap_or_default())
        } else {
            Self::Other
        }
    }
}

/// The last field of this name in a form, as it counts for Meta. `None` also if the form is not whole, or it is no form.
pub(super) fn last_field<'b>(form: Writing<'_>, body: &'b [u8], name: &str) -> Option<Cow<'b, [u8]>> {
    let mut last = None;
    each(form, body, |field, value| {
        if field == name.as_bytes() {
            last = Some(value);
        }
    })?;
    last
}

/// The fields of a form, as they come: each goes to `take` with its name and its value. `None`: the form is not whole, or it is no
/// form.
pub(super) fn each<'b>(
    form: Writing<'_>,
    body: &'b [u8],
    mut take: impl FnMut(&[u8], Cow<'b, [u8]>),
) -> Option<()> {
    let part = |at: Range<usize>| body.get(at).unwrap_or_default();
    match form {
        Writing::Form => pairs(body).for_each(|(name, at)| take(&name, percent_decoded(part(at)))),
        Writing::Multipart(boundary) => {
            fields(boundary, body, |name, at| take(name.as_bytes(), Cow::Borrowed(part(at))))?;
        }
        Writing::Other => return None,
    }
    Some(())
}

/// The pairs of a urlencoded form: each name decoded, and where its value stands, still encoded.
pub(super) fn pairs(form: &[u8]) -> impl Iterator<Item = (Cow<'_, [u8]>, Range<usize>)> {
    let mut at = 0;
    form.split(|&byte| byte == b'&').filter_map(move |pair| {
        let from = at;
        at += pair.len() + 1;
        let equals = memchr::memchr(b'=', pair)?;
        let name = percent_decoded(pair.get(..equals)?);
        Some((name, from + equals + 1..from + pair.len()))
    })
}

/// The fields of a multipart form, as they come: each goes to `take` with its name and where its content stands. Files are no
/// fields. `None`: the form is not whole.
pub(super) fn fields(boundary: &str, body: &[u8], mut take: impl FnMut(&str, Range<usize>)) -> Option<()> {
    if boundary.is_empty() {
        return None;
    }
    let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
    let delimiter = memmem::Finder::new(&delimiter);
    let opening = delimiter.needle().get(2..)?;
    let mut at = if body.starts_with(opening) {
        opening.len()
    } else {
        // A preamble.
        delimiter.find(body)? + delimiter.needle().len()
    };
    while !body.get(at..)?.starts_with(b"--") {
        let head = body.get(at..)?.strip_prefix(b"\r\n")?;
        let length = memmem::find(head, b"\r\n\r\n")?;
        let from = at + b"\r\n".len() + length + b"\r\n\r\n".len();
        let to = from + delimiter.find(body.get(from..)?)?;
        if let Some(name) = field_name(&String::from_utf8_lossy(head.get(..length)?)) {
            take(name, from..to);
        }
        at = to + delimiter.needle().len();
    }
    Some(())
}

/// The name that a part's head gives it. A file is no field, whatever its name.
fn field_name(head: &str) -> Option<&str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find_map(|(name, value)| {
        let is_field =
            name.trim().eq_ignore_ascii_case("content-disposition") && parameter(value, "filename").is_none();
        parameter(value, "name").filter(|_| is_field)
    })
}

/// A parameter of a header value such as `form-data; name="status"`; the first if there are several.
fn parameter<'h>(header: &'h str, name: &str) -> Option<&'h str> {
    header.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        let value = value.trim();
        let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        key.trim().eq_ignore_ascii_case(name).then_some(unquoted)
    })
}
