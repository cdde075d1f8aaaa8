//! Promise 5: what anyone outside has been told outlives `kill -9` and a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Method;
use sendfuse::simulator::{Fault, FaultRule, PHONE, Profile};
use serde_json::{Value, json};

use super::rig::{Connection, Said, Scene, Sendfuse, deliver, message};

/// How often each is tried: the kill falls at another instant each time.
const ROUNDS: u64 = 5;

/// A scene whose probes are never answered: only what the test does moves a breaker.
async fn quiet_scene() -> Scene {
    let scene = Scene::new(|_| {}).await;
    scene.meta.fault(FaultRule::probes_of(PHONE, Fault::Stall));
    scene.configure("");
    scene
}

/// What must be the same before and after.
fn essence(breaker: &Value) -> Value {
    let keys = ["state", "generation", "reason", "since", "next_check", "override", "incident", "extent"];
    keys.iter().map(|key| ((*key).to_owned(), breaker[key].clone())).collect()
}

/// The first send is held back by the breaker as it was before, and Meta sees nothing of it.
async fn still_rejects(scene: &Scene, sendfuse: &Sendfuse, before: &Value) {
    let arrived = scene.meta.phone_counts(PHONE).arrived;
    let answer = sendfuse.send(PHONE).await;
    assert_eq!(answer.said(), Said::Rejected, "{answer:?}");
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("x-sendfuse-state"), before["state"].as_str());
    assert_eq!(answer.header("x-sendfuse-incident"), before["incident"].as_str());
    assert_eq!(scene.meta.phone_counts(PHONE).arrived, arrived);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_by_an_answer_outlives_kill_9() {
    for round in 0..ROUNDS {
        let scene = quiet_scene().await;
        let sendfuse = scene.run().await;
        scene.meta.lock(PHONE, if round % 2 == 0 { Profile::Sync403 } else { Profile::Sync400 });
        let answer = sendfuse.send(PHONE).await;
        // The first rounds do not give it a moment; the last ones look what must be kept.
        let before = if round < 3 { None } else { Some(sendfuse.breaker(PHONE).await) };
        sendfuse.kill().await;
        assert_eq!(answer.said(), Said::Locked, "{answer:?}");

        let sendfuse = scene.run().await;
        let after = sendfuse.breaker(PHONE).await;
        assert_eq!((&after["state"], &after["generation"]), (&json!("open"), &json!(1)), "{after}");
        assert_eq!(after["reason"]["source"], "response");
        assert!(after["next_check"].is_string(), "{after}");
        if let Some(before) = before {
            assert_eq!(essence(&after), essence(&before));
        }
        still_rejects(&scene, &sendfuse, &after).await;
        assert_eq!(scene.meta.phone_counts(PHONE).arrived, 1);

        // Once more: a restart itself moves nothing.
        sendfuse.kill().await;
        let sendfuse = scene.run().await;
        assert_eq!(essence(&sendfuse.breaker(PHONE).await), essence(&after));
        still_rejects(&scene, &sendfuse, &after).await;
    }
}

