//! Whose a phone is: how that is learned, and that it holds for whatever its account's breaker says, before and after.

use std::sync::Arc;

use sendfuse::config::Secret;
use sendfuse::simulator::{Fault, FaultRule, News, Profile, Requests};
use serde_json::json;

use super::harness::{Scene, changes, json_request, status};
use super::kept::Kept;
use super::wabas::{ALL, HOUR, ONE, SECOND, STRANGER, THREE, TWO, WABA};

/// Nobody asks Meta anything but the apps: what is learned is learned in passing.
fn without_questions() -> Scene {
    Scene::of_wabas_set(|stage| stage.config.probe.borrow_token = false)
}

/// The next send of each of these phones is local, and so the first one of those that have sent nothing.
async fn assert_held(scene: &Scene, phones: &[&str]) {
    for phone in phones {
        let before = scene.arrived(phone);
        assert!(scene.send(phone).await.is_rejection(), "{phone}");
        assert_eq!(scene.arrived(phone), before, "{phone}");
    }
}

async fn get(scene: &Scene, target: &str) {
    assert_eq!(scene.call(json_request("GET", target, &json!({}))).await.status, 200, "{target}");
    scene.settle().await;
}

#[tokio::test(start_paused = true)]
async fn by_a_webhook() {
    let scene = without_questions();
    scene.meet(ONE).await;
    scene.disable(Profile::Sync403).await;
    assert_held(&scene, &[ONE]).await;
    assert_eq!(scene.waba().phones.unwrap(), [ONE]);
    // That nobody knows of the others is what the other ways are for.
    assert_eq!(scene.send(TWO).await.code(), 131_031);
    assert_eq!(scene.arrived(TWO), 1);
}

#[tokio::test(start_paused = true)]
async fn by_a_webhook_about_a_message_sent_elsewhere() {
    let scene = without_questions();
    let mut news =
        changes(TWO, [json!({"statuses": [status("wamid.elsewhere", "sent", scene.seconds(SECOND))]})]);
    news["entry"][0]["id"] = json!(WABA);
    scene.webhook(&news).await;
    scene.disable(Profile::Sync403).await;
    assert_held(&scene, &[TWO]).await;
}

#[tokio::test(start_paused = true)]
async fn by_a_health_answer_that_passes() {
    let scene = without_questions();
    get(&scene, &format!("/v23.0/{TWO}?fields=health_status")).await;
    scene.disable(Profile::Sync403).await;
    assert_held(&scene, &[TWO]).await;
}

