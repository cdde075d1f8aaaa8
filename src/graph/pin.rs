//! Two-step PINs: which one a call carries, and what Meta's answer says about it.

mod wait;

use std::borrow::Cow;
use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use memchr::memmem;
use serde::de::MapAccess;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::error::{ACCOUNT_LOCKED, GraphError, PIN_GUESSED_TOO_FAST, PIN_GUESSED_TOO_OFTEN, PIN_MISMATCH};
use super::form::{Writing, last_field};
use super::ids::PhoneNumberId;
use super::lenient::{self, Object, Value};

/// A PIN as a call carries it. It never prints itself.
pub struct Pin(String);

impl Pin {
    /// Whether it stands in a text, which then must not be kept.
    pub fn is_in(&self, text: &[u8]) -> bool {
        memmem::find(text, self.0.as_bytes()).is_some()
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin")
    }
}

/// What a PIN is remembered by: a keyed hash of it and its phone. Six digits are soon tried through, so it is as secret as
/// the key: it stays in memory, and never prints itself either.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PinHash(u128);

impl fmt::Debug for PinHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinHash")
    }
}

/// The key of [`PinHash`]es: random for each process.
#[derive(Clone, Copy)]
pub struct PinHasher {
    key: [u8; 16],
}

impl PinHasher {
    /// A hasher with this key.
    pub const fn new(key: [u8; 16]) -> Self {
        Self { key }
    }

    /// The hash of a phone's PIN.
    pub fn hash(&self, phone: PhoneNumberId, pin: &Pin) -> PinHash {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        phone.hash(&mut hasher);
        pin.0.hash(&mut hasher);
        PinHash(hasher.finish128().as_u128())
    }
}

impl fmt::Debug for PinHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinHasher")
    }
}

/// Where Meta's OpenAPI description has the PIN of `POST /{phone}`; its guides have it at the top.
const NESTED: &str = "whatsapp_business_api_data";

/// The PIN that a call carries: `pin` in its body (JSON, form or multipart; there or in `whatsapp_business_api_data`), else in
/// its query. A text, or a number's digits; an object of that name, such as a group message's, is none.
///
/// All as they came. `None` also for what cannot be read: then Meta has the word.
pub fn read(content_type: Option<&str>, query: Option<&str>, body: &[u8]) -> Option<Pin> {
    let in_body = match Writing::of(content_type) {
        Writing::Other => json_pin(body),
        form => form_pin(form, body),
    };
    let pin = in_body.or_else(|| form_pin(Writing::Form, query?.as_bytes()))?;
    let pin = pin.trim();
    (!pin.is_empty()).then(|| Pin(pin.to_owned()))
}

fn json_pin(body: &[u8]) -> Option<String> {
    let fields: Fields = lenient::document(&lenient::text_of(body))?;
    fields.pin.or(fields.nested)
}

fn form_pin(form: Writing<'_>, body: &[u8]) -> Option<String> {
    let text = |value: Cow<'_, [u8]>| String::from_utf8_lossy(&value).into_owned();
    // Objects are JSON inside of a form's value.
    last_field(form, body, "pin")
        .map(text)
        .or_else(|| last_field(form, body, NESTED).and_then(|nested| json_pin(&nested)))
}

#[derive(Default)]
struct Fields {
    pin: Option<String>,
    nested: Option<String>,
}

