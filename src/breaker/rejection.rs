//! What a rejected caller is told: Graph's own shape, so that the handlers that an app has for 131031 fire.
//!
//! SDKs read the types: `code` must be a number, `error_data` an object, the status a 4xx.

use std::time::Duration;

use super::evidence::Source;
use super::scope::Scope;
use super::state::{Breaker, Lock, OverrideOrder, Shown};
use crate::graph::class::Class;
use crate::graph::error::{ACCOUNT_LOCKED, is_lock};
use crate::graph::health::Health;
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
    /// What the body says: the code and the title that Meta would answer.
    told: (i64, String),
    details: String,
}

impl Rejection {
    /// What a send of this class is told at `now`, if the breaker of this scope rejects it.
    pub fn of(breaker: &Breaker, scope: &Scope, class: Option<Class>, now: Timestamp) -> Self {
        let order = breaker.order_at(now).filter(|order| order.order == OverrideOrder::Open);
        // Before it no check, however clear, lets this send pass.
        let date = breaker.lock().and_then(|lock| lock.extent.waits_until(class, now));
        let (code, source, since, words, next) = match (order, breaker.lock()) {
            (Some(order), _) => (None, "operator", order.at, "an operator's order".to_owned(), order.until),
            (None, Some(lock)) => {
                let reason = &lock.reason;
                let mut words = format!("{} by {}: {}", reason.code, reason.source.name(), reason.text);
                if lock.extent.class().is_some() {
                    words = format!("{words}; {}", lock.extent);
                }
                let after_trial = breaker.trial().map(|(_, until)| until.min(now.plus(TRIAL_NEWS)));
                let next = date.or(breaker.next_check()).or(after_trial);
                (Some(reason.code), reason.source.name(), lock.since, words, next)
            }
            // Closed in the meantime: nothing holds it any more.
            (None, None) => (None, "operator", now, "closing".to_owned(), Some(now)),
        };
        let next_check = next.map(|next| next.since(now).as_millis().div_ceil(1000).max(1));
        let next_check = next_check.map(|seconds| u64::try_from(seconds).unwrap_or(u64::MAX));
        let outlook = match (next_check, order) {
            (Some(seconds), None) => match date {
                Some(date) => format!("Next check in {seconds} s. It is restricted until {date}."),
                None if breaker.trial().is_some() => {
                    format!("A trial send is under way: look again in {seconds} s.")
                }
                None => format!("Next check in {seconds} s."),
            },
            (Some(seconds), Some(_)) => format!("The order ends in {seconds} s."),
            (None, _) => "Held until an operator lifts it.".to_owned(),
        };
        let whose = match scope {
            Scope::Phone(_) => String::new(),
            Scope::Waba(id) => format!(" with all phones of the account {id}"),
            Scope::PhoneCountry(_, country) => format!(" with all messages to {country}"),
            Scope::Token(_) => " with all sends of its access token".to_owned(),
        };
        let diagnosis = breaker.lock().filter(|_| order.is_none()).map(diagnosed).unwrap_or_default();
        Self {
            state: breaker.shown(now),
            reason: format!("{}; source={source}", code.unwrap_or(ACCOUNT_LOCKED)),
            code,
            incident: breaker.incident().map(|incident| incident.id(&scope.id())),
            next_check,
            told: breaker.lock().filter(|_| order.is_none()).map_or_else(as_locked, told),
            details: format!("Held back by sendfuse{whose} since {since} ({words}).{diagnosis} {outlook}"),
        }
    }

    /// Whether a rule made it, and not a lock.
    pub const fn is_rule(&self) -> bool {
        self.told.0 != ACCOUNT_LOCKED
    }

    /// The JSON body. `request_id` makes `fbtrace_id` unique, and tells it from Meta's.
    pub fn body(&self, request_id: &str) -> Vec<u8> {
        let (code, title) = &self.told;
        let reply = Reply {
            message: &format!("(#{code}) {title}"),
            r#type: "OAuthException",
            code: *code,
            details: &self.details,
            is_transient: false,
            request_id,
        };
        reply.body()
    }
}

/// 131031, whoever found the lock; where a rule made another code one like it, that code in Meta's words.
fn told(lock: &Lock) -> (i64, String) {
    let reason = &lock.reason;
    match reason.source {
        Source::Response | Source::Webhook if !is_lock(reason.code) => (reason.code, reason.text.clone()),
        _ => as_locked(),
    }
}

fn as_locked() -> (i64, String) {
    (ACCOUNT_LOCKED, "Business Account locked".to_owned())
}

/// What the first health check found, with what Meta suggests.
fn diagnosed(lock: &Lock) -> String {
    let Some((at, health)) = &lock.diagnosis else { return String::new() };
    // What a health check has opened has said so already.
    let mut text = match lock.reason.source {
        Source::Probe => String::new(),
        _ => format!(" Health said at {at}: {health}."),
    };
    if let Health::Blocked(entities) = health {
        let errors = entities.iter().filter(|entity| entity.blocks).flat_map(|entity| &entity.errors);
        for solution in errors.filter_map(|error| error.possible_solution.as_deref()) {
            text.extend([" ", solution]);
        }
    }
    text
}
