//! Health answers in, verdicts out.

use super::*;
use crate::graph::hostile::{BANNED, HEALTHY};

/// An answer whose entities are these.
fn answer(entities: &str) -> String {
    format!(r#"{{"health_status":{{"can_send_message":"AVAILABLE","entities":[{entities}]}},"id":"0"}}"#)
}

/// The verdict on a 200, in a word.
fn verdict(body: &str) -> &'static str {
    match read(200, body.as_bytes()) {
        Health::Clear(_) => "clear",
        Health::Blocked(_) => "blocked",
        Health::Unknown(Unknown::Unreadable) => "unreadable",
        Health::Unknown(_) => "unknown",
    }
}

#[track_caller]
fn check(expected: &str, entities: &[&str]) {
    for entities in entities {
        assert_eq!(verdict(&answer(entities)), expected, "{entities}");
    }
}

#[test]
fn a_clean_answer_is_clear() {
    let Health::Clear(entities) = read(200, HEALTHY.as_bytes()) else { panic!("not clear") };
    let kinds: Vec<_> = entities.iter().map(|entity| &*entity.kind).collect();
    assert_eq!(kinds, ["PHONE_NUMBER", "WABA", "BUSINESS", "APP"]);
    assert!(entities.iter().all(|entity| !entity.blocks && entity.can_send_message == "AVAILABLE"));
}

#[test]
fn a_ban_says_who_blocks_and_why() {
    let Health::Blocked(entities) = read(200, BANNED.as_bytes()) else { panic!("not blocked") };
    let blocking: Vec<_> = entities.iter().filter(|entity| entity.blocks).collect();
    let [waba] = blocking[..] else { panic!("one blocks") };
    assert_eq!((&*waba.kind, waba.id.as_deref()), ("WABA", Some("102290129340398")));
    assert_eq!(
        waba.errors,
        [HealthError {
            code: 141_014,
            description: "The WABA is banned.".into(),
            possible_solution: Some("Appeal".into())
        }]
    );
    assert_eq!(entities[0].errors[0].code, 138_024);
}

#[test]
fn the_overall_field_is_not_looked_at() {
    let sip_only = HEALTHY.replacen("AVAILABLE", "BLOCKED", 1);
    assert_ne!(sip_only, HEALTHY);
    assert_eq!(verdict(&sip_only), "clear");
    let all_well_but_one = BANNED.replacen("BLOCKED", "AVAILABLE", 1);
    assert_eq!(verdict(&all_well_but_one), "blocked");
}

#[test]
fn what_blocks() {
    check(
        "blocked",
        &[
            r#"{"entity_type":"WABA","can_send_message":"BLOCKED"}"#,
            r#"{"entity_type":"WABA","can_send_message":"BLOCKED","errors":[]}"#,
            r#"{"entity_type":"WABA","can_send_message":"BLOCKED","errors":null}"#,
            r#"{"entity_type":"WABA","can_send_message":"BLOCKED","errors":[{"error_code":141014}]}"#,
            r#"{"entity_type":"WABA","can_send_message":"BLOCKED","errors":[{"error_code":149999}]}"#,
            r#"{"entity_type":"WABA","can_send_message":"BLOCKED","errors":[{"error_code":141006},{"error_code":"141014"}]}"#,
            r#"{"entity_type":"WABA","can_send_message":"BLOCKED","errors":[{"error_code":141006},{"error_description":"?"}]}"#,
            r#"{"entity_type":"WABA","can_send_message":"BLOCKED","errors":[{"error_code":141006},null]}"#,
            r#"{"entity_type":"PHONE_NUMBER","can_send_message":"BLOCKED","errors":[{"error_code":138030}]}"#,
            r#"{"entity_type":"BUSINESS","can_send_message":"BLOCKED","errors":[{"error_code":141010}]}"#,
            r#"{"entity_type":"HOLDING","id":7,"can_send_message":"BLOCKED"}"#,
            r#"{"can_send_message":"BLOCKED"}"#,
            // One that blocks outweighs others that cannot be read.
            r#"null,{"entity_type":"APP"},{"entity_type":"WABA","can_send_message":"BLOCKED"}"#,
        ],
    );
}

