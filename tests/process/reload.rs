//! A changed configuration is taken over without a restart, and a bad one is not.

use http::Method;
use sendfuse::simulator::{PHONE, Profile};

use super::rig::{APP_SECRET, Said, Scene, Sendfuse, eventually};

const TAKEN: &str = "the changed configuration is in force";
const REFUSED: &str = "the changed configuration is refused";

/// Waits until it has looked at this many changes.
async fn looked(sendfuse: &Sendfuse, taken: usize, refused: usize) {
    let as_often =
        |text: &str| (text.matches(TAKEN).count(), text.matches(REFUSED).count()) == (taken, refused);
    sendfuse.log.until(&format!("{taken} changes taken, {refused} refused"), as_often).await;
}

/// With an open breaker of generation 1.
async fn with_a_lock(scene: &Scene) -> Sendfuse {
    let sendfuse = scene.run().await;
    scene.meta.lock(PHONE, Profile::Sync403);
    assert_eq!(sendfuse.send(PHONE).await.said(), Said::Locked);
    sendfuse
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_taken_over_and_breakers_keep_their_state() {
    let scene = Scene::new(|_| {}).await;
    scene.configure("");
    let sendfuse = with_a_lock(&scene).await;
    let before = sendfuse.breaker(PHONE).await;

    scene.configure("breaker.reject_status = 451\nbreaker.retry_after = true");
    looked(&sendfuse, 1, 0).await;
    let answer = sendfuse.send(PHONE).await;
    assert_eq!((answer.said(), answer.status), (Said::Rejected, 451));
    assert!(answer.header("retry-after").is_some());

    scene.configure("mode = \"observe\"");
    looked(&sendfuse, 2, 0).await;
    assert_eq!(sendfuse.send(PHONE).await.said(), Said::Locked, "it passes");
    let after = sendfuse.breaker(PHONE).await;
    assert_eq!((&after["state"], &after["generation"]), (&before["state"], &before["generation"]));
    assert_eq!(after["incident"], before["incident"]);
    assert_eq!(after["would_reject"], 1);

    scene.configure("");
    looked(&sendfuse, 3, 0).await;
    assert_eq!(sendfuse.send(PHONE).await.status, 403);
    let config = sendfuse.admin(Method::GET, "/v1/config", "").await.json();
    assert_eq!(config["breaker"]["reject_status"], 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_is_refused_as_a_whole_and_the_old_one_stays() {
    let scene = Scene::new(|_| {}).await;
    scene.configure("breaker.reject_status = 451");
    let sendfuse = with_a_lock(&scene).await;
    scene.configure("breaker.reject_status = 452\nbreaker.min_open = \"60\"");
    looked(&sendfuse, 0, 1).await;
    sendfuse.log.line_with(&[REFUSED, "breaker.min_open"]).await;
    assert_eq!(sendfuse.send(PHONE).await.status, 451);
    scene.write("sendfuse.toml", "mode = ");
    looked(&sendfuse, 0, 2).await;
    assert_eq!(sendfuse.send(PHONE).await.status, 451);
    let metrics = sendfuse.admin(Method::GET, "/metrics", "").await;
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(metrics.contains("sendfuse_config_reloads_total{result=\"refused\"} 2"), "{metrics}");
    scene.configure("breaker.reject_status = 453");
    looked(&sendfuse, 1, 2).await;
    assert_eq!(sendfuse.send(PHONE).await.status, 453);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_a_restart_is_said_and_changes_nothing() {
    let scene = Scene::new(|_| {}).await;
    scene.configure("");
    let sendfuse = with_a_lock(&scene).await;
    let file = std::fs::read_to_string(scene.file("sendfuse.toml")).unwrap();
    let changed = file.replace("proxy.listen = \"127.0.0.1:0\"", "proxy.listen = \"127.0.0.2:0\"");
    scene.write("sendfuse.toml", changed);
    sendfuse.log.line_with(&["these changes take a restart", "proxy.listen"]).await;
    assert_eq!(sendfuse.send(PHONE).await.said(), Said::Rejected);
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_secrets_again() {
    let scene = Scene::new(|_| {}).await;
    scene.write("token", "first");
    scene.write("secrets", "not-metas\n");
    let (token, secrets) = (scene.file("token"), scene.file("secrets"));
    scene.configure(&format!(
        "admin.token_file = \"{}\"\nwebhook.app_secrets_file = \"{}\"",
        token.display(),
        secrets.display()
    ));
    let sendfuse = scene.run().await;
    let status_with = async |token: &str| {
        *sendfuse.token.lock().unwrap() = Some(token.to_owned());
        sendfuse.admin(Method::GET, "/v1/breakers", "").await.status
    };
    assert_eq!(status_with("first").await, 200);
    scene.meta.lock(PHONE, Profile::Async);
    assert_eq!(sendfuse.send(PHONE).await.said(), Said::Accepted);
    scene.meta.until(|counts| counts.webhooks >= 1).await;
    assert_eq!(sendfuse.breaker(PHONE).await["state"], "closed", "not signed with a secret of ours");

    scene.write("token", "second");
    scene.write("secrets", format!("another\n{APP_SECRET}\n"));
    sendfuse.signal("HUP");
    looked(&sendfuse, 1, 0).await;
    assert_eq!(status_with("first").await, 401);
    // Meta tries again, and is believed now.
    *sendfuse.token.lock().unwrap() = Some("second".to_owned());
    eventually("the trip", async || (sendfuse.breaker(PHONE).await["state"] == "open").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_can_be_exchanged() {
    let scene = Scene::new(|_| {}).await;
    let other = Scene::new(|_| {}).await;
    scene.configure("");
    let sendfuse = with_a_lock(&scene).await;
    assert_eq!(sendfuse.send(super::rig::HEALTHY).await.said(), Said::Accepted);
    let file = std::fs::read_to_string(scene.file("sendfuse.toml")).unwrap();
    scene.write("sendfuse.toml", file.replace(&scene.upstream, &other.upstream));
    looked(&sendfuse, 1, 0).await;
    assert_eq!(sendfuse.send(super::rig::HEALTHY).await.said(), Said::Accepted);
    assert_eq!(other.meta.phone_counts(super::rig::HEALTHY).accepted, 1);
    assert_eq!(sendfuse.send(PHONE).await.said(), Said::Rejected, "the lock is kept");
}
