//! Late news is no news: what is older than the last close never re-opens; duplicates and any order end in the same state.

use std::time::Duration;

use http::StatusCode;
use sendfuse::breakers::OrderKind;
use sendfuse::simulator::Profile;
use serde_json::{Value, json};

use super::harness::{PHONE, Scene, changes, failed, status};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn one(status: Value) -> Value {
    changes(PHONE, [json!({"statuses": [status]})])
}

#[tokio::test(start_paused = true)]
async fn failures_that_meta_repeats_for_a_week() {
    let scene = Scene::new();
    scene.lock(PHONE, Profile::LateDuplicates { after: DAY * 7 - DAY / 24 });
    for _ in 0..5 {
        assert_eq!(scene.send(PHONE).await.status, 200);
    }
    scene.until_state(PHONE, "open").await;
    scene.advance(SECOND * 5).await;
    assert_eq!(scene.breaker(PHONE).leaked, 5);
    scene.meta.unlock(PHONE);
    scene.until_state(PHONE, "half_open").await;
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.until_state(PHONE, "closed").await;
    let (generation, posts) = (scene.breaker(PHONE).generation, scene.meta.counts().webhooks_acknowledged);
    scene.advance(DAY * 7).await;
    assert!(scene.meta.counts().webhooks_acknowledged >= posts + 5, "they came");
    assert_eq!((scene.state(PHONE), scene.breaker(PHONE).generation), ("closed", generation));
    assert_eq!(scene.metric("sendfuse_stale_evidence_total"), 5.0);
    assert_eq!(scene.send(PHONE).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn unknown_messages_are_judged_by_their_date() {
    let scene = Scene::new();
    scene.recover(PHONE).await;
    let generation = scene.breaker(PHONE).generation;
    let closed = scene.seconds(Duration::ZERO);
    scene.advance(SECOND * 10).await;
    for dated in [0, 1, closed - 7 * 86_400, closed - 1, closed, closed + 1, closed * 1000] {
        let posted = scene.webhook(&one(failed("wamid.unknown", 131_031, dated))).await;
        assert_eq!((posted, scene.state(PHONE)), (StatusCode::OK, "closed"), "{dated}");
    }
    let mut undated = failed("wamid.unknown", 131_031, 0);
    undated.as_object_mut().unwrap().remove("timestamp");
    scene.webhook(&one(undated)).await;
    scene.webhook(&changes(PHONE, [json!({"errors": [{"code": 131_031}]})])).await;
    assert_eq!((scene.state(PHONE), scene.breaker(PHONE).generation), ("closed", generation));
    scene.webhook(&one(failed("wamid.unknown", 131_031, closed + 4))).await;
    assert_eq!(scene.state(PHONE), "open", "later by more than the skew: new trouble");
}

#[tokio::test(start_paused = true)]
async fn our_own_messages_are_judged_by_when_they_were_admitted() {
    let scene = Scene::set(|stage| stage.meta.webhook_url = None);
    let before = scene.send(PHONE).await.wamid();
    scene.recover(PHONE).await;
    let after = scene.send(PHONE).await.wamid();
    scene.advance(DAY).await;
    scene.webhook(&one(failed(&before, 131_031, scene.seconds(Duration::ZERO)))).await;
    assert_eq!(scene.state(PHONE), "closed", "whatever its date says");
    scene.webhook(&one(failed(&after, 131_031, scene.seconds(DAY * 6)))).await;
    assert_eq!(scene.state(PHONE), "open", "whatever its date says");
}

#[tokio::test(start_paused = true)]
async fn new_trouble_trips_again_and_is_a_new_incident() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    let first = scene.breaker(PHONE).incident.unwrap();
    scene.send(PHONE).await;
    scene.meta.unlock(PHONE);
    scene.until_state(PHONE, "half_open").await;
    scene.send(PHONE).await;
    scene.until_state(PHONE, "closed").await;
    scene.lock(PHONE, Profile::Async);
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.until_state(PHONE, "open").await;
    let breaker = scene.breaker(PHONE);
    assert_ne!(breaker.incident.unwrap(), first);
    assert_eq!((breaker.generation, breaker.rejected, breaker.leaked), (4, 0, 1), "its counts are its own");
}

#[tokio::test(start_paused = true)]
async fn the_closing_trials_own_later_failure() {
    let scene = Scene::set(|stage| stage.meta.read_percent = 0);
    scene.half_open(PHONE).await;
    let wamid = scene.send(PHONE).await.wamid();
    scene.until_state(PHONE, "closed").await;
    scene.advance(SECOND * 30).await;
    scene.webhook(&one(failed(&wamid, 131_031, scene.seconds(Duration::ZERO)))).await;
    assert_eq!(scene.state(PHONE), "closed");
}

#[tokio::test(start_paused = true)]
async fn a_reset_fences_like_a_close() {
    let scene = Scene::new();
    scene.lock(PHONE, Profile::Async);
    scene.send(PHONE).await;
    scene.until_state(PHONE, "open").await;
    let tripped = scene.seconds(Duration::ZERO);
    scene.advance(SECOND * 30).await;
    scene.order(PHONE, OrderKind::Reset, None).await;
    scene.webhook(&one(failed("wamid.unknown", 131_031, tripped))).await;
    assert_eq!((scene.state(PHONE), scene.breaker(PHONE).generation), ("closed", 2));
}

#[tokio::test(start_paused = true)]
async fn old_failures_do_not_end_half_open() {
    let scene = Scene::set(|stage| stage.meta.webhook_url = None);
    let wamid = scene.send(PHONE).await.wamid();
    scene.half_open(PHONE).await;
    let now = scene.seconds(Duration::ZERO);
    scene.webhook(&one(failed(&wamid, 131_031, now))).await;
    scene.webhook(&one(failed("wamid.unknown", 131_031, now - 3600))).await;
    assert_eq!(scene.state(PHONE), "half_open");
    scene.advance(SECOND * 60).await;
    scene.webhook(&one(failed("wamid.unknown", 131_031, scene.seconds(SECOND * 10)))).await;
    assert_eq!(scene.state(PHONE), "open", "but new ones do");
}

/// Every order of `items`.
fn permutations<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (n, item) in items.iter().enumerate() {
        let mut rest = items.to_vec();
        rest.remove(n);
        all.extend(permutations(&rest).into_iter().map(|mut tail| {
            tail.insert(0, item.clone());
            tail
        }));
    }
    all
}

