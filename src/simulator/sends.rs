//! Messages out: sends, read receipts, calls.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Simulator;
use super::answer::{Answer, Failure};
use super::lock::Profile;
use super::params::Params;
use super::statuses::{self, Course, Message};
use crate::graph::class::Class;

/// The message types there are; each has an object of its name beside it.
const TYPES: [&str; 13] = [
    "text",
    "template",
    "image",
    "audio",
    "video",
    "document",
    "sticker",
    "location",
    "contacts",
    "reaction",
    "interactive",
    "pin",
    "order",
];

/// Whether the parameters of `/messages` mark a message as read.
pub(super) fn is_read_receipt(params: &Params) -> bool {
    params.text("status").as_deref() == Some("read")
}

pub(super) fn read_receipt(simulator: &Simulator, phone: &str, params: &Params) -> Result<Answer, Failure> {
    check_product(params)?;
    let wamid = params.text("message_id").ok_or_else(|| Failure::missing("message_id"))?;
    if !wamid.starts_with("wamid.") {
        return Err(Failure::invalid("message_id"));
    }
    if let Some(phone) = simulator.state().phone(phone) {
        phone.counts.read_receipts += 1;
    }
    simulator.inner.changed.notify_waiters();
    Ok(Answer::success())
}

fn is_template(params: &Params) -> bool {
    params.text("type").as_deref() == Some("template")
}

/// Templates begin a conversation; `/marketing_messages` takes nothing else. What is encrypted is taken for a reply.
pub(super) fn class(params: &Params) -> Class {
    if is_template(params) { Class::BusinessInitiated } else { Class::CustomerInitiated }
}

/// The number that a send is for, where it is for one that can be read.
pub(super) fn recipient(params: &Params) -> Option<String> {
    Recipient::read(params).ok()?.wa_id
}

/// A send on one of the three edges.
pub(super) fn send(
    simulator: &Simulator,
    phone: &str,
    edge: &str,
    params: &Params,
) -> Result<Answer, Failure> {
    check_product(params)?;
    let encrypted = edge == "messages_encrypted";
    let recipient = if encrypted {
        params.text("encrypted_contents").ok_or_else(|| Failure::missing("encrypted_contents"))?;
        Recipient { input: String::new(), wa_id: Some("16505551234".into()), user_id: None, group: None }
    } else {
        check_content(params, edge)?;
        Recipient::read(params)?
    };
    let class = class(params);
    let template = is_template(params);
    let category = match (edge, template) {
        ("marketing_messages", _) => "marketing_lite",
        (_, true) => "utility",
        _ => "service",
    };
    let course = admit(simulator, phone, &recipient, class)?;
    let wamid = wamid(simulator, recipient.wa_id.as_deref().unwrap_or("0"));
    let answer = if encrypted {
        let opaque = format!("{}{}", wamid, simulator.draw());
        json!({"encrypted_contents": format!("eyJ{}", STANDARD.encode(opaque))})
    } else {
        let mut message = json!({"id": wamid});
        if template && let Value::Object(fields) = &mut message {
            fields.insert("message_status".into(), json!("accepted"));
        }
        recipient.answer(message)
    };
    let message = Message {
        phone: phone.to_owned(),
        wamid,
        wa_id: recipient.wa_id,
        user_id: recipient.user_id,
        group: recipient.group,
        category,
        callback_data: params.text("biz_opaque_callback_data"),
    };
    statuses::follow(simulator, message, course);
    Ok(Answer::Json(answer))
}

pub(super) fn call(simulator: &Simulator, params: &Params) -> Result<Answer, Failure> {
    check_product(params)?;
    match params.text("action").as_deref() {
        None => Err(Failure::missing("action")),
        Some("connect") => {
            let to = params.text("to").ok_or_else(|| Failure::missing("to"))?;
            let id = wamid(simulator, &to).replacen("wamid", "wacid", 1);
            Ok(Answer::Json(json!({"messaging_product": "whatsapp", "calls": [{"id": id}]})))
        }
        Some("pre_accept" | "accept" | "reject" | "terminate") => Ok(Answer::success()),
        Some(_) => Err(Failure::invalid("action")),
    }
}

fn check_product(params: &Params) -> Result<(), Failure> {
    match params.text("messaging_product").as_deref() {
        Some("whatsapp") => Ok(()),
        Some(_) => Err(Failure::invalid("messaging_product")),
        None => Err(Failure::missing("messaging_product")),
    }
}

