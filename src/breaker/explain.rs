//! What would close a breaker, in one sentence.

use super::policy::{NoWebhooks, Policy};
use super::state::{Breaker, ContradictionKind, Lock, OverrideOrder, Shown};
use crate::time::Timestamp;

/// The sentence. `heard`: whether a webhook ever came for this phone or its WABA.
pub fn closes_when(breaker: &Breaker, policy: &Policy, heard: bool, now: Timestamp) -> String {
    if let Some(order) = breaker.order_at(now) {
        let what = match order.order {
            OverrideOrder::Open => "held open",
            OverrideOrder::Bypass => "bypassed",
        };
        let end = match order.until {
            Some(until) => format!("at {until}, or when it is lifted"),
            None => "when it is lifted".to_owned(),
        };
        return format!("It is {what} by an order of {}; that ends {end}.", order.by);
    }
    match (breaker.shown(now), breaker.lock()) {
        (Shown::Open, Some(lock)) => {
            let next = breaker.next_check().unwrap_or(now);
            let then = match policy.half_open {
                true => format!(", and then {}", trials(policy, heard)),
                false => String::new(),
            };
            let token = match lock.no_token {
                Some(_) => {
                    " There is no token to probe with: configure one in probe.tokens, or let another call of this phone's pass."
                }
                None => "",
            };
            let date = match lock.extent.dates(now).max() {
                Some(date) if lock.extent.ends_by_dates() => {
                    return format!("Its time is over at {date}{then}.");
                }
                Some(date) => format!(" not before {date}, until when Meta restricts it,"),
                None => String::new(),
            };
            format!(
                "It closes{date} after a probe in which no entity blocks messaging (the next is due at {next}){then}.{token}{}",
                contradicted(lock)
            )
        }
        (Shown::HalfOpen, Some(lock)) => {
            let next = match breaker.trial() {
                Some((since, until)) => {
                    format!("one is under way since {since}, until {until} at the latest")
                }
                None => "the next send goes out as the trial".to_owned(),
            };
            format!("It closes after {}; {next}.{}", trials(policy, heard), contradicted(lock))
        }
        _ => "It is closed: sends flow.".to_owned(),
    }
}

fn contradicted(lock: &Lock) -> &'static str {
    match lock.contradiction.as_ref().map(|contradiction| contradiction.kind) {
        Some(ContradictionKind::ClearButFailing) => {
            " Health has called it clear before, and the trial failed: take that to Meta's support, for each further trial may lose a message."
        }
        Some(ContradictionKind::BlockedButDelivered) | None => "",
    }
}

fn trials(policy: &Policy, heard: bool) -> String {
    let count = match policy.trials_to_close {
        1 => "one trial send".to_owned(),
        count => format!("{count} trial sends"),
    };
    match (heard, policy.no_webhooks) {
        (false, NoWebhooks::Close) => {
            let grace = policy.trial_grace.as_secs();
            format!(
                "{count} delivered, or accepted without failure for {grace} s since no webhook ever came here"
            )
        }
        (false, NoWebhooks::Hold) => {
            format!("{count} delivered (no webhook ever came here, so check where Meta sends them)")
        }
        (true, _) => format!("{count} delivered"),
    }
}