#[tokio::test(start_paused = true)]
async fn any_order_and_any_number_of_times_ends_the_same() {
    // Before a trip: two messages, one of which Meta fails.
    for order in permutations(&[0, 1, 2, 3]) {
        let scene = Scene::set(|stage| stage.meta.webhook_url = None);
        let (good, bad) = (scene.send(PHONE).await.wamid(), scene.send(PHONE).await.wamid());
        let now = scene.seconds(Duration::ZERO);
        let posts = [
            one(status(&good, "sent", now)),
            one(status(&good, "delivered", now)),
            one(failed(&bad, 131_031, now)),
            one(failed("wamid.unknown", 131_031, now)),
        ];
        for n in order.iter().chain(&order) {
            scene.webhook(&posts[*n]).await;
        }
        let breaker = scene.breaker(PHONE);
        assert_eq!((breaker.state, breaker.generation, breaker.leaked), ("open", 1, 1), "{order:?}");
    }
    // After a recovery: late news of all kinds.
    for order in permutations(&[0, 1, 2, 3]) {
        let scene = Scene::set(|stage| stage.meta.webhook_url = None);
        let bad = scene.send(PHONE).await.wamid();
        let then = scene.seconds(Duration::ZERO);
        scene.half_open(PHONE).await;
        let trial = scene.send(PHONE).await.wamid();
        scene.webhook(&one(status(&trial, "sent", scene.seconds(Duration::ZERO)))).await;
        let posts = [
            one(failed(&bad, 131_031, then)),
            one(status(&bad, "delivered", then)),
            one(failed(&trial, 131_031, then)),
            one(failed("wamid.unknown", 131_031, then)),
        ];
        for n in order.iter().chain(&order) {
            scene.webhook(&posts[*n]).await;
        }
        let breaker = scene.breaker(PHONE);
        assert_eq!((breaker.state, breaker.generation), ("closed", 3), "{order:?}");
    }
}
