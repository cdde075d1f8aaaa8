//! What apps and Meta write: requests to the send path, bodies of webhooks.

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use sendfuse::simulator::WABA;
use serde_json::{Value, json};

use super::harness::TOKEN;

/// A text message.
pub(super) fn text() -> Value {
    json!({"messaging_product": "whatsapp", "to": "16505551234", "type": "text", "text": {"body": "hi"}})
}

/// A text message of a phone.
pub(super) fn send_request(phone: &str) -> Request<Full<Bytes>> {
    json_request("POST", &format!("/v23.0/{phone}/messages"), &text())
}

/// A call with a token and a JSON body.
pub(super) fn json_request(method: &str, target: &str, body: &Value) -> Request<Full<Bytes>> {
    request(method, target, "application/json", body.to_string())
}

/// A call with a token and a body.
pub(super) fn request(
    method: &str,
    target: &str,
    content_type: &str,
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(target)
        .header(header::HOST, "localhost")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, content_type)
        .body(Full::new(body.into()))
        .unwrap()
}

/// A webhook with these changes of a phone's, each a `value` without its metadata.
pub(super) fn changes(phone: &str, values: impl IntoIterator<Item = Value>) -> Value {
    let changes: Vec<Value> = values
        .into_iter()
        .map(|mut value| {
            value["messaging_product"] = json!("whatsapp");
            value["metadata"] = json!({"display_phone_number": "15550783881", "phone_number_id": phone});
            json!({"field": "messages", "value": value})
        })
        .collect();
    json!({"object": "whatsapp_business_account", "entry": [{"id": WABA, "changes": changes}]})
}

/// A status of a message.
pub(super) fn status(wamid: &str, status: &str, seconds: i64) -> Value {
    json!({"id": wamid, "status": status, "timestamp": seconds.to_string(), "recipient_id": "16505551234"})
}

/// `failed`, for this code.
pub(super) fn failed(wamid: &str, code: i64, seconds: i64) -> Value {
    let mut status = status(wamid, "failed", seconds);
    status["errors"] = json!([{"code": code, "title": "Business Account locked"}]);
    status
}
