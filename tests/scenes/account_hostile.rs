//! Account events with fields that are missing, too many, of the wrong type or absurd: they change nothing that they do not state,
//! and nothing breaks.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::Scene;
use super::wabas::{HOUR, ONE, STRANGER, TWO, WABA};
use sendfuse::simulator::{News, Profile};

const DEEP: usize = 100;

/// What is no event: the field and its value.
fn nonsense() -> Vec<(&'static str, Value)> {
    let deep = (0..DEEP).fold(json!("DISABLE"), |inner, _| json!([inner]));
    let ban = |state: Value| json!({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": state}});
    let restricted = |info: Value| json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": info});
    let mut all = vec![
        // Nothing at all, or nothing that says what it is.
        ("account_update", json!(null)),
        ("account_update", json!("DISABLED_UPDATE")),
        ("account_update", json!([])),
        ("account_update", json!([{"event": "ACCOUNT_DELETED"}])),
        ("account_update", json!({})),
        ("account_update", json!({"ban_info": {"waba_ban_state": "DISABLE"}})),
        ("account_update", json!({"event": null, "ban_info": {"waba_ban_state": "DISABLE"}})),
        ("account_update", json!({"event": ["ACCOUNT_DELETED"]})),
        ("account_update", json!({"event": {"ACCOUNT_DELETED": true}})),
        ("account_update", json!({"event": 7})),
        ("account_update", json!({"event": "account_deleted"})),
        ("account_update", json!({"event": "ACCOUNT_DELETED "})),
        ("account_update", json!({"event": "ACCOUNT_DELETED_NOT"})),
        ("account_update", json!({"event": "x".repeat(100_000)})),
        ("account_update", json!({"decision": "REJECTED"})),
        // Known events under another name.
        ("ACCOUNT_UPDATE", json!({"event": "ACCOUNT_DELETED"})),
        ("account_review_update", json!({"event": "ACCOUNT_DELETED"})),
        ("business_capability_update", json!({"event": "ACCOUNT_DELETED"})),
        ("message_template_status_update", json!({"event": "DISABLED"})),
        ("", json!({"event": "ACCOUNT_DELETED"})),
        // Decisions.
        ("account_review_update", json!({"decision": "rejected"})),
        ("account_review_update", json!({"decision": ["REJECTED"]})),
        ("account_review_update", json!({"decision": {"REJECTED": 1}})),
        ("account_review_update", json!({"decision": null})),
        ("account_review_update", json!({})),
        // Others that only warn where they can be read.
        ("account_alerts", json!({"alert_info": "CRITICAL"})),
        ("account_alerts", json!({"alert_info": {"alert_severity": ["CRITICAL"]}})),
        ("account_alerts", json!({"alert_severity": "CRITICAL"})),
        ("phone_number_quality_update", json!({"event": {"FLAGGED": 1}})),
    ];
    let states = [
        json!(null),
        json!(""),
        json!([]),
        json!({}),
        json!(1),
        json!(true),
        json!("disable"),
        json!("DISABLED"),
        json!(["DISABLE", "REINSTATE"]),
        json!(["DISABLE", "SOMETHING"]),
        json!([null]),
        json!({"0": "DISABLE"}),
        deep.clone(),
    ];
    all.extend(states.map(|state| ("account_update", ban(state))));
    all.push(("account_update", json!({"event": "DISABLED_UPDATE"})));
    all.push(("account_update", json!({"event": "DISABLED_UPDATE", "ban_info": "DISABLE"})));
    all.push((
        "account_update",
        json!({"event": "DISABLED_UPDATE", "ban_info": [["waba_ban_state", "DISABLE"]]}),
    ));
    let lists = [
        json!(null),
        json!("RESTRICTED_BIZ_INITIATED_MESSAGING"),
        json!({"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING"}),
        json!([null, 1, "RESTRICTED_BIZ_INITIATED_MESSAGING", []]),
        json!([{}]),
        json!([{"restriction_type": null}]),
        json!([{"restriction_type": ["RESTRICTED_BIZ_INITIATED_MESSAGING"]}]),
        json!([{"restriction_type": "RESTRICTED_SOMETHING_NEW", "expiration": 4_000_000_000_i64}]),
        json!([{"expiration": 4_000_000_000_i64}]),
        deep,
    ];
    all.extend(lists.map(|list| ("account_update", restricted(list))));
    all
}

fn post(id: Value, time: Value, field: &str, value: &Value) -> Value {
    json!({"object": "whatsapp_business_account",
        "entry": [{"id": id, "time": time, "changes": [{"field": field, "value": value}]}]})
}

#[tokio::test(start_paused = true)]
async fn nonsense_opens_nothing() {
    let scene = Scene::of_wabas();
    scene.meet_all().await;
    for (field, value) in nonsense() {
        let at = json!(scene.seconds(Duration::ZERO));
        assert_eq!(scene.webhook(&post(json!(WABA), at, field, &value)).await, 200, "{field} {value:.200}");
        scene.settle().await;
        assert_eq!((scene.waba().state, scene.waba().generation), ("closed", 0), "{field} {value:.200}");
        assert_eq!(scene.waba_probes(), 0, "{field} {value:.200}");
        assert_eq!(scene.send(ONE).await.status, 200, "{field} {value:.200}");
    }
    // The events among them that have lost what they say: 13 + 3 states, and the lists that are none.
    let unreadable = scene.metric("sendfuse_account_events_total{event=\"unreadable\"}");
    assert_eq!(unreadable, 16.0 + 3.0);
    // And what can be read still is.
    scene.disable(Profile::Sync403).await;
    assert!(scene.send(TWO).await.is_rejection());
}

#[tokio::test(start_paused = true)]
async fn nonsense_closes_nothing_and_changes_no_extent() {
    let scene = Scene::of_wabas();
    scene.meet_all().await;
    scene.tell(News::RestrictedBusinessInitiated).await;
    for (field, value) in nonsense() {
        let at = json!(scene.seconds(Duration::ZERO));
        let before = scene.waba();
        scene.webhook(&post(json!(WABA), at, field, &value)).await;
        let after = scene.waba();
        assert_eq!(
            (after.state, after.extent),
            (before.state, Some("business_initiated")),
            "{field} {value:.200}"
        );
        assert_eq!(scene.send(ONE).await.status, 200, "replies flow: {field} {value:.200}");
    }
}

/// Whom, and when: where that is absurd, what is said is not believed of anybody, or not believed to be new.
#[tokio::test(start_paused = true)]
async fn an_event_of_nobody_is_nobodys() {
    let ids = [
        json!(null),
        json!(0),
        json!("0"),
        json!(""),
        json!("-1"),
        json!("abc"),
        json!("8".repeat(21)),
        json!([WABA]),
        json!({"id": WABA}),
        json!(8.5),
        json!(true),
        json!(format!("{WABA}\n")),
        json!(format!("{WABA}/../1")),
    ];
    let scene = Scene::of_wabas();
    scene.meet_all().await;
    let deleted = json!({"event": "ACCOUNT_DELETED"});
    for id in ids {
        let at = json!(scene.seconds(Duration::ZERO));
        assert_eq!(scene.webhook(&post(id.clone(), at, "account_update", &deleted)).await, 200, "{id}");
        assert_eq!((scene.waba().generation, scene.send(ONE).await.status), (0, 200), "{id}");
    }
    let (open, _) = scene.breakers().list(&sendfuse::breakers::Filter {
        accounts: true,
        limit: 100,
        ..sendfuse::breakers::Filter::default()
    });
    assert_eq!(open.len(), 0, "{open:?}");
    // An id that is a number is one.
    let id = json!(WABA.parse::<u64>().unwrap());
    scene.webhook(&post(id, json!(scene.seconds(Duration::ZERO)), "account_update", &deleted)).await;
    assert_eq!(scene.waba().state, "open");
}

#[tokio::test(start_paused = true)]
async fn an_absurd_time_is_none() {
    let times = [
        json!(null),
        json!(0),
        json!(-1),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1e300),
        json!("soon"),
        json!([]),
        json!({"seconds": 1}),
        json!(1_777_629_600_000_i64),
    ];
    for time in times {
        let scene = Scene::of_wabas();
        scene.meet_all().await;
        let ban = |state| json!({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": state}});
        let say = async |state| {
            scene.webhook(&post(json!(WABA), time.clone(), "account_update", &ban(state))).await
        };
        say("DISABLE").await;
        assert_eq!(scene.waba().state, "open", "what it says is plain: {time}");
        scene.advance(HOUR).await;
        // It has not fenced what comes later.
        scene.tell(News::Reinstated).await;
        assert_eq!(scene.waba().state, "half_open", "{time}");
        assert_eq!(scene.send(ONE).await.status, 200);
        scene.until_waba("closed").await;
        scene.advance(HOUR).await;
        scene.tell(News::Disabled).await;
        assert_eq!((scene.waba().state, scene.send(STRANGER).await.status), ("open", 200), "{time}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_nonsense_beside_an_event_does_not_hide_it() {
    for (field, value) in nonsense() {
        let scene = Scene::of_wabas();
        let at = scene.seconds(Duration::ZERO);
        let mut post = post(json!(WABA), json!(at), field, &value);
        let changes = post["entry"][0]["changes"].as_array_mut().unwrap();
        changes.extend([json!(null), json!(7), json!({"field": "account_update", "value": {"event": "ACCOUNT_DELETED",
            "extra": [{"event": "VERIFIED_ACCOUNT"}], "waba_info": {"waba_id": null}, "phone_number": {"x": 1}}})]);
        scene.webhook(&post).await;
        assert_eq!(scene.waba().state, "open", "{field} {value:.200}");
    }
}