/// All answers that say so count, not only the one that tripped: each app has been told.
#[tokio::test(flavor = "multi_thread")]
async fn a_trip_that_many_answers_tell_of_outlives_kill_9_after_the_first_of_them() {
    for _ in 0..2 * ROUNDS {
        let scene = quiet_scene().await;
        let sendfuse = scene.run().await;
        scene.meta.lock(PHONE, Profile::Sync403);
        // Meta holds them all back for a moment, and then answers them at once.
        let delay = std::time::Duration::from_millis(100);
        scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Delay { delay }));
        let (told, mut first) = tokio::sync::mpsc::channel(1);
        for _ in 0..16 {
            let (told, proxy) = (told.clone(), sendfuse.proxy);
            tokio::spawn(async move {
                let mut connection = Connection::http1(proxy).await;
                // Those that are not the first lose their connection.
                if let Ok(answer) = connection.try_call(message(PHONE)).await {
                    let _ = told.send(answer.said()).await;
                }
            });
        }
        let said = first.recv().await.unwrap();
        sendfuse.kill().await;
        assert_eq!(said, Said::Locked);
        let sendfuse = scene.run().await;
        assert_eq!(sendfuse.breaker(PHONE).await["state"], "open");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_by_a_webhook_outlives_kill_9() {
    for round in 0..ROUNDS {
        let scene = quiet_scene().await;
        let sendfuse = scene.run().await;
        scene.meta.lock(PHONE, Profile::Async);
        assert_eq!(sendfuse.send(PHONE).await.said(), Said::Accepted);
        scene.meta.until(|counts| counts.webhooks_acknowledged == 1).await;
        let before = if round < 3 { None } else { Some(sendfuse.breaker(PHONE).await) };
        sendfuse.kill().await;

        let sendfuse = scene.run().await;
        let after = sendfuse.breaker(PHONE).await;
        assert_eq!((&after["state"], &after["generation"]), (&json!("open"), &json!(1)), "{after}");
        assert_eq!(after["reason"]["source"], "webhook");
        if let Some(before) = before {
            assert_eq!(essence(&after), essence(&before));
        }
        still_rejects(&scene, &sendfuse, &after).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_order_outlives_kill_9() {
    let scene = quiet_scene().await;
    let mut generation = 0;
    for round in 0..ROUNDS {
        for (action, order, state) in [
            ("open", json!({"reason": "an audit", "by": "ada"}), "forced_open"),
            ("bypass", json!({"reason": "Meta says so", "for": "2h"}), "bypassed"),
            ("reset", json!({"reason": "all is well"}), "closed"),
            ("open", json!({"reason": "once more", "for": "1d"}), "forced_open"),
            ("lift", json!({"reason": "enough"}), "closed"),
        ] {
            let sendfuse = scene.run().await;
            let told = sendfuse.order(PHONE, action, order.clone()).await;
            sendfuse.kill().await;
            generation += 1;
            assert_eq!(
                (&told["state"], &told["generation"]),
                (&json!(state), &json!(generation)),
                "{action}"
            );

            let sendfuse = scene.run().await;
            let after = sendfuse.breaker(PHONE).await;
            assert_eq!(essence(&after), essence(&told), "round {round}, {action}");
            match state {
                "forced_open" => still_rejects(&scene, &sendfuse, &after).await,
                _ => assert_eq!(sendfuse.send(PHONE).await.said(), Said::Accepted, "{action}"),
            }
            // Dropped it would die too, but later: the next one needs its directory.
            sendfuse.kill().await;
        }
    }
}

/// Trips, and comes to half-open by the first probe, which finds nothing blocked; back when that is durable.
async fn half_open(scene: &Scene, sendfuse: &Sendfuse) {
    scene.meta.lock(PHONE, Profile::Sync403);
    assert_eq!(sendfuse.send(PHONE).await.said(), Said::Locked);
    // Committed before it is logged.
    sendfuse.log.line_with(&["transition=\"half_open\"", PHONE]).await;
    scene.meta.unlock(PHONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_outlives_kill_9_and_lets_one_trial_out() {
    for _ in 0..ROUNDS {
        let scene = Scene::new(|options| options.status_delay = std::time::Duration::from_secs(3600)).await;
        scene.configure("breaker.min_open = \"0s\"");
        let sendfuse = scene.run().await;
        half_open(&scene, &sendfuse).await;
        let before = sendfuse.breaker(PHONE).await;
        sendfuse.kill().await;

        let sendfuse = scene.run().await;
        let after = sendfuse.breaker(PHONE).await;
        assert_eq!((&after["state"], &after["generation"]), (&json!("half_open"), &json!(2)), "{after}");
        assert_eq!(essence(&after), essence(&before));
        // The trial's status is long in coming, and so no other send may go.
        assert_eq!(sendfuse.send(PHONE).await.said(), Said::Accepted);
        for _ in 0..3 {
            still_rejects(&scene, &sendfuse, &after).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_by_a_trials_delivery_outlives_kill_9() {
    for _ in 0..ROUNDS {
        // Only the first status arrives: what comes later may be acknowledged before the close is durable.
        let first = AtomicBool::new(true);
        let deliver_first = move |request| match first.swap(false, Ordering::Relaxed) {
            true => deliver(request),
            false => Box::pin(std::future::pending()),
        };
        let scene = Scene::new(|options| options.deliver = Some(Arc::new(deliver_first))).await;
        scene.configure("breaker.min_open = \"0s\"");
        let sendfuse = scene.run().await;
        half_open(&scene, &sendfuse).await;
        assert_eq!(sendfuse.send(PHONE).await.said(), Said::Accepted);
        scene.meta.until(|counts| counts.webhooks_acknowledged == 1).await;
        sendfuse.kill().await;

        let sendfuse = scene.run().await;
        let after = sendfuse.breaker(PHONE).await;
        assert_eq!((&after["state"], &after["generation"]), (&json!("closed"), &json!(3)), "{after}");
        assert_eq!(sendfuse.send(PHONE).await.said(), Said::Accepted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_by_an_ordered_probe_outlives_kill_9() {
    for _ in 0..ROUNDS {
        let scene = Scene::new(|_| {}).await;
        // The probe at the trip comes too early to close; the one that is ordered does not.
        scene.configure("breaker.half_open = false\nbreaker.min_open = \"300ms\"\nprobe.interval = \"1h\"\nprobe.max_interval = \"1h\"");
        scene.meta.fault(FaultRule::probes_of(PHONE, Fault::Error { status: 500, code: 2 }).times(1));
        let sendfuse = scene.run().await;
        scene.meta.lock(PHONE, Profile::Sync403);
        assert_eq!(sendfuse.send(PHONE).await.said(), Said::Locked);
        scene.meta.unlock(PHONE);
        let told = super::rig::eventually("a probe closes it", async || {
            let told = sendfuse.order(PHONE, "probe", json!({"reason": "unlocked"})).await;
            (told["state"] == "closed").then_some(told)
        })
        .await;
        sendfuse.kill().await;
        assert_eq!(told["probe"]["outcome"], "clear");

        let sendfuse = scene.run().await;
        assert_eq!(essence(&sendfuse.breaker(PHONE).await), essence(&told));
        assert_eq!(sendfuse.send(PHONE).await.said(), Said::Accepted);
        assert_eq!(sendfuse.admin(Method::GET, "/v1/breakers", "").await.json()["items"], json!([]));
    }
}
