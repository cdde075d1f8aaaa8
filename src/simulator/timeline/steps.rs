//! What a step says: words, and after commas what belongs to them.

use serde::de::{DeserializeOwned, IntoDeserializer, value};

use super::parse::{Wrong, duration, phones, word};
use super::{Phones, Step, Timeline, events, locks};
use crate::simulator::{Fault, FaultRule, Health, Requests};

const STEP: &str = "a step is lock, unlock, lock_waba, unlock_waba, wabas, statuses, health, fault, clear_faults, revoke_token, \
    restore_token, event or webhook";
const DURATION: &str = "a duration, as in 30s or 1m30s";
pub(super) const DELAY: &str = "a duration, as in 2s, or a range, as in 200ms..30s";
const HEALTH: &str = "health is available, sip_blocked, app_sip_blocked, payment_blocked, limited_with_errors, banned, \
    banned_unpaid, not_linked, `blocked ENTITY CODE` or as_locked";
const WABAS: &str = "wabas is `wabas WHO N`, N phones in each";
const TOKEN: &str = "a token is one word";
const FAULT: &str = "a fault is stall, reset, half_body, delay DURATION, encoding NAME, chunked SIZE…, status CODE, \
    code_as_string or error STATUS CODE";
const LIMITS: &str = "a fault may be `on sends`, `on probes` or `on others`, and `times N`";
const WEBHOOK: &str = "a webhook is the id of a WABA, a field and its value as JSON";

pub(super) fn read(text: &str, timeline: &Timeline) -> Result<Step, Wrong> {
    let (verb, rest) = word(text);
    let who = |text| phones(text, timeline);
    match verb {
        "lock" => {
            let (phones, rest) = word(rest);
            Ok(Step::Lock(who(phones)?, locks::lock(rest)?))
        }
        "unlock" => Ok(Step::Unlock(who(rest)?)),
        "lock_waba" => {
            let (phones, rest) = word(rest);
            Ok(Step::LockWaba(who(phones)?, locks::account_lock(rest)?))
        }
        "unlock_waba" => Ok(Step::UnlockWaba(who(rest)?)),
        "wabas" => {
            let (phones, each) = word(rest);
            let each = each.parse().ok().filter(|each| *each > 0).ok_or((rest.to_owned(), WABAS))?;
            Ok(Step::Wabas(who(phones)?, each))
        }
        "revoke_token" => Ok(Step::RevokeToken(token(rest)?)),
        "restore_token" => Ok(Step::RestoreToken(token(rest)?)),
        "event" => {
            let (phones, rest) = word(rest);
            Ok(Step::Event(who(phones)?, events::event(rest)?))
        }
        "statuses" => Ok(Step::Statuses(rest.parse().map_err(|_| (rest.to_owned(), DELAY))?)),
        "health" => {
            let (phones, text) = word(rest);
            let phones = who(phones)?;
            let health = if text == "as_locked" { None } else { Some(health(text)?) };
            Ok(Step::Health(phones, health))
        }
        "fault" => {
            let (phones, rest) = word(rest);
            Ok(Step::Fault(all_or(phones, timeline)?, fault(rest)?))
        }
        "clear_faults" => Ok(Step::ClearFaults(all_or(rest, timeline)?)),
        "webhook" => webhook(rest).ok_or((rest.to_owned(), WEBHOOK)),
        _ => Err((verb.to_owned(), STEP)),
    }
}

/// What health says: a word, or `blocked ENTITY CODE`.
pub(super) fn health(text: &str) -> Result<Health, Wrong> {
    let wrong = || (text.to_owned(), HEALTH);
    match word(text) {
        ("blocked", rest) => {
            let (entity, code) = word(rest);
            let (entity, code) = (named(entity), code.parse().ok());
            entity.zip(code).map(|(entity, code)| Health::Blocked { entity, code }).ok_or_else(wrong)
        }
        // It has a value, which words cannot give.
        ("custom", _) => Err(wrong()),
        _ => named(text).ok_or_else(wrong),
    }
}

fn token(text: &str) -> Result<String, Wrong> {
    match word(text) {
        ("", _) => Err((text.to_owned(), TOKEN)),
        (token, "") => Ok(token.to_owned()),
        _ => Err((text.to_owned(), TOKEN)),
    }
}

fn all_or(text: &str, timeline: &Timeline) -> Result<Option<Phones>, Wrong> {
    if text == "all" { Ok(None) } else { phones(text, timeline).map(Some) }
}

/// One of the words that the switches over HTTP know, too.
pub(super) fn named<T: DeserializeOwned>(word: &str) -> Option<T> {
    let deserializer: value::StrDeserializer<'_, value::Error> = word.into_deserializer();
    T::deserialize(deserializer).ok()
}

fn fault(text: &str) -> Result<FaultRule, Wrong> {
    let mut clauses = text.split(',').map(str::trim);
    let what = clauses.next().unwrap_or_default();
    let (name, rest) = word(what);
    let wrong = || (what.to_owned(), FAULT);
    let fault = match (name, rest) {
        ("stall", "") => Fault::Stall,
        ("reset", "") => Fault::Reset,
        ("half_body", "") => Fault::HalfBody,
        ("code_as_string", "") => Fault::CodeAsString,
        ("delay", rest) => Fault::Delay { delay: time(rest)? },
        ("encoding", rest) => Fault::Encoding { encoding: named(rest).ok_or_else(wrong)? },
        ("chunked", rest) if !rest.is_empty() => Fault::Chunked {
            sizes: rest.split_whitespace().map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?,
        },
        ("status", rest) => Fault::Status { status: rest.parse().map_err(|_| wrong())? },
        ("error", rest) => {
            let (status, code) = word(rest);
            Fault::Error {
                status: status.parse().map_err(|_| wrong())?,
                code: code.parse().map_err(|_| wrong())?,
            }
        }
        _ => return Err(wrong()),
    };
    let mut rule = FaultRule { phone: None, on: Requests::Any, times: None, fault };
    for clause in clauses {
        let wrong = || (clause.to_owned(), LIMITS);
        match word(clause) {
            ("on", kind) if rule.on == Requests::Any => rule.on = named(kind).ok_or_else(wrong)?,
            ("times", times) if rule.times.is_none() => {
                rule.times = Some(times.parse().map_err(|_| wrong())?);
            }
            _ => return Err(wrong()),
        }
    }
    Ok(rule)
}

