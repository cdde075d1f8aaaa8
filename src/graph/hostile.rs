//! Nothing that comes from outside makes a reader panic: arbitrary bytes, and real bodies with bytes changed, cut, doubled.

use http::Method;
use proptest::prelude::*;

use super::country::Country;
use super::route::Endpoint;
use super::{answer, health, message, numbers, pin, route, webhook};

/// An answer that says that the account is locked.
pub(super) const LOCKED: &str = r##"{"error":{"message":"(#131031) Business Account locked","type":"OAuthException","code":131031,"error_data":{"messaging_product":"whatsapp","details":"Business account has been locked."},"fbtrace_id":"Az8or2yhqkZfEZ-_4Qn_Bam"}}"##;

/// An answer to a send that was accepted.
pub(super) const ACCEPTED: &str = r#"{"messaging_product":"whatsapp","contacts":[{"input":"+16505551234","wa_id":"16505551234"}],"messages":[{"id":"wamid.HBgLMTY1MDM4Nzk0MzkVAgARGBI1RjQyNUE3NEYxMzAzMzQ5MkEA","message_status":"accepted"}]}"#;

/// A health answer in which all is well.
pub(super) const HEALTHY: &str = r#"{"health_status":{"can_send_message":"AVAILABLE","entities":[
 {"entity_type":"PHONE_NUMBER","id":"106540352242922","can_send_message":"AVAILABLE","can_receive_call_sip":"AVAILABLE"},
 {"entity_type":"WABA","id":"102290129340398","can_send_message":"AVAILABLE"},
 {"entity_type":"BUSINESS","id":"506914307656634","can_send_message":"AVAILABLE"},
 {"entity_type":"APP","id":"634974688087057","can_send_message":"AVAILABLE","can_receive_call_sip":"AVAILABLE"}]},"id":"106540352242922"}"#;

/// A health answer of a banned WABA.
pub(super) const BANNED: &str = r#"{"health_status":{"can_send_message":"BLOCKED","entities":[
 {"entity_type":"PHONE_NUMBER","id":"106540352242922","can_send_message":"AVAILABLE","can_receive_call_sip":"BLOCKED",
  "errors":[{"error_code":138024,"error_description":"SIP is not enabled","possible_solution":"Enable it"}]},
 {"entity_type":"WABA","id":"102290129340398","can_send_message":"BLOCKED",
  "errors":[{"error_code":141014,"error_description":"The WABA is banned.","possible_solution":"Appeal"}]},
 {"entity_type":"BUSINESS","id":"506914307656634","can_send_message":"LIMITED",
  "errors":[{"error_code":141010,"error_description":"Not verified","possible_solution":"Verify"}]},
 {"entity_type":"APP","id":"634974688087057","can_send_message":"AVAILABLE"}]},"id":"106540352242922"}"#;

/// A webhook with one status: a message that failed because of a lock.
pub(super) const FAILED: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"},"statuses":[{"id":"wamid.HBgMMjAxMjIyMzkwMTY1FQIAERgSRUVDRUNBMTI1QzhDMkUyMkMzAA==","status":"failed","timestamp":"1763399138","recipient_id":"201222395334","biz_opaque_callback_data":"order-7","errors":[{"code":131031,"title":"Business Account locked","message":"Business Account locked","error_data":{"details":"Business account has been locked."},"href":"https:\/\/developers.facebook.com\/docs\/whatsapp\/cloud-api\/support\/error-codes\/"}]}]},"field":"messages"}]}]}"#;

/// A multipart form with a read receipt in it.
pub(super) const MULTIPART: &str = "--b\r\nContent-Disposition: form-data; name=\"messaging_product\"\r\n\r\nwhatsapp\r\n--b\r\nContent-Disposition: form-data; name=\"status\"\r\n\r\nread\r\n--b--\r\n";

/// A page of an account's phones.
const NUMBERS: &str = r#"{"data":[{"verified_name":"Lucky Shrub","id":"106540352242922"}],"paging":{"cursors":{"before":"QVFI","after":"QVFJ"},"next":"https://x"}}"#;

const FIXTURES: [&str; 7] = [LOCKED, ACCEPTED, HEALTHY, BANNED, FAILED, MULTIPART, NUMBERS];

fn read_it_all(bytes: &[u8]) {
    let _ = answer::read(bytes);
    for status in [200, 400, 401, 429, 500] {
        let _ = health::read(status, bytes);
    }
    let _ = numbers::read(bytes);
    let _ = webhook::read(bytes);
    for content_type in [
        None,
        Some("application/json"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=b"),
    ] {
        let _ = route::is_read_receipt(content_type, bytes);
        let _ = pin::read(content_type, None, bytes);
        let query = std::str::from_utf8(bytes).ok();
        let _ = message::outline(Endpoint::Messages, content_type, query, bytes);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        for method in [Method::POST, Method::GET] {
            let _ = route::route(&method, text);
        }
        let _ = route::version(text);
        let _ = Country::of_recipient(text);
        let _ = route::is_read_receipt(Some(text), MULTIPART.as_bytes());
        let _ = pin::read(Some(text), Some(text), MULTIPART.as_bytes());
    }
}

/// A fixture with a few bytes replaced, taken out, or put in twice.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), 0_usize..40, 0_u8..3, any::<u8>());
    (prop::sample::select(&FIXTURES[..]), prop::collection::vec(edit, 1..6)).prop_map(|(fixture, edits)| {
        let mut bytes = fixture.as_bytes().to_vec();
        for (at, len, how, byte) in edits {
            let from = at.index(bytes.len().max(1)).min(bytes.len());
            let to = (from + len).min(bytes.len());
            match how {
                0 => bytes[from..to].fill(byte),
                1 => drop(bytes.drain(from..to)),
                _ => drop(bytes.splice(from..from, bytes[from..to].to_vec())),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_panic_nothing(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_it_all(&bytes);
    }

    #[test]
    fn changed_bodies_panic_nothing(bytes in mutated()) {
        read_it_all(&bytes);
    }

    #[test]
    fn arbitrary_paths_panic_nothing(path in "[/.%a-fv0-9 2fFmes]{0,60}|\\PC{0,40}") {
        let _ = route::route(&Method::POST, &path);
        let _ = route::version(&path);
    }

    /// However its dots and letters are spelled, a send stays one: nothing evades an open breaker.
    #[test]
    fn a_send_is_one_in_any_spelling(spell in prop::collection::vec(0_u8..6, 64)) {
        let mut path = String::new();
        for (letter, how) in "/v23.0/106540352242922/messages".chars().zip(spell) {
            match (letter, how) {
                ('/', 0) => path.push_str("//"),
                ('/', 1) => path.push_str("/./"),
                ('/', 2) => path.push_str("/x/%2E./"),
                ('/', _) | (_, 3..) => path.push(letter),
                (_, 0) => path.push_str(&format!("%{:02x}", u32::from(letter))),
                (_, 1) => path.push_str(&format!("%{:02X}", u32::from(letter))),
                _ => path.push(letter.to_ascii_uppercase()),
            }
        }
        let sends = matches!(route::route(&Method::POST, &path), route::Route::Send { phone, .. } if phone.as_str() == "106540352242922");
        prop_assert!(sends, "{path}");
    }
}
