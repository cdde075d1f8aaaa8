//! Nothing but a send of the phone in question is ever rejected, in any state; and every spelling of that send is.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use sendfuse::breakers::OrderKind;
use sendfuse::simulator::{Profile, WABA};
use serde_json::{Value, json};

use super::harness::{OTHER, PHONE, Scene, TOKEN, json_request, request, send_request, text};

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=b";

fn multipart(fields: &[(&str, &str)]) -> String {
    let part = |(name, value): &(&str, &str)| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    fields.iter().map(part).collect::<String>() + "--b--\r\n"
}

/// Calls that Meta answers 200, none of which is a send of [`PHONE`]'s.
fn harmless() -> Vec<Request<Full<Bytes>>> {
    let messages = format!("/v23.0/{PHONE}/messages");
    let receipt = json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.u"});
    let mut typing = receipt.clone();
    typing["typing_indicator"] = json!({"type": "text"});
    let fields = [("messaging_product", "whatsapp"), ("status", "read"), ("message_id", "wamid.u")];
    let on_phone = |method, edge: &str, body| json_request(method, &format!("/v23.0/{PHONE}{edge}"), &body);
    let users = json!({"messaging_product": "whatsapp", "block_users": [{"user": "1"}]});
    vec![
        json_request("POST", &messages, &receipt),
        json_request("POST", &messages, &typing),
        request("POST", &messages, FORM, "messaging_product=whatsapp&status=read&message_id=wamid.u"),
        request("POST", &messages, MULTIPART, multipart(&fields)),
        request("POST", &format!("/v23.0/{PHONE}/media"), MULTIPART, multipart(&[("file", "bytes")])),
        on_phone("GET", "", Value::Null),
        on_phone("GET", "?fields=health_status", Value::Null),
        on_phone("GET", "/whatsapp_business_profile", Value::Null),
        on_phone("POST", "/whatsapp_business_profile", json!({"about": "x"})),
        on_phone("GET", "/block_users", Value::Null),
        on_phone("POST", "/block_users", users.clone()),
        on_phone("DELETE", "/block_users", users),
        on_phone("POST", "/settings", json!({})),
        on_phone("POST", "/request_code", json!({"code_method": "SMS", "language": "en"})),
        on_phone("POST", "/verify_code", json!({"code": "1"})),
        on_phone("POST", "", json!({"pin": "123456"})),
        on_phone(
            "POST",
            "/calls",
            json!({"messaging_product": "whatsapp", "action": "connect", "to": "16505551234"}),
        ),
        json_request("GET", &format!("/v23.0/{WABA}/phone_numbers"), &Value::Null),
        json_request("GET", &format!("/v23.0/{WABA}/message_templates"), &Value::Null),
        json_request(
            "POST",
            &format!("/v23.0/{WABA}/subscribed_apps"),
            &json!({"override_callback_uri": ""}),
        ),
        send_request(OTHER),
    ]
}

async fn all_pass(scene: &Scene, state: &str) {
    assert_eq!(scene.state(PHONE), state);
    let before = scene.breaker(PHONE);
    for request in harmless() {
        let what = format!("{} {}", request.method(), request.uri());
        let answer = scene.call(request).await;
        assert_eq!(answer.status, 200, "{what} while {state}: {}", answer.json);
        assert!(!answer.is_rejection());
    }
    let after = scene.breaker(PHONE);
    assert_eq!((after.state, after.generation, after.trials), (state, before.generation, before.trials));
    assert_eq!(after.rejected, before.rejected, "{state}");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_send_passes_in_every_state() {
    // Handshakes of `subscribed_apps` come back to us.
    let scene = Scene::with(|config| {
        config.webhook.verify_token = Some(sendfuse::config::Secret::new("vibecoding"));
    });
    all_pass(&scene, "closed").await;
    scene.trip(PHONE).await;
    all_pass(&scene, "open").await;
    scene.meta.unlock(PHONE);
    scene.until_state(PHONE, "half_open").await;
    all_pass(&scene, "half_open").await;
    scene.meta.set_webhook_url(None);
    assert_eq!(scene.send(PHONE).await.status, 200, "the trial is free");
    assert!(scene.send(PHONE).await.is_rejection(), "the trial is out");
    scene.meta.set_webhook_url(Some("http://hooks.example/webhook".into()));
    all_pass(&scene, "half_open").await;
    scene.order(PHONE, OrderKind::Open, None).await;
    all_pass(&scene, "forced_open").await;
    scene.order(PHONE, OrderKind::Bypass, None).await;
    all_pass(&scene, "bypassed").await;
}

#[tokio::test(start_paused = true)]
async fn registration_passes_while_open_and_so_does_what_meta_refuses() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    let pin = json!({"messaging_product": "whatsapp", "pin": "123456"});
    let register = json_request("POST", &format!("/v23.0/{PHONE}/register"), &pin);
    assert_eq!(scene.call(register).await.status, 200);
    assert_eq!(scene.meta.phone_counts(PHONE).registrations, 1);
    for (method, edge) in [("GET", "messages"), ("DELETE", "messages"), ("POST", "messages/x"), ("POST", "x")]
    {
        let answer = scene.call(json_request(method, &format!("/v23.0/{PHONE}/{edge}"), &text())).await;
        assert_eq!((answer.status, answer.code()), (400, 100), "{method} {edge}: Meta's own word");
    }
}

