//! The answer to a send.

use std::borrow::Cow;

use serde::de::MapAccess;

use super::error::{ErrorFields, GraphError};
use super::ids::MAX_WAMID_BYTES;
use super::lenient::{self, Object, Value};
use super::recipient::masked;

/// What an answer to a send says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Its error, if it is one.
    pub error: Option<GraphError<'a>>,
    /// The messages that were accepted.
    pub messages: Vec<Message<'a>>,
}

/// An element of `messages[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `messages[].id`
    pub wamid: Cow<'a, str>,
    /// Who is to get it, masked: `…5334`. `wa_id` of the contact in its place, else its `user_id`, else its `input`; none unless
    /// there are as many contacts as messages.
    pub recipient: Option<String>,
}

/// Whether a body is `{"success":true}`: what Meta answers to a read receipt.
pub fn is_acknowledgement(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Acknowledgement {
        success: bool,
    }
    serde_json::from_slice::<Acknowledgement>(body).is_ok_and(|body| body.success)
}

/// Reads a decoded answer body. `None`: not JSON, or not of this shape: neither an error with a code nor `messages`, such
/// as the answer to a read receipt, or the sealed one of `/messages_encrypted`.
///
/// Where both are there, both are returned. Of two `code`s in one error the last counts, an unreadable one too.
pub fn read(body: &[u8]) -> Option<Answer<'_>> {
    match lenient::text_of(body) {
        Cow::Borrowed(text) => parse(text),
        Cow::Owned(text) => parse(&text).map(Answer::into_owned),
    }
}

fn parse(text: &str) -> Option<Answer<'_>> {
    let fields: Fields<'_> = lenient::document(text)?;
    (fields.error.is_some() || fields.has_messages).then(|| fields.into_answer())
}

impl Answer<'_> {
    fn into_owned(self) -> Answer<'static> {
        let owned = |Message { wamid, recipient }: Message<'_>| Message {
            wamid: Cow::Owned(wamid.into_owned()),
            recipient,
        };
        Answer {
            error: self.error.map(GraphError::into_owned),
            messages: self.messages.into_iter().map(owned).collect(),
        }
    }
}

#[derive(Default)]
struct Fields<'a> {
    error: Option<GraphError<'a>>,
    has_messages: bool,
    /// As they came, the odd ones too: a contact belongs to the message in its place. It may come before or after it.
    wamids: Vec<Option<Cow<'a, str>>>,
    contacts: Vec<Contact<'a>>,
}

impl<'a> Fields<'a> {
    fn into_answer(self) -> Answer<'a> {
        let belong = self.contacts.len() == self.wamids.len();
        let mut contacts = self.contacts.into_iter();
        let messages = self.wamids.into_iter().filter_map(|wamid| {
            let contact = contacts.next().filter(|_| belong);
            let recipient = contact.and_then(Contact::recipient);
            wamid.map(|wamid| Message { wamid, recipient })
        });
        Answer { error: self.error, messages: messages.collect() }
    }
}

impl<'de> Object<'de> for Fields<'de> {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"error" => {
                let error = value.object::<ErrorFields<'de>>()?.and_then(ErrorFields::into_error);
                // A second, unreadable `error` does not hide the first.
                self.error = error.or(self.error.take());
            }
            b"messages" => {
                let wamids = &mut self.wamids;
                self.has_messages |= value.list(|message: Option<MessageFields<'de>>| {
                    let id = message.and_then(|message| message.id);
                    wamids.push(id.filter(|id| !id.is_empty() && id.len() <= MAX_WAMID_BYTES));
                })?;
            }
            b"contacts" => {
                let contacts = &mut self.contacts;
                value.list(|contact: Option<Contact<'de>>| contacts.push(contact.unwrap_or_default()))?;
            }
            _ => value.skip()?,
        }
        Ok(())
    }
}

#[derive(Default)]
struct MessageFields<'a> {
    id: Option<Cow<'a, str>>,
}

