//! Deafness: sends are accepted, and no status ever comes.

use std::time::Duration;

use super::harness::{PHONE, Scene};

const MINUTE: Duration = Duration::from_secs(60);

fn is_deaf(scene: &Scene) -> bool {
    let listed = scene.breaker(PHONE).conditions.iter().any(|condition| condition.name == "deaf");
    assert_eq!(scene.metric("sendfuse_deaf_phones"), f64::from(u8::from(listed)));
    listed
}

#[tokio::test(start_paused = true)]
async fn is_said_after_its_time_and_ends_with_a_status() {
    let scene = Scene::new();
    scene.meta.set_webhook_url(None);
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.advance(MINUTE * 9).await;
    assert!(!is_deaf(&scene));
    scene.advance(MINUTE * 2).await;
    assert!(is_deaf(&scene));
    assert_eq!(scene.state(PHONE), "closed", "it is said, and nothing more");
    scene.meta.set_webhook_url(Some("http://hooks.example/webhook".into()));
    assert_eq!(scene.send(PHONE).await.status, 200);
    assert!(is_deaf(&scene), "accepted is not heard");
    scene.advance(MINUTE).await;
    assert!(!is_deaf(&scene));
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
}