#[test]
fn what_does_not_block() {
    check(
        "clear",
        &[
            r#"{"entity_type":"WABA","can_send_message":"AVAILABLE"}"#,
            r#"{"entity_type":"WABA","can_send_message":"LIMITED","errors":[{"error_code":141010}]}"#,
            r#"{"entity_type":"WABA","can_send_message":"AVAILABLE","errors":[{"error_code":141014}]}"#,
            r#"{"entity_type":"WABA","can_send_message":"BLOCKED","errors":[{"error_code":141006}]}"#,
            r#"{"entity_type":"WABA","can_send_message":"BLOCKED","errors":[{"error_code":"141006"},{"error_code":138020}]}"#,
            r#"{"entity_type":"PHONE_NUMBER","can_send_message":"BLOCKED","errors":[{"error_code":138029}]}"#,
            r#"{"entity_type":"APP","can_send_message":"AVAILABLE","can_receive_call_sip":"BLOCKED"}"#,
            r#"{"entity_type":"APP","can_send_message":"AVAILABLE"},{"entity_type":"MESSAGE_TEMPLATE","can_send_message":"BLOCKED","errors":[{"error_code":141002}]}"#,
            r#"{"entity_type":"APP","can_send_message":"AVAILABLE"},{"entity_type":"FLOW","can_send_message":"?"}"#,
        ],
    );
}

#[test]
fn unknown_is_never_clear() {
    check(
        "unreadable",
        &[
            "",
            "null",
            r#"{"entity_type":"MESSAGE_TEMPLATE","can_send_message":"AVAILABLE"}"#,
            r#"{"entity_type":"WABA"}"#,
            r#"{"entity_type":"WABA","can_send_message":null}"#,
            r#"{"entity_type":"WABA","can_send_message":"MAYBE"}"#,
            r#"{"entity_type":"WABA","can_send_message":"available"}"#,
            r#"{"entity_type":"WABA","can_send_message":true}"#,
            r#"{"can_send_message":"AVAILABLE"}"#,
            r#"{"entity_type":"APP","can_send_message":"AVAILABLE"},{"entity_type":"WABA"}"#,
            r#"{"entity_type":"APP","can_send_message":"AVAILABLE"},7"#,
        ],
    );
    for body in [
        "",
        "{}",
        "[]",
        "null",
        "AVAILABLE",
        "<html></html>",
        r#"{"health_status":null}"#,
        r#"{"health_status":"AVAILABLE"}"#,
        r#"{"health_status":{"can_send_message":"AVAILABLE"}}"#,
        r#"{"health_status":{"can_send_message":"AVAILABLE","entities":{}}}"#,
        r#"{"entities":[{"entity_type":"WABA","can_send_message":"AVAILABLE"}]}"#,
        &HEALTHY[..HEALTHY.len() - 1],
    ] {
        assert_eq!(verdict(body), "unreadable", "{body}");
    }
    for status in [100, 302, 404, 503] {
        assert_eq!(read(status, HEALTHY.as_bytes()), Health::Unknown(Unknown::Failed), "{status}");
    }
}