fn webhook(text: &str) -> Option<Step> {
    let (waba, rest) = word(text);
    let (field, value) = word(rest);
    let waba = waba.bytes().all(|b| b.is_ascii_digit()).then(|| waba.to_owned())?;
    let value = serde_json::from_str(value).ok()?;
    Some(Step::Webhook { waba, field: field.to_owned(), value })
}

pub(super) fn time(text: &str) -> Result<std::time::Duration, Wrong> {
    duration(text).ok_or((text.to_owned(), DURATION))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::simulator::{Delay, Encoding, Entity};

    const SECOND: Duration = Duration::from_secs(1);

    fn step(text: &str) -> Result<Step, Wrong> {
        let timeline = Timeline::parse("phones some = 1 2").unwrap();
        read(text, &timeline)
    }

    fn one() -> Phones {
        Phones::Ids(vec!["1".into()])
    }

    #[test]
    fn every_other_step_can_be_said() {
        let rule = |fault| FaultRule { phone: None, on: Requests::Any, times: None, fault };
        let fault = |fault| Step::Fault(Some(one()), rule(fault));
        for (text, expected) in [
            ("unlock 1", Step::Unlock(one())),
            ("statuses 2s", Step::Statuses((SECOND * 2).into())),
            ("statuses 1s..30s", Step::Statuses(Delay::between(SECOND, SECOND * 30))),
            ("health 1 sip_blocked", Step::Health(one(), Some(Health::SipBlocked))),
            ("health 1 as_locked", Step::Health(one(), None)),
            (
                "health 1 blocked PHONE_NUMBER 141099",
                Step::Health(one(), Some(Health::Blocked { entity: Entity::PhoneNumber, code: 141_099 })),
            ),
            ("unlock_waba 1", Step::UnlockWaba(one())),
            ("wabas 1 10", Step::Wabas(one(), 10)),
            ("revoke_token EAAx", Step::RevokeToken("EAAx".into())),
            ("restore_token EAAx", Step::RestoreToken("EAAx".into())),
            ("fault 1 stall", fault(Fault::Stall)),
            ("fault 1 reset", fault(Fault::Reset)),
            ("fault 1 half_body", fault(Fault::HalfBody)),
            ("fault 1 delay 2s", fault(Fault::Delay { delay: SECOND * 2 })),
            ("fault 1 encoding gzip", fault(Fault::Encoding { encoding: Encoding::Gzip })),
            ("fault 1 chunked 1 20", fault(Fault::Chunked { sizes: vec![1, 20] })),
            ("fault 1 status 200", fault(Fault::Status { status: 200 })),
            ("fault 1 code_as_string", fault(Fault::CodeAsString)),
            (
                "fault all error 401 190, on probes, times 3",
                Step::Fault(
                    None,
                    FaultRule {
                        on: Requests::Probes,
                        times: Some(3),
                        ..rule(Fault::Error { status: 401, code: 190 })
                    },
                ),
            ),
            ("clear_faults 1", Step::ClearFaults(Some(one()))),
            ("clear_faults all", Step::ClearFaults(None)),
            (
                "webhook 8 account_update {\"event\": \"X\"}",
                Step::Webhook {
                    waba: "8".into(),
                    field: "account_update".into(),
                    value: json!({"event": "X"}),
                },
            ),
        ] {
            assert_eq!(step(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_rule() {
        for (text, what, rule) in [
            ("", "", STEP),
            ("luck 1 async", "luck", STEP),
            ("statuses", "", DELAY),
            ("health 1", "", HEALTH),
            ("health 1 custom", "custom", HEALTH),
            ("health 1 blocked WABA", "blocked WABA", HEALTH),
            ("health 1 blocked NOBODY 1", "blocked NOBODY 1", HEALTH),
            ("wabas 1 0", "1 0", WABAS),
            ("wabas 1", "1", WABAS),
            ("revoke_token", "", TOKEN),
            ("restore_token a b", "a b", TOKEN),
            ("fault 1", "", FAULT),
            ("fault 1 stall 2s", "stall 2s", FAULT),
            ("fault 1 delay", "", DURATION),
            ("fault 1 encoding rar", "encoding rar", FAULT),
            ("fault 1 chunked", "chunked", FAULT),
            ("fault 1 chunked x", "chunked x", FAULT),
            ("fault 1 error 401", "error 401", FAULT),
            ("fault 1 stall, on fire", "on fire", LIMITS),
            ("fault 1 stall, times many", "times many", LIMITS),
            ("fault 1 stall, times 1, times 2", "times 2", LIMITS),
            ("fault 1 stall, now", "now", LIMITS),
            ("webhook 8 x", "8 x", WEBHOOK),
            ("webhook x y {}", "x y {}", WEBHOOK),
        ] {
            assert_eq!(step(text), Err((what.to_owned(), rule)), "{text}");
        }
        for text in ["lock all async", "unlock some more", "unlock all", "fault none stall"] {
            assert!(step(text).is_err(), "{text}");
        }
    }
}
