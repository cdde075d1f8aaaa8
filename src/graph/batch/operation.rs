//! One operation of a batch: whether it sends, for whom, and which others it needs.

use std::borrow::Cow;

use http::Method;
use serde::de::{IgnoredAny, MapAccess};

use super::super::form::{Writing, last_field};
use super::super::ids::PhoneNumberId;
use super::super::lenient::{self, Object, Value};
use super::super::message::{self, Outline};
use super::super::receipt::is_read_receipt;
use super::super::route::{self, Endpoint, Route, percent_decoded};

/// How a body and a query are written unless a header says otherwise.
const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

/// An operation, as far as it matters here. Holds secrets, so it prints nothing.
#[derive(Default)]
pub struct Operation {
    /// Whose message it sends, and on which edge, if it is a send.
    pub send: Option<(PhoneNumberId, Endpoint)>,
    /// What that message is, if it is a send.
    pub outline: Outline,
    /// It sends, but whose message is another operation's to say (`{result=a:$.id}/messages`).
    pub is_veiled: bool,
    /// The version that its path names.
    pub version: Option<String>,
    /// Its own `access_token`, if it has one: as a field, in its query or in its body.
    pub access_token: Option<String>,
    /// Its own `appsecret_proof`.
    pub appsecret_proof: Option<String>,
    pub(super) name: Option<String>,
    /// The names of the operations that it needs.
    pub(super) needs: Vec<String>,
    /// `omit_response_on_success`, if it says anything.
    pub(super) omits: Option<bool>,
}

/// Reads one element of the batch. `None`: it is no JSON. What is no object is an operation that does nothing.
pub(super) fn read(element: &[u8]) -> Option<Operation> {
    let text = lenient::text_of(element);
    match lenient::document::<Fields<'_>>(&text) {
        Some(fields) => Some(fields.into_operation()),
        None => serde_json::from_str::<IgnoredAny>(&text).ok().map(|_| Operation::default()),
    }
}

#[derive(Default)]
struct Fields<'a> {
    method: Option<Cow<'a, str>>,
    relative_url: Option<Cow<'a, str>>,
    body: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    depends_on: Vec<Cow<'a, str>>,
    omits: Option<bool>,
    access_token: Option<Cow<'a, str>>,
}

impl<'de> Object<'de> for Fields<'de> {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"method" => self.method = value.text()?,
            b"relative_url" => self.relative_url = value.text()?,
            // A form as text; an object is the JSON that it is.
            b"body" => self.body = Some(value.written()?).filter(|body| body != "null"),
            b"name" => self.name = value.text()?,
            b"depends_on" => self.depends_on = value.texts()?,
            b"omit_response_on_success" => self.omits = flag(&value.written()?),
            b"access_token" => self.access_token = value.text()?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// A truth value, however it is written.
pub(super) fn flag(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

impl Fields<'_> {
    fn into_operation(self) -> Operation {
        let url = self.relative_url.as_deref().unwrap_or_default();
        let body = self.body.as_deref().unwrap_or_default();
        let (path, query) = path_and_query(url);
        let parameter = |name: &str| own_parameter(query, name).or_else(|| own_parameter(body, name));
        // Without a method, what is on an edge that sends is a send or a call that Meta refuses.
        let method = self.method.as_deref().unwrap_or("POST");
        let route = Method::from_bytes(method.trim().as_bytes()).map(|method| route::route(&method, path));
        let send = match route {
            Ok(Route::Send { endpoint: Endpoint::Messages, .. }) if is_receipt(query, body) => None,
            Ok(Route::Send { phone, endpoint }) => Some((phone, endpoint)),
            _ => None,
        };
        let outline = send.map(|(_, endpoint)| outline(endpoint, query, body)).unwrap_or_default();
        let is_veiled = send.is_none()
            && unveiled(url).is_some_and(|url| {
                let (path, query) = path_and_query(&url);
                let route =
                    Method::from_bytes(method.trim().as_bytes()).map(|method| route::route(&method, path));
                match route {
                    Ok(Route::Send { endpoint: Endpoint::Messages, .. }) => !is_receipt(query, body),
                    route => matches!(route, Ok(Route::Send { .. })),
                }
            });
        let mut needs: Vec<String> = self.depends_on.into_iter().map(Cow::into_owned).collect();
        for text in [url, body] {
            references(text.as_bytes(), &mut needs);
            // In a form they may be encoded.
            if let Cow::Owned(decoded) = percent_decoded(text.as_bytes()) {
                references(&decoded, &mut needs);
            }
        }
        Operation {
            send,
            outline,
            is_veiled,
            version: route::version(path).map(str::to_owned),
            access_token: self.access_token.map(Cow::into_owned).or_else(|| parameter("access_token")),
            appsecret_proof: parameter("appsecret_proof"),
            name: self.name.map(Cow::into_owned),
            needs,
            omits: self.omits,
        }
    }
}

