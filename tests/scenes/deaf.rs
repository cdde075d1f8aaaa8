//! Deafness: sends are accepted, and no status ever comes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;
use sendfuse::config::{Secret, WebhookSource};
use sendfuse::simulator::{Fault, FaultRule};
use serde_json::json;

use super::harness::{OTHER, PHONE, Scene, changes, status};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn is_deaf(scene: &Scene) -> bool {
    let listed = scene.breaker(PHONE).conditions.iter().any(|condition| condition.name == "deaf");
    assert_eq!(scene.metric("sendfuse_deaf_phones"), f64::from(u8::from(listed)));
    listed
}

/// Sends every 30 s; says whether the phone was deaf after any of them.
async fn sends_for(scene: &Scene, time: Duration) -> bool {
    let mut was_deaf = false;
    for _ in 0..time.as_secs() / 30 {
        assert_eq!(scene.send(PHONE).await.status, 200);
        scene.advance(SECOND * 30).await;
        was_deaf |= is_deaf(scene);
    }
    was_deaf
}

fn unplug(scene: &Scene) {
    scene.meta.set_webhook_url(None);
}

fn plug_in(scene: &Scene) {
    scene.meta.set_webhook_url(Some("http://hooks.example/webhook".into()));
}

#[tokio::test(start_paused = true)]
async fn is_said_after_its_time_and_ends_with_a_status() {
    let scene = Scene::new();
    unplug(&scene);
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.advance(MINUTE * 9).await;
    assert!(!is_deaf(&scene));
    scene.advance(MINUTE * 2).await;
    assert!(is_deaf(&scene));
    assert_eq!(scene.state(PHONE), "closed", "it is said, and nothing more");
    plug_in(&scene);
    assert_eq!(scene.send(PHONE).await.status, 200);
    assert!(is_deaf(&scene), "accepted is not heard");
    scene.advance(MINUTE).await;
    assert!(!is_deaf(&scene));
}

#[tokio::test(start_paused = true)]
async fn a_busy_phone_whose_statuses_stop_and_come_back() {
    let scene = Scene::new();
    assert!(!sends_for(&scene, MINUTE * 60).await);
    for _ in 0..2 {
        unplug(&scene);
        assert!(!sends_for(&scene, MINUTE * 9).await);
        assert!(sends_for(&scene, MINUTE * 3).await);
        let since = scene.breaker(PHONE).conditions[0].since.clone();
        sends_for(&scene, MINUTE * 30).await;
        assert!(is_deaf(&scene));
        assert_eq!(scene.breaker(PHONE).conditions[0].since, since, "one alarm");
        // Any signed status of the phone is enough.
        let seen = status("wamid.past_us", "delivered", scene.seconds(Duration::ZERO));
        scene.webhook(&changes(PHONE, [json!({"statuses": [seen]})])).await;
        assert!(!is_deaf(&scene), "the first status ends it");
        plug_in(&scene);
        assert!(!sends_for(&scene, MINUTE * 30).await);
    }
}

#[tokio::test(start_paused = true)]
async fn who_sends_nothing_or_hears_something_is_not() {
    let scene = Scene::new();
    scene.advance(MINUTE * 60).await;
    assert!(!is_deaf(&scene), "nothing was sent");
    for _ in 0..5 {
        assert_eq!(scene.send(PHONE).await.status, 200);
        scene.advance(MINUTE * 9).await;
        assert!(!is_deaf(&scene));
    }
    scene.advance(MINUTE * 60 * 24).await;
    assert!(!is_deaf(&scene), "idle again");
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.advance(MINUTE * 60).await;
    assert!(!is_deaf(&scene));
}

