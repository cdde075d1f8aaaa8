//! What a rejected caller is told: Graph's own shape, so that the handlers that an app has for 131031 fire.
//!
//! SDKs read the types: `code` must be a number, `error_data` an object, the status a 4xx.

use std::time::Duration;

use super::state::{Breaker, OverrideOrder, Shown};
use crate::graph::error::ACCOUNT_LOCKED;
use crate::graph::reply::Reply;
use crate::time::Timestamp;

/// News of a trial comes within seconds as a rule. Its lease is for when it does not: told that, a campaign would pause for it.
const TRIAL_NEWS: Duration = Duration::from_secs(5);

/// A rejection, ready to be written as an HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// `x-sendfuse-state`
    pub state: Shown,
    /// `x-sendfuse-reason`: `131031; source=webhook`
    pub reason: String,
    /// The code that opened the breaker; none for an operator's order.
    pub code: Option<i64>,
    /// `x-sendfuse-incident`
    pub incident: Option<String>,
    /// `x-sendfuse-next-check`: seconds; at least 1. None if only an operator ends it.
    pub next_check: Option<u64>,
    details: String,
}

impl Rejection {
    /// What a send of the phone or WABA `id` is told at `now`, if this breaker rejects it.
    pub fn of(breaker: &Breaker, id: &str, now: Timestamp) -> Self {
        let order = breaker.order_at(now).filter(|order| order.order == OverrideOrder::Open);
        let (code, source, since, words, next) = match (order, breaker.lock()) {
            (Some(order), _) => (None, "operator", order.at, "an operator's order".to_owned(), order.until),
            (None, Some(lock)) => {
                let reason = &lock.reason;
                let words = format!("{} by {}: {}", reason.code, reason.source.name(), reason.text);
                let after_trial = breaker.trial().map(|(_, until)| until.min(now.plus(TRIAL_NEWS)));
                let next = breaker.next_check().or(after_trial);
                (Some(reason.code), reason.source.name(), lock.since, words, next)
            }
            // Closed in the meantime: nothing holds it any more.
            (None, None) => (None, "operator", now, "closing".to_owned(), Some(now)),
        };
        let next_check = next.map(|next| next.since(now).as_millis().div_ceil(1000).max(1));
        let next_check = next_check.map(|seconds| u64::try_from(seconds).unwrap_or(u64::MAX));
        let outlook = match (next_check, order) {
            (Some(seconds), None) if breaker.trial().is_some() => {
                format!("A trial send is under way: look again in {seconds} s.")
            }
            (Some(seconds), None) => format!("Next check in {seconds} s."),
            (Some(seconds), Some(_)) => format!("The order ends in {seconds} s."),
            (None, _) => "Held until an operator lifts it.".to_owned(),
        };
        Self {
            state: breaker.shown(now),
            reason: format!("{}; source={source}", code.unwrap_or(ACCOUNT_LOCKED)),
            code,
            incident: breaker.incident().map(|incident| incident.id(id)),
            next_check,
            details: format!("Held back by sendfuse since {since} ({words}). {outlook}"),
        }
    }

    /// The JSON body. `request_id` makes `fbtrace_id` unique, and tells it from Meta's.
    pub fn body(&self, request_id: &str) -> Vec<u8> {
        let reply = Reply {
            message: "(#131031) Business Account locked",
            r#type: "OAuthException",
            code: ACCOUNT_LOCKED,
            details: &self.details,
            is_transient: false,
            request_id,
        };
        reply.body()
    }
}
