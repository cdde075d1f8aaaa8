//! An account's lock, as it comes and is told over real sockets, and outlives `kill -9`.

use http::{Method, Request};
use http_body_util::Full;
use sendfuse::simulator::{Counts, News, Profile, Reason};
use serde_json::{Value, json};

use super::rig::{Answer, Said, Scene, Sendfuse, call, eventually, within};

const ONE: &str = "206540352240000";
const TWO: &str = "206540352240001";
const STRANGER: &str = "206540352240002";
const WABA: &str = "806540352240000";

async fn acknowledged(scene: &Scene, webhooks: u64) {
    let enough = |counts: &Counts| counts.webhooks_acknowledged >= webhooks;
    within("webhooks are acknowledged", scene.meta.until(enough)).await;
}

async fn waba(sendfuse: &Sendfuse) -> Value {
    let answer = sendfuse.admin(Method::GET, &format!("/v1/wabas/{WABA}"), "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let view = answer.json();
    assert_eq!(answer.header("etag").unwrap(), format!("\"{}\"", view["generation"]));
    view
}

/// The rejection that a phone of the account gets, looked at from head to foot.
fn assert_rejected(answer: &Answer, view: &Value) {
    assert_eq!((answer.status, answer.said()), (403, Said::Rejected), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json; charset=UTF-8"));
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    assert_eq!(answer.header("proxy-status"), Some("sendfuse; error=destination_unavailable"));
    assert_eq!(answer.header("x-sendfuse-state"), Some("open"));
    assert_eq!(answer.header("x-sendfuse-reason"), Some("131031; source=webhook"));
    assert_eq!(answer.header("x-sendfuse-incident"), view["incident"].as_str());
    assert!(answer.header("x-sendfuse-next-check").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(answer.header("retry-after"), None);
    let error = &answer.json()["error"];
    assert_eq!(error["message"], "(#131031) Business Account locked");
    assert_eq!((&error["type"], &error["code"]), (&json!("OAuthException"), &json!(131_031)));
    assert_eq!(error["is_transient"], false);
    assert!(error["fbtrace_id"].as_str().unwrap().starts_with("sendfuse-"), "{error}");
    assert_eq!(error["error_data"]["messaging_product"], "whatsapp");
    let details = error["error_data"]["details"].as_str().unwrap();
    let begin = format!(
        "Held back by sendfuse with all phones of the account {WABA} since {} (131031 by webhook: \
         account_update DISABLED_UPDATE: DISABLE).",
        view["since"].as_str().unwrap()
    );
    assert!(details.starts_with(&begin), "{details}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_event_stops_its_phones_and_a_reset_lets_them_go() {
    let scene = Scene::new(|_| {}).await;
    scene.meta.add_wabas([ONE, TWO], 2);
    scene.meta.add_wabas([STRANGER], 1);
    scene.configure("");
    let sendfuse = scene.run().await;
    assert_eq!(sendfuse.send(ONE).await.said(), Said::Accepted);
    acknowledged(&scene, 2).await;

    // One that nobody signed is refused, and changes nothing.
    let forged = json!({"object": "whatsapp_business_account", "entry": [{"id": WABA, "changes": [
        {"field": "account_update", "value": {"event": "ACCOUNT_DELETED"}}]}]});
    let url = format!("http://{}/webhook", sendfuse.webhook);
    let forged = Request::post(url)
        .header("x-hub-signature-256", format!("sha256={}", "0".repeat(64)))
        .body(Full::from(forged.to_string()))
        .unwrap();
    assert_eq!(call(sendfuse.webhook, forged).await.status, 401);
    assert_eq!(waba(&sendfuse).await["state"], "closed");

    scene.meta.lock_waba(WABA, Reason::Disabled.with(Profile::Sync403));
    scene.meta.account_event(WABA, News::Disabled);
    acknowledged(&scene, 3).await;
    // It was open before it was acknowledged.
    let view = waba(&sendfuse).await;
    assert_eq!(
        (&view["scope"], &view["state"], &view["extent"]),
        (&json!("waba"), &json!("open"), &json!("all"))
    );
    assert_rejected(&sendfuse.send(ONE).await, &view);
    // Its other phone is learned by the question that follows.
    let both = json!([ONE, TWO]);
    eventually("its phones are known", async || (waba(&sendfuse).await["phones"] == both).then_some(()))
        .await;
    assert_rejected(&sendfuse.send(TWO).await, &view);
    assert_eq!((scene.meta.phone_counts(ONE).arrived, scene.meta.phone_counts(TWO).arrived), (1, 0));
    assert_eq!(sendfuse.send(STRANGER).await.said(), Said::Accepted);

    let listed = sendfuse.admin(Method::GET, "/v1/wabas", "").await.json();
    assert_eq!((listed["items"].as_array().unwrap().len(), &listed["items"][0]["id"]), (1, &json!(WABA)));
    assert_eq!(sendfuse.breaker(TWO).await["held_by"], format!("waba/{WABA}"));

    // Nobody is told whose a phone is, so nobody waits for that to be stored. What is stored later is.
    sendfuse.order(STRANGER, "bypass", json!({"reason": "to write something"})).await;
    sendfuse.kill().await;
    let sendfuse = scene.run().await;
    let after = waba(&sendfuse).await;
    for key in ["state", "extent", "generation", "since", "incident", "reason"] {
        assert_eq!(after[key], view[key], "{key}");
    }
    assert_eq!(after["phones"], both);
    assert_rejected(&sendfuse.send(TWO).await, &after);

    scene.meta.unlock_waba(WABA);
    let reset = format!("/v1/wabas/{WABA}/reset");
    assert_eq!(sendfuse.admin(Method::POST, &reset, "{}").await.status, 400, "it needs a reason");
    let order = json!({"reason": "Meta says so", "by": "ann"}).to_string();
    let answer = sendfuse.admin(Method::POST, &reset, &order).await;
    assert_eq!((answer.status, &answer.json()["state"]), (200, &json!("closed")), "{answer:?}");
    for phone in [ONE, TWO] {
        assert_eq!(sendfuse.send(phone).await.said(), Said::Accepted);
    }
}