impl<'de> Object<'de> for MessageFields<'de> {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"id" => self.id = value.text()?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// An element of `contacts[]`.
#[derive(Default)]
struct Contact<'a> {
    wa_id: Option<Cow<'a, str>>,
    user_id: Option<Cow<'a, str>>,
    input: Option<Cow<'a, str>>,
}

impl Contact<'_> {
    fn recipient(self) -> Option<String> {
        let mut names = [self.wa_id, self.user_id, self.input].into_iter().flatten();
        names.find(|name| !name.is_empty()).map(|name| masked(&name))
    }
}

impl<'de> Object<'de> for Contact<'de> {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"wa_id" => self.wa_id = value.text()?,
            b"user_id" => self.user_id = value.text()?,
            b"input" => self.input = value.text()?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::hostile::{ACCEPTED, LOCKED};

    fn code(body: &str) -> Option<i64> {
        read(body.as_bytes())?.error.map(|error| error.code)
    }

    #[test]
    fn a_lock_is_read_with_its_words() {
        let error = read(LOCKED.as_bytes()).unwrap().error.unwrap();
        assert_eq!(error.code, 131_031);
        assert_eq!(error.message, "(#131031) Business Account locked");
        assert_eq!(error.details.as_deref(), Some("Business account has been locked."));
        assert_eq!(error.fbtrace_id.as_deref(), Some("Az8or2yhqkZfEZ-_4Qn_Bam"));
    }

    /// The messages of a body, each with its recipient.
    fn messages(body: &str) -> Vec<(String, String)> {
        let told = |message: Message<'_>| (message.wamid.into(), message.recipient.unwrap_or_default());
        read(body.as_bytes()).unwrap().messages.into_iter().map(told).collect()
    }

    #[test]
    fn an_accepted_send_has_its_wamids() {
        let answer = read(ACCEPTED.as_bytes()).unwrap();
        assert_eq!(answer.error, None);
        let [message] = &answer.messages[..] else { panic!("{answer:?}") };
        assert_eq!(message.wamid, "wamid.HBgLMTY1MDM4Nzk0MzkVAgARGBI1RjQyNUE3NEYxMzAzMzQ5MkEA");
        assert!(matches!(message.wamid, Cow::Borrowed(_)));
    }

    #[test]
    fn a_message_has_the_recipient_in_its_place() {
        for (contacts, recipient) in [
            (r#"[{"input":"+55 11","wa_id":"16505551234"}]"#, "…1234"),
            (r#"[{"wa_id":16505551234,"input":"+5511999998888"}]"#, "…1234"),
            (r#"[{"input":"US.13491208655302741918","user_id":"US.13491208655302741918"}]"#, "…1918"),
            (r#"[{"input":"+16505551234"}]"#, "…1234"),
            (r#"[{"wa_id":"","user_id":null,"input":"+16505551234"}]"#, "…1234"),
            (r#"[{"wa_id":"12345"}]"#, "…45"),
            (r#"[{"wa_id":"1234"}]"#, "…"),
            ("[{}]", ""),
            ("[null]", ""),
            ("[]", ""),
            ("null", ""),
            (r#"[{"wa_id":"16505551234"},{"wa_id":"16505555678"}]"#, ""),
        ] {
            for body in [
                format!(r#"{{"contacts":{contacts},"messages":[{{"id":"w"}}]}}"#),
                format!(r#"{{"messages":[{{"id":"w"}}],"contacts":{contacts}}}"#),
            ] {
                assert_eq!(messages(&body), [("w".to_owned(), recipient.to_owned())], "{body}");
            }
        }
        // What is skipped keeps its place.
        let body = r#"{"contacts":[{"wa_id":"10000001"},{"wa_id":"10000002"},7,{"wa_id":"10000004"}],
            "messages":[{"id":"a"},null,{"id":"c"},{"id":"d"}]}"#;
        let expected = [("a", "…0001"), ("c", ""), ("d", "…0004")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(messages(body), expected);
    }

    #[test]
    fn the_code_is_found_whatever_is_around_it() {
        for body in [
            r#"{"error":{"code":"131031"}}"#,
            r#"{"error":{"code":131031.0}}"#,
            r#"{"error":{"code":131031,"error_data":null}}"#,
            r#"{"error":{"code":131031,"error_data":"{\"details\":\"x\"}"}}"#,
            r#"{"error":{"code":131031,"error_data":["x"]}}"#,
            r#"{"error":{"code":131031,"error_data":{"details":{"x":[1]}}}}"#,
            r#"{"error":{"code":131031,"message":{"text":"x"},"fbtrace_id":17,"type":false}}"#,
            r#"{"error":{"code":131031,"title":"Business Account locked","message":"x"}}"#,
            r#"{"error":{"message":"cut \ud83d","code":131031}}"#,
            r#"{"error":{"error_subcode":2494055,"is_transient":false,"new":{"a":[{}]},"code":131031}}"#,
            r#"{"error":{"code":368,"code":131031}}"#,
            r#"{"error":{"code":131031},"error":"x"}"#,
            r#"{"messages":{"id":5},"contacts":7,"error":{"code":131031}}"#,
            "\u{FEFF} \r\n {\"error\":{\"code\":131031}} \r\n",
        ] {
            assert_eq!(code(body), Some(131_031), "{body}");
        }
        let bad_bytes = b"{\"error\":{\"message\":\"\xFF\xFE\",\"code\":131031}}";
        assert_eq!(read(bad_bytes).unwrap().error.unwrap().code, 131_031);
    }

    #[test]
    fn no_odd_value_of_any_field_hides_the_code() {
        let odd = ["null", "true", "0", "-1.5", "\"\"", "\"\\ud83d\"", "[]", "[[{}]]", "{}", "{\"code\":1}"];
        let fields =
            ["message", "type", "error_data", "error_subcode", "fbtrace_id", "title", "error_user_msg"];
        for value in odd {
            for field in fields {
                for body in [
                    format!(r#"{{"error":{{"{field}":{value},"code":131031}}}}"#),
                    format!(r#"{{"error":{{"code":131031,"{field}":{value}}}}}"#),
                    format!(r#"{{"{field}":{value},"messages":{value},"error":{{"code":131031}}}}"#),
                ] {
                    assert_eq!(code(&body), Some(131_031), "{body}");
                }
            }
        }
    }

    #[test]
    fn a_title_stands_in_for_a_message() {
        let answer = read(br#"{"error":{"code":1,"title":"T"}}"#).unwrap();
        assert_eq!(answer.error.unwrap().message, "T");
    }

    #[test]
    fn odd_messages_are_skipped() {
        let long = "x".repeat(MAX_WAMID_BYTES + 1);
        let body = format!(
            r#"{{"messages":[null,7,"x",[],{{}},{{"id":null}},{{"id":""}},{{"id":"{long}"}},{{"id":"wamid.a"}},{{"id":"wamid.\/b"}}]}}"#
        );
        let expected = ["wamid.a", "wamid./b"].map(|wamid| (wamid.to_owned(), String::new()));
        assert_eq!(messages(&body), expected);
        assert_eq!(read(br#"{"messages":[]}"#), Some(Answer::default()));
    }

    #[test]
    fn an_error_and_messages_are_both_told() {
        let answer = read(br#"{"messages":[{"id":"wamid.a"}],"error":{"code":131031}}"#).unwrap();
        assert_eq!((answer.error.unwrap().code, answer.messages.len()), (131_031, 1));
    }

    #[test]
    fn what_says_neither_is_nothing() {
        for body in [
            "",
            "131031",
            "<html>131031</html>",
            "{\"error\":{\"code\":131031}",
            "{\"error\":\"131031\"}",
            "{\"error\":{\"message\":\"(#131031) Business Account locked\"}}",
            "{\"error\":{\"error_subcode\":131031}}",
            "{\"success\":true}",
            "{\"encrypted_contents\":\"eyJ\"}",
            "{\"messages\":null}",
            "[{\"error\":{\"code\":131031}}]",
            "null",
        ] {
            assert_eq!(read(body.as_bytes()), None, "{body}");
        }
    }
}