fn check_content(params: &Params, edge: &str) -> Result<(), Failure> {
    let kind = params.text("type").unwrap_or_else(|| "text".into());
    if edge == "marketing_messages" && kind != "template" {
        return Err(Failure::new(400, 134_100, "Only marketing messages are supported"));
    }
    if !TYPES.contains(&kind.as_str()) {
        return Err(Failure::invalid("type"));
    }
    let content = params.get(&kind).ok_or_else(|| Failure::missing(&kind))?;
    if !content.is_object() && !content.is_array() {
        return Err(Failure::invalid(&kind));
    }
    match kind.as_str() {
        "text" if content.get("body").and_then(Value::as_str).is_none_or(str::is_empty) => {
            Err(Failure::missing("text.body"))
        }
        "template" if content.get("name").is_none() => Err(Failure::missing("template.name")),
        _ => Ok(()),
    }
}

struct Recipient {
    input: String,
    wa_id: Option<String>,
    user_id: Option<String>,
    group: Option<String>,
}

impl Recipient {
    /// `to` wins over `recipient`.
    fn read(params: &Params) -> Result<Self, Failure> {
        let group = params.text("recipient_type").as_deref() == Some("group");
        match (params.text("to"), params.text("recipient")) {
            (Some(to), _) if group => {
                Ok(Self { input: to.clone(), wa_id: None, user_id: None, group: Some(to) })
            }
            (Some(to), _) => {
                let digits: String = to.chars().filter(char::is_ascii_digit).collect();
                let written = to.chars().all(|c| c.is_ascii_digit() || "+ -()".contains(c));
                if !written || !(5..=17).contains(&digits.len()) {
                    return Err(Failure::invalid("to"));
                }
                Ok(Self { input: to, wa_id: Some(digits), user_id: None, group: None })
            }
            (None, Some(user)) => {
                Ok(Self { input: user.clone(), wa_id: None, user_id: Some(user), group: None })
            }
            (None, None) => Err(Failure::missing("to")),
        }
    }

    fn answer(&self, mut message: Value) -> Value {
        let contact = match (&self.wa_id, &self.user_id, &self.group) {
            (_, Some(user), _) => json!({"input": self.input, "user_id": user}),
            (_, _, Some(group)) => {
                if let Value::Object(fields) = &mut message {
                    fields.insert("group_id".into(), json!(group));
                }
                json!({"input": self.input, "wa_id": group})
            }
            (wa_id, ..) => json!({"input": self.input, "wa_id": wa_id}),
        };
        json!({"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]})
    }
}

/// Whether a send is taken, and what becomes of it. What the business begins needs no open window.
fn admit(simulator: &Simulator, id: &str, recipient: &Recipient, class: Class) -> Result<Course, Failure> {
    let lucky = |percent| simulator.chance(percent);
    let mut state = simulator.state();
    let Some(phone) = state.phone(id) else {
        return Err(Failure::unknown_object(&http::Method::POST, id));
    };
    if phone.two_step.deregistered {
        return Err(Failure::new(400, 133_010, "Phone number not registered"));
    }
    if recipient.wa_id.as_ref() == Some(&phone.display) {
        return Err(Failure::new(400, 131_021, "Recipient cannot be sender"));
    }
    let closed = phone.closed_windows();
    let course = match state.lock_on(id, class, recipient.wa_id.as_deref()) {
        None if class == Class::CustomerInitiated && lucky(closed) => Course::WindowClosed,
        None => Course::Delivered,
        Some(lock) => match &lock.profile {
            Profile::Sync403 | Profile::Ban => return Err(Failure::locked(403, lock.code)),
            Profile::Sync400 => return Err(Failure::locked(400, lock.code)),
            Profile::Intermittent { delivered_percent } if lucky(*delivered_percent) => Course::Delivered,
            Profile::Async
            | Profile::LateDuplicates { .. }
            | Profile::Intermittent { .. }
            | Profile::ReviewPending
            | Profile::ReengagementWave { .. } => {
                Course::Locked { code: lock.code, after: lock.failures_after }
            }
        },
    };
    if let Some(phone) = state.phone(id) {
        phone.counts.accepted += 1;
    }
    drop(state);
    simulator.inner.changed.notify_waiters();
    Ok(course)
}

/// A fresh message id. Like Meta's, it has the recipient's number in it.
fn wamid(simulator: &Simulator, recipient: &str) -> String {
    let mut bytes = vec![0x1c, 0x18, u8::try_from(recipient.len()).unwrap_or_default()];
    bytes.extend_from_slice(recipient.as_bytes());
    bytes.extend_from_slice(&[0x15, 0x02, 0x00, 0x11, 0x18, 0x12]);
    bytes.extend_from_slice(format!("{:016X}2A", simulator.draw()).as_bytes());
    bytes.push(0x00);
    format!("wamid.{}", STANDARD.encode(bytes))
}
