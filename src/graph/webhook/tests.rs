//! Webhooks in, facts out.

use super::reading::MAX_CALLBACK_DATA;
use super::*;
use crate::graph::country::Country;
use crate::graph::hostile::FAILED;
use crate::graph::ids::MAX_WAMID_BYTES;

/// A post with one change of the field `messages` with this value.
fn post(value: &str) -> String {
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"102290129340398","changes":[{{"field":"messages","value":{value}}}]}}]}}"#
    )
}

/// A post with these statuses.
fn statuses(statuses: &str) -> String {
    post(&format!(r#"{{"metadata":{{"phone_number_id":"106540352242922"}},"statuses":[{statuses}]}}"#))
}

fn facts(body: &str) -> Vec<Fact> {
    read(body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn one_status(status: &str) -> Status {
    match &facts(&statuses(status))[..] {
        [Fact::Status(status)] => status.clone(),
        other => panic!("{status}: {other:?}"),
    }
}

/// Each fact in short: a status's wamid, or an error's code.
fn outline(body: &str) -> Vec<String> {
    let in_short = |fact: Fact| match fact {
        Fact::Status(status) => Some(status.wamid),
        Fact::Error(error) => Some(error.error.code.to_string()),
        Fact::Account(account) => Some(format!("{:?}", account.news)),
        Fact::Number { .. } | Fact::Security(_) => None,
    };
    facts(body).into_iter().filter_map(in_short).collect()
}

#[test]
fn a_failed_message_is_read_whole() {
    let locked = WebhookError {
        code: 131_031,
        title: "Business Account locked".into(),
        details: Some("Business account has been locked.".into()),
    };
    let phone = PhoneNumberId::parse("106540352242922").unwrap();
    let [Fact::Number { phone: whose, number }, failed] = &facts(FAILED)[..] else { panic!() };
    assert_eq!((*whose, *number), (phone, DisplayNumber::parse("+1 555-078-3881").unwrap()));
    assert_eq!(
        *failed,
        Fact::Status(Status {
            waba: WabaId::parse("102290129340398").ok(),
            phone,
            wamid: "wamid.HBgMMjAxMjIyMzkwMTY1FQIAERgSRUVDRUNBMTI1QzhDMkUyMkMzAA==".into(),
            kind: StatusKind::Failed,
            at: Some(Timestamp::from_seconds(1_763_399_138)),
            errors: vec![locked],
            country: Country::parse("EG").ok(),
            recipient: Some("…5334".into()),
            biz_opaque_callback_data: Some("order-7".into()),
        })
    );
}

#[test]
fn every_entry_change_status_and_error_is_looked_at_in_order() {
    let value = |phone: u8, from: u8| {
        format!(
            r#"{{"statuses":[{{"id":"{from}","status":"sent"}},{{"id":"{}","status":"sent"}}],"errors":[{{"code":{}}}],"metadata":{{"phone_number_id":"{phone}"}}}}"#,
            from + 1,
            from + 2
        )
    };
    let entry = |id: u8, from: u8| {
        format!(
            r#"{{"time":1743451903,"changes":[{{"value":{},"field":"messages"}},{{"field":"messages","value":{}}}],"id":"{id}"}}"#,
            value(id, from),
            value(id + 1, from + 3)
        )
    };
    let body =
        format!(r#"{{"entry":[{},{}],"object":"whatsapp_business_account"}}"#, entry(3, 10), entry(5, 16));
    let expected: Vec<String> = (10..22).map(|number| number.to_string()).collect();
    assert_eq!(outline(&body), expected);
    for (fact, (waba, phone)) in facts(&body)
        .iter()
        .zip([("3", "3"), ("3", "4"), ("5", "5"), ("5", "6")].iter().flat_map(|ids| [ids; 3]))
    {
        let (its_waba, its_phone) = match fact {
            Fact::Status(status) => (status.waba, status.phone),
            Fact::Error(error) => (error.waba, error.phone),
            other => panic!("{other:?}"),
        };
        assert_eq!((its_waba.unwrap().as_str(), its_phone.as_str()), (*waba, *phone));
    }
    // Errors come before statuses where they stand before them.
    let body = post(
        r#"{"errors":[{"code":1}],"statuses":[{"id":"a","status":"sent"}],"metadata":{"phone_number_id":"1"}}"#,
    );
    assert_eq!(outline(&body), ["1", "a"]);
}

#[test]
fn an_error_without_a_message_has_its_entrys_time() {
    let body = r#"{"entry":[{"changes":[{"field":"messages","value":{"errors":[{"code":"131031","message":"m"}],"metadata":{"phone_number_id":1}}}],"time":1743451903}]}"#;
    assert_eq!(
        facts(body),
        [Fact::Error(ErrorFact {
            waba: None,
            phone: PhoneNumberId::parse("1").unwrap(),
            at: Some(Timestamp::from_seconds(1_743_451_903)),
            error: WebhookError { code: 131_031, title: "m".into(), details: None },
        })]
    );
}

#[test]
fn statuses_have_their_kinds() {
    for (word, kind) in [
        ("sent", StatusKind::Sent),
        ("delivered", StatusKind::Delivered),
        ("read", StatusKind::Read),
        ("played", StatusKind::Read),
        ("failed", StatusKind::Failed),
        ("warning", StatusKind::Other),
        ("SENT", StatusKind::Other),
    ] {
        assert_eq!(one_status(&format!(r#"{{"status":"{word}"}}"#)).kind, kind, "{word}");
    }
    assert_eq!(one_status(r#"{"errors":[{"code":131031}]}"#).kind, StatusKind::Other);
}

#[test]
fn times_are_plausible_seconds() {
    for (json, seconds) in [
        ("\"1763399138\"", Some(1_763_399_138)),
        ("1763399138", Some(1_763_399_138)),
        ("1763399138.0", Some(1_763_399_138)),
        ("1763399138000", None),
        ("0", None),
        ("-1763399138", None),
        ("9223372036854775807", None),
        ("\"May 1, 2026\"", None),
        ("null", None),
        ("{}", None),
    ] {
        let status = one_status(&format!(r#"{{"status":"sent","timestamp":{json}}}"#));
        assert_eq!(status.at, seconds.map(Timestamp::from_seconds), "{json}");
    }
}

#[test]
fn recipients_are_masked() {
    for (fields, masked) in [
        (r#""recipient_id":"16505551234""#, Some("…1234")),
        (r#""recipient_id":16505551234"#, Some("…1234")),
        (r#""recipient_user_id":"US.13491208655302741918""#, Some("…1918")),
        (r#""recipient_user_id":"US.13491208655302741918","recipient_id":"16505551234""#, Some("…1234")),
        (r#""recipient_id":"16505551234","recipient_user_id":"US.13491208655302741918""#, Some("…1234")),
        (r#""recipient_id":null,"recipient_user_id":"US.13491208655302741918""#, Some("…1918")),
        (r#""recipient_user_id":"US.13491208655302741918","recipient_id":null"#, Some("…1918")),
        (r#""recipient_id":"12345""#, Some("…45")),
        (r#""recipient_id":"1234""#, Some("…")),
        (r#""recipient_id":"""#, Some("…")),
        (r#""recipient_id":null"#, None),
    ] {
        let status = one_status(&format!(r#"{{"status":"sent",{fields}}}"#));
        assert_eq!(status.recipient.as_deref(), masked, "{fields}");
    }
}

#[test]
fn an_overlong_wamid_is_none_and_long_texts_are_cut() {
    let (fits, long) = ("x".repeat(MAX_WAMID_BYTES), "x".repeat(5000));
    assert_eq!(one_status(&format!(r#"{{"status":"sent","id":"{fits}"}}"#)).wamid, fits);
    assert_eq!(one_status(&format!(r#"{{"status":"sent","id":"{fits}x"}}"#)).wamid, "");
    let status = one_status(&format!(
        r#"{{"status":"failed","biz_opaque_callback_data":"{long}","errors":[{{"code":1,"title":"{long}","error_data":{{"details":"{long}"}}}}]}}"#
    ));
    assert_eq!(status.biz_opaque_callback_data.unwrap().len(), MAX_CALLBACK_DATA);
    assert_eq!(status.errors[0].title.len(), MAX_SENTENCE);
    assert_eq!(status.errors[0].details.as_ref().unwrap().len(), MAX_SENTENCE);
}

#[test]
fn one_bad_element_does_not_hide_the_others() {
    let good = r#"{"id":"good","status":"failed","errors":[{"code":131031}]}"#;
    for bad in [
        "null",
        "7",
        "\"failed\"",
        "[]",
        "{}",
        r#"{"status":null}"#,
        r#"{"id":"x","status":{"a":[1]}}"#,
        r#"{"errors":[{"code":"?"},null,{"title":"no code"}]}"#,
    ] {
        assert_eq!(outline(&statuses(&format!("{bad},{good},{bad}"))), ["good"], "{bad}");
    }
    for odd in ["null", "7", "true", "\"x\"", "\"\\ud83d\"", "[{}]", "{\"code\":1}"] {
        let body = statuses(&format!(
            r#"{{"id":"good","timestamp":{odd},"recipient_id":{odd},"biz_opaque_callback_data":{odd},"conversation":{odd},"pricing":{odd},"status":"failed","errors":[{{"title":{odd},"message":{odd},"error_data":{odd},"href":{odd},"code":131031}}]}}"#
        ));
        let Some(Fact::Status(status)) = facts(&body).pop() else { panic!("{body}") };
        assert_eq!(status.errors[0].code, 131_031, "{odd}");
    }
    for odd in ["null", "7", "{}", "{\"changes\":{}}", "{\"changes\":[null,{\"value\":[]}]}"] {
        let good = statuses(good);
        let entries = good.replacen("\"entry\":[", &format!("\"entry\":[{odd},"), 1);
        assert_ne!(entries, good);
        assert_eq!(outline(&entries), ["good"], "{odd}");
    }
}

#[test]
fn only_changes_about_messages_of_a_known_phone_count() {
    let value = r#"{"metadata":{"phone_number_id":"1"},"statuses":[{"id":"a","status":"sent"}]}"#;
    for (change, counts) in [
        (format!(r#"{{"field":"messages","value":{value}}}"#), true),
        (format!(r#"{{"value":{value}}}"#), true),
        (format!(r#"{{"field":null,"value":{value}}}"#), true),
        (format!(r#"{{"field":"history","value":{value}}}"#), false),
        (format!(r#"{{"value":{value},"field":"smb_message_echoes"}}"#), false),
        (r#"{"field":"messages","value":{"statuses":[{"id":"a","status":"sent"}]}}"#.into(), false),
        (format!(r#"{{"field":"messages","value":{}}}"#, value.replace("\"1\"", "\"+1 555\"")), false),
    ] {
        let body = format!(r#"{{"entry":[{{"id":"7","changes":[{change}]}}]}}"#);
        assert_eq!(!facts(&body).is_empty(), counts, "{change}");
    }
}

#[test]
fn what_users_write_is_no_evidence() {
    let body = post(
        r#"{"metadata":{"phone_number_id":"1"},"contacts":[{"wa_id":"1"}],"messages":[{"id":"wamid.x","type":"unsupported","text":{"body":"131031"},"errors":[{"code":131031,"title":"x"}]}]}"#,
    );
    assert_eq!(facts(&body), []);
}

#[test]
fn an_entry_has_a_waba_where_its_id_is_one() {
    for (id, waba) in [
        ("\"102\"", Some("102")),
        ("102", Some("102")),
        ("\"0\"", None),
        ("0", None),
        ("\"x\"", None),
        ("null", None),
    ] {
        let body = statuses(r#"{"status":"sent"}"#).replacen("\"102290129340398\"", id, 1);
        let [Fact::Status(status)] = &facts(&body)[..] else { panic!("{body}") };
        assert_eq!(status.waba, waba.map(|waba| WabaId::parse(waba).unwrap()), "{id}");
    }
}

#[test]
fn a_change_of_a_pin_names_the_account_and_the_number() {
    let security = |waba: &str, field: &str, value: &str| {
        facts(&format!(
            r#"{{"entry":[{{"changes":[{{"value":{value},"field":{field}}}],"time":1748811473,"id":{waba}}}]}}"#
        ))
    };
    let news = |event| Security {
        waba: WabaId::parse("102290129340398").ok(),
        number: DisplayNumber::parse("15550783881"),
        event,
        at: Some(Timestamp::from_seconds(1_748_811_473)),
    };
    for (word, event) in [
        ("PIN_CHANGED", SecurityEvent::PinChanged),
        ("PIN_RESET_REQUEST", SecurityEvent::PinResetRequest),
        ("PIN_REQUEST_SUCCESS", SecurityEvent::PinRequestSuccess),
    ] {
        let value = format!(
            r#"{{"display_phone_number":"15550783881","event":"{word}","requester":"61555822107539"}}"#
        );
        let read = security("\"102290129340398\"", "\"security\"", &value);
        assert_eq!(read, [Fact::Security(news(event))], "{word}");
        for field in ["\"account_update\"", "\"messages\"", "null"] {
            assert_eq!(security("1", field, &value), [], "{field}");
        }
    }
    let read = security("\"0\"", "\"security\"", r#"{"display_phone_number":[],"event":"PIN_CHANGED"}"#);
    let nobody = Security { waba: None, number: None, ..news(SecurityEvent::PinChanged) };
    assert_eq!(read, [Fact::Security(nobody)]);
    for odd in [
        "null",
        "[]",
        "7",
        "{}",
        r#"{"event":"PIN_SHOWN"}"#,
        r#"{"event":["PIN_CHANGED"]}"#,
        r#"{"event":null}"#,
    ] {
        assert_eq!(security("1", "\"security\"", odd), [], "{odd}");
    }
}

#[test]
fn keys_that_come_twice_hide_nothing() {
    let body = post(
        r#"{"metadata":{"phone_number_id":"1"},"statuses":[{"id":"a","status":"sent"}],"statuses":[{"id":"b","status":"sent"}]}"#,
    );
    assert_eq!(outline(&body), ["a", "b"]);
}

#[test]
fn a_thousand_updates_and_more_are_all_read() {
    let many = vec![r#"{"id":"a","status":"delivered"}"#; 2500].join(",");
    let body = statuses(&format!(r#"{many},{{"id":"last","status":"failed","errors":[{{"code":131031}}]}}"#));
    let read = outline(&body);
    assert_eq!((read.len(), read.last().map(String::as_str)), (2501, Some("last")));
}

#[test]
fn other_objects_say_nothing() {
    let body = FAILED.replace("whatsapp_business_account", "instagram");
    assert_eq!(read(body.as_bytes()), Ok(vec![]));
    assert_eq!(read(br#"{"object":"page"}"#), Ok(vec![]));
    assert_eq!(read(br#"{"object":"whatsapp_business_account","entry":[]}"#), Ok(vec![]));
}

#[test]
fn what_is_no_webhook_is_unreadable() {
    for body in [
        "",
        "{}",
        "[]",
        "null",
        "x",
        "{\"entry\":null}",
        "{\"entry\":{}}",
        "{\"object\":\"whatsapp_business_account\"}",
        &FAILED[..FAILED.len() - 1],
        &format!("{FAILED}}}"),
    ] {
        assert_eq!(read(body.as_bytes()), Err(Unreadable), "{body}");
    }
}

/// The account event of a change.
fn account(field: &str, value: &str) -> Option<Account> {
    let body = format!(
        r#"{{"entry":[{{"id":"102290129340398","time":1743451903,"changes":[{{"value":{value},"field":"{field}"}}]}}],"object":"whatsapp_business_account"}}"#
    );
    match &facts(&body)[..] {
        [] => None,
        [Fact::Account(account)] => Some(account.clone()),
        other => panic!("{value}: {other:?}"),
    }
}

fn update(value: &str) -> Option<AccountNews> {
    let account = account("account_update", value)?;
    assert_eq!(account.waba.to_string(), "102290129340398");
    assert_eq!(account.at, Some(Timestamp::from_seconds(1_743_451_903)));
    Some(account.news)
}

#[test]
fn account_events_by_their_words() {
    let ban = |state: &str| {
        update(&format!(
            r#"{{"event":"DISABLED_UPDATE","ban_info":{{"waba_ban_state":{state},"waba_ban_date":"April 17, 2025"}}}}"#
        ))
    };
    let warning = |text: &str| Some(AccountNews::Warning(text.to_owned()));
    assert_eq!(ban(r#""DISABLE""#), Some(AccountNews::Disabled));
    assert_eq!(ban(r#"["DISABLE"]"#), Some(AccountNews::Disabled));
    assert_eq!(ban(r#"["REINSTATE"]"#), Some(AccountNews::Reinstated));
    assert_eq!(ban(r#""SCHEDULE_FOR_DISABLE""#), warning("SCHEDULE_FOR_DISABLE"));
    for odd in [
        r#"["SCHEDULE_FOR_DISABLE","DISABLE","REINSTATE"]"#,
        r#"["DISABLE",7]"#,
        "[]",
        "null",
        r#""NEW""#,
        "{}",
    ] {
        assert_eq!(ban(odd), Some(AccountNews::Unreadable), "{odd}");
    }
    for (event, news) in [
        ("ACCOUNT_DELETED", Some(AccountNews::Deleted)),
        ("ACCOUNT_OFFBOARDED", Some(AccountNews::Offboarded)),
        ("ACCOUNT_RECONNECTED", Some(AccountNews::Reconnected)),
        ("DISABLED_UPDATE", Some(AccountNews::Unreadable)),
        ("ACCOUNT_RESTRICTION", Some(AccountNews::Unreadable)),
        ("ACCOUNT_VIOLATION", warning("ACCOUNT_VIOLATION")),
        ("VERIFIED_ACCOUNT", None),
        ("PARTNER_ADDED", None),
        ("", None),
    ] {
        assert_eq!(
            update(&format!(r#"{{"phone_number":"15550783881","event":"{event}"}}"#)),
            news,
            "{event}"
        );
    }
    assert_eq!(
        update(r#"{"violation_info":{"violation_type":"ADULT"},"event":"ACCOUNT_VIOLATION"}"#),
        warning("ACCOUNT_VIOLATION ADULT")
    );
    let review = |decision: &str| {
        account("account_review_update", &format!(r#"{{"decision":"{decision}"}}"#))
            .map(|account| account.news)
    };
    assert_eq!(review("REJECTED"), Some(AccountNews::ReviewRejected));
    assert_eq!(review("APPROVED"), Some(AccountNews::ReviewApproved));
    assert_eq!((review("PENDING"), review("DEFERRED")), (None, None));
    let alert = r#"{"entity_type":"BUSINESS","entity_id":"7","alert_info":{"alert_severity":"CRITICAL","alert_type":"OBA_REJECTED"}}"#;
    assert_eq!(
        account("account_alerts", alert).unwrap().news,
        AccountNews::Warning("alert OBA_REJECTED".to_owned())
    );
    assert_eq!(account("account_alerts", &alert.replace("CRITICAL", "INFORMATIONAL")), None);
    let quality = |event: &str| {
        account(
            "phone_number_quality_update",
            &format!(r#"{{"display_phone_number":"15550783881","event":"{event}"}}"#),
        )
    };
    assert_eq!(quality("FLAGGED").unwrap().news, AccountNews::Warning("quality FLAGGED".to_owned()));
    assert_eq!(quality("THROUGHPUT_UPGRADE"), None);
}

#[test]
fn restrictions_of_messages_and_their_dates() {
    let until = |expiration: &str| {
        let value = format!(
            r#"{{"event":"ACCOUNT_RESTRICTION","restriction_info":[{{"restriction_type":"RESTRICTED_BIZ_INITIATED_MESSAGING"{expiration}}},
            {{"restriction_type":"RESTRICTED_ADD_PHONE_NUMBER_ACTION","expiration":1641330498}},7]}}"#
        );
        match update(&value) {
            Some(AccountNews::Restricted(restrictions)) => match restrictions[..] {
                [Restriction { class: Class::BusinessInitiated, until }] => until,
                _ => panic!("{restrictions:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    let date = Some(Timestamp::from_seconds(1_641_330_498));
    for expiration in [
        "1641330498",
        r#""1641330498""#,
        r#""2022-01-04T21:08:18Z""#,
        r#""2022-01-04T21:08:18""#,
        r#""2022-01-04 21:08:18""#,
        r#""2022-01-04T21:08:18+0000""#,
        r#""2022-01-04T23:38:18+02:30""#,
        r#""2022-01-04T16:08:18-0500""#,
    ] {
        assert_eq!(until(&format!(r#","expiration":{expiration}"#)), date, "{expiration}");
    }
    for expiration in
        ["", r#","expiration":null"#, r#","expiration":0"#, r#","expiration":"soon""#, r#","expiration":-1"#]
    {
        assert_eq!(until(expiration), None, "{expiration}");
    }
    assert_eq!(
        update(r#"{"event":"ACCOUNT_RESTRICTION","restriction_info":[]}"#),
        Some(AccountNews::Restricted(vec![]))
    );
}

#[test]
fn whose_account_it_is() {
    let of = |entry: &str, info: &str| {
        let body = format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"changes":[{{"field":"account_update","value":{{"event":"ACCOUNT_DELETED"{info}}}}}],"id":"{entry}"}}]}}"#
        );
        match &facts(&body)[..] {
            [] => None,
            [Fact::Account(account)] => Some(account.waba.to_string()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of("102290129340398", ""), Some("102290129340398".to_owned()));
    assert_eq!(
        of("506914307656634", r#","waba_info":{"waba_id":"102290129340398"}"#),
        Some("102290129340398".to_owned())
    );
    assert_eq!(of("0", ""), None, "nobody's");
}