impl<'de> Object<'de> for Fields {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"pin" => self.pin = value.text()?.map(Cow::into_owned),
            name if name == NESTED.as_bytes() => {
                self.nested = value.object::<Inner>()?.and_then(|inner| inner.pin);
            }
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// What is in [`NESTED`]. Not [`Fields`] again: one level, and no deeper.
#[derive(Default)]
struct Inner {
    pin: Option<String>,
}

impl<'de> Object<'de> for Inner {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"pin" => self.pin = value.text()?.map(Cow::into_owned),
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// What an answer says about the PIN of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the right one.
    Accepted,
    /// It is not: 133005, or 131031, whose documented causes include a wrong PIN.
    Refused,
    /// It was not looked at, and none will be for so long: 133008, 133009.
    Wait(Duration),
    /// Any other error is about something else.
    Nothing,
}

/// The verdict of an answer. `is_success`: a whole one with a status of 2xx.
pub fn verdict(is_success: bool, error: Option<&GraphError<'_>>) -> Verdict {
    let Some(error) = error else {
        return if is_success { Verdict::Accepted } else { Verdict::Nothing };
    };
    let wait = |default| {
        let stated = error.details.as_deref().and_then(wait::stated);
        Verdict::Wait(stated.unwrap_or(default))
    };
    match error.code {
        PIN_MISMATCH | ACCOUNT_LOCKED => Verdict::Refused,
        PIN_GUESSED_TOO_OFTEN => wait(wait::TOO_OFTEN),
        PIN_GUESSED_TOO_FAST => wait(wait::TOO_FAST),
        _ => Verdict::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";
    const PARTS: &str = "multipart/form-data; boundary=b";

    fn pin(content_type: &str, query: Option<&str>, body: &str) -> Option<String> {
        read(Some(content_type), query, body.as_bytes()).map(|pin| pin.0)
    }

    #[test]
    fn a_pin_is_found_however_it_is_written() {
        let part = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--b--\r\n")
        };
        for (content_type, query, body) in [
            ("application/json", None, r#"{"messaging_product":"whatsapp","pin":"212834"}"#),
            ("", None, r#"{"pin":212834,"backup":{"password":"x","data":"y"}}"#),
            ("application/json", None, r#"{"whatsapp_business_api_data":{"pin":"212834"}}"#),
            ("application/json", None, r#"{"whatsapp_business_api_data":{"pin":"1"},"pin":" 212834 "}"#),
            ("application/json", None, r#"{"pin":"1","pin":"212834"}"#),
            (FORM, None, "messaging_product=whatsapp&pin=212834"),
            (FORM, None, "p%69n=2128%334"),
            (FORM, None, "whatsapp_business_api_data=%7B%22pin%22%3A%22212834%22%7D"),
            (PARTS, None, &part("pin", "212834")),
            (PARTS, None, &part("whatsapp_business_api_data", r#"{"pin":212834}"#)),
            ("application/json", Some("pin=212834&access_token=x"), ""),
            ("application/json", Some("pin=1"), r#"{"pin":"212834"}"#),
        ] {
            assert_eq!(
                pin(content_type, query, body).as_deref(),
                Some("212834"),
                "{content_type} {query:?} {body}"
            );
        }
    }

    #[test]
    fn what_carries_none() {
        for (content_type, query, body) in [
            ("application/json", None, ""),
            ("application/json", None, r#"{"webhook_configuration":{"override_callback_uri":"x"}}"#),
            ("application/json", None, r#"{"type":"pin","pin":{"type":"pin","message_id":"wamid.x"}}"#),
            ("application/json", None, r#"{"pin":""}"#),
            ("application/json", None, r#"{"pin":null}"#),
            ("application/json", None, r#"{"data":{"pin":"212834"}}"#),
            (
                "application/json",
                None,
                r#"{"whatsapp_business_api_data":{"whatsapp_business_api_data":{"pin":"1"}}}"#,
            ),
            ("application/json", None, r#"{"pin":"212834""#),
            ("application/json", None, "pin=212834"),
            (FORM, Some("access_token=pin"), "x=pin%3D212834"),
            ("multipart/form-data", None, "--b"),
        ] {
            assert_eq!(pin(content_type, query, body), None, "{content_type} {query:?} {body}");
        }
    }

    #[test]
    fn hashes_depend_on_phone_pin_and_key_and_print_nothing() {
        let (one, two) = (PinHasher::new([1; 16]), PinHasher::new([2; 16]));
        let [phone, other] = ["1", "2"].map(|id| PhoneNumberId::parse(id).unwrap());
        let [a, b] = ["212834", "212835"].map(|pin| Pin(pin.to_owned()));
        assert_eq!(one.hash(phone, &a), one.hash(phone, &Pin("212834".to_owned())));
        assert_ne!(one.hash(phone, &a), one.hash(phone, &b));
        assert_ne!(one.hash(phone, &a), one.hash(other, &a));
        assert_ne!(one.hash(phone, &a), two.hash(phone, &a));
        assert_eq!(format!("{a:?} {:?} {one:?}", one.hash(phone, &a)), "Pin PinHash PinHasher");
    }

    #[test]
    fn only_some_codes_are_about_the_pin() {
        let of = |code, details: Option<&'static str>| {
            let details = details.map(Cow::Borrowed);
            verdict(false, Some(&GraphError { code, message: "x".into(), details, fbtrace_id: None }))
        };
        for code in [133_005, 131_031] {
            assert_eq!(of(code, None), Verdict::Refused, "{code}");
        }
        for code in [0, 2, 10, 100, 190, 368, 131_000, 133_000, 133_004, 133_006, 133_010, 133_015, 133_016] {
            assert_eq!(of(code, None), Verdict::Nothing, "{code}");
        }
        assert_eq!(of(133_009, None), Verdict::Wait(Duration::from_secs(60)));
        assert_eq!(of(133_008, Some("Wait.")), Verdict::Wait(Duration::from_secs(3600)));
        assert_eq!(of(133_008, Some("Try again in 90 seconds.")), Verdict::Wait(Duration::from_secs(90)));
        assert_eq!(verdict(true, None), Verdict::Accepted);
        assert_eq!(verdict(false, None), Verdict::Nothing);
    }
}
