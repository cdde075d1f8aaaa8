//! One class of messages is restricted: templates and marketing messages stop and replies flow, or the other way round.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use sendfuse::breaker::TransitionKind;
use sendfuse::simulator::{News, Profile, Reason};
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::harness::{Answer, Scene, json_request, request};
use super::wabas::{ALL, MINUTE, ONE, SECOND, STRANGER, THREE, TWO, WABA};

fn template() -> Value {
    json!({"messaging_product": "whatsapp", "to": "16505551234", "type": "template",
        "template": {"name": "summer", "language": {"code": "en_US"}}})
}

fn reply() -> Value {
    json!({"messaging_product": "whatsapp", "to": "16505551234", "type": "text", "text": {"body": "template"}})
}

/// The same message as JSON, as a form and in parts; what is no text goes as JSON in a field.
fn written(phone: &str, message: &Value) -> Vec<Request<Full<Bytes>>> {
    let target = format!("/v23.0/{phone}/messages");
    let fields =
        message.as_object().unwrap().iter().map(|(name, value)| {
            (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        });
    let fields: Vec<(String, String)> = fields.collect();
    let form = Serializer::new(String::new()).extend_pairs(&fields).finish();
    let parts = fields.iter().map(|(name, value)| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    });
    let parts = parts.chain(["--b--\r\n".to_owned()]).collect::<String>();
    vec![
        json_request("POST", &target, message),
        request("POST", &target, "application/x-www-form-urlencoded", form),
        request("POST", &target, "multipart/form-data; boundary=b", parts),
        request("POST", &target, "text/plain", message.to_string()),
    ]
}

async fn send(scene: &Scene, phone: &str, message: &Value) -> Answer {
    scene.call(json_request("POST", &format!("/v23.0/{phone}/messages"), message)).await
}

fn marketing(phone: &str) -> Request<Full<Bytes>> {
    json_request("POST", &format!("/v23.0/{phone}/marketing_messages"), &template())
}

fn encrypted(phone: &str) -> Request<Full<Bytes>> {
    let body = json!({"messaging_product": "whatsapp", "encrypted_contents": "eyJhbGciOiJ"});
    json_request("POST", &format!("/v23.0/{phone}/messages_encrypted"), &body)
}

/// Meta restricts and says so.
async fn restricted(reason: Reason, news: News) -> Scene {
    let scene = Scene::of_wabas();
    scene.meet_all().await;
    scene.meta.lock_waba(WABA, reason.with(Profile::Sync403));
    scene.tell(news).await;
    assert_eq!(scene.waba().state, "open");
    scene
}

async fn no_templates() -> Scene {
    restricted(Reason::RestrictedBusinessInitiated, News::RestrictedBusinessInitiated).await
}

#[tokio::test(start_paused = true)]
async fn templates_stop_and_replies_flow_however_they_are_written() {
    let scene = no_templates().await;
    for phone in ALL {
        let before = scene.arrived(phone);
        for call in written(phone, &template()).into_iter().chain([marketing(phone)]) {
            assert!(scene.call(call).await.is_rejection());
        }
        assert_eq!(scene.arrived(phone), before);
        for call in written(phone, &reply()) {
            let answer = scene.call(call).await;
            assert_eq!((answer.status, answer.is_rejection()), (200, false), "{}", answer.json);
        }
        assert_eq!(scene.arrived(phone), before + 4);
    }
    assert_eq!(send(&scene, STRANGER, &template()).await.status, 200);
    assert_eq!(scene.waba().extent, Some("business_initiated"));
}

#[tokio::test(start_paused = true)]
async fn replies_stop_and_templates_flow() {
    let scene = restricted(Reason::RestrictedCustomerInitiated, News::RestrictedCustomerInitiated).await;
    for call in written(TWO, &reply()) {
        assert!(scene.call(call).await.is_rejection());
    }
    for call in written(TWO, &template()).into_iter().chain([marketing(TWO)]) {
        assert_eq!(scene.call(call).await.status, 200);
    }
    assert_eq!(scene.waba().extent, Some("customer_initiated"));
    let details = send(&scene, TWO, &reply()).await.details().to_owned();
    assert!(details.contains("customer-initiated messages only"), "{details}");
}

