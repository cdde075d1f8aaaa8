//! What a step says: words, and after commas what belongs to them.

use serde::de::{DeserializeOwned, IntoDeserializer, value};

use super::parse::{Wrong, duration, phones, word};
use super::{Phones, Step, Timeline};
use crate::simulator::{Fault, FaultRule, Lock, Profile, Requests};

const STEP: &str = "a step is lock, unlock, statuses, health, fault, clear_faults or webhook";
const PROFILE: &str = "a profile is async, sync403, sync400, ban, intermittent, late_duplicates, review_pending or reengagement_wave";
const OPTIONS: &str = "a lock may have `failures after DELAY`; intermittent has `delivered 30%`, late_duplicates `repeated after 10m`, \
    reengagement_wave `lasting 10m` and `failed 80%`";
const PERCENT: &str = "0% to 100%";
const DURATION: &str = "a duration, as in 30s or 1m30s";
const DELAY: &str = "a duration, as in 2s, or a range, as in 200ms..30s";
const HEALTH: &str =
    "health is available, sip_blocked, payment_blocked, limited_with_errors, banned, not_linked or as_locked";
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
            Ok(Step::Lock(who(phones)?, lock(rest)?))
        }
        "unlock" => Ok(Step::Unlock(who(rest)?)),
        "statuses" => Ok(Step::Statuses(rest.parse().map_err(|_| (rest.to_owned(), DELAY))?)),
        "health" => {
            let (phones, health) = word(rest);
            let phones = who(phones)?;
            let health = match health {
                "as_locked" => None,
                // It has a value, which words cannot give.
                "custom" => return Err((health.to_owned(), HEALTH)),
                _ => Some(named(health).ok_or((health.to_owned(), HEALTH))?),
            };
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

fn all_or(text: &str, timeline: &Timeline) -> Result<Option<Phones>, Wrong> {
    if text == "all" { Ok(None) } else { phones(text, timeline).map(Some) }
}

/// One of the words that the switches over HTTP know, too.
fn named<T: DeserializeOwned>(word: &str) -> Option<T> {
    let deserializer: value::StrDeserializer<'_, value::Error> = word.into_deserializer();
    T::deserialize(deserializer).ok()
}

fn lock(text: &str) -> Result<Lock, Wrong> {
    let mut clauses = text.split(',').map(str::trim);
    let name = clauses.next().unwrap_or_default();
    let options: Vec<&str> = clauses.collect();
    let mut used = vec!["failures after"];
    // An option that the profile has to have.
    let mut needed = |option: &'static str| {
        used.push(option);
        let found = options.iter().find_map(|clause| value_of(clause, option));
        found.ok_or((text.to_owned(), OPTIONS))
    };
    let profile = match name {
        "async" => Profile::Async,
        "sync403" => Profile::Sync403,
        "sync400" => Profile::Sync400,
        "ban" => Profile::Ban,
        "review_pending" => Profile::ReviewPending,
        "intermittent" => Profile::Intermittent { delivered_percent: percent(needed("delivered")?)? },
        "late_duplicates" => Profile::LateDuplicates { after: time(needed("repeated after")?)? },
        "reengagement_wave" => Profile::ReengagementWave {
            lasting: time(needed("lasting")?)?,
            failed_percent: percent(needed("failed")?)?,
        },
        "" => return Err(("the profile that is missing".to_owned(), PROFILE)),
        _ => return Err((name.to_owned(), PROFILE)),
    };
    for (n, clause) in options.iter().enumerate() {
        let option = used.iter().find(|option| value_of(clause, option).is_some());
        let again = |option| options.iter().take(n).any(|earlier| value_of(earlier, option).is_some());
        if option.is_none_or(|option| again(option)) {
            return Err(((*clause).to_owned(), OPTIONS));
        }
    }
    let delay = options.iter().find_map(|clause| value_of(clause, "failures after"));
    let failures_after =
        delay.map(|delay| delay.parse().map_err(|_| (delay.to_owned(), DELAY))).transpose()?;
    Ok(Lock { profile, failures_after })
}

/// What follows the words of an option.
fn value_of<'a>(clause: &'a str, option: &str) -> Option<&'a str> {
    let rest = clause.strip_prefix(option)?;
    rest.starts_with(char::is_whitespace).then(|| rest.trim())
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

fn time(text: &str) -> Result<std::time::Duration, Wrong> {
    duration(text).ok_or((text.to_owned(), DURATION))
}

fn percent(text: &str) -> Result<u8, Wrong> {
    let number = text.strip_suffix('%').and_then(|number| number.parse().ok());
    number.filter(|number| *number <= 100).ok_or((text.to_owned(), PERCENT))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::simulator::{Delay, Encoding, Health};

    const SECOND: Duration = Duration::from_secs(1);

    fn step(text: &str) -> Result<Step, Wrong> {
        let timeline = Timeline::parse("phones some = 1 2").unwrap();
        read(text, &timeline)
    }

    fn one() -> Phones {
        Phones::Ids(vec!["1".into()])
    }

    #[test]
    fn every_lock_can_be_said() {
        let wave = Profile::ReengagementWave { lasting: SECOND * 600, failed_percent: 80 };
        for (text, lock) in [
            ("async", Profile::Async.into()),
            ("async, failures after 2s", Profile::Async.failing_after(SECOND * 2)),
            ("sync403", Profile::Sync403.into()),
            ("sync400", Profile::Sync400.into()),
            ("ban", Profile::Ban.into()),
            ("review_pending", Profile::ReviewPending.into()),
            ("intermittent, delivered 30%", Profile::Intermittent { delivered_percent: 30 }.into()),
            ("late_duplicates,repeated after 10m", Profile::LateDuplicates { after: SECOND * 600 }.into()),
            ("reengagement_wave, failed 80%, lasting 10m", wave.clone().into()),
            (
                "reengagement_wave, lasting 10m, failures after 200ms..30s, failed 80%",
                wave.failing_after(Delay::between(SECOND / 5, SECOND * 30)),
            ),
        ] {
            assert_eq!(step(&format!("lock 1 {text}")), Ok(Step::Lock(one(), lock)), "{text}");
        }
        let named = Step::Lock(Phones::Named("some".into()), Profile::Async.into());
        assert_eq!(step("lock some async"), Ok(named));
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
            ("lock 1", "the profile that is missing", PROFILE),
            ("lock 1 asink", "asink", PROFILE),
            ("lock 1 async 2s", "async 2s", PROFILE),
            ("lock 1 async, failures after soon", "soon", DELAY),
            ("lock 1 async, failures after 30s..2s", "30s..2s", DELAY),
            ("lock 1 async, failures after 1s, failures after 2s", "failures after 2s", OPTIONS),
            ("lock 1 async, delivered 3%", "delivered 3%", OPTIONS),
            ("lock 1 async,", "", OPTIONS),
            ("lock 1 intermittent", "intermittent", OPTIONS),
            ("lock 1 intermittent, delivered 30", "30", PERCENT),
            ("lock 1 intermittent, delivered 101%", "101%", PERCENT),
            ("lock 1 late_duplicates, repeated after 1", "1", DURATION),
            ("lock 1 reengagement_wave, lasting 1s", "reengagement_wave, lasting 1s", OPTIONS),
            ("statuses", "", DELAY),
            ("health 1", "", HEALTH),
            ("health 1 custom", "custom", HEALTH),
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
