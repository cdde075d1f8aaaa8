//! Trials that do not come back as they should: the program dies under one, or one hangs into a later half-open.

use std::sync::Arc;
use std::time::Duration;

use sendfuse::config::{NoWebhooks, Secret};
use sendfuse::simulator::{Fault, FaultRule, Health, Profile};
use serde_json::json;

use super::harness::{PHONE, Scene, Stage, TOKEN, changes, failed, status};
use super::kept::Kept;

const SECOND: Duration = Duration::from_secs(1);

/// A store that keeps, a token that no restart forgets, and statuses only as the scene posts them.
fn quiet(stage: &mut Stage) {
    stage.store = Arc::new(Kept::default());
    stage.config.probe.tokens.insert(PHONE.into(), Secret::new(TOKEN));
    stage.config.breaker.no_webhooks = NoWebhooks::Hold;
    stage.meta.webhook_url = None;
}

async fn says(scene: &Scene, status: serde_json::Value) -> &'static str {
    scene.webhook(&changes(PHONE, [json!({"statuses": [status]})])).await;
    scene.state(PHONE)
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_a_trial_and_its_status() {
    let scene = Scene::set(quiet);
    scene.half_open(PHONE).await;
    let forgotten = scene.send(PHONE).await.wamid();
    let generation = scene.breaker(PHONE).generation;
    let scene = scene.restart(SECOND * 30).await;
    let breaker = scene.breaker(PHONE);
    assert_eq!(
        (breaker.state, breaker.generation, breaker.trials),
        ("half_open", generation, 0),
        "as it was stored"
    );
    let now = scene.seconds(Duration::ZERO);
    assert_eq!(
        says(&scene, status(&forgotten, "sent", now)).await,
        "half_open",
        "nobody knows it for a trial"
    );
    let trial = scene.send(PHONE).await;
    assert_eq!(trial.status, 200, "the permit died with the process");
    assert!(scene.send(PHONE).await.is_rejection());
    assert_eq!(says(&scene, status(&trial.wamid(), "sent", now)).await, "closed");
    let late = failed(&forgotten, 131_031, now);
    assert_eq!(says(&scene, late).await, "closed", "dated before the close");
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_a_crash_forgot_still_fails() {
    let scene = Scene::set(quiet);
    scene.half_open(PHONE).await;
    scene.advance(SECOND * 10).await;
    let forgotten = scene.send(PHONE).await.wamid();
    let failure = failed(&forgotten, 131_031, scene.seconds(Duration::ZERO));
    let scene = scene.restart(SECOND * 30).await;
    assert_eq!(says(&scene, failure).await, "open", "dated later than half-open");
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_is_delivered_and_fails_in_one_webhook_proves_nothing() {
    for failed_first in [false, true] {
        let scene = Scene::set(quiet);
        scene.half_open(PHONE).await;
        let (wamid, now) = (scene.send(PHONE).await.wamid(), scene.seconds(Duration::ZERO));
        let mut statuses = [status(&wamid, "delivered", now), failed(&wamid, 131_031, now)];
        if failed_first {
            statuses.reverse();
        }
        scene.webhook(&changes(PHONE, [json!({"statuses": statuses})])).await;
        assert_eq!(scene.state(PHONE), "open", "{statuses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hung_trial_of_an_earlier_half_open_moves_no_later_one() {
    for (fault, answer) in [
        (Fault::Delay { delay: SECOND * 900 }, 200),
        (Fault::Error { status: 403, code: 131_031 }, 403),
        (Fault::Stall, 504),
    ] {
        let scene = Scene::set(|stage| {
            quiet(stage);
            stage.config.upstream.response_timeout = SECOND * 1200;
        });
        scene.half_open(PHONE).await;
        let slow = FaultRule::sends_of(PHONE, Fault::Delay { delay: SECOND * 900 }).times(1);
        scene.meta.fault(slow);
        if !matches!(fault, Fault::Delay { .. }) {
            scene.meta.fault(FaultRule::sends_of(PHONE, fault).times(1));
        }
        let hung = scene.start_send(PHONE);
        scene.advance(SECOND * 121).await;
        // The next trial meets the lock, and health says so for a while.
        scene.lock(PHONE, Profile::Sync403);
        scene.meta.set_health(PHONE, Some(Health::NotLinked));
        assert_eq!(scene.send(PHONE).await.code(), 131_031);
        assert_eq!(scene.state(PHONE), "open");
        scene.meta.unlock(PHONE);
        scene.meta.set_health(PHONE, None);
        scene.until_state(PHONE, "half_open").await;
        let trial = scene.send(PHONE).await.wamid();
        let generation = scene.breaker(PHONE).generation;
        // Now the first one comes back.
        let hung = hung.await.unwrap();
        assert_eq!(hung.status, answer);
        assert_eq!(
            (scene.state(PHONE), scene.breaker(PHONE).generation),
            ("half_open", generation),
            "{answer}"
        );
        if hung.status == 200 {
            let (wamid, now) = (hung.wamid(), scene.seconds(Duration::ZERO));
            assert_eq!(says(&scene, status(&wamid, "delivered", now)).await, "half_open");
            assert_eq!(says(&scene, failed(&wamid, 131_031, now)).await, "half_open");
        }
        let now = scene.seconds(Duration::ZERO);
        assert_eq!(says(&scene, status(&trial, "sent", now)).await, "closed", "the later one decides");
    }
}
