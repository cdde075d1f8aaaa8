//! What opens a breaker in a webhook.

use std::time::Duration;

use http::StatusCode;
use sendfuse::simulator::Profile;
use serde_json::{Value, json};

use super::harness::{OTHER, PHONE, Scene, changes, failed, status};

const NOW: Duration = Duration::ZERO;

#[track_caller]
fn assert_tripped(scene: &Scene) {
    let breaker = scene.breaker(PHONE);
    assert_eq!((breaker.state, breaker.generation), ("open", 1), "{breaker:#?}");
    assert_eq!(breaker.reason.unwrap().source, "webhook");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_fails_after_it_was_accepted() {
    let scene = Scene::new();
    scene.lock(PHONE, Profile::Async);
    assert_eq!(scene.send(PHONE).await.status, 200);
    assert_eq!(scene.state(PHONE), "closed");
    let took = scene.until_state(PHONE, "open").await;
    assert!((500..=520).contains(&took.as_millis()), "as soon as the webhook comes: {took:?}");
    assert_tripped(&scene);
    assert_eq!(scene.breaker(PHONE).waba_id.as_deref(), Some(sendfuse::simulator::WABA));
    let rejection = scene.send(PHONE).await;
    assert_eq!(rejection.header("x-sendfuse-reason"), Some("131031; source=webhook"));
    assert_eq!(scene.arrived(PHONE), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_without_a_message() {
    let scene = Scene::new();
    let error = json!({"code": 131_031, "title": "Business Account locked"});
    let posted = scene.webhook(&changes(PHONE, [json!({"errors": [error]})])).await;
    assert_eq!(posted, StatusCode::OK);
    assert_tripped(&scene);
    assert_eq!(scene.state(OTHER), "closed");
}

#[tokio::test(start_paused = true)]
async fn the_last_status_of_the_last_change_of_the_last_entry() {
    let scene = Scene::new();
    let now = scene.seconds(NOW);
    let good: Vec<Value> = (0..100).map(|n| status(&format!("wamid.{n}"), "sent", now)).collect();
    let with = |last: Option<Value>| {
        let statuses: Vec<Value> = good.iter().cloned().chain(last).collect();
        json!({"statuses": statuses})
    };
    let mut webhook = changes(OTHER, [with(None), with(None)]);
    let last = changes(PHONE, [with(None), with(None), with(Some(failed("wamid.x", 131_031, now)))]);
    webhook["entry"].as_array_mut().unwrap().push(last["entry"][0].clone());
    assert_eq!(scene.webhook(&webhook).await, StatusCode::OK);
    assert_tripped(&scene);
    assert_eq!(scene.state(OTHER), "closed");
}

#[tokio::test(start_paused = true)]
async fn the_last_error_of_a_status_and_a_code_as_text() {
    for code in [json!(131_031), json!("131031"), json!(368)] {
        let scene = Scene::new();
        let mut status = failed("wamid.x", 131_026, scene.seconds(NOW));
        status["errors"].as_array_mut().unwrap().push(json!({"code": code, "title": "locked"}));
        scene.webhook(&changes(PHONE, [json!({"statuses": [status]})])).await;
        assert_tripped(&scene);
    }
}

#[tokio::test(start_paused = true)]
async fn no_other_failure_opens() {
    let scene = Scene::new();
    let now = scene.seconds(NOW);
    for code in [1, 131_000, 131_026, 131_042, 131_047, 131_048, 131_049, 131_051, 131_056, 470, 1_310_310] {
        scene.webhook(&changes(PHONE, [json!({"statuses": [failed("wamid.x", code, now)]})])).await;
        scene.webhook(&changes(PHONE, [json!({"errors": [{"code": code}]})])).await;
    }
    let user_wrote = json!({"messages": [{"from": "1", "id": "wamid.u", "type": "text",
        "text": {"body": "131031"}, "errors": [{"code": 131_031}]}]});
    scene.webhook(&changes(PHONE, [user_wrote])).await;
    assert_eq!((scene.state(PHONE), scene.breaker(PHONE).generation), ("closed", 0));
}

#[tokio::test(start_paused = true)]
async fn a_stranger_opens_nothing() {
    let scene = Scene::with(|config| {
        config.webhook.app_secrets = vec![sendfuse::config::Secret::new("another secret")];
    });
    let webhook = changes(PHONE, [json!({"statuses": [failed("wamid.x", 131_031, scene.seconds(NOW))]})]);
    assert_eq!(scene.webhook(&webhook).await, StatusCode::UNAUTHORIZED);
    assert_eq!(scene.state(PHONE), "closed");
}

#[tokio::test(start_paused = true)]
async fn an_answer_and_a_webhook_at_once_trip_once() {
    let scene = Scene::new();
    scene.lock(PHONE, Profile::Async);
    for _ in 0..10 {
        assert_eq!(scene.send(PHONE).await.status, 200);
    }
    scene.meta.unlock(PHONE);
    scene.lock(PHONE, Profile::Sync403);
    assert_eq!(scene.send(PHONE).await.code(), 131_031);
    scene.advance(Duration::from_secs(5)).await;
    let breaker = scene.breaker(PHONE);
    assert_eq!((breaker.state, breaker.generation, breaker.leaked), ("open", 1, 10));
}
