//! What an operator may order, and how an order is written: a small JSON object with a reason.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use tokio::time::timeout;

use super::problem::Problem;
use crate::breakers::OrderKind;
use crate::config::duration;

/// The longest reason, in characters.
pub(crate) const MAX_REASON_CHARS: usize = 500;
/// The longest name of an actor, in characters.
pub(crate) const MAX_BY_CHARS: usize = 100;
const MAX_BODY_BYTES: usize = 16 * 1024;
/// How long an order's body may take.
const TIME_TO_READ: Duration = Duration::from_secs(10);
/// Who gives an order that does not say by whom it is.
const UNNAMED: &str = "operator";

/// The last segment of an order's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Changes the breaker.
    Order(OrderKind),
    /// Checks now.
    Probe,
    /// Lets one more PIN through. Of phones only.
    AllowPin,
}

impl Action {
    /// All there are.
    pub(super) const ALL: [Self; 6] = [
        Self::Order(OrderKind::Reset),
        Self::Order(OrderKind::Open),
        Self::Order(OrderKind::Bypass),
        Self::Order(OrderKind::Lift),
        Self::Probe,
        Self::AllowPin,
    ];

    /// As it stands in the path.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Order(OrderKind::Reset) => "reset",
            Self::Order(OrderKind::Open) => "open",
            Self::Order(OrderKind::Bypass) => "bypass",
            Self::Order(OrderKind::Lift) => "lift",
            Self::Probe => "probe",
            Self::AllowPin => "allow_pin",
        }
    }

    const fn holds(self) -> bool {
        matches!(self, Self::Order(OrderKind::Open | OrderKind::Bypass))
    }
}

/// The body of an order, checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// Never blank.
    pub(super) reason: String,
    /// Never blank.
    pub(super) by: String,
    /// Only where the action holds.
    pub(super) hold: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    reason: Option<String>,
    r#for: Option<String>,
    by: Option<String>,
}

/// Reads the body of an order, up to a bound. Its content type does not matter: what a stranger's page could post without
/// asking comes with a foreign `Origin`, and is refused for that.
pub(super) async fn read(action: Action, body: Body) -> Result<Wish, Problem> {
    let bytes = match timeout(TIME_TO_READ, Limited::new(body, MAX_BODY_BYTES).collect()).await {
        Err(_) => return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body came too slowly")),
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = format!("an order has at most {MAX_BODY_BYTES} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        Ok(Err(_)) => return Err(Problem::bad_request("the body broke off")),
    };
    check(action, &bytes)
}

fn check(action: Action, body: &Bytes) -> Result<Wish, Problem> {
    let body = body.trim_ascii();
    if body.is_empty() {
        return Err(no_reason());
    }
    // serde would also take an array, field by field.
    if !body.starts_with(b"{") {
        return Err(Problem::bad_request("an order is a JSON object"));
    }
    let written: Written = serde_json::from_slice(body)
        .map_err(|error| Problem::bad_request(format!("an order has reason, for and by: {error}")))?;

    let reason = trimmed(written.reason).ok_or_else(no_reason)?;
    if reason.chars().count() > MAX_REASON_CHARS {
        return Err(Problem::bad_request(format!("reason: at most {MAX_REASON_CHARS} characters")));
    }
    let by = trimmed(written.by).unwrap_or_else(|| UNNAMED.to_owned());
    if by.chars().count() > MAX_BY_CHARS {
        return Err(Problem::bad_request(format!("by: at most {MAX_BY_CHARS} characters")));
    }
    if written.r#for.is_some() && !action.holds() {
        return Err(Problem::bad_request("for: only open and bypass hold for a time"));
    }
    let hold = match written.r#for {
        Some(text) => Some(parse_hold(&text).map_err(|rule| Problem::bad_request(format!("for: {rule}")))?),
        None => None,
    };
    Ok(Wish { reason, by, hold })
}

/// How long an order holds. Without an end it has no `for` at all.
pub(crate) fn parse_hold(text: &str) -> Result<Duration, String> {
    let hold = duration::parse(text).map_err(|error| error.to_string())?;
    if hold.is_zero() { Err("an order holds for more than nothing".to_owned()) } else { Ok(hold) }
}

fn trimmed(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn no_reason() -> Problem {
    Problem::bad_request("an order needs a reason: {\"reason\":\"…\"}")
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http_body_util::StreamBody;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_given_up() {
        let never = futures_util::stream::pending::<Result<http_body::Frame<Bytes>, std::io::Error>>();
        let began = tokio::time::Instant::now();
        let given_up = read(Action::Probe, Body::new(StreamBody::new(never))).await;
        assert_eq!(given_up.unwrap_err().into_response().status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(began.elapsed(), TIME_TO_READ);
    }
}
