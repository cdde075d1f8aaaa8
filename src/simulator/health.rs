//! Health status answers, with the quirks that real ones have.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{APP, BUSINESS};

/// A health answer to give, whatever the lock says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Nothing blocks: what real locks show for days.
    Available,
    /// Every entity may send, but SIP calling is blocked, so the overall state is BLOCKED.
    SipBlocked,
    /// As `SipBlocked`, but it is the app whose SIP is not set up, by two errors.
    AppSipBlocked,
    /// The WABA is BLOCKED for payment (141006), although that stops business-initiated messages only.
    PaymentBlocked,
    /// As `Banned`, and the payment is wrong as well: 141014 and 141006 on one WABA.
    BannedUnpaid,
    /// The business is LIMITED (141010), with `errors`; nothing blocks.
    LimitedWithErrors,
    /// The WABA is BLOCKED (141014), and so are all its phones' messages.
    Banned,
    /// The phone itself is BLOCKED (141000).
    NotLinked,
    /// An entity is BLOCKED by a code, for instance one that nobody knows. A number's is not in a WABA's answer.
    Blocked {
        /// Which one.
        entity: Entity,
        /// The code.
        code: i64,
    },
    /// This value of `health_status`, as it is.
    Custom(Value),
}

/// What an answer speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Entity {
    /// The phone that was asked about.
    PhoneNumber,
    /// Its WABA.
    Waba,
    /// Its business portfolio.
    Business,
    /// The app whose token asks.
    App,
}

/// An error of an entity: its code, what it says, what is to be done.
type Error = (i64, &'static str, &'static str);

const BANNED: Error = (
    141_014,
    "The WABA is banned.",
    "Appeal at Business Support Home: https://business.facebook.com/accountquality.",
);
const UNPAID: Error = (
    141_006,
    "There is an error with the payment method. Business-initiated conversations are blocked.",
    "Correct the payment method at https://business.facebook.com/billing_hub/.",
);
const UNVERIFIED: Error =
    (141_010, "The Business has not passed business verification.", "Verify the business in its settings.");
const NOT_LINKED: Error = (
    141_000,
    "The phone number is not linked to the account.",
    "Register the phone number and finish its verification.",
);
const NO_SIP: Error = (
    138_024,
    "SIP calling is not enabled on this phone number.",
    "Enable SIP in the phone number's call settings.",
);
const NO_SIP_OF_APP: [Error; 2] = [
    (138_025, "The app has no SIP server for this phone number.", "Set the app's SIP server up."),
    (138_026, "The SIP server of the app is not complete.", "Complete the settings of the app's SIP server."),
];

/// The value of `health_status`: of a phone, or of a WABA, in whose answer no phone is.
pub(super) fn status(phone: Option<&str>, waba: &str, health: &Health) -> Value {
    if let Health::Custom(value) = health {
        return value.clone();
    }
    let number = phone.map(|id| Said::of(Entity::PhoneNumber, id, health).sip(health));
    let entities: Vec<Said> = number
        .into_iter()
        .chain([
            Said::of(Entity::Waba, waba, health),
            Said::of(Entity::Business, BUSINESS, health),
            Said::of(Entity::App, APP, health).sip(health),
        ])
        .collect();
    // Overall is the worst that any entity says, about calls too.
    let says = |word| entities.iter().any(|entity| entity.says(word));
    let overall = if says("BLOCKED") {
        "BLOCKED"
    } else if says("LIMITED") {
        "LIMITED"
    } else {
        "AVAILABLE"
    };
    let entities: Vec<Map<String, Value>> = entities.into_iter().map(|entity| entity.fields).collect();
    json!({"can_send_message": overall, "entities": entities})
}

impl Health {
    /// Whether an entity can send, and its errors.
    fn of(&self, entity: Entity) -> (&'static str, Vec<Error>) {
        match (self, entity) {
            (Self::SipBlocked, Entity::PhoneNumber) => ("AVAILABLE", vec![NO_SIP]),
            (Self::AppSipBlocked, Entity::App) => ("AVAILABLE", NO_SIP_OF_APP.to_vec()),
            (Self::NotLinked, Entity::PhoneNumber) => ("BLOCKED", vec![NOT_LINKED]),
            (Self::PaymentBlocked, Entity::Waba) => ("BLOCKED", vec![UNPAID]),
            (Self::Banned, Entity::Waba) => ("BLOCKED", vec![BANNED]),
            (Self::BannedUnpaid, Entity::Waba) => ("BLOCKED", vec![BANNED, UNPAID]),
            (Self::LimitedWithErrors, Entity::Business) => ("LIMITED", vec![UNVERIFIED]),
            (Self::Blocked { entity: blocked, code }, entity) if *blocked == entity => {
                let error =
                    (*code, "Messages are blocked.", "Contact support through Business Support Home.");
                ("BLOCKED", vec![error])
            }
            _ => ("AVAILABLE", Vec::new()),
        }
    }

    fn sip_of(&self, entity: Entity) -> &'static str {
        match (self, entity) {
            (Self::SipBlocked, Entity::PhoneNumber) | (Self::AppSipBlocked, Entity::App) => "BLOCKED",
            _ => "AVAILABLE",
        }
    }
}

/// What is said of an entity.
struct Said {
    entity: Entity,
    fields: Map<String, Value>,
}

impl Said {
    fn of(entity: Entity, id: &str, health: &Health) -> Self {
        let (can_send, errors) = health.of(entity);
        let mut fields = Map::from_iter([
            ("entity_type".into(), json!(entity)),
            ("id".into(), json!(id)),
            ("can_send_message".into(), json!(can_send)),
        ]);
        let errors: Vec<Value> = errors
            .into_iter()
            .map(|(code, description, solution)| {
                json!({"error_code": code, "error_description": description, "possible_solution": solution})
            })
            .collect();
        if !errors.is_empty() {
            fields.insert("errors".into(), json!(errors));
        }
        Self { entity, fields }
    }

    fn sip(mut self, health: &Health) -> Self {
        self.fields.insert("can_receive_call_sip".into(), json!(health.sip_of(self.entity)));
        self
    }

    fn says(&self, word: &str) -> bool {
        ["can_send_message", "can_receive_call_sip"]
            .iter()
            .any(|key| self.fields.get(*key) == Some(&json!(word)))
    }
}
