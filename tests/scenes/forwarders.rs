//! Account events by a forwarder, with a path, a header and a secret of its own.

use http::StatusCode;
use sendfuse::config::{Secret, WebhookSource};
use sendfuse::simulator::{Event, Forwarder, News, Profile, Reason};

use super::harness::{Scene, Stage};
use super::wabas::{ALL, HOUR, MINUTE, ONE, SECOND, STRANGER, TWO, WABA};

fn source(name: &str, secret: &str) -> WebhookSource {
    WebhookSource {
        name: name.into(),
        path: format!("/webhook/{name}"),
        header: format!("x-{name}-signature").parse().unwrap(),
        secret: Secret::new(secret),
    }
}

fn forwarder(name: &str, secret: &str) -> Forwarder {
    Forwarder {
        url: format!("http://hooks.example/webhook/{name}"),
        header: format!("X-{name}-Signature"),
        secret: secret.into(),
    }
}

/// Two forwarders, each with its own secret.
fn two(stage: &mut Stage) {
    stage.config.webhook.sources = vec![source("dualhook", "theirs"), source("another", "others")];
}

/// Two forwarders, and nothing from Meta itself.
fn two_alone(stage: &mut Stage) {
    two(stage);
    stage.config.webhook.app_secrets.clear();
    stage.meta.webhook_url = None;
}

#[tokio::test(start_paused = true)]
async fn a_forwarders_event_opens_the_account() {
    for (name, secret) in [("dualhook", "theirs"), ("another", "others")] {
        let scene = Scene::of_wabas_set(two);
        scene.meet_all().await;
        scene.meta.lock_waba(WABA, Reason::Disabled.with(Profile::Ban));
        scene.tell(Event::from(News::Disabled).via(forwarder(name, secret))).await;
        assert_eq!(scene.waba().state, "open", "{name}");
        for phone in ALL {
            assert!(scene.send(phone).await.is_rejection(), "{name}");
            assert_eq!(scene.arrived(phone), 1, "{name}");
        }
        assert_eq!(scene.send(STRANGER).await.status, 200, "{name}");
        scene.advance(HOUR).await;
        scene.meta.unlock_waba(WABA);
        scene.tell(Event::from(News::Reinstated).via(forwarder(name, secret))).await;
        assert_eq!(scene.waba().state, "half_open", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_anothers_secret_header_or_path_it_is_nobody() {
    let wrong = [
        forwarder("dualhook", "others"),
        forwarder("another", "theirs"),
        forwarder("dualhook", "simulated-app-secret"),
        forwarder("unknown", "theirs"),
        Forwarder { header: "X-Another-Signature".into(), ..forwarder("dualhook", "theirs") },
        Forwarder { header: "X-Hub-Signature-256".into(), ..forwarder("dualhook", "theirs") },
        // Meta's own path takes Meta's own secret.
        Forwarder { url: "http://hooks.example/webhook".into(), ..forwarder("dualhook", "theirs") },
        Forwarder {
            url: "http://hooks.example/webhook".into(),
            header: "X-Hub-Signature-256".into(),
            secret: "theirs".into(),
        },
    ];
    for forwarder in wrong {
        let scene = Scene::of_wabas_set(two);
        scene.meet_all().await;
        scene.tell(Event::from(News::Disabled).via(forwarder.clone())).await;
        scene.advance(MINUTE).await;
        assert_eq!((scene.waba().generation, scene.send(ONE).await.status), (0, 200), "{forwarder:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_only_forwarders_are_heard_nobody_is_deaf() {
    let scene = Scene::of_wabas_set(two_alone);
    for _ in 0..60 {
        assert_eq!(scene.send(ONE).await.status, 200);
        scene.advance(MINUTE).await;
        assert!(scene.breaker(ONE).conditions.is_empty(), "{:?}", scene.breaker(ONE).conditions);
    }
    assert_eq!(scene.metric("sendfuse_deaf_phones"), 0.0);
    // Whose the phone is, nobody has told; the question at the trip asks.
    scene.tell(Event::from(News::AccountDeleted).via(forwarder("dualhook", "theirs"))).await;
    assert_eq!(scene.waba().state, "open");
}

/// By a forwarder alone no status ever comes, so a trial that does not fail is what there is.
#[tokio::test(start_paused = true)]
async fn where_only_forwarders_are_heard_an_account_recovers_all_the_same() {
    let scene = Scene::of_wabas_set(|stage| {
        two_alone(stage);
        stage.config.probe.tokens.insert(WABA.into(), Secret::new("EAAGwaba"));
    });
    scene.meta.lock_waba(WABA, Reason::Disabled.with(Profile::Sync403));
    scene.tell(Event::from(News::Disabled).via(forwarder("dualhook", "theirs"))).await;
    assert!(scene.send(ONE).await.is_rejection() && scene.send(TWO).await.is_rejection());
    assert_eq!((scene.arrived(ONE), scene.arrived(TWO)), (0, 0));
    scene.advance(HOUR).await;
    scene.meta.unlock_waba(WABA);
    scene.tell(Event::from(News::Reinstated).via(forwarder("dualhook", "theirs"))).await;
    scene.until_waba("half_open").await;
    assert_eq!(scene.send(TWO).await.status, 200);
    let waited = scene.until_waba("closed").await;
    assert!(waited >= SECOND * 59 && waited <= MINUTE * 3, "trial_grace: {waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_no_event_is_taken_and_changes_nothing() {
    let scene = Scene::of_wabas_set(two);
    scene.meet_all().await;
    for body in [serde_json::json!({"hello": "world"}), serde_json::json!([]), serde_json::json!(null)] {
        assert_eq!(scene.forwarded(&body).await, StatusCode::OK);
    }
    assert_eq!((scene.waba().generation, scene.send(ONE).await.status), (0, 200));
}
