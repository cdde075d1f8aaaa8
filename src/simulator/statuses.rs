//! What is told of an accepted message: `sent`, `delivered`, perhaps `read`; or `failed`, and why.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use super::Simulator;
use super::answer::{CLOSED, Words};
use super::delay::Delay;
use super::webhooks::{To, deliver, escaped, upgrade};

/// An accepted message.
#[derive(Clone)]
pub(super) struct Message {
    pub(super) phone: String,
    pub(super) wamid: String,
    pub(super) wa_id: Option<String>,
    pub(super) user_id: Option<String>,
    pub(super) group: Option<String>,
    pub(super) category: &'static str,
    pub(super) callback_data: Option<String>,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// `sent`, `delivered`, perhaps `read`.
    Delivered,
    /// `failed`, by a lock of this code; with a delay of its own, if it has one.
    Locked { code: i64, after: Option<Delay> },
    /// `failed`, 131047.
    WindowClosed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Sent,
    Delivered,
    Read,
    /// By this code.
    Failed(i64),
}

/// Has a message's statuses delivered, one after the other, from now on.
pub(super) fn follow(simulator: &Simulator, message: Message, course: Course) {
    if simulator.callback(&message.phone).is_none() {
        return;
    }
    let mut pause = simulator.state().status_delay;
    let mut statuses = match course {
        Course::Delivered => vec![Status::Sent, Status::Delivered],
        Course::Locked { code, .. } => vec![Status::Failed(code)],
        Course::WindowClosed => vec![Status::Failed(CLOSED)],
    };
    if let Course::Locked { after: Some(own), .. } = course {
        pause = own;
    }
    if course == Course::Delivered && simulator.chance(simulator.inner.options.reorder_percent) {
        statuses.reverse();
    }
    if course == Course::Delivered && simulator.chance(simulator.inner.options.read_percent) {
        statuses.push(Status::Read);
    }
    let mut due = Duration::ZERO;
    for status in statuses {
        due = due.saturating_add(pause.draw(simulator));
        let (message, inner) = (message.clone(), Arc::downgrade(&simulator.inner));
        tokio::spawn(async move {
            sleep(due).await;
            let Some(simulator) = upgrade(&inner) else { return };
            let Some(body) = body(&simulator, &message, status) else { return };
            let twice = simulator.chance(simulator.inner.options.duplicate_percent);
            drop(simulator);
            let to = To::CallbackOf(message.phone);
            deliver(inner.clone(), to.clone(), body.clone()).await;
            if twice {
                deliver(inner, to, body).await;
            }
        });
    }
}

/// A webhook with one status, dated now; none if the WABA is banned.
fn body(simulator: &Simulator, message: &Message, status: Status) -> Option<Bytes> {
    let mut state = simulator.state();
    let (waba, display) = state.known_phone(&message.phone).map(|p| (p.waba.clone(), p.display.clone()))?;
    if state.banned(&waba) {
        return None;
    }
    let seconds = simulator.inner.options.clock.now().millis() / 1000;
    let value = json!({
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": display, "phone_number_id": message.phone},
        "statuses": [fields(message, status, seconds)],
    });
    let body = escaped(&json!({"object": "whatsapp_business_account", "entry": [
        {"id": waba, "changes": [{"field": "messages", "value": value}]}]}));
    let repeated = state.known_phone(&message.phone).is_some_and(|phone| state.repeats_failures(phone));
    if let (Status::Failed(code), Some(phone)) = (status, state.phone(&message.phone)) {
        if code == CLOSED {
            phone.counts.windows_closed += 1;
        } else {
            phone.counts.failed += 1;
            if repeated {
                phone.keep_failure(&body);
            }
        }
    }
    Some(body)
}

fn fields(message: &Message, status: Status, seconds: i64) -> Value {
    let mut fields = Map::new();
    let mut add = |name: &str, value: Value| fields.insert(name.into(), value);
    add("id", json!(message.wamid));
    add("timestamp", json!(seconds.to_string()));
    if let Some(id) = message.group.as_ref().or(message.wa_id.as_ref()) {
        add("recipient_id", json!(id));
    }
    if message.group.is_some() {
        add("recipient_type", json!("group"));
    }
    if let Some(user) = &message.user_id {
        add("recipient_user_id", json!(user));
    }
    if let Some(data) = &message.callback_data {
        add("biz_opaque_callback_data", json!(data));
    }
    if let Status::Sent | Status::Delivered = status {
        let pricing = json!({"billable": true, "pricing_model": "PMP", "type": "regular", "category": message.category});
        add("pricing", pricing);
    }
    let word = match status {
        Status::Sent => "sent",
        Status::Delivered => "delivered",
        Status::Read => "read",
        Status::Failed(code) => {
            let words = Words::of(code);
            let error = json!({
                "code": code,
                "title": words.title,
                "message": words.title,
                "error_data": {"details": words.told},
                "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
            });
            add("errors", json!([error]));
            "failed"
        }
    };
    add("status", json!(word));
    Value::Object(fields)
}