#[tokio::test(start_paused = true)]
async fn statuses_may_take_their_time() {
    for delay in [SECOND / 5, SECOND * 30, MINUTE * 4] {
        let scene = Scene::set(|stage| stage.meta.status_delay = delay);
        assert!(!sends_for(&scene, MINUTE * 20).await, "{delay:?}");
        scene.advance(MINUTE * 60).await;
        assert!(!is_deaf(&scene), "{delay:?}");
        assert_eq!(scene.send(PHONE).await.status, 200);
        scene.advance(MINUTE * 60).await;
        assert!(!is_deaf(&scene), "{delay:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_that_overtakes_its_answer_is_heard() {
    for idle in [Duration::ZERO, MINUTE * 60 * 24] {
        let scene = Scene::new();
        if idle > Duration::ZERO {
            assert_eq!(scene.send(PHONE).await.status, 200);
            scene.advance(idle).await;
        }
        scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Delay { delay: SECOND * 5 }).times(1));
        let slow = scene.start_send(PHONE);
        scene.advance(SECOND * 4).await;
        let statuses = scene.acknowledged.load(Ordering::SeqCst);
        assert!(statuses >= 2 && !slow.is_finished(), "all its statuses are here, and not its answer");
        assert_eq!(slow.await.unwrap().status, 200);
        scene.advance(MINUTE * 60).await;
        assert_eq!(scene.acknowledged.load(Ordering::SeqCst), statuses, "nothing came later");
        assert!(!is_deaf(&scene), "idle for {idle:?} before it");
    }
}

#[tokio::test(start_paused = true)]
async fn another_phones_statuses_are_not_heard() {
    let scene = Scene::new();
    unplug(&scene);
    assert_eq!(scene.send(PHONE).await.status, 200);
    for _ in 0..11 {
        let seen = status("wamid.other", "sent", scene.seconds(Duration::ZERO));
        scene.webhook(&changes(OTHER, [json!({"statuses": [seen]})])).await;
        scene.advance(MINUTE).await;
    }
    assert!(is_deaf(&scene));
}

#[tokio::test(start_paused = true)]
async fn forged_statuses_are_not_heard() {
    let scene = Scene::new();
    unplug(&scene);
    assert_eq!(scene.send(PHONE).await.status, 200);
    for _ in 0..11 {
        let seen = status("wamid.forged", "sent", scene.seconds(Duration::ZERO));
        let forged = changes(PHONE, [json!({"statuses": [seen]})]);
        assert_eq!(scene.webhook_signed_with(b"a guess", &forged).await, StatusCode::UNAUTHORIZED);
        scene.advance(MINUTE).await;
    }
    assert!(is_deaf(&scene));
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_down_makes_no_phone_deaf() {
    // Nobody can listen on port 0.
    let nobody = "http://127.0.0.1:0/hook".parse().unwrap();
    let scene = Scene::with(|config| config.webhook.relay_to = Some(nobody));
    assert!(!sends_for(&scene, MINUTE * 60).await);
    let failed = scene.metric("sendfuse_webhooks_total{result=\"relay_failed\"}");
    assert!(failed >= 240.0, "{failed} posts for 120 messages");
    assert_eq!(scene.metric("sendfuse_webhooks_total{result=\"relayed\"}"), 0.0);
}

fn forwarder() -> WebhookSource {
    WebhookSource {
        name: "dualhook".into(),
        path: "/webhook/dualhook".into(),
        header: "x-dualhook-signature".parse().unwrap(),
        secret: Secret::new("theirs"),
    }
}

#[tokio::test(start_paused = true)]
async fn who_hears_by_forwarders_alone_expects_no_status() {
    let scene = Scene::with(|config| {
        config.webhook.app_secrets.clear();
        config.webhook.sources = vec![forwarder()];
    });
    assert!(!sends_for(&scene, MINUTE * 60).await);
    assert_eq!(scene.metric("sendfuse_webhooks_total{result=\"accepted\"}"), 0.0, "Meta's own are refused");
}

#[tokio::test(start_paused = true)]
async fn what_a_forwarder_tells_of_accounts_is_no_status() {
    let scene = Scene::with(|config| config.webhook.sources = vec![forwarder()]);
    unplug(&scene);
    assert_eq!(scene.send(PHONE).await.status, 200);
    for _ in 0..11 {
        let news = json!({"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "changes": [
            {"field": "account_alerts", "value": {"alert_severity": "INFORMATIONAL"}}
        ]}]});
        assert_eq!(scene.forwarded(&news).await, StatusCode::OK);
        scene.advance(MINUTE).await;
    }
    assert!(is_deaf(&scene), "Meta's own do not come");
}
