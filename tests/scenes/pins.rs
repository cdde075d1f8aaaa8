//! The PIN guard: a PIN that Meta has refused is not sent again.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use sendfuse::app::Wired;
use sendfuse::breakers::PinOrder;
use sendfuse::config::Mode;
use sendfuse::simulator::{Encoding, Fault, FaultRule, Profile, Requests, WABA};
use serde_json::{Value, json};

use super::harness::{Answer, OTHER, PHONE, Scene, changes, id, json_request, request, status};

const RIGHT: &str = "482913";
/// After a wrong PIN the simulated Meta looks at none for five seconds.
const PAUSE: Duration = Duration::from_secs(10);
/// Of [`PHONE`], in what tests and simulator write as its metadata.
const NUMBER: &str = "15550783881";

fn register(phone: &str, pin: &str) -> Request<Full<Bytes>> {
    let body = json!({"messaging_product": "whatsapp", "pin": pin});
    json_request("POST", &format!("/v23.0/{phone}/register"), &body)
}

fn set(phone: &str, pin: &str) -> Request<Full<Bytes>> {
    json_request("POST", &format!("/v23.0/{phone}"), &json!({"pin": pin}))
}

/// A scene whose phone has a PIN.
async fn with_a_pin() -> Scene {
    protected(Scene::new()).await
}

async fn protected(scene: Scene) -> Scene {
    assert_eq!(scene.call(register(PHONE, RIGHT)).await.status, 200);
    assert_eq!(registrations(&scene), 1);
    scene
}

/// Calls of `register` that have reached Meta.
fn registrations(scene: &Scene) -> u64 {
    scene.meta.phone_counts(PHONE).registrations
}

async fn try_pin(scene: &Scene, pin: &str) -> Answer {
    scene.call(register(PHONE, pin)).await
}

/// Two wrong ones, as Meta sees it.
async fn two_wrong(scene: &Scene) {
    for pin in ["000001", "000002"] {
        let answer = try_pin(scene, pin).await;
        assert_eq!((answer.code(), answer.header("x-sendfuse-pin")), (133_005, None), "{}", answer.json);
        scene.advance(PAUSE).await;
    }
    assert_eq!(registrations(scene), 3);
}

/// How an answer is ours, if it is.
fn held(answer: &Answer) -> Option<&str> {
    answer.header("x-sendfuse-pin")
}

fn allow(wired: &Wired) {
    wired.breakers.allow_pin(id(PHONE), &PinOrder { reason: "because".into(), by: "ops".into() });
}

fn faults_of_others(fault: Fault, times: u32) -> FaultRule {
    FaultRule { phone: Some(PHONE.into()), on: Requests::Others, times: Some(times), fault }
}

fn security(waba: &str, number: &str, event: &str, seconds: i64) -> Value {
    let value = json!({"display_phone_number": number, "event": event});
    json!({"object": "whatsapp_business_account", "entry": [
        {"id": waba, "time": seconds, "changes": [{"field": "security", "value": value}]}]})
}

#[tokio::test(start_paused = true)]
async fn a_wrong_pin_reaches_meta_once_and_the_right_one_clears() {
    let scene = with_a_pin().await;
    let metas = try_pin(&scene, "000001").await;
    assert_eq!((metas.status, metas.code(), held(&metas)), (400, 133_005, None));
    for _ in 0..3 {
        let ours = try_pin(&scene, "000001").await;
        assert_eq!((ours.status, &ours.body), (metas.status, &metas.body), "Meta's own last error");
        assert_eq!(ours.header("content-type"), metas.header("content-type"));
        assert_eq!(held(&ours), Some("refused"));
        assert_eq!(ours.header("x-sendfuse-reason"), Some("133005; source=response"));
        assert_eq!(ours.header("proxy-status"), Some("sendfuse; error=http_request_denied"));
        assert!(!ours.is_rejection(), "no breaker has to do with it");
    }
    assert_eq!(registrations(&scene), 2);
    assert_eq!(scene.metric("sendfuse_pin_tries_total{outcome=\"refused\"}"), 3.0);
    assert_eq!(scene.metric("sendfuse_pin_tries_total{outcome=\"forward\"}"), 2.0);
    scene.advance(PAUSE).await;
    assert_eq!(try_pin(&scene, RIGHT).await.status, 200);
    assert_eq!(held(&try_pin(&scene, "000001").await), None, "all is forgotten");
    assert_eq!((registrations(&scene), scene.state(PHONE)), (4, "closed"));
}

