//! The parameters of a request, however they are written: query, JSON, form or multipart. The body wins over the query.

use memchr::memmem;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::answer::Failure;

/// Parameters by name.
#[derive(Debug, Default)]
pub(super) struct Params(Map<String, Value>);

impl Params {
    pub(super) fn read(content_type: &str, query: Option<&str>, body: &[u8]) -> Result<Self, Failure> {
        let mut params = Self::default();
        params.add_form(query.unwrap_or_default().as_bytes());
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if kind == "multipart/form-data" {
            let parts = boundary(content_type).and_then(|boundary| multipart(boundary, body));
            for (name, value) in parts.ok_or_else(unreadable)? {
                params.add(name, &value);
            }
        } else if kind != "application/x-www-form-urlencoded" && body.trim_ascii_start().starts_with(b"{") {
            let object: Map<String, Value> = serde_json::from_slice(body).map_err(|_| unreadable())?;
            params.0.extend(object);
        } else {
            params.add_form(body);
        }
        Ok(params)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text, or a number as text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn add_form(&mut self, form: &[u8]) {
        for (name, value) in form_urlencoded::parse(form) {
            self.add(name.into_owned(), &value);
        }
    }

    /// Objects and lists are JSON inside of a form's value.
    fn add(&mut self, name: String, value: &str) {
        let nested = if value.starts_with(['{', '[']) { serde_json::from_str(value).ok() } else { None };
        self.0.insert(name, nested.unwrap_or_else(|| value.into()));
    }
}

fn unreadable() -> Failure {
    Failure::new(400, 100, "Invalid parameter").details("The body could not be read.")
}

fn boundary(content_type: &str) -> Option<&str> {
    let parameters = content_type.split(';').skip(1).map(str::trim);
    parameters
        .filter_map(|parameter| parameter.strip_prefix("boundary="))
        .map(|value| value.trim_matches('"'))
        .next()
}

fn multipart(boundary: &str, body: &[u8]) -> Option<Vec<(String, String)>> {
    let delimiter = format!("--{boundary}");
    let starts: Vec<usize> = memmem::find_iter(body, &delimiter).collect();
    let mut parts = Vec::new();
    for (start, end) in starts.iter().zip(starts.iter().skip(1)) {
        let part = body.get(start + delimiter.len()..*end)?.strip_prefix(b"\r\n")?.strip_suffix(b"\r\n")?;
        let split = memmem::find(part, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(part.get(..split)?);
        let (_, name) = head.split_once(" name=\"")?;
        let (name, _) = name.split_once('"')?;
        parts.push((name.to_owned(), String::from_utf8_lossy(part.get(split + 4..)?).into_owned()));
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_them_is_read() {
        let multipart = "--x\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\n1650\r\n--x\r\nContent-Disposition: \
                         form-data; name=\"text\"\r\n\r\n{\"body\":\"hi\"}\r\n--x--\r\n";
        for (content_type, query, body) in [
            ("application/json; charset=utf-8", None, r#"{"to":"1650","text":{"body":"hi"}}"#),
            ("application/x-www-form-urlencoded", None, "to=1650&text=%7B%22body%22%3A%22hi%22%7D"),
            ("multipart/form-data; boundary=x", None, multipart),
            ("", Some("to=1650&text={\"body\":\"hi\"}"), ""),
        ] {
            let params = Params::read(content_type, query, body.as_bytes()).unwrap();
            assert_eq!(params.text("to").as_deref(), Some("1650"), "{content_type}");
            assert_eq!(params.get("text").unwrap()["body"], "hi", "{content_type}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_invalid_parameter() {
        assert_eq!(Params::read("application/json", None, b"{\"to\":").unwrap_err().code, 100);
        assert_eq!(Params::read("multipart/form-data", None, b"").unwrap_err().code, 100);
    }
}
