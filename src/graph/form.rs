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
        let kind = kind(content_type);
        if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Self::Form
        } else if kind.eq_ignore_ascii_case("multipart/form-data") {
            // Other than in a part's head an apostrophe is a letter of it.
            let boundary = content_type.unwrap_or_default().split(';').skip(1).find_map(|parameter| {
                let (key, value) = parameter.split_once('=')?;
                key.trim().eq_ignore_ascii_case("boundary").then_some(value.trim())
            });
            let boundary = boundary.unwrap_or_default();
            let unquoted = boundary.strip_prefix('"').and_then(|boundary| boundary.strip_suffix('"'));
            Self::Multipart(unquoted.unwrap_or(boundary))
        } else {
            Self::Other
        }
    }
}

/// The type that a content type names, without its parameters, however they are set apart: PHP ends it at a comma and a space, too.
pub(super) fn kind(content_type: Option<&str>) -> &str {
    content_type.unwrap_or_default().trim_start().split([';', ',', ' ', '\t']).next().unwrap_or_default()
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
///
/// How Graph reads them is not documented. They are read as PHP does, to which it goes back: lines may end without a carriage return, and
/// a part's head may be folded.
pub(super) fn fields(boundary: &str, body: &[u8], mut take: impl FnMut(&str, Range<usize>)) -> Option<()> {
    if boundary.is_empty() {
        return None;
    }
    let delimiter = [b"\n--", boundary.as_bytes()].concat();
    let delimiter = memmem::Finder::new(&delimiter);
    let opening = delimiter.needle().get(1..)?;
    let mut at = if body.starts_with(opening) {
        opening.len()
    } else {
        // A preamble.
        delimiter.find(body)? + delimiter.needle().len()
    };
    while !body.get(at..)?.starts_with(b"--") {
        at += line_end(body.get(at..)?)?;
        let (head, content) = head(body.get(at..)?)?;
        let from = at + content;
        // The line end before it is the delimiter's.
        let next = from.saturating_sub(1) + delimiter.find(body.get(from.saturating_sub(1)..)?)?;
        let to = if body.get(from..next).is_some_and(|content| content.ends_with(b"\r")) {
            next - 1
        } else {
            next
        };
        if let Some(name) = field_name(&String::from_utf8_lossy(head)) {
            take(&name, from..to.max(from));
        }
        at = next + delimiter.needle().len();
    }
    Some(())
}

/// How long the line end is that a text begins with.
fn line_end(text: &[u8]) -> Option<usize> {
    match text {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        _ => None,
    }
}

/// The head of a part, and where its content begins. `None`: no empty line ends it.
fn head(part: &[u8]) -> Option<(&[u8], usize)> {
    let mut at = 0;
    loop {
        if let Some(empty) = line_end(part.get(at..)?) {
            return Some((part.get(..at)?, at + empty));
        }
        at += memchr::memchr(b'\n', part.get(at..)?)? + 1;
    }
}

/// The name that a part's head gives it. A file is no field, whatever its name.
fn field_name(head: &str) -> Option<String> {
    // A line that begins with a space goes on with the one before.
    let mut lines: Vec<String> = Vec::new();
    for line in head.lines() {
        match lines.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => last.push_str(line),
            _ => lines.push(line.to_owned()),
        }
    }
    let mut fields = lines.iter().filter_map(|line| line.split_once(':'));
    let (_, disposition) =
        fields.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))?;
    let mut found = None;
    for (key, value) in parameters(disposition) {
        if key.eq_ignore_ascii_case("filename") {
            return None;
        } else if key.eq_ignore_ascii_case("name") {
            found = Some(value);
        }
    }
    found
}

/// The parameters of a part's disposition, such as `form-data; name="status"`: quotes may be single, and what has none ends at a
/// space.
fn parameters(disposition: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut rest = disposition;
    while let Some(at) = rest.find([';', '=']) {
        let (key, after) = (rest.get(..at).unwrap_or_default(), rest.get(at + 1..).unwrap_or_default());
        if rest.get(at..).is_some_and(|rest| rest.starts_with(';')) {
            rest = after;
            continue;
        }
        let (value, after) = word(after.trim_start());
        found.push((key.trim(), value));
        rest = after.split_once(';').map_or("", |(_, rest)| rest);
    }
    found
}