/// The path of a `relative_url`, which may come without its slash or with scheme and host; and its query.
fn path_and_query(url: &str) -> (&str, &str) {
    let url = url.trim();
    let absolute = ["https://", "http://"].iter().find_map(|scheme| {
        let (begin, rest) = url.split_at_checked(scheme.len())?;
        begin.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let url = match absolute {
        Some(rest) => rest.find(['/', '?']).and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => url,
    };
    let url = url.split('#').next().unwrap_or_default();
    url.split_once('?').unwrap_or((url, ""))
}

/// Whether an operation on `/messages` marks a message as read. Without a body its query is what it says.
fn is_receipt(query: &str, body: &str) -> bool {
    if body.is_empty() {
        is_read_receipt(FORM, query.as_bytes())
    } else if body.trim_start().starts_with('{') {
        // To Meta it may be a form without a status, beside what the query says.
        is_json_alone(body)
            && !message::is_in_form(query.as_bytes())
            && is_read_receipt(None, body.as_bytes())
    } else {
        is_read_receipt(FORM, body.as_bytes())
    }
}

/// What an operation's message is, read as [`is_receipt`] reads it. A body that could be JSON or a form says nothing.
fn outline(endpoint: Endpoint, query: &str, body: &str) -> Outline {
    let is_json = body.trim_start().starts_with('{');
    let clear = if is_json && !is_json_alone(body) { "{" } else { body };
    message::outline(endpoint, if is_json { None } else { FORM }, Some(query), clear.as_bytes())
}

/// Whether a body that looks like JSON can be nothing else. It is a form unless a header says otherwise, and could say one thing
/// to a careless reader and another to Meta.
fn is_json_alone(body: &str) -> bool {
    !message::is_in_form(body.as_bytes())
}

/// A parameter of a urlencoded form.
fn own_parameter(form: &str, name: &str) -> Option<String> {
    let value = last_field(Writing::Form, form.as_bytes(), name)?;
    Some(String::from_utf8_lossy(&value).into_owned())
}

/// The most references of an operation that are looked at.
const MOST_REFERENCES: usize = 1000;

/// Adds the names in `{result=name:$.path}`.
fn references(text: &[u8], names: &mut Vec<String>) {
    const BEGIN: &[u8] = b"{result=";
    for at in memchr::memmem::find_iter(text, BEGIN).take(MOST_REFERENCES) {
        let rest = text.get(at + BEGIN.len()..).unwrap_or_default();
        let name = rest.split(|byte| matches!(byte, b':' | b'}')).next().unwrap_or_default();
        names.push(String::from_utf8_lossy(name).into_owned());
    }
}

/// A URL with references in it, each replaced by what could be an id. `None`: there are none.
fn unveiled(url: &str) -> Option<String> {
    let decoded = percent_decoded(url.as_bytes());
    let decoded = std::str::from_utf8(&decoded).ok()?;
    let (mut url, mut rest) = (String::new(), decoded);
    while let Some((before, after)) = rest.split_once("{result=") {
        url.extend([before, "0"]);
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    url.push_str(rest);
    (rest.len() < decoded.len()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "106540352242922";

    fn operation(text: &str) -> Operation {
        read(text.replace("{id}", ID).as_bytes()).unwrap()
    }

    fn sends(text: &str) -> bool {
        operation(text).send.is_some_and(|(phone, _)| phone.as_str() == ID)
    }

    #[test]
    fn sends_are_found_in_every_spelling() {
        for url in [
            "v23.0/{id}/messages",
            "/v23.0/{id}/messages",
            "{id}/messages",
            "/{id}/messages/",
            "{id}/messages?access_token=EAAG",
            "https://graph.facebook.com/v23.0/{id}/messages",
            "HTTPS://graph.facebook.com/{id}/messages?x=1#y",
            "//v23.0//{id}/m%65ssages",
            "v23.0\\/{id}\\/messages",
            " {id}/marketing_messages",
            "{id}/messages_encrypted",
        ] {
            for method in ["\"method\":\"POST\",", "\"method\":\"post\",", ""] {
                assert!(
                    sends(&format!(r#"{{{method}"relative_url":"{url}","body":"to=1"}}"#)),
                    "{url} {method}"
                );
            }
        }
    }

    #[test]
    fn what_else_there_is_sends_nothing() {
        for text in [
            r#"{"method":"GET","relative_url":"{id}/messages"}"#,
            r#"{"method":"DELETE","relative_url":"{id}/messages"}"#,
            r#"{"method":"POST","relative_url":"{id}/media"}"#,
            r#"{"method":"POST","relative_url":"me/messages"}"#,
            r#"{"method":"POST","relative_url":"{result=x:$.id}/messages"}"#,
            r#"{"method":"POST","relative_url":"https://graph.facebook.com"}"#,
            r#"{"method":"POST","relative_url":null}"#,
            r#"{"method":"POST"}"#,
            r#"{"method":[],"relative_url":{}}"#,
            "{}",
            "null",
            "7",
            "[{\"relative_url\":\"{id}/messages\"}]",
        ] {
            assert!(operation(text).send.is_none(), "{text}");
        }
        for text in ["", "{", "{\"method\":}", "nul"] {
            assert!(read(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn read_receipts_are_no_sends() {
        let with = |url: &str, body: &str| {
            format!(r#"{{"method":"POST","relative_url":"{{id}}/{url}","body":{body}}}"#)
        };
        for (url, body) in [
            ("messages", r#""messaging_product=whatsapp&status=read&message_id=wamid.x""#),
            ("messages", r#""{\"status\":\"read\"}""#),
            ("messages", r#"{"status":"read"}"#),
            ("messages?status=read&message_id=wamid.x", "null"),
        ] {
            assert!(!sends(&with(url, body)), "{url} {body}");
        }
        for (url, body) in [
            ("messages", r#""to=1&text=status%3Dread""#),
            ("messages", r#""{\"status\":\"read\",\"x\":\"&to=1&type=text\"}""#),
            ("marketing_messages", r#""status=read""#),
            ("messages?status=read", r#""to=1""#),
            ("messages?to=1&type=text&text=x", r#""{\"status\":\"read\"}""#),
            ("messages", "null"),
        ] {
            assert!(sends(&with(url, body)), "{url} {body}");
        }
    }

    #[test]
    fn a_message_is_outlined() {
        use crate::graph::class::Class::{BusinessInitiated, CustomerInitiated};
        for (url, body, class, country) in [
            (
                "messages",
                r#""to=16505551234&type=template&template=%7B%7D""#,
                Some(BusinessInitiated),
                Some("US"),
            ),
            ("messages", r#""to=%2B5511987654321&text=%7B%7D""#, Some(CustomerInitiated), Some("BR")),
            (
                "messages",
                r#""{\"to\":\"16505551234\",\"type\":\"text\"}""#,
                Some(CustomerInitiated),
                Some("US"),
            ),
            ("messages", r#"{"recipient":"US.1","type":"template"}"#, Some(BusinessInitiated), Some("US")),
            ("messages?to=16505551234&type=text", "null", Some(CustomerInitiated), Some("US")),
            ("messages", r#""{\"type\":\"text\",\"x\":\"&type=template\"}""#, None, None),
            (
                "messages?to=16505551234",
                r#""{\"type\":\"text\",\"x\":\"&type=template\"}""#,
                None,
                Some("US"),
            ),
            (
                "messages",
                r#""{\"to\":\"16505551234\",\"type\":\"text\",\"text\":{\"body\":\"a & b=c&d=e\"}}""#,
                Some(CustomerInitiated),
                Some("US"),
            ),
            ("messages?to=16505551234", r#""type=template""#, Some(BusinessInitiated), Some("US")),
            ("messages?to=16505551234&type=text", r#""to=5511987654321&type=template""#, None, None),
            ("messages", r#""to={result=a:$.to}&type=template""#, Some(BusinessInitiated), None),
            ("messages", "null", None, None),
            ("marketing_messages", r#""to=16505551234""#, Some(BusinessInitiated), Some("US")),
            ("messages_encrypted", r#""to=16505551234&type=text""#, None, None),
            ("media", r#""to=16505551234&type=template""#, None, None),
        ] {
            let text = format!(r#"{{"method":"POST","relative_url":"{{id}}/{url}","body":{body}}}"#);
            let outline = operation(&text).outline;
            let named = outline.country.map(|country| country.to_string());
            assert_eq!((outline.class, named.as_deref()), (class, country), "{url} {body}");
        }
    }

    #[test]
    fn who_sends_may_be_another_operations_to_say() {
        for (url, veiled) in [
            ("{result=x:$.id}/messages", true),
            ("/v23.0/{result=x:$.data[?(@.a==1)].id}/messages?x=y", true),
            ("https://graph.facebook.com/v23.0/{result=x:$.id}/marketing_messages", true),
            ("%7Bresult%3Dx%3A$.id%7D/m%65ssages", true),
            ("10{result=x:$.id}/messages_encrypted", true),
            ("{result=x:$.id}/media", false),
            ("{result=x:$.id}", false),
            ("{result=x:$.id", false),
            ("me/messages", false),
            ("{id}/media?x={result=x:$.id}/messages", false),
        ] {
            for method in ["\"method\":\"POST\",", ""] {
                let text = format!(r#"{{{method}"relative_url":"{url}","body":"to=1&text=x"}}"#);
                let operation = operation(&text);
                assert_eq!((operation.is_veiled, operation.send), (veiled, None), "{url}");
            }
        }
        let with = |method: &str, body: &str| {
            operation(&format!(
                r#"{{"method":"{method}","relative_url":"{{result=x:$.id}}/messages","body":"{body}"}}"#
            ))
        };
        assert!(with("post", "to=1").is_veiled);
        assert!(!with("GET", "to=1").is_veiled && !with("POST", "status=read&message_id=x").is_veiled);
        assert!(
            !operation(r#"{"relative_url":"{id}/messages?x={result=x:$.id}"}"#).is_veiled,
            "its number is known"
        );
    }

    #[test]
    fn needs_are_named_or_hidden_in_references() {
        for (text, expected) in [
            (r#"{"depends_on":"a"}"#, &["a"][..]),
            (r#"{"depends_on":["a","b"]}"#, &["a", "b"]),
            (r#"{"relative_url":"x?ids={result=a:$.data.*.id}"}"#, &["a"]),
            (r#"{"relative_url":"x?ids=%7Bresult%3Da%3A$.id%7D"}"#, &["a"]),
            (r#"{"body":"x={result=a:$.id}&y={result=b:$.id}"}"#, &["a", "b"]),
            (r#"{"body":{"x":"{result=a:$.id}"}}"#, &["a"]),
            (r#"{"body":"x=%7Bresult%3Da%3A%24.id%7D"}"#, &["a"]),
            (r#"{"body":"result=a"}"#, &[]),
            (r#"{"body":"{result=a"}"#, &["a"]),
        ] {
            assert_eq!(operation(text).needs, expected, "{text}");
        }
    }

    #[test]
    fn an_operations_own_token_is_found() {
        for text in [
            r#"{"access_token":"EAAG"}"#,
            r#"{"relative_url":"x?access_token=EAA%47"}"#,
            r#"{"body":"a=b&access_token=EAAG"}"#,
        ] {
            assert_eq!(operation(text).access_token.as_deref(), Some("EAAG"), "{text}");
        }
        let both = operation(r#"{"relative_url":"v24.0/1?appsecret_proof=p"}"#);
        assert_eq!((both.appsecret_proof.as_deref(), both.version.as_deref()), (Some("p"), Some("v24.0")));
    }
}