#[test]
fn errors_say_why_nothing_is_known() {
    use Unknown::{Failed, NotPermitted, RateLimited, TokenInvalid, Unreadable};
    for (status, code, expected) in [
        (401, "190", TokenInvalid),
        (400, "190", TokenInvalid),
        (200, "\"190\"", TokenInvalid),
        (401, "0", TokenInvalid),
        (401, "102", TokenInvalid),
        (401, "104", TokenInvalid),
        (400, "104", Failed),
        (403, "10", NotPermitted),
        (200, "10", NotPermitted),
        (401, "10", NotPermitted),
        (403, "200", NotPermitted),
        (403, "299", NotPermitted),
        (403, "300", Failed),
        (400, "4", RateLimited),
        (400, "17", RateLimited),
        (400, "32", RateLimited),
        (400, "613", RateLimited),
        (400, "80007", RateLimited),
        (429, "1", RateLimited),
        (429, "null", RateLimited),
        (400, "100", Failed),
        (503, "2", Failed),
        (500, "null", Failed),
        (403, "131031", Failed),
    ] {
        let body = format!(r#"{{"error":{{"message":"x","code":{code}}}}}"#);
        assert_eq!(read(status, body.as_bytes()), Health::Unknown(expected), "{status} {body}");
    }
    for (status, expected) in
        [(200, Unreadable), (204, Unreadable), (429, RateLimited), (401, Failed), (502, Failed)]
    {
        assert_eq!(read(status, b"<html>"), Health::Unknown(expected), "{status}");
    }
    let both = HEALTHY.replacen('{', r#"{"error":{"code":2},"#, 1);
    assert_eq!(read(200, both.as_bytes()), Health::Unknown(Failed));
}

#[test]
fn a_hostile_answer_is_kept_small() {
    let long = "ü".repeat(MAX_SENTENCE);
    let error = format!(r#"{{"error_code":1,"error_description":"{long}","possible_solution":"{long}"}}"#);
    let errors = vec![error; MAX_ERRORS + 1].join(",");
    let entity = format!(
        r#"{{"entity_type":"{long}","id":"{long}","can_send_message":"BLOCKED","errors":[{errors}]}}"#
    );
    let Health::Blocked(entities) = read(200, answer(&vec![entity; MAX_ENTITIES + 1].join(",")).as_bytes())
    else {
        panic!("not blocked")
    };
    assert_eq!(entities.len(), MAX_ENTITIES);
    assert_eq!(entities[0].errors.len(), MAX_ERRORS);
    assert_eq!(entities[0].kind.len(), MAX_WORD);
    assert_eq!(entities[0].errors[0].description.len(), MAX_SENTENCE);

    let fine = r#"{"entity_type":"WABA","can_send_message":"AVAILABLE"}"#;
    assert_eq!(verdict(&answer(&vec![fine; MAX_ENTITIES].join(","))), "clear");
    assert_eq!(verdict(&answer(&vec![fine; MAX_ENTITIES + 1].join(","))), "unreadable");
}

#[test]
fn a_lock_hidden_behind_many_errors_still_blocks() {
    let payment = vec![r#"{"error_code":141006}"#; MAX_ERRORS + 5].join(",");
    let entity = format!(
        r#"{{"entity_type":"WABA","can_send_message":"BLOCKED","errors":[{payment},{{"error_code":141014}}]}}"#
    );
    assert_eq!(verdict(&answer(&entity)), "blocked");
}

#[test]
fn an_answer_about_a_phone_names_its_account() {
    let phone = PhoneNumberId::parse("106540352242922").unwrap();
    let whose = |body: &str| read(200, body.as_bytes()).waba_of(phone).map(|waba| waba.to_string());
    for body in [HEALTHY, BANNED] {
        assert_eq!(whose(body).as_deref(), Some("102290129340398"));
        assert_eq!(read(200, body.as_bytes()).waba_of(PhoneNumberId::parse("1").unwrap()), None);
    }
    let entity =
        |kind, id| format!(r#"{{"entity_type":"{kind}","id":"{id}","can_send_message":"AVAILABLE"}}"#);
    let (this, waba) = (entity("PHONE_NUMBER", "106540352242922"), entity("WABA", "7"));
    for (entities, expected) in [
        (format!("{this},{waba}"), Some("7")),
        (format!("{waba},{this}"), Some("7")),
        (waba.clone(), None),
        (this.clone(), None),
        (format!("{this},{waba},{}", entity("WABA", "8")), None),
        (format!("{this},{waba},{}", entity("PHONE_NUMBER", "8")), None),
        (format!("{this},{}", entity("WABA", "seven")), None),
        (format!("{this},{waba},7"), None),
    ] {
        assert_eq!(whose(&answer(&entities)).as_deref(), expected, "{entities}");
    }
    assert_eq!(whose(r#"{"error":{"code":190}}"#), None);
}