#[tokio::test(start_paused = true)]
async fn what_is_hidden_or_unreadable_is_held_in_either() {
    for news in [News::RestrictedBusinessInitiated, News::RestrictedCustomerInitiated, News::Restricted] {
        let scene = Scene::of_wabas();
        scene.meet_all().await;
        scene.tell(news).await;
        assert!(scene.call(encrypted(ONE)).await.is_rejection(), "{news:?}");
        let target = format!("/v23.0/{ONE}/messages");
        for body in ["{\"type\":\"text\",\"type\":\"template\"}", "{\"type\":", "", "[]"] {
            let answer = scene.call(request("POST", &target, "application/json", body)).await;
            assert!(answer.is_rejection(), "{news:?} {body}");
        }
        assert_eq!(scene.arrived(ONE), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn both_restrictions_hold_all() {
    let scene = Scene::of_wabas();
    scene.meet_all().await;
    scene.tell(News::Restricted).await;
    assert_eq!(scene.waba().extent, Some("all"));
    for message in [template(), reply()] {
        let answer = send(&scene, ONE, &message).await;
        assert!(answer.is_rejection() && !answer.details().contains("messages only"), "{}", answer.json);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_of_all_on_top_of_a_restriction_holds_all() {
    for news in [News::Disabled, News::AccountDeleted, News::ReviewRejected] {
        let scene = no_templates().await;
        assert_eq!(send(&scene, ONE, &reply()).await.status, 200);
        scene.advance(SECOND * 5).await;
        scene.tell(news).await;
        assert_eq!(scene.waba().extent, Some("all"), "{news:?}");
        assert!(send(&scene, ONE, &reply()).await.is_rejection(), "{news:?}");
        let steps: Vec<_> = scene.waba_incident().transitions.iter().map(|step| step.transition).collect();
        assert_eq!(steps, [TransitionKind::Trip, TransitionKind::Extent], "{news:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_rejection_says_which_class_is_held() {
    let scene = no_templates().await;
    let answer = send(&scene, ONE, &template()).await;
    assert_eq!((answer.status, answer.code()), (403, 131_031));
    let details = answer.details();
    assert!(details.contains("business-initiated messages only: templates and marketing"), "{details}");
    assert!(details.contains("ACCOUNT_RESTRICTION"), "{details}");
    assert!(!details.contains("summer") && !details.contains("16505551234"), "{details}");
}

#[tokio::test(start_paused = true)]
async fn delivered_replies_close_nothing() {
    let scene = no_templates().await;
    // Health goes on saying that it is blocked, so only messages could say anything else.
    scene.meta.set_health(WABA, Some(sendfuse::simulator::Health::Banned));
    for _ in 0..30 {
        for phone in ALL {
            assert_eq!(send(&scene, phone, &reply()).await.status, 200);
        }
        scene.advance(MINUTE).await;
        assert_eq!(scene.waba().state, "open");
        assert!(send(&scene, ONE, &template()).await.is_rejection());
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_is_no_trial_and_proves_nothing_while_half_open() {
    let scene = no_templates().await;
    scene.until_waba("half_open").await;
    for _ in 0..3 {
        assert_eq!(send(&scene, ONE, &reply()).await.status, 200);
        scene.advance(SECOND * 5).await;
    }
    assert_eq!((scene.waba().state, scene.waba().trials), ("half_open", 0));
    // It is still restricted: the first template is the trial, and fails.
    assert_eq!(send(&scene, TWO, &template()).await.code(), 131_031);
    assert_eq!((scene.waba().state, scene.waba().extent), ("open", Some("business_initiated")));
    assert!(send(&scene, THREE, &template()).await.is_rejection());
    assert_eq!(send(&scene, THREE, &reply()).await.status, 200, "the trial was none of replies");
    scene.meta.unlock_waba(WABA);
    scene.until_waba("half_open").await;
    assert_eq!(send(&scene, THREE, &template()).await.status, 200);
    scene.until_waba("closed").await;
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_meets_the_lock_takes_the_phones_all() {
    let scene = no_templates().await;
    scene.lock(ONE, Profile::Async);
    assert_eq!(send(&scene, ONE, &reply()).await.status, 200);
    scene.until_state(ONE, "open").await;
    assert_eq!((scene.breaker(ONE).extent, scene.waba().extent), (Some("all"), Some("business_initiated")));
    assert!(send(&scene, ONE, &reply()).await.is_rejection());
    assert_eq!(send(&scene, TWO, &reply()).await.status, 200);
    assert!(send(&scene, TWO, &template()).await.is_rejection());
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_meets_the_lock_while_half_open_is_its_phones_too() {
    for profile in [Profile::Async, Profile::Sync403] {
        let scene = no_templates().await;
        scene.until_waba("half_open").await;
        scene.lock(ONE, profile);
        send(&scene, ONE, &reply()).await;
        scene.until_state(ONE, "open").await;
        assert_eq!((scene.waba().state, scene.waba().trials), ("half_open", 0), "nobody's trial");
    }
}

#[tokio::test(start_paused = true)]
async fn read_receipts_pass_in_every_extent() {
    for news in [News::RestrictedBusinessInitiated, News::RestrictedCustomerInitiated, News::Restricted] {
        let scene = Scene::of_wabas();
        scene.meet_all().await;
        scene.tell(news).await;
        let receipt = json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.u",
            "typing_indicator": {"type": "text"}});
        for call in written(ONE, &receipt) {
            let answer = scene.call(call).await;
            assert_eq!((answer.status, answer.is_rejection()), (200, false), "{news:?}: {}", answer.json);
        }
        assert_eq!(scene.meta.phone_counts(ONE).read_receipts, 4, "{news:?}");
    }
}
