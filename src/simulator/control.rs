//! The simulator's own switches over HTTP, for whoever runs it as a command. JSON in, JSON out; but for timelines, which are text.
//!
//! | request | body |
//! |---|---|
//! | `POST /_simulator/lock` | `{"phone":"…","profile":"async"}`; `sync403`, `sync400`, `ban`, `review_pending`, `intermittent` (+ `"delivered_percent":30`), `late_duplicates` (+ `"after":"30s"`), `reengagement_wave` (+ `"lasting":"10m","failed_percent":80`); each may have `"failures_after":"200ms..30s"` |
//! | `POST /_simulator/unlock` | `{"phone":"…"}` |
//! | `POST /_simulator/health` | `{"phone":"…","health":"sip_blocked"}`; `available`, `payment_blocked`, `limited_with_errors`, `banned`, `not_linked`, `{"custom":{…}}`, or null |
//! | `POST /_simulator/fault` | `{"phone":"…","on":"sends","times":1,"fault":"delay","delay":"2s"}`, see [`Fault`](super::Fault); only `fault` is needed |
//! | `POST /_simulator/clear_faults` | `{"phone":"…"}` or `{}` for all |
//! | `POST /_simulator/statuses` | `{"delay":"200ms..30s"}`: from acceptance to the first status, and from each to the next |
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
use super::{Delay, FaultRule, Health, Lock, Simulator, Timeline};

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
