//! Account events, in every shape that they come in.

use sendfuse::simulator::{
    BUSINESS, BanState, EntryId, Event, Expiration, Forwarder, News, NumberIn, PARTNER, Shape, Timeline,
};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

impl Scene {
    /// The next webhook as it came.
    async fn raw(&mut self) -> Request<Bytes> {
        timeout(LONG, self.webhooks.recv()).await.expect("a webhook").unwrap().1
    }

    /// The entry of the next webhook, its field and its value.
    async fn event(&mut self) -> (Value, String, Value) {
        let entry = self.webhook().await.1["entry"][0].clone();
        let change = entry["changes"][0].clone();
        (entry, change["field"].as_str().unwrap().to_owned(), change["value"].clone())
    }
}

fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

#[tokio::test(start_paused = true)]
async fn every_event_there_is_can_be_told() {
    let mut scene = scene(|_| {});
    let mut names = Vec::new();
    for news in News::ALL {
        scene.meta.account_event(WABA, news);
        let (entry, field, value) = scene.event().await;
        assert_eq!(field, news.field(), "{news:?}");
        assert_eq!(entry["time"], NOON, "{news:?}");
        if entry["id"] == PARTNER {
            let expected = (&json!(WABA), &json!(BUSINESS));
            assert_eq!((&value["waba_info"]["waba_id"], &value["waba_info"]["owner_business_id"]), expected);
        } else {
            assert_eq!(entry["id"], WABA, "{news:?}");
        }
        let word = value["event"].as_str().or(value["decision"].as_str()).unwrap_or_default();
        let ban = value["ban_info"]["waba_ban_state"].as_str().unwrap_or_default();
        names.push(format!("{field} {word} {ban}").trim().to_owned());
    }
    // The table of the facts about account_update, line by line.
    for expected in [
        "VERIFIED_ACCOUNT",
        "DISABLED_UPDATE SCHEDULE_FOR_DISABLE",
        "DISABLED_UPDATE DISABLE",
        "DISABLED_UPDATE REINSTATE",
        "ACCOUNT_RESTRICTION",
        "ACCOUNT_VIOLATION",
        "ACCOUNT_DELETED",
        "ACCOUNT_OFFBOARDED",
        "ACCOUNT_RECONNECTED",
        "PARTNER_REMOVED",
        "PARTNER_APP_UNINSTALLED",
        "PARTNER_ADDED",
        "PARTNER_APP_INSTALLED",
        "AD_ACCOUNT_LINKED",
        "MM_LITE_TERMS_SIGNED",
        "PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE",
        "AUTH_INTL_PRICE_ELIGIBILITY_UPDATE",
        "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE",
        "VOLUME_BASED_PRICING_TIER_UPDATE",
    ] {
        assert!(names.contains(&format!("account_update {expected}")), "{expected}");
    }
    for expected in [
        "account_review_update APPROVED",
        "account_review_update REJECTED",
        "account_review_update PENDING",
        "account_review_update DEFERRED",
        "account_alerts",
        "phone_number_quality_update FLAGGED",
        "phone_number_quality_update THROUGHPUT_UPGRADE",
        "business_capability_update",
        "phone_number_name_update APPROVED",
        "security PIN_CHANGED",
        "security PIN_RESET_REQUEST",
        "security PIN_REQUEST_SUCCESS",
        "message_template_status_update DISABLED",
        "user_preferences",
        "business_status_update",
    ] {
        assert!(names.iter().any(|name| name == expected), "{expected}");
    }
    assert_eq!(code(&call(&scene.meta, text()).await).0, 200, "telling changes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_ban_state_comes_in_three_shapes() {
    let mut scene = scene(|_| {});
    for (ban_state, expected) in [
        (BanState::Text, json!("DISABLE")),
        (BanState::List, json!(["DISABLE"])),
        (BanState::Several, json!(["SCHEDULE_FOR_DISABLE", "DISABLE", "REINSTATE"])),
    ] {
        let shape = Shape { ban_state, ..Shape::default() };
        scene.meta.account_event(WABA, Event::from(News::Disabled).shaped(shape));
        assert_eq!(scene.event().await.2["ban_info"]["waba_ban_state"], expected);
    }
}

#[tokio::test(start_paused = true)]
async fn restrictions_say_which_and_until_when() {
    let mut scene = scene(|_| {});
    let iso = Shape { expiration: Expiration::Iso, ..Shape::default() };
    let restricted = Event::from(News::RestrictedCustomerInitiated);
    for (event, expected) in [
        (restricted.clone(), None),
        (restricted.clone().expiring_after(MINUTE), Some(json!(NOON + 60))),
        (restricted.clone().expiring_after(MINUTE).older_by(MINUTE * 2), Some(json!(NOON - 60))),
        (restricted.clone().expiring_after(MINUTE).shaped(iso), Some(json!("2026-05-01T10:01:00+0000"))),
    ] {
        scene.meta.account_event(WABA, event);
        let value = scene.event().await.2;
        assert_eq!(value["restriction_info"][0].get("expiration"), expected.as_ref(), "{value}");
    }
    let all = "RESTRICTED_BIZ_INITIATED_MESSAGING RESTRICTED_CUSTOMER_INITIATED_MESSAGING \
               RESTRICTED_ADD_PHONE_NUMBER_ACTION";
    for (news, expected) in [
        (News::Restricted, all),
        (
            News::RestrictedBusinessInitiated,
            "RESTRICTED_BIZ_INITIATED_MESSAGING RESTRICTED_ADD_PHONE_NUMBER_ACTION",
        ),
        (News::RestrictedCustomerInitiated, "RESTRICTED_CUSTOMER_INITIATED_MESSAGING"),
        (News::Unrestricted, ""),
    ] {
        scene.meta.account_event(WABA, news);
        let value = scene.event().await.2;
        let types = value["restriction_info"].as_array().unwrap().iter();
        let types: Vec<&str> = types.map(|one| one["restriction_type"].as_str().unwrap()).collect();
        assert_eq!(types.join(" "), expected);
    }
    scene.meta.account_event(WABA, News::RestrictedElsewhere);
    let value = scene.event().await.2.to_string();
    assert!(value.contains("CALLING") && !value.contains("INITIATED_MESSAGING"), "{value}");
}

#[tokio::test(start_paused = true)]
async fn an_entry_may_have_other_ids_and_a_number() {
    let mut scene = scene(|_| {});
    let with = |entry_id, phone_number| {
        Event::from(News::AccountDeleted).shaped(Shape { entry_id, phone_number, ..Shape::default() })
    };
    let deleted = |more: Value| {
        let mut value = json!({"event": "ACCOUNT_DELETED"});
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        value
    };
    let info = json!({"waba_info": {"waba_id": WABA, "owner_business_id": BUSINESS}});
    for (entry_id, phone_number, id, more) in [
        (EntryId::Waba, NumberIn::Absent, WABA, json!({})),
        (EntryId::Partner, NumberIn::Absent, PARTNER, info),
        (EntryId::Zero, NumberIn::Absent, "0", json!({})),
        (EntryId::Waba, NumberIn::Display, WABA, json!({"phone_number": "15550783881"})),
        (EntryId::Waba, NumberIn::Id, WABA, json!({"phone_number": PHONE})),
    ] {
        scene.meta.account_event(WABA, with(entry_id, phone_number));
        let (entry, _, value) = scene.event().await;
        assert_eq!((&entry["id"], value), (&json!(id), deleted(more)));
    }
    scene.meta.account_event(WABA, News::PartnerAppUninstalled);
    let (entry, _, value) = scene.event().await;
    assert_eq!(entry["id"], PARTNER);
    assert!(value["waba_info"]["partner_app_id"].is_string(), "{value}");
}

#[tokio::test(start_paused = true)]
async fn members_come_in_either_order() {
    let mut scene = scene(|_| {});
    for (entry_first, begins) in [
        (false, format!(r#"{{"object":"whatsapp_business_account","entry":[{{"id":"{WABA}","time":"#)),
        (true, r#"{"entry":[{"changes":[{"value":"#.to_owned()),
    ] {
        let shape = Shape { entry_first, ..Shape::default() };
        scene.meta.account_event(WABA, Event::from(News::Disabled).shaped(shape));
        let body = scene.raw().await.into_body();
        assert!(body.starts_with(begins.as_bytes()), "{body:?}");
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["object"], "whatsapp_business_account");
    }
}

#[tokio::test(start_paused = true)]
async fn a_forwarder_signs_by_its_own_secret() {
    let mut scene = scene(|_| {});
    scene.meta.account_event(WABA, News::Disabled);
    let own = scene.raw().await;
    assert_eq!(own.uri(), "http://app.test/hook?a=1");
    assert_eq!(own.headers()["x-hub-signature-256"], signature("simulated-app-secret", own.body()));

    let forwarder = Forwarder {
        url: "http://app.test/webhook/dualhook".into(),
        header: "X-Dualhook-Signature".into(),
        secret: "theirs".into(),
    };
    scene.meta.account_event(WABA, Event::from(News::Disabled).via(forwarder));
    let theirs = scene.raw().await;
    assert_eq!(theirs.uri(), "http://app.test/webhook/dualhook");
    assert!(!theirs.headers().contains_key("x-hub-signature-256"));
    assert_eq!(theirs.headers()["x-dualhook-signature"], signature("theirs", theirs.body()));
    assert_eq!(theirs.body(), own.body());

    scene.callback_status.store(503, Ordering::SeqCst);
    let forwarder = Forwarder { url: "http://x.test".into(), header: "x-s".into(), secret: "s".into() };
    scene.meta.account_event(WABA, Event::from(News::AccountDeleted).via(forwarder));
    assert_eq!(scene.raw().await.uri(), "http://x.test/");
    scene.callback_status.store(200, Ordering::SeqCst);
    assert_eq!(scene.raw().await.uri(), "http://x.test/", "tried again");
}

#[tokio::test(start_paused = true)]
async fn switches_and_timelines_know_them() {
    let mut scene = scene(|_| {});
    let order = json!({"waba": WABA, "event": "restricted", "expires_after": "1m", "expiration": "iso",
        "entry_id": "partner", "entry_first": true,
        "via": {"url": "http://x.test/a", "header": "x-s", "secret": "s"}});
    assert_eq!(call(&scene.meta, switch("event", &order)).await.0, 200);
    let by_switch = scene.raw().await;
    let text = format!(
        "at 0s event {PHONE} restricted, expires after 1m, expiration iso, entry_id partner, entry_first, \
         via http://x.test/a x-s s"
    );
    scene.meta.play(Timeline::parse(&text).unwrap()).await;
    let by_timeline = scene.raw().await;
    assert_eq!(by_switch.uri(), "http://x.test/a");
    assert_eq!(by_switch.body(), by_timeline.body());
    assert_eq!(by_switch.headers()["x-s"], by_timeline.headers()["x-s"]);
    assert!(std::str::from_utf8(by_switch.body()).unwrap().contains("2026-05-01T10:01:00+0000"));
    let unknown = json!({"waba": WABA, "event": "exploded"});
    assert_eq!(call(&scene.meta, switch("event", &unknown)).await.0, 400);
}