#[tokio::test(start_paused = true)]
async fn by_a_probe() {
    let scene = Scene::of_wabas_set(|stage| {
        stage.config.probe.borrow_token = false;
        stage.config.probe.tokens.insert(ONE.into(), Secret::new("EAAGprobe"));
    });
    // Not by a status: its breaker opens at Meta's answer.
    scene.trip(ONE).await;
    scene.settle().await;
    assert_eq!((scene.probes(ONE), scene.waba().phones.unwrap()), (1, vec![ONE.to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn by_a_list_of_phones_that_passes() {
    let scene = without_questions();
    get(&scene, &format!("/v23.0/{WABA}/phone_numbers?fields=id&limit=2")).await;
    scene.disable(Profile::Sync403).await;
    assert_held(&scene, &[ONE, TWO]).await;
    // The next page comes while it is open.
    get(&scene, &format!("/v23.0/{WABA}/phone_numbers")).await;
    assert_held(&scene, &ALL).await;
    assert_eq!(scene.send(STRANGER).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn by_the_question_that_is_asked_when_the_account_opens() {
    for configured in [false, true] {
        let scene = Scene::of_wabas_set(|stage| {
            if configured {
                stage.config.probe.borrow_token = false;
                stage.config.probe.tokens.insert(WABA.into(), Secret::new("EAAGwaba"));
            }
        });
        if !configured {
            // Whose token is borrowed.
            scene.meet(ONE).await;
        }
        scene.disable(Profile::Sync403).await;
        assert_eq!(scene.asked("/phone_numbers"), 1);
        assert_held(&scene, &ALL).await;
        assert_eq!((scene.arrived(TWO), scene.arrived(THREE)), (0, 0));
        assert_eq!(scene.waba().phones.unwrap(), ALL);
        scene.advance(HOUR).await;
        assert_eq!(scene.asked("/phone_numbers"), 1, "once");
    }
}

#[tokio::test(start_paused = true)]
async fn all_pages_of_a_big_account_are_asked_for() {
    let scene = Scene::new();
    let phones: Vec<String> = (0..250).map(|n| format!("306540352240{n:03}")).collect();
    let waba = scene.meta.add_wabas(&phones, 250).remove(0);
    scene.meet(&phones[0]).await;
    scene.meta.account_event(&waba, News::Disabled);
    scene.settle().await;
    assert_eq!(scene.waba_of(&waba).phones.unwrap(), phones);
    assert!(scene.send(&phones[249]).await.is_rejection());
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_asked_about_is_learned_later_and_falls_under_it_at_once() {
    let scene = Scene::of_wabas();
    let fault = Fault::Error { status: 500, code: 1 };
    scene.meta.fault(FaultRule { phone: Some(WABA.into()), on: Requests::Others, times: None, fault });
    scene.meet(ONE).await;
    scene.disable(Profile::Async).await;
    assert_held(&scene, &[ONE]).await;
    // Nobody can know: this one goes out, and its status tells.
    assert_eq!(scene.send(TWO).await.status, 200);
    scene.advance(SECOND * 3).await;
    assert_held(&scene, &[TWO]).await;
    assert_eq!(scene.breaker(TWO).held_by.unwrap(), format!("waba/{WABA}"));
    get(&scene, &format!("/v23.0/{THREE}?fields=health_status")).await;
    assert_held(&scene, &[THREE]).await;
    assert_eq!(scene.arrived(THREE), 0);
}

#[tokio::test(start_paused = true)]
async fn an_account_of_which_no_phone_is_known_is_open_and_says_that_it_cannot_ask() {
    let scene = Scene::of_wabas();
    scene.disable(Profile::Ban).await;
    let says_so = || scene.waba().conditions.iter().any(|condition| condition.name == "no_token");
    assert!(says_so() && scene.waba().closes_when.contains("no token"), "{:?}", scene.waba());
    scene.advance(HOUR).await;
    assert_eq!((scene.waba().state, scene.waba_probes()), ("open", 0), "unknown is never clear");
    // An app asks about one of its phones, with a token.
    get(&scene, &format!("/v23.0/{ONE}?fields=health_status")).await;
    scene.advance(HOUR).await;
    assert!(!says_so() && scene.waba_probes() > 0);
    assert_held(&scene, &[ONE]).await;
    assert_eq!(scene.arrived(ONE), 0);
}

#[tokio::test(start_paused = true)]
async fn it_is_kept_across_restarts() {
    let store = Kept::default();
    let scene = Scene::of_wabas_set(|stage| {
        stage.store = Arc::new(store.clone());
        stage.config.probe.borrow_token = false;
    });
    scene.meet(ONE).await;
    get(&scene, &format!("/v23.0/{WABA}/phone_numbers")).await;
    // The lock comes while nobody listens; Meta says so again and again.
    let scene = scene.restart(SECOND).await;
    scene.disable(Profile::Sync403).await;
    assert_held(&scene, &ALL).await;
    let before = scene.waba();
    // And what is open stays so, for all of them.
    let scene = scene.restart(SECOND).await;
    assert_held(&scene, &ALL).await;
    let after = scene.waba();
    assert_eq!(
        (after.state, after.generation, &after.incident),
        ("open", before.generation, &before.incident)
    );
    assert_eq!(after.phones.unwrap(), ALL);
    assert_eq!(scene.send(STRANGER).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_phone_that_moves_leaves_the_lock_behind() {
    let scene = Scene::of_wabas();
    scene.meet_all().await;
    scene.disable(Profile::Sync403).await;
    assert_held(&scene, &[THREE]).await;
    let other = scene.meta.add_wabas([STRANGER, THREE], 2).remove(0);
    get(&scene, &format!("/v23.0/{THREE}?fields=health_status")).await;
    assert_eq!(scene.send(THREE).await.status, 200);
    assert_eq!(scene.breaker(THREE).waba_id.as_deref(), Some(&*other));
    assert_eq!(scene.waba().phones.unwrap(), [ONE, TWO]);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_nobody_signed_teaches_nothing() {
    let scene = without_questions();
    let mut news =
        changes(STRANGER, [json!({"statuses": [status("wamid.x", "sent", scene.seconds(SECOND))]})]);
    news["entry"][0]["id"] = json!(WABA);
    scene.webhook_signed_with(b"a guess", &news).await;
    scene.disable(Profile::Sync403).await;
    assert_eq!(scene.send(STRANGER).await.status, 200);
}
