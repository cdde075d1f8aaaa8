//! Reads of a node's fields: of a phone, of a WABA.

use serde_json::{Map, Value, json};

use super::answer::{Answer, Failure};
use super::lock::Reason;
use super::params::Params;
use super::state::{Phone, State};
use super::{BUSINESS, Simulator, health, subscriptions};

pub(super) fn of_phone(simulator: &Simulator, id: &str, params: &Params) -> Result<Answer, Failure> {
    const DEFAULT: &str = "verified_name,code_verification_status,display_phone_number,quality_rating,platform_type,\
                           throughput,webhook_configuration";
    let mut state = simulator.state();
    state.phone(id);
    let fields = params.text("fields").unwrap_or_else(|| DEFAULT.into());
    let phone = state.known_phone(id).ok_or_else(|| Failure::unknown_object(&http::Method::GET, id))?;
    phone_with(&state, id, phone, &fields).map(Answer::Json)
}

/// Some fields of a phone.
pub(super) fn phone_with(state: &State, id: &str, phone: &Phone, fields: &str) -> Result<Value, Failure> {
    let disabled = state.locked_for(&phone.waba, Reason::Disabled);
    let status = if disabled {
        "BANNED"
    } else if phone.two_step.deregistered {
        "DISCONNECTED"
    } else {
        "CONNECTED"
    };
    let new = state.is_new(phone);
    let all = json!({
        "display_phone_number": phone.display,
        "verified_name": "Lucky Shrub",
        "status": status,
        "quality_rating": if new { "UNKNOWN" } else { "GREEN" },
        "throughput": {"level": "STANDARD"},
        "account_mode": "LIVE",
        "name_status": if new { "PENDING_REVIEW" } else { "APPROVED" },
        "code_verification_status": "VERIFIED",
        "platform_type": "CLOUD_API",
        "is_pin_enabled": phone.two_step.pin.is_some(),
        "is_official_business_account": false,
        "is_on_biz_app": new,
        "whatsapp_business_manager_messaging_limit": "TIER_UNLIMITED",
        "last_onboarded_time": "2025-01-01T00:00:00+0000",
        "webhook_configuration": subscriptions::configuration(state, phone),
        "health_status": health::status(Some(id), &phone.waba, &state.health_of(phone)),
    });
    select(&all, fields, id)
}

pub(super) fn of_waba(simulator: &Simulator, waba: &str, params: &Params) -> Result<Answer, Failure> {
    let state = simulator.state();
    let (disabled, under_review) = (state.locked_for(waba, Reason::Disabled), state.under_review(waba));
    let review = match (disabled || state.locked_for(waba, Reason::ReviewRejected), under_review) {
        (true, _) => "REJECTED",
        (false, true) => "PENDING",
        (false, false) => "APPROVED",
    };
    let all = json!({
        "name": "Lucky Shrub",
        "status": if disabled { "DISABLED" } else { "ACTIVE" },
        "account_review_status": review,
        "business_verification_status": if under_review { "not_verified" } else { "verified" },
        "country": "US",
        "ownership_type": "SELF",
        "currency": "USD",
        "timezone_id": "1",
        "marketing_messages_onboarding_status": "ONBOARDED",
        "owner_business_info": {"id": BUSINESS, "name": "Lucky Shrub"},
        "health_status": health::status(None, waba, &state.health_of_waba(waba)),
    });
    let fields = params.text("fields").unwrap_or_else(|| "name,currency,timezone_id".into());
    select(&all, &fields, waba).map(Answer::Json)
}

/// The fields that were asked for, and the id.
fn select(all: &Value, fields: &str, id: &str) -> Result<Value, Failure> {
    let mut selected = Map::from_iter([("id".to_owned(), json!(id))]);
    for field in fields.split(',').filter(|field| *field != "id") {
        let value = all
            .get(field)
            .ok_or_else(|| Failure::new(400, 100, &format!("Tried accessing nonexisting field ({field})")))?;
        selected.insert(field.to_owned(), value.clone());
    }
    Ok(Value::Object(selected))
}
