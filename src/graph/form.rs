//! How a request's body is written, and the fields of forms.

use std::borrow::Cow;

use memchr::memmem;

use super::route::percent_decoded;

/// What a body's content type says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding<'c> {
    /// Everything that is no form is read as JSON.
    Json,
    /// `application/x-www-form-urlencoded`
    Urlencoded,
    /// `multipart/form-data`; without a usable boundary it has no field that could be found.
    Multipart(Option<&'c str>),
}

impl<'c> Encoding<'c> {
    /// By the value of the header field.
    pub(super) fn of(content_type: Option<&'c str>) -> Self {
        let content_type = content_type.unwrap_or_default();
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Self::Urlencoded
        } else if kind.eq_ignore_ascii_case("multipart/form-data") {
            Self::Multipart(parameter(content_type, "boundary").filter(|boundary| !boundary.is_empty()))
        } else {
            Self::Json
        }
    }
}

/// The last field of this name in a form, as it does for Meta; nothing in what is no form.
pub(super) fn last_field<'b>(form: Encoding<'_>, body: &'b [u8], name: &str) -> Option<Cow<'b, [u8]>> {
    match form {
        Encoding::Json => None,
        Encoding::Urlencoded => urlencoded_field(body, name),
        Encoding::Multipart(boundary) => multipart_field(boundary?, body, name).map(Cow::Borrowed),
    }
}

fn urlencoded_field<'b>(body: &'b [u8], name: &str) -> Option<Cow<'b, [u8]>> {
    body.split(|&byte| byte == b'&').rev().find_map(|pair| {
        let at = memchr::memchr(b'=', pair)?;
        let (key, value) = pair.split_at_checked(at)?;
        (*percent_decoded(key) == *name.as_bytes())
            .then(|| percent_decoded(value.get(1..).unwrap_or_default()))
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

/// `None` also if the form is not whole.
fn multipart_field<'b>(boundary: &str, body: &'b [u8], name: &str) -> Option<&'b [u8]> {
    let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
    let delimiter = memmem::Finder::new(&delimiter);
    let opening = delimiter.needle().get(2..)?;
    let mut rest = match body.strip_prefix(opening) {
        Some(rest) => rest,
        // A preamble.
        None => body.get(delimiter.find(body)? + delimiter.needle().len()..)?,
    };
    let mut found = None;
    while !rest.starts_with(b"--") {
        let (head, content) = split_at_pattern(rest.strip_prefix(b"\r\n")?, b"\r\n\r\n")?;
        let end = delimiter.find(content)?;
        if is_field(head, name) {
            found = content.get(..end);
        }
        rest = content.get(end + delimiter.needle().len()..)?;
    }
    found
}

fn split_at_pattern<'b>(bytes: &'b [u8], pattern: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let at = memmem::find(bytes, pattern)?;
    Some((bytes.get(..at)?, bytes.get(at + pattern.len()..)?))
}

/// Whether a part's head gives it this name. A file is no field, whatever its name.
fn is_field(head: &[u8], wanted: &str) -> bool {
    let head = String::from_utf8_lossy(head);
    head.lines().filter_map(|line| line.split_once(':')).any(|(name, value)| {
        name.trim().eq_ignore_ascii_case("content-disposition")
            && parameter(value, "name") == Some(wanted)
            && parameter(value, "filename").is_none()
    })
}