#[tokio::test(start_paused = true)]
async fn after_two_wrong_ones_all_are_held_until_an_operator_allows_one() {
    let scene = with_a_pin().await;
    two_wrong(&scene).await;
    for _ in 0..2 {
        let answer = try_pin(&scene, RIGHT).await;
        assert_eq!((answer.status, answer.code(), held(&answer)), (400, 133_005, Some("held")));
        let details = answer.json["error"]["error_data"]["details"].as_str().unwrap();
        assert!(details.contains(&format!("POST /v1/breakers/{PHONE}/allow_pin on ")), "{details}");
        assert_eq!(held(&try_pin(&scene, "000002").await), Some("refused"));
    }
    assert_eq!(registrations(&scene), 3);
    let guard = scene.breaker(PHONE).pin_guard.unwrap();
    let known = guard.register.unwrap();
    assert_eq!((known.refused, known.waits_until, guard.set, guard.allowed), (2, None, None, false));
    assert!(known.held_since.unwrap().starts_with("2026-05-01T10:00:1"), "by the second one");
    assert_eq!(scene.breaker(OTHER).pin_guard, None);
    allow(&scene.wired);
    assert!(scene.breaker(PHONE).pin_guard.unwrap().allowed);
    allow(&scene.wired);
    assert_eq!(try_pin(&scene, "000003").await.code(), 133_005);
    assert_eq!(registrations(&scene), 4);
    assert_eq!(held(&try_pin(&scene, RIGHT).await), Some("held"), "exactly one");
    // Of other phones nobody has tried any.
    assert_eq!(held(&scene.call(register(OTHER, "000001")).await), None);
}

