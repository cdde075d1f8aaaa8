//! The simulator's own switches over HTTP, for whoever runs it as a command. JSON in, JSON out; but for timelines, which are text.
//!
//! | request | body |
//! |---|---|
//! | `POST /_simulator/lock` | `{"phone":"…","profile":"async"}`; `sync403`, `sync400`, `ban`, `review_pending`, `intermittent` (+ `"delivered_percent":30`), `late_duplicates` (+ `"after":"30s"`), `reengagement_wave` (+ `"lasting":"10m","failed_percent":80`); each may have `"failures_after":"200ms..30s"`, `"code":131048`, `"class":"business_initiated"`, `"calling_code":"55"`, `"expires_after":"30m"` |
//! | `POST /_simulator/unlock` | `{"phone":"…"}` |
//! | `POST /_simulator/lock_waba` | `{"waba":"…","reason":"disabled","profile":"async"}`; `deleted`, `offboarded`, `review_rejected`, `restricted`, `restricted_business_initiated`, `restricted_customer_initiated`; the rest as of `lock`, and `"health":"banned"` |
//! | `POST /_simulator/unlock_waba` | `{"waba":"…"}` |
//! | `POST /_simulator/wabas` | `{"phones":"206540352240000..206540352249999","each":10}`: makes phones under WABAs, and answers the WABAs |
//! | `POST /_simulator/health` | `{"phone":"…","health":"sip_blocked"}` (or a WABA's id); `available`, `app_sip_blocked`, `payment_blocked`, `limited_with_errors`, `banned`, `banned_unpaid`, `not_linked`, `{"blocked":{"entity":"WABA","code":141099}}`, `{"custom":{…}}`, or null |
//! | `POST /_simulator/fault` | `{"phone":"…","on":"sends","times":1,"fault":"delay","delay":"2s"}`, see [`Fault`](super::Fault); only `fault` is needed |
//! | `POST /_simulator/clear_faults` | `{"phone":"…"}` or `{}` for all |
//! | `POST /_simulator/statuses` | `{"delay":"200ms..30s"}`: from acceptance to the first status, and from each to the next |
//! | `POST /_simulator/revoke_token`, `restore_token` | `{"token":"…"}`: every call with it is answered 190 meanwhile |
//! | `POST /_simulator/event` | `{"waba":"…","event":"disabled"}`, see [`News`](super::News); all may have `"expires_after":"30m"`, `"older_by":"10m"`, `"ban_state":"list"`, `"expiration":"iso"`, `"entry_id":"partner"`, `"phone_number":"display"`, `"entry_first":true`, `"via":{"url":"…","header":"…","secret":"…"}` |
//! | `POST /_simulator/webhook` | `{"waba":"…","field":"account_update","value":{…}}` |
//! | `POST /_simulator/timeline` | the text of a [timeline](super::timeline), which begins now |
//! | `GET /_simulator/counts` | |

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::http::{Payload, full, response};
use super::nodes::Target;
use super::timeline::range;
use super::{AccountLock, Delay, Event, FaultRule, Health, Lock, Simulator, Timeline};

#[derive(Deserialize)]
struct LockPhone {
    phone: String,
    #[serde(flatten)]
    lock: Lock,
}

#[derive(Deserialize)]
struct OnPhone {
    phone: String,
}

#[derive(Deserialize)]
struct LockWaba {
    waba: String,
    #[serde(flatten)]
    lock: AccountLock,
}

#[derive(Deserialize)]
struct OnWaba {
    waba: String,
}

#[derive(Deserialize)]
struct Wabas {
    phones: String,
    each: usize,
}

#[derive(Deserialize)]
struct OnToken {
    token: String,
}

#[derive(Deserialize)]
struct EventOf {
    waba: String,
    #[serde(flatten)]
    event: Event,
}

#[derive(Deserialize)]
struct SetHealth {
    phone: String,
    health: Option<Health>,
}

#[derive(Deserialize)]
struct Statuses {
    delay: Delay,
}