#[tokio::test(start_paused = true)]
async fn other_phones_flow_even_those_that_look_alike() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    let sibling = format!("{PHONE}1");
    for phone in [OTHER, sibling.as_str(), "306540352242922"] {
        assert_eq!(scene.send(phone).await.status, 200, "{phone}");
    }
    assert!(scene.send(PHONE).await.is_rejection());
}

#[tokio::test(start_paused = true)]
async fn every_spelling_of_the_phones_send_is_rejected() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    let encoded: String = PHONE.bytes().map(|digit| format!("%{digit:02x}")).collect();
    let paths = [
        format!("/v13.0/{PHONE}/messages"),
        format!("/v26.0/{PHONE}/messages"),
        format!("/{PHONE}/messages"),
        format!("/v23.0/{PHONE}/messages/"),
        format!("/{PHONE}/messages/"),
        format!("//v23.0//{PHONE}//messages//"),
        format!("/v23.0/{encoded}/messages"),
        format!("/v23.0/{PHONE}/m%65ssage%73"),
        format!("/%7623.0/{PHONE}/messages"),
        format!("/v23.0/x/../{PHONE}/./messages"),
        format!("/v23.0/{PHONE}/marketing_messages"),
        format!("/v23.0/{PHONE}/messages_encrypted"),
        format!("/v23.0/{PHONE}/messages?access_token={TOKEN}"),
    ];
    for path in &paths {
        let answer = scene.call(json_request("POST", path, &text())).await;
        assert!(answer.is_rejection(), "{path}: {} {}", answer.status, answer.json);
        assert_eq!(answer.code(), 131_031, "{path}");
    }
    assert_eq!(scene.arrived(PHONE), 1, "only the one that tripped");
    assert_eq!(scene.breaker(PHONE).rejected, paths.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn whatever_the_body_looks_like_but_a_receipt() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    let target = format!("/v23.0/{PHONE}/messages");
    let receipt = json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.u"});
    let nested = json!({"messaging_product": "whatsapp", "to": "1", "text": {"status": "read"}});
    for request in [
        request("POST", &target, FORM, "messaging_product=whatsapp&to=1&text=%7B%22body%22%3A%22hi%22%7D"),
        request("POST", &target, MULTIPART, multipart(&[("messaging_product", "whatsapp"), ("to", "1")])),
        request("POST", &target, FORM, receipt.to_string()),
        request("POST", &target, "application/json", ""),
        request("POST", &target, "application/json", "{\"status\":\"read\""),
        json_request("POST", &target, &nested),
        json_request("POST", &target, &json!({"status": "delivered"})),
        json_request("POST", &format!("/v23.0/{PHONE}/marketing_messages"), &receipt),
    ] {
        let answer = scene.call(request).await;
        assert!(answer.is_rejection(), "{}", answer.json);
    }
}

#[tokio::test(start_paused = true)]
async fn a_healthy_phones_unreadable_body_passes() {
    let scene = Scene::new();
    for body in ["", "{", "\u{0}", "[[[["] {
        let target = format!("/v23.0/{PHONE}/messages");
        let answer = scene.call(request("POST", &target, "application/json", body)).await;
        assert_eq!(answer.status, 400, "{body:?}: Meta says no");
        assert!(!answer.is_rejection());
    }
    scene.lock(PHONE, Profile::Async);
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.advance(Duration::from_secs(1)).await;
    assert_eq!((scene.state(PHONE), scene.arrived(PHONE)), ("open", 5));
}
