//! Whether a body on `/messages` is a read receipt.

use serde::de::MapAccess;

use super::form::{Writing, last_field};
use super::lenient::{self, Object, Value};

/// Whether the body of a `POST …/messages` is a read receipt (with or without typing indicator), which is no send.
/// `content_type` and `body` as they came. What cannot be read is a send.
///
/// The body is read as what its content type says: a form that also happens to be JSON is a form to Meta. Anything but a
/// form is read as JSON.
///
/// A top-level `status` of `read` decides alone, whatever else is there (`to`, `recipient_type` and `type` are harmless
/// habits of clients): it is what makes Meta mark a message as read, no message has such a field, and rejecting a receipt
/// would break a promise. If the field comes twice the last one counts, as it does for Meta.
pub fn is_read_receipt(content_type: Option<&str>, body: &[u8]) -> bool {
    match Writing::of(content_type) {
        Writing::Other => json_status(body),
        form => last_field(form, body, "status").is_some_and(|status| *status == *b"read"),
    }
}

#[derive(Default)]
struct Receipt {
    is_read: bool,
}

impl<'de> Object<'de> for Receipt {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"status" => self.is_read = value.text()?.is_some_and(|status| status == "read"),
            _ => value.skip()?,
        }
        Ok(())
    }
}

fn json_status(body: &[u8]) -> bool {
    lenient::document::<Receipt>(&lenient::text_of(body)).is_some_and(|receipt| receipt.is_read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::hostile::MULTIPART;

    const JSON: Option<&str> = Some("application/json");
    const FORM: Option<&str> = Some("application/x-www-form-urlencoded");
    const PARTS: Option<&str> = Some("multipart/form-data; boundary=b");

    #[track_caller]
    fn check(content_type: Option<&str>, receipt: bool, bodies: &[&str]) {
        for body in bodies {
            assert_eq!(is_read_receipt(content_type, body.as_bytes()), receipt, "{content_type:?} {body}");
        }
    }

    #[test]
    fn json_receipts() {
        let bodies = [
            r#"{"messaging_product":"whatsapp","status":"read","message_id":"wamid.x"}"#,
            r#"{"messaging_product":"whatsapp","status":"read","message_id":"wamid.x","typing_indicator":{"type":"text"}}"#,
            " \r\n{\"status\" : \"read\"} ",
            r#"{"status":"\u0072ead"}"#,
            r#"{"st\u0061tus":"read"}"#,
            r#"{"status":"read","to":"16505551234","recipient_type":"individual","type":"text"}"#,
            r#"{"status":"x","status":"read"}"#,
            r#"{"status":"read","odd":"\ud83d"}"#,
        ];
        for content_type in [JSON, None, Some("Application/JSON; charset=utf-8"), Some("text/plain")] {
            check(content_type, true, &bodies);
        }
    }

    #[test]
    fn json_sends() {
        check(
            JSON,
            false,
            &[
                r#"{"messaging_product":"whatsapp","to":"1","type":"text","text":{"body":"hi"}}"#,
                r#"{"to":"1","text":{"body":"\"status\":\"read\"","status":"read"}}"#,
                r#"{"status":"delivered"}"#,
                r#"{"status":"READ"}"#,
                r#"{"Status":"read"}"#,
                r#"{"status":["read"]}"#,
                r#"{"status":{"status":"read"}}"#,
                r#"{"status":null}"#,
                r#"{"status":"read","status":"x"}"#,
                r#"{"status":"read","status":null}"#,
                r#"[{"status":"read"}]"#,
                r#"{"status":"read""#,
                r#"{"status":"read"}{"to":"1"}"#,
                r#""read""#,
                "status=read",
                "",
                "\u{0}",
            ],
        );
    }

    #[test]
    fn form_receipts_and_sends() {
        check(
            FORM,
            true,
            &[
                "messaging_product=whatsapp&status=read&message_id=wamid.x",
                "status=read",
                "st%61tus=%72ead",
                "status=x&status=read",
                "&&status=read&",
            ],
        );
        check(
            FORM,
            false,
            &[
                "messaging_product=whatsapp&to=1&type=text&text=%7B%22body%22%3A%22status%3Dread%22%7D",
                "text=status=read",
                "status=read&status=x",
                "status=readx",
                "xstatus=read",
                "status",
                "status=",
                "",
                r#"{"status":"read"}"#,
                // JSON to a careless reader, a message to Meta.
                r#"{"status":"read","x":"&to=1&type=text&text=hi"}"#,
            ],
        );
    }

    #[test]
    fn multipart_receipts_and_sends() {
        let part = |head: &str, content: &str| {
            format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
        };
        let whole = |parts: &[String]| format!("{}--b--\r\n", parts.concat());
        let status = part("name=\"status\"", "read");
        check(
            PARTS,
            true,
            &[
                MULTIPART,
                &whole(&[part("name=\"message_id\"", "wamid.x"), status.clone()]),
                &whole(&[part("name=status", "read")]),
                &whole(&[part("name=\"status\"", "x"), status.clone()]),
                &format!("a preamble\r\n{}", whole(std::slice::from_ref(&status))),
                "--b\r\ncontent-type: text/plain\r\ncontent-disposition: form-data; name=\"status\"\r\n\r\nread\r\n--b--",
            ],
        );
        check(Some("Multipart/Form-Data; charset=utf-8; Boundary=\"b\""), true, &[MULTIPART]);
        check(
            PARTS,
            false,
            &[
                "",
                "--b--",
                "status=read",
                r#"{"status":"read"}"#,
                // Not whole.
                &status,
                MULTIPART.trim_end_matches("--b--\r\n"),
                // Another field, a file, another value.
                &whole(&[part("name=\"to\"", "read")]),
                &whole(&[part("name=\"status\"; filename=\"x\"", "read")]),
                &whole(&[part("name=\"status\"", "ready")]),
                &whole(&[part("name=\"a; name=status; b\"", "read")]),
                &whole(&[status.clone(), part("name=\"status\"", "x")]),
                // A text that looks like a part.
                &whole(&[part("name=\"text\"", &status.replace("--b", "--c"))]),
            ],
        );
        check(Some("multipart/form-data"), false, &[MULTIPART]);
        check(Some("multipart/form-data; boundary="), false, &[MULTIPART]);
        check(Some("multipart/form-data; boundary=c"), false, &[MULTIPART]);
    }
}