#[derive(Deserialize)]
struct ClearFaults {
    phone: Option<String>,
}

#[derive(Deserialize)]
struct Webhook {
    waba: String,
    field: String,
    value: Value,
}

/// Answers a request under `/_simulator/`.
pub(super) fn answer(
    simulator: &Simulator,
    method: &Method,
    target: &Target,
    body: &Bytes,
) -> Response<Payload> {
    let done = match (method.as_str(), target.edge().unwrap_or_default()) {
        ("GET", "counts") => Ok(json!(simulator.counts())),
        ("POST", "lock") => with(body, |order: LockPhone| simulator.lock(&order.phone, order.lock)),
        ("POST", "unlock") => with(body, |order: OnPhone| simulator.unlock(&order.phone)),
        ("POST", "lock_waba") => with(body, |order: LockWaba| simulator.lock_waba(&order.waba, order.lock)),
        ("POST", "unlock_waba") => with(body, |order: OnWaba| simulator.unlock_waba(&order.waba)),
        ("POST", "wabas") => add_wabas(simulator, body),
        ("POST", "revoke_token") => with(body, |order: OnToken| simulator.revoke_token(&order.token)),
        ("POST", "restore_token") => with(body, |order: OnToken| simulator.restore_token(&order.token)),
        ("POST", "event") => with(body, |order: EventOf| simulator.account_event(&order.waba, order.event)),
        ("POST", "health") => with(body, |order: SetHealth| simulator.set_health(&order.phone, order.health)),
        ("POST", "fault") => with(body, |rule: FaultRule| simulator.fault(rule)),
        ("POST", "clear_faults") => {
            with(body, |order: ClearFaults| simulator.clear_faults(order.phone.as_deref()))
        }
        ("POST", "statuses") => with(body, |order: Statuses| simulator.set_status_delay(order.delay)),
        ("POST", "timeline") => play(simulator, body),
        ("POST", "webhook") => {
            with(body, |order: Webhook| simulator.webhook(&order.waba, &order.field, order.value))
        }
        _ => Err((StatusCode::NOT_FOUND, "no such switch".to_owned())),
    };
    let (status, value) = match done {
        Ok(value) => (StatusCode::OK, value),
        Err((status, text)) => (status, json!({"error": text})),
    };
    let json = HeaderValue::from_static("application/json");
    response(status, HeaderMap::from_iter([(header::CONTENT_TYPE, json)]), full(value.to_string().into()))
}

fn add_wabas(simulator: &Simulator, body: &[u8]) -> Result<Value, (StatusCode, String)> {
    let refused = |text: String| (StatusCode::BAD_REQUEST, text);
    let order: Wabas = serde_json::from_slice(body).map_err(|error| refused(error.to_string()))?;
    let phones = range(&order.phones).map_err(|(what, rule)| refused(format!("`{what}`: {rule}")))?;
    Ok(json!({"wabas": simulator.add_wabas(phones, order.each)}))
}

fn play(simulator: &Simulator, text: &[u8]) -> Result<Value, (StatusCode, String)> {
    let refused = |text: String| (StatusCode::BAD_REQUEST, text);
    let text = std::str::from_utf8(text).map_err(|error| refused(error.to_string()))?;
    let timeline = Timeline::parse(text).map_err(|error| refused(error.to_string()))?;
    tokio::spawn(simulator.play(timeline));
    Ok(json!({"success": true}))
}

fn with<T: DeserializeOwned>(body: &[u8], work: impl FnOnce(T)) -> Result<Value, (StatusCode, String)> {
    let order = serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    work(order);
    Ok(json!({"success": true}))
}

/// Durations with a unit, as `1s 500ms`.
pub(super) mod duration {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(*duration))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_duration(&text).map_err(Error::custom)
    }
}

/// As [`duration`], or nothing.
pub(super) mod optional_duration {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::duration::serialize(duration, to),
            None => to.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| humantime::parse_duration(&text).map_err(Error::custom)).transpose()
    }
}
