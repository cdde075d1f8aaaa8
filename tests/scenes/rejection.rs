//! What a rejected app is told, to the letter, and what becomes of its connection.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{OTHER, PHONE, Scene, changes, json_request, request, send_request};

/// Open by a webhook; a probe has found health clear, so the next check is when `min_open` is over.
async fn open(scene: &Scene) {
    assert_eq!(scene.send(PHONE).await.status, 200, "shows a token");
    let webhook =
        changes(PHONE, [json!({"errors": [{"code": 131_031, "title": "Business Account locked"}]})]);
    scene.webhook(&webhook).await;
    scene.settle().await;
    assert_eq!(scene.breaker(PHONE).probes, 1);
}

#[tokio::test(start_paused = true)]
async fn it_is_graphs_own_and_says_who_speaks() {
    let scene = Scene::new();
    open(&scene).await;
    scene.advance(Duration::from_secs(18)).await;
    let answer = scene.send(PHONE).await;
    assert_eq!(answer.status, 403);
    let length = answer.body.len().to_string();
    let incident = format!("{PHONE}-1-1777629600");
    let mut headers: Vec<(&str, &str)> =
        answer.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    headers.sort_unstable();
    let expected = [
        ("content-length", length.as_str()),
        ("content-type", "application/json; charset=UTF-8"),
        ("proxy-status", "sendfuse; error=destination_unavailable"),
        ("x-sendfuse-incident", &incident),
        ("x-sendfuse-next-check", "42"),
        ("x-sendfuse-reason", "131031; source=webhook"),
        ("x-sendfuse-state", "open"),
    ];
    assert_eq!(headers, expected);
    let mut body = answer.json;
    let trace = body["error"]["fbtrace_id"].take();
    assert!(trace.as_str().unwrap().starts_with("sendfuse-"), "{trace}");
    let details = "Held back by sendfuse since 2026-05-01T10:00:00Z (131031 by webhook: Business Account locked). \
                   Health said at 2026-05-01T10:00:00Z: nothing blocks messaging. Next check in 42 s.";
    let expected = json!({"error": {
        "message": "(#131031) Business Account locked", "type": "OAuthException", "code": 131_031,
        "error_data": {"messaging_product": "whatsapp", "details": details},
        "is_transient": false, "fbtrace_id": Value::Null}});
    assert_eq!(body, expected);
    assert_eq!(scene.breaker(PHONE).incident, Some(incident));
}

#[tokio::test(start_paused = true)]
async fn each_has_a_name_of_its_own() {
    let scene = Scene::new();
    open(&scene).await;
    let (one, two) = (scene.send(PHONE).await, scene.send(PHONE).await);
    assert_ne!(one.json["error"]["fbtrace_id"], two.json["error"]["fbtrace_id"]);
    assert_eq!(scene.breaker(PHONE).rejected, 2);
}

#[tokio::test(start_paused = true)]
async fn retry_after_and_status_are_options() {
    let scene = Scene::with(|config| {
        config.breaker.retry_after = true;
        config.breaker.reject_status = 451;
    });
    open(&scene).await;
    let answer = scene.send(PHONE).await;
    assert_eq!((answer.status, answer.code()), (451, 131_031));
    assert_eq!(answer.header("retry-after"), Some("60"));
    assert_eq!(answer.header("x-sendfuse-next-check"), Some("60"));
}

#[tokio::test(start_paused = true)]
async fn an_operators_hold_says_that_nobody_will_check() {
    let scene = Scene::with(|config| config.breaker.retry_after = true);
    scene.order(PHONE, sendfuse::breakers::OrderKind::Open, None).await;
    let answer = scene.send(PHONE).await;
    assert_eq!((answer.status, answer.code()), (403, 131_031));
    assert_eq!(answer.header("x-sendfuse-state"), Some("forced_open"));
    assert_eq!(answer.header("x-sendfuse-reason"), Some("131031; source=operator"));
    assert_eq!((answer.header("x-sendfuse-next-check"), answer.header("retry-after")), (None, None));
}

#[tokio::test(start_paused = true)]
async fn the_connection_stays_usable_after_a_large_body() {
    let scene = Scene::new();
    open(&scene).await;
    let mut app = scene.app().await;
    for size in [100_000, 1, 900_000] {
        let body = "x".repeat(size);
        let large = request("POST", &format!("/v23.0/{PHONE}/messages"), "application/json", body);
        assert!(app.call(large).await.is_rejection(), "{size}");
        let get = json_request("GET", &format!("/v23.0/{PHONE}"), &Value::Null);
        assert_eq!(app.call(get).await.status, 200, "{size}");
        assert_eq!(app.call(send_request(OTHER)).await.status, 200, "{size}");
    }
    assert_eq!(scene.arrived(PHONE), 1, "only the one before the lock");
}

#[tokio::test(start_paused = true)]
async fn an_app_that_stalls_within_its_body_is_told_so() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let scene = Scene::new();
    open(&scene).await;
    let mut pipe = scene.connect();
    let head = format!("POST /v23.0/{PHONE}/messages HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{{");
    pipe.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    pipe.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("x-sendfuse-error: bad_request"),
        "{answer}"
    );
    assert_eq!(scene.breaker(PHONE).rejected, 0);
}
