//! Promise 5 for leaks: one whose webhook was acknowledged outlives `kill -9`.

use std::collections::BTreeSet;
use std::time::Duration;

use http::Method;
use sendfuse::simulator::{Fault, FaultRule, PHONE, Profile};
use serde_json::{Value, json};

use super::rig::{Connection, Said, Scene, Sendfuse, message};

/// How often it is tried: the kill falls at another leak each time.
const ROUNDS: u64 = 5;
const SENDS: u64 = 40;

async fn get(sendfuse: &Sendfuse, path: &str) -> Value {
    let answer = sendfuse.admin(Method::GET, path, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn incident(sendfuse: &Sendfuse) -> Value {
    let page = get(sendfuse, "/v1/incidents").await;
    let [item] = &page["items"].as_array().unwrap()[..] else { panic!("{page}") };
    get(sendfuse, &format!("/v1/incidents/{}", item["id"].as_str().unwrap())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leak_that_was_acknowledged_outlives_kill_9() {
    for round in 0..ROUNDS {
        let scene = Scene::new(|options| options.status_delay = Duration::from_millis(300)).await;
        scene.meta.fault(FaultRule::probes_of(PHONE, Fault::Stall));
        scene.configure("");
        let sendfuse = scene.run().await;
        scene.meta.lock(PHONE, Profile::Async);
        let mut client = Connection::http1(sendfuse.proxy).await;
        let mut accepted = BTreeSet::new();
        for _ in 0..SENDS {
            let answer = client.call(message(PHONE)).await;
            if answer.said() != Said::Accepted {
                break;
            }
            accepted.insert(answer.json()["messages"][0]["id"].as_str().unwrap().to_owned());
        }
        let some = (accepted.len() as u64 * round / ROUNDS).max(1);
        scene.meta.until(|counts| counts.webhooks_acknowledged >= some).await;
        let acknowledged = scene.meta.counts().webhooks_acknowledged;
        sendfuse.kill().await;

        let sendfuse = scene.run().await;
        let incident = incident(&sendfuse).await;
        let leaks = incident["leaks"].as_array().unwrap();
        let listed: BTreeSet<String> =
            leaks.iter().map(|leak| leak["wamid"].as_str().unwrap().to_owned()).collect();
        assert_eq!(listed.len(), leaks.len(), "each once: {incident}");
        assert!(listed.is_subset(&accepted), "{incident}");
        assert!(listed.len() as u64 >= acknowledged, "{} of {acknowledged}", listed.len());
        let breaker = sendfuse.breaker(PHONE).await;
        assert_eq!((&incident["leaked"], &breaker["leaked"]), (&json!(leaks.len()), &json!(leaks.len())));
        assert_eq!(breaker["incident"], incident["id"]);
        assert_eq!((&incident["closed_at"], &incident["trip"]["code"]), (&json!(null), &json!(131_031)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_keeps_what_was_not_urgent() {
    let scene = Scene::new(|_| {}).await;
    scene.meta.fault(FaultRule::probes_of(PHONE, Fault::Stall));
    scene.configure("");
    let sendfuse = scene.run().await;
    scene.meta.lock(PHONE, Profile::Sync403);
    for _ in 0..8 {
        sendfuse.send(PHONE).await;
    }
    sendfuse.order(PHONE, "probe", json!({"reason": "look", "by": "ada"})).await;
    let before = incident(&sendfuse).await;
    assert_eq!((&before["rejected"], &before["orders"][0]["by"]), (&json!(7), &json!("ada")));
    sendfuse.signal("TERM");
    sendfuse.ended().await;
    let sendfuse = scene.run().await;
    let after = incident(&sendfuse).await;
    for field in ["id", "opened_at", "trip", "evidence", "orders", "rejected", "transitions"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!(sendfuse.breaker(PHONE).await["rejected"], json!(7));
}