/// The word that a text begins with, without its quotes, and what follows it.
fn word(text: &str) -> (String, &str) {
    let Some(quote) = text.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        return (text.get(..end).unwrap_or_default().to_owned(), text.get(end..).unwrap_or_default());
    };
    let (mut word, mut letters) = (String::new(), text.char_indices().skip(1));
    while let Some((at, letter)) = letters.next() {
        if letter == quote {
            return (word, text.get(at + 1..).unwrap_or_default());
        }
        // An escape; a backslash before anything else is one.
        let after = text.get(at + 1..).and_then(|rest| rest.chars().next());
        if letter == '\\' && after.is_some_and(|after| after == quote || after == '\\') {
            word.extend(letters.next().map(|(_, letter)| letter));
        } else {
            word.push(letter);
        }
    }
    (word, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(head: &str) -> Option<String> {
        let body = format!("--b\r\n{head}\r\n\r\nx\r\n--b--\r\n");
        let mut names = None;
        fields("b", body.as_bytes(), |name, at| {
            assert_eq!(&body[at], "x");
            names = Some(name.to_owned());
        })?;
        names
    }

    #[test]
    fn a_part_is_named_as_php_names_it() {
        for head in [
            r#"Content-Disposition: form-data; name="batch""#,
            "content-disposition:form-data;name=batch",
            "Content-Disposition: form-data; name='batch'",
            "Content-Disposition: form-data; name=batch ; x=y",
            "Content-Disposition: form-data; name = \"batch\"",
            "Content-Disposition: name=batch",
            "Content-Disposition: form-data;\r\n name=\"batch\"",
            "Content-Disposition:\r\n\tform-data;\r\n\tname='batch'",
            "Content-Disposition: form-data; name=\"x\"; name=\"batch\"",
            "Content-Disposition: form-data; x=\"; name=y\"; name=batch",
            "Content-Type: text/plain\r\nCONTENT-DISPOSITION: form-data; NAME=batch",
            "Content-Disposition: form-data; name=\"batch",
        ] {
            assert_eq!(names(head).as_deref(), Some("batch"), "{head}");
        }
        for (head, name) in [
            (r#"Content-Disposition: form-data; name="a; name=batch; b""#, Some("a; name=batch; b")),
            (r#"Content-Disposition: form-data; name="a\"b\\c\d""#, Some("a\"b\\c\\d")),
            ("Content-Disposition: form-data; name='a\"'", Some("a\"")),
            ("Content-Disposition: form-data; name=\"batch\"; filename=\"x\"", None),
            ("Content-Disposition: form-data; filename=; name=batch", None),
            ("Content-Disposition: form-data", None),
            ("Content-Disposition: form-data; ;=;", None),
            ("X-Content-Disposition: form-data; name=batch", None),
            ("", None),
        ] {
            assert_eq!(names(head).as_deref(), name, "{head}");
        }
    }

    #[test]
    fn lines_may_end_without_a_carriage_return() {
        for body in [
            "--b\nContent-Disposition: form-data; name=x\n\nvalue\n--b\n\n--b--",
            "--b\r\nContent-Disposition: form-data; name=x\n\r\nvalue\r\n--b\r\n\r\n\r\n--b--\r\n",
            "a preamble\n--b\nContent-Disposition: form-data;\n name='x'\n\nvalue\n--b--\n",
        ] {
            let mut found = Vec::new();
            let whole = fields("b", body.as_bytes(), |name, at| found.push((name.to_owned(), &body[at])));
            assert_eq!((whole, found), (Some(()), vec![("x".to_owned(), "value")]), "{body:?}");
        }
        for body in
            ["--b\nContent-Disposition: form-data; name=x\n\nvalue", "--b", "--bc\n\n\n--b--", "--b\nx", ""]
        {
            assert_eq!(fields("b", body.as_bytes(), |_, _| {}), None, "{body:?}");
        }
    }

    #[test]
    fn a_content_type_is_told_from_what_follows_it() {
        for written in ["multipart/form-data;boundary=b", " Multipart/Form-Data ; x=y; Boundary=\"b\""] {
            assert_eq!(Writing::of(Some(written)), Writing::Multipart("b"), "{written}");
        }
        for written in [
            "application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded, x",
            "APPLICATION/x-www-form-urlencoded charset=utf-8",
        ] {
            assert_eq!(Writing::of(Some(written)), Writing::Form, "{written}");
        }
        assert_eq!(Writing::of(Some("multipart/form-data; boundary='b'")), Writing::Multipart("'b'"));
        assert_eq!(Writing::of(Some("multipart/form-data, boundary=b")), Writing::Multipart(""));
        for other in
            [None, Some(""), Some("application/x-www-form-urlencoded+x"), Some("multipart/mixed; boundary=b")]
        {
            assert_eq!(Writing::of(other), Writing::Other, "{other:?}");
        }
    }
}
