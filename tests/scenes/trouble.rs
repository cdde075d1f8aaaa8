//! Trouble upstream: apps get whole answers in Graph's shape, nothing trips, and nothing is sent twice.

use std::time::Duration;

use sendfuse::simulator::{Encoding, Fault, FaultRule, Profile, Requests};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::harness::{Answer, PHONE, Scene, json_request, send_request};

#[track_caller]
fn assert_own(answer: &Answer, status: u16, error: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("x-sendfuse-error"), Some(error));
    assert_eq!(answer.header("content-type"), Some("application/json; charset=UTF-8"));
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    assert!(!answer.is_rejection() && !answer.headers.contains_key("retry-after"));
    let said = &answer.json["error"];
    assert_eq!(said["type"], "SendfuseException");
    assert_eq!(said["code"], json!(999_000 + u32::from(status)));
    assert!(said["error_data"].is_object() && said["message"].is_string(), "{said}");
    assert!(said["fbtrace_id"].as_str().unwrap().starts_with("sendfuse-"));
}

#[tokio::test(start_paused = true)]
async fn a_sends_answer_is_whole_or_an_error_that_is() {
    for (fault, status, error) in [
        (Fault::Reset, 502, "upstream_reset"),
        (Fault::HalfBody, 502, "upstream_reset"),
        (Fault::Stall, 504, "upstream_timeout"),
    ] {
        let scene = Scene::new();
        scene.meta.fault(FaultRule::sends_of(PHONE, fault.clone()).times(1));
        let mut app = scene.app().await;
        let began = Instant::now();
        let answer = app.call(send_request(PHONE)).await;
        assert_own(&answer, status, error);
        let expected = if status == 504 { Duration::from_secs(60) } else { Duration::ZERO };
        assert!(began.elapsed() - expected < Duration::from_millis(100), "{:?}", began.elapsed());
        assert_eq!(scene.arrived(PHONE), 1, "{fault:?}: a POST that was written is never repeated");
        assert_eq!((scene.state(PHONE), scene.breaker(PHONE).generation), ("closed", 0), "{fault:?}");
        assert_eq!(app.call(send_request(PHONE)).await.status, 200, "the app's connection lives");
        assert_eq!(scene.arrived(PHONE), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn on_a_connection_that_was_used_before_too() {
    for fault in [Fault::Reset, Fault::HalfBody] {
        let scene = Scene::new();
        for n in 0..5 {
            assert_eq!(scene.send(PHONE).await.status, 200);
            scene.meta.fault(FaultRule::sends_of(PHONE, fault.clone()).times(1));
            assert_own(&scene.send(PHONE).await, 502, "upstream_reset");
            assert_eq!(scene.arrived(PHONE), 2 * (n + 1), "{fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn half_of_a_lock_is_no_evidence() {
    for encoding in [None, Some(Encoding::Gzip), Some(Encoding::Br)] {
        let scene = Scene::new();
        scene.lock(PHONE, Profile::Sync403);
        scene.meta.fault(FaultRule::sends_of(PHONE, Fault::HalfBody).times(1));
        if let Some(encoding) = encoding {
            scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Encoding { encoding }).times(1));
        }
        assert_own(&scene.send(PHONE).await, 502, "upstream_reset");
        assert_eq!(scene.state(PHONE), "closed");
        assert_eq!(scene.send(PHONE).await.code(), 131_031);
        assert_eq!(scene.state(PHONE), "open", "the next one is");
    }
}

#[tokio::test(start_paused = true)]
async fn other_calls_fail_as_visibly() {
    for (fault, status, error) in
        [(Fault::Reset, 502, "upstream_reset"), (Fault::Stall, 504, "upstream_timeout")]
    {
        let scene = Scene::new();
        scene.meta.fault(FaultRule { phone: None, on: Requests::Others, times: Some(1), fault });
        let call = json_request("POST", &format!("/v23.0/{PHONE}/settings"), &json!({}));
        assert_own(&scene.call(call).await, status, error);
    }
    let scene = Scene::new();
    let rule = FaultRule { phone: None, on: Requests::Others, times: Some(1), fault: Fault::HalfBody };
    scene.meta.fault(rule);
    let call = json_request("GET", &format!("/v23.0/{PHONE}"), &Value::Null);
    assert!(scene.app().await.try_call(call).await.is_err(), "it streams, so it ends as it ended");
}

#[tokio::test(start_paused = true)]
async fn trouble_while_open_changes_nothing_either() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    for fault in [Fault::Reset, Fault::HalfBody, Fault::Stall] {
        scene.meta.fault(FaultRule { phone: None, on: Requests::Any, times: None, fault });
        assert!(scene.send(PHONE).await.is_rejection());
        scene.advance(Duration::from_secs(1800)).await;
        assert_eq!(scene.state(PHONE), "open");
        scene.meta.clear_faults(None);
    }
    assert_eq!((scene.arrived(PHONE), scene.breaker(PHONE).generation), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn nobody_there() {
    use sendfuse::app::{Wired, upstream_options};
    // A Meta that cannot be connected to, in the place of the scene's own.
    let mut scene = Scene::new();
    let config = sendfuse::config::Config::default();
    let refuse = || Err(std::io::ErrorKind::ConnectionRefused.into());
    let upstream = sendfuse::upstream::Upstream::in_memory(&upstream_options(&config), refuse).unwrap();
    let store = std::sync::Arc::new(sendfuse::store::memory::Memory);
    let telemetry = sendfuse::telemetry::Telemetry::new();
    let (wired, _tasks) = Wired::new(config, upstream, store, telemetry, scene.clock).unwrap();
    scene.wired = wired;
    assert_own(&scene.send(PHONE).await, 502, "upstream_unreachable");
    assert_eq!(scene.state(PHONE), "closed");
}
