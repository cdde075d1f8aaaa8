//! The simulator's own switches over HTTP, for whoever runs it as a command. JSON in, JSON out; but for timelines, which are text.
//! What there is stands in `switches`, and `GET /_simulator/` lists it.

mod switches;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Simulator;
use super::http::{Payload, full, response};
use super::nodes::Target;

use switches::SWITCHES;

/// What a switch answers: JSON, or why it cannot do it.
type Done = Result<Value, String>;

/// A switch.
struct Switch {
    method: &'static str,
    /// The last segment of its path.
    name: &'static str,
    /// A body that is good, if it takes one.
    example: &'static str,
    /// What else it takes, and what it does.
    more: &'static str,
    work: fn(&Simulator, &[u8]) -> Done,
}

/// Answers a request under `/_simulator/`.
pub(super) fn answer(
    simulator: &Simulator,
    method: &Method,
    target: &Target,
    body: &Bytes,
) -> Response<Payload> {
    let name = target.edge().unwrap_or_default();
    let switch = SWITCHES.iter().find(|switch| switch.method == method.as_str() && switch.name == name);
    let (status, value) = match switch.map(|switch| (switch.work)(simulator, body)) {
        Some(Ok(value)) => (StatusCode::OK, value),
        Some(Err(text)) => (StatusCode::BAD_REQUEST, json!({"error": text})),
        None if method == Method::GET && target.is_control_itself() => {
            let listed = SWITCHES.iter().map(
                |switch| json!({"request": switch.request(), "example": switch.example, "more": switch.more}),
            );
            (StatusCode::OK, json!({"switches": listed.collect::<Vec<_>>()}))
        }
        None => {
            let text = "no such switch; GET /_simulator/ lists them";
            (StatusCode::NOT_FOUND, json!({"error": text}))
        }
    };
    let json = HeaderValue::from_static("application/json");
    response(status, HeaderMap::from_iter([(header::CONTENT_TYPE, json)]), full(value.to_string().into()))
}

/// All switches, for people to read.
pub fn switches() -> String {
    let mut text = "Switches, while it runs (JSON; GET /_simulator/ lists them):\n".to_owned();
    for switch in SWITCHES {
        text.push_str(&format!("  {} {}\n", switch.request(), switch.example).replace(" \n", "\n"));
        if !switch.more.is_empty() {
            text.push_str(&format!("      {}\n", switch.more));
        }
    }
    text
}

impl Switch {
    /// `POST /_simulator/lock`
    fn request(&self) -> String {
        format!("{} /_simulator/{}", self.method, self.name)
    }
}

/// Does what a body asks for.
fn with<T: DeserializeOwned + Serialize>(body: &[u8], work: impl FnOnce(T)) -> Done {
    work(read(body)?);
    Ok(json!({"success": true}))
}

/// Reads a body. A member that means nothing to it is refused: it would be taken for one that has no effect.
fn read<T: DeserializeOwned + Serialize>(body: &[u8]) -> Result<T, String> {
    let given: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let order = T::deserialize(&given).map_err(|error| error.to_string())?;
    // serde drops them in silence where a struct is flattened into another. What was understood is written again.
    let understood = serde_json::to_value(&order).map_err(|error| error.to_string())?;
    unknown(&given, &understood).map_or(Ok(order), Err)
}

/// The first member that was not understood.
fn unknown(given: &Value, understood: &Value) -> Option<String> {
    let (given, understood) = (given.as_object()?, understood.as_object()?);
    given.iter().find_map(|(name, value)| match understood.get(name) {
        Some(inner) => unknown(value, inner),
        None => {
            let known: Vec<&str> = understood.keys().map(String::as_str).collect();
            Some(format!("unknown field `{name}`, expected one of: {}", known.join(", ")))
        }
    })
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