#[tokio::test(start_paused = true)]
async fn an_allowed_pin_that_is_right_ends_it() {
    let scene = with_a_pin().await;
    two_wrong(&scene).await;
    allow(&scene.wired);
    assert_eq!(try_pin(&scene, RIGHT).await.status, 200);
    assert_eq!(held(&try_pin(&scene, "000001").await), None);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_meta_reports_releases_the_phone_that_it_names() {
    let scene = with_a_pin().await;
    let seconds = |scene: &Scene| scene.seconds(Duration::ZERO);
    // Whose number it is, a status says.
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.advance(PAUSE).await;
    two_wrong(&scene).await;
    for (waba, number, event) in [
        (WABA, NUMBER, "PIN_RESET_REQUEST"),
        (WABA, "15559999999", "PIN_CHANGED"),
        ("1", "15559999999", "PIN_CHANGED"),
        (WABA, NUMBER, "PIN_SHOWN"),
    ] {
        assert_eq!(scene.webhook(&security(waba, number, event, seconds(&scene))).await, 200);
        assert_eq!(held(&try_pin(&scene, RIGHT).await), Some("held"), "{waba} {number} {event}");
    }
    let late = security(WABA, NUMBER, "PIN_CHANGED", scene.seconds(Duration::from_secs(60)));
    assert_eq!(scene.webhook(&late).await, 200);
    assert_eq!(held(&try_pin(&scene, RIGHT).await), Some("held"), "from before the refusals");
    scene.meta.webhook(WABA, "security", json!({"display_phone_number": NUMBER, "event": "PIN_CHANGED"}));
    scene.advance(PAUSE).await;
    assert_eq!(try_pin(&scene, RIGHT).await.status, 200);
}

/// A phone that cannot be registered has no statuses that would tell its number.
#[tokio::test(start_paused = true)]
async fn where_the_number_is_unknown_the_account_decides() {
    let scene = with_a_pin().await;
    two_wrong(&scene).await;
    let changed =
        |scene: &Scene| security(WABA, NUMBER, "PIN_REQUEST_SUCCESS", scene.seconds(Duration::ZERO));
    assert_eq!(scene.webhook(&changed(&scene)).await, 200);
    assert_eq!(held(&try_pin(&scene, RIGHT).await), Some("held"), "nobody knows whose phone it is");
    let mut whose = changes(PHONE, [json!({"statuses": [status("wamid.x", "sent", 1_777_629_600)]})]);
    whose["entry"][0]["changes"][0]["value"]["metadata"] = json!({"phone_number_id": PHONE});
    assert_eq!(scene.webhook(&whose).await, 200);
    assert_eq!(scene.webhook(&changed(&scene)).await, 200);
    assert_eq!(try_pin(&scene, RIGHT).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_answered_here_until_it_is_over() {
    let scene = with_a_pin().await;
    assert_eq!(try_pin(&scene, "000001").await.code(), 133_005);
    let too_fast = try_pin(&scene, RIGHT).await;
    assert_eq!((too_fast.code(), held(&too_fast)), (133_009, None));
    assert_eq!(registrations(&scene), 3);
    for (pin, after, left) in [(RIGHT, 0, "60"), ("000001", 29, "31"), (RIGHT, 30, "1")] {
        scene.advance(Duration::from_secs(after)).await;
        let answer = try_pin(&scene, pin).await;
        assert_eq!((answer.code(), held(&answer)), (133_009, Some("wait")), "{}", answer.json);
        assert_eq!(answer.header("x-sendfuse-next-check"), Some(left));
        let details = answer.json["error"]["error_data"]["details"].as_str().unwrap();
        assert!(details.contains(&format!("{left} s remain")), "{details}");
    }
    assert_eq!(registrations(&scene), 3);
    scene.advance(Duration::from_secs(1)).await;
    assert_eq!(try_pin(&scene, RIGHT).await.status, 200);
}

/// The simulated Meta says how many seconds.
#[tokio::test(start_paused = true)]
async fn a_stated_wait_is_believed() {
    let scene = protected(Scene::with(|config| config.pin_guard.max_attempts = 5)).await;
    for pin in ["000001", "000002", "000003"] {
        assert_eq!(try_pin(&scene, pin).await.code(), 133_005);
        scene.advance(PAUSE).await;
    }
    let too_often = try_pin(&scene, RIGHT).await;
    assert_eq!((too_often.code(), held(&too_often)), (133_008, None));
    assert_eq!(try_pin(&scene, RIGHT).await.header("x-sendfuse-next-check"), Some("3589"));
    scene.advance(Duration::from_secs(3590)).await;
    assert_eq!(try_pin(&scene, RIGHT).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn two_that_come_at_once_do_not_both_go_out() {
    let scene = with_a_pin().await;
    let slow = Fault::Delay { delay: Duration::from_secs(3) };
    scene.meta.fault(faults_of_others(slow, 1));
    let (one, other, third) =
        tokio::join!(try_pin(&scene, "000001"), try_pin(&scene, "000001"), try_pin(&scene, "000001"));
    let ours = [&one, &other, &third].iter().filter(|answer| held(answer) == Some("refused")).count();
    assert_eq!((ours, registrations(&scene)), (2, 2));
    assert!([one, other, third].iter().all(|answer| answer.code() == 133_005));
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_has_tried_all_the_same_and_who_waits_has_not() {
    let scene = with_a_pin().await;
    scene.meta.fault(faults_of_others(Fault::Delay { delay: Duration::from_secs(3) }, 1));
    let start = |pin: &'static str| {
        let scene = scene.clone();
        tokio::spawn(async move { try_pin(&scene, pin).await })
    };
    let tries = start("000001");
    scene.meta.until(|counts| counts.phones[PHONE].registrations == 2).await;
    let waits = start("000002");
    scene.settle().await;
    waits.abort();
    scene.settle().await;
    tries.abort();
    scene.advance(PAUSE).await;
    assert_eq!(registrations(&scene), 2);
    assert_eq!(held(&try_pin(&scene, "000001").await), Some("refused"));
    assert_eq!(try_pin(&scene, RIGHT).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_about_something_else_proves_nothing() {
    for fault in [
        Fault::Error { status: 401, code: 190 },
        Fault::Error { status: 500, code: 133_004 },
        Fault::Error { status: 403, code: 368 },
        Fault::Reset,
        Fault::HalfBody,
    ] {
        let scene = Scene::new();
        scene.meta.fault(faults_of_others(fault.clone(), 3));
        for _ in 0..3 {
            assert_eq!(held(&try_pin(&scene, "000001").await), None, "{fault:?}");
        }
        let answer = try_pin(&scene, "000001").await;
        assert_eq!((answer.status, held(&answer)), (200, None), "{fault:?}");
    }
}

/// However it comes: what Meta refuses is refused, and no breaker moves, for this is about the PIN.
#[tokio::test(start_paused = true)]
async fn a_lock_code_on_a_pin_is_about_the_pin() {
    for request in [register as fn(&str, &str) -> _, set] {
        for fault in [None, Some(Fault::Encoding { encoding: Encoding::Gzip }), Some(Fault::CodeAsString)] {
            let scene = Scene::new();
            scene.meta.fault(faults_of_others(Fault::Error { status: 403, code: 131_031 }, 1));
            if let Some(fault) = fault {
                scene.meta.fault(faults_of_others(fault, 1));
            }
            let metas = scene.call(request(PHONE, "000001")).await;
            assert_eq!((metas.status, held(&metas), scene.state(PHONE)), (403, None, "closed"));
            let before = scene.meta.counts().requests;
            let ours = scene.call(request(PHONE, "000001")).await;
            assert_eq!((ours.status, held(&ours)), (403, Some("refused")));
            let code = &ours.json["error"]["code"];
            assert!(code == 131_031 || code == "131031", "{code}");
            assert_eq!(ours.header("content-encoding"), None);
            assert_eq!(scene.meta.counts().requests, before);
            assert_eq!((scene.state(PHONE), scene.breaker(PHONE).generation), ("closed", 0));
            assert_eq!(scene.send(PHONE).await.status, 200);
            assert_eq!(scene.call(request(PHONE, "000002")).await.status, 200);
        }
    }
}

/// It is Meta's own way out: `register` compares the PIN, `POST /{phone}` sets it.
#[tokio::test(start_paused = true)]
async fn what_register_was_refused_may_be_set() {
    let scene = with_a_pin().await;
    two_wrong(&scene).await;
    assert_eq!(held(&try_pin(&scene, "000001").await), Some("refused"));
    assert_eq!(scene.call(set(PHONE, "000001")).await.status, 200);
    assert_eq!(try_pin(&scene, "000001").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn calls_without_a_pin_pass_as_they_came() {
    let scene = with_a_pin().await;
    two_wrong(&scene).await;
    let long = format!(
        "{{\"messaging_product\":\"whatsapp\",\"pin\":\"000001\",\"x\":\"{}\"}}",
        "x".repeat(64 * 1024)
    );
    for (edge, content_type, body) in [
        ("", "application/json", r#"{ "webhook_configuration" : {"override_callback_uri":""} }"#.to_owned()),
        ("", "application/json", String::new()),
        ("", "application/json", r#"{"pin":{"type":"pin"}}"#.to_owned()),
        ("/register", "application/json", r#"{"messaging_product":"whatsapp"}"#.to_owned()),
        ("/register", "application/json", "not JSON at all".to_owned()),
        ("/deregister", "application/json", String::new()),
        (
            "/request_code",
            "application/json",
            r#"{"code_method":"SMS","language":"en","pin":"000001"}"#.to_owned(),
        ),
        ("/verify_code", "application/json", r#"{"code":"000001"}"#.to_owned()),
        ("/register", "application/json", long),
    ] {
        let call = request("POST", &format!("/v23.0/{PHONE}{edge}"), content_type, body.clone());
        let answer = scene.call(call).await;
        assert_eq!(held(&answer), None, "{edge} {body:.80}");
        let recorded = scene.meta.recorded().pop().unwrap();
        assert!(recorded.target.ends_with(edge) && recorded.complete);
        assert_eq!(recorded.body_bytes, body.len() as u64, "{edge} {body:.80}");
        assert_eq!(recorded.body_sha256, <[u8; 32]>::from(<sha2::Sha256 as sha2::Digest>::digest(&body)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_locked_phone_has_its_pins_judged_alike() {
    let scene = with_a_pin().await;
    scene.lock(PHONE, Profile::Sync403);
    assert_eq!(scene.send(PHONE).await.code(), 131_031);
    assert_eq!(scene.state(PHONE), "open");
    assert_eq!(held(&try_pin(&scene, "000001").await), None);
    assert_eq!(held(&try_pin(&scene, "000001").await), Some("refused"));
    assert_eq!(scene.state(PHONE), "open");
}

#[tokio::test(start_paused = true)]
async fn observe_holds_nothing_and_counts() {
    let scene = protected(Scene::with(|config| config.mode = Mode::Observe)).await;
    for _ in 0..3 {
        assert_eq!(held(&try_pin(&scene, "000001").await), None);
        scene.advance(PAUSE).await;
    }
    assert_eq!(registrations(&scene), 4);
    assert_eq!(scene.metric("sendfuse_pin_tries_total{outcome=\"would_hold\"}"), 2.0);
}

#[tokio::test(start_paused = true)]
async fn a_reload_changes_how_many_hold() {
    let scene = with_a_pin().await;
    assert_eq!(try_pin(&scene, "000001").await.code(), 133_005);
    scene.advance(PAUSE).await;
    let mut config = sendfuse::config::Config::default();
    config.pin_guard.max_attempts = 1;
    // Upstream is not the simulated Meta's any more; nothing goes there.
    scene.wired.reload(config).unwrap();
    assert_eq!(held(&try_pin(&scene, RIGHT).await), Some("held"));
}
