//! What would close a breaker, in one sentence.

use super::policy::{NoWebhooks, Policy};
use super::scope::ScopeKind;
use super::state::{Breaker, ContradictionKind, Lock, OverrideOrder, Shown};
use crate::time::Timestamp;

/// The sentence. `kind`: of what scope the breaker is; `heard`: whether a webhook ever came for this phone or its WABA.
pub fn closes_when(
    breaker: &Breaker,
    kind: ScopeKind,
    policy: &Policy,
    heard: bool,
    now: Timestamp,
) -> String {
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
                true => format!(", and then {}", trials(kind, policy, heard)),
                false => String::new(),
            };
            let date = match lock.extent.dates(now).max() {
                Some(date) if lock.extent.ends_by_dates() => {
                    return format!("Its time is over at {date}{then}.{}", replaced(kind));
                }
                Some(date) if lock.extent.is_restricted() => {
                    format!(" not before {date}, until when Meta restricts it,")
                }
                Some(date) => format!(" not before {date}"),
                None => String::new(),
            };
            let finds = match kind {
                ScopeKind::Token => "that Meta answers",
                _ => "in which no entity blocks messaging",
            };
            format!(
                "It closes{date} after a probe {finds} (the next is due at {next}){then}.{}{}{}",
                replaced(kind),
                no_token(kind, lock),
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
            let trials = trials(kind, policy, heard);
            format!("It closes after {trials}; {next}.{}{}", replaced(kind), contradicted(lock))
        }
        _ => "It is closed: sends flow.".to_owned(),
    }
}

/// What ends a token's at once, whatever is known of the token.
const fn replaced(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::Token => " It also closes when Meta lets another access token pass on the number.",
        ScopeKind::Phone | ScopeKind::Waba | ScopeKind::PhoneCountry => "",
    }
}

/// Why the last probe has learned nothing, if there was no token for it; a token's is made with that token itself.
const fn no_token(kind: ScopeKind, lock: &Lock) -> &'static str {
    match (lock.no_token, kind) {
        (None, _) => "",
        (Some(_), ScopeKind::Token) => " Meta refuses it still, or it is no longer at hand to ask with.",
        (Some(_), ScopeKind::Waba) => {
            " There is no token to probe with: configure one in probe.tokens, or let another call of one of its phones pass."
        }
        (Some(_), ScopeKind::Phone | ScopeKind::PhoneCountry) => {
            " There is no token to probe with: configure one in probe.tokens, or let another call of this phone's pass."
        }
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

fn trials(kind: ScopeKind, policy: &Policy, heard: bool) -> String {
    let count = match policy.trials_to_close {
        1 => "one trial send".to_owned(),
        count => format!("{count} trial sends"),
    };
    if kind == ScopeKind::Token {
        // That Meta takes it proves the token; what becomes of the message does not matter.
        return format!("{count} accepted");
    }
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
