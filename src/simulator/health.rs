//! Health status answers, with the quirks that real ones have.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::lock::Profile;
use super::state::Phone;
use super::{APP, BUSINESS};

/// A health answer to give, whatever the lock says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Nothing blocks: what real locks show for days.
    Available,
    /// Every entity may send, but SIP calling is blocked, so the overall state is BLOCKED.
    SipBlocked,
    /// The WABA is BLOCKED for payment (141006): business-initiated messages only.
    PaymentBlocked,
    /// The business is LIMITED (141010), with `errors`; nothing blocks.
    LimitedWithErrors,
    /// The WABA is BLOCKED (141014), and so are all its phones' messages.
    Banned,
    /// The phone itself is BLOCKED (141000).
    NotLinked,
    /// This value of `health_status`, as it is.
    Custom(Value),
}

/// `health_status` of a phone.
pub(super) fn of_phone(id: &str, phone: &Phone, banned: bool) -> Value {
    let profile = phone.lock.as_ref().map(|lock| &lock.profile);
    let health = match (&phone.health, profile) {
        (Some(health), _) => health.clone(),
        (None, Some(Profile::Ban)) => Health::Banned,
        (None, _) if banned => Health::Banned,
        (None, Some(Profile::ReviewPending)) => Health::LimitedWithErrors,
        (None, _) => Health::Available,
    };
    if let Health::Custom(value) = health {
        return value;
    }
    let number = match health {
        Health::SipBlocked => Entity::new("PHONE_NUMBER", id, "AVAILABLE").sip("BLOCKED").error(
            138_024,
            "SIP calling is not enabled on this phone number.",
            "Enable SIP in the phone number's call settings.",
        ),
        Health::NotLinked => Entity::new("PHONE_NUMBER", id, "BLOCKED").sip("AVAILABLE").error(
            141_000,
            "The phone number is not linked to the account.",
            "Register the phone number and finish its verification.",
        ),
        _ => Entity::new("PHONE_NUMBER", id, "AVAILABLE").sip("AVAILABLE"),
    };
    status(Some(number), &phone.waba, &health)
}

/// `health_status` of a WABA: its phones are not in it.
pub(super) fn of_waba(waba: &str, banned: bool, under_review: bool) -> Value {
    let health = match (banned, under_review) {
        (true, _) => Health::Banned,
        (false, true) => Health::LimitedWithErrors,
        (false, false) => Health::Available,
    };
    status(None, waba, &health)
}

fn status(number: Option<Entity>, waba: &str, health: &Health) -> Value {
    let account = match health {
        Health::PaymentBlocked => Entity::new("WABA", waba, "BLOCKED").error(
            141_006,
            "There is an error with the payment method. Business-initiated conversations are blocked.",
            "Correct the payment method at https://business.facebook.com/billing_hub/.",
        ),
        Health::Banned => Entity::new("WABA", waba, "BLOCKED").error(
            141_014,
            "The WABA is banned.",
            "Appeal at Business Support Home: https://business.facebook.com/accountquality.",
        ),
        _ => Entity::new("WABA", waba, "AVAILABLE"),
    };
    let business = match health {
        Health::LimitedWithErrors => Entity::new("BUSINESS", BUSINESS, "LIMITED").error(
            141_010,
            "The Business has not passed business verification.",
            "Verify the business in its settings.",
        ),
        _ => Entity::new("BUSINESS", BUSINESS, "AVAILABLE"),
    };
    let app = Entity::new("APP", APP, "AVAILABLE").sip("AVAILABLE");
    let entities: Vec<Entity> = number.into_iter().chain([account, business, app]).collect();
    // Overall is the worst that any entity says, about calls too.
    let says = |word| entities.iter().any(|entity| entity.says(word));
    let overall = if says("BLOCKED") {
        "BLOCKED"
    } else if says("LIMITED") {
        "LIMITED"
    } else {
        "AVAILABLE"
    };
    let entities: Vec<Map<String, Value>> = entities.into_iter().map(|entity| entity.0).collect();
    json!({"can_send_message": overall, "entities": entities})
}

struct Entity(Map<String, Value>);

impl Entity {
    fn new(kind: &str, id: &str, can_send: &str) -> Self {
        Self(Map::from_iter([
            ("entity_type".into(), json!(kind)),
            ("id".into(), json!(id)),
            ("can_send_message".into(), json!(can_send)),
        ]))
    }

    fn sip(mut self, can_receive: &str) -> Self {
        self.0.insert("can_receive_call_sip".into(), json!(can_receive));
        self
    }

    fn error(mut self, code: i64, description: &str, solution: &str) -> Self {
        let error =
            json!({"error_code": code, "error_description": description, "possible_solution": solution});
        self.0.insert("errors".into(), json!([error]));
        self
    }

    fn says(&self, word: &str) -> bool {
        ["can_send_message", "can_receive_call_sip"].iter().any(|key| self.0.get(*key) == Some(&json!(word)))
    }
}
