//! What a lock is said to be: of a phone, of a WABA.

use super::clauses::Clauses;
use super::parse::{Wrong, word};
use super::steps::{DELAY, health, named, time};
use crate::simulator::{AccountLock, Lock, Profile};

const PROFILE: &str = "a profile is async, sync403, sync400, ban, intermittent, late_duplicates, review_pending or reengagement_wave";
const OPTIONS: &str = "a lock may have `failures after DELAY`, `code 131048`, `only business_initiated` or `only customer_initiated`, \
    `to 55`, `expires after 30m`, a WABA's also `health HEALTH`; intermittent has `delivered 30%`, late_duplicates \
    `repeated after 10m`, reengagement_wave `lasting 10m` and `failed 80%`";
const REASON: &str = "a WABA is locked for disabled, deleted, offboarded, review_rejected, restricted, \
    restricted_business_initiated or restricted_customer_initiated";
const PERCENT: &str = "0% to 100%";

pub(super) fn lock(text: &str) -> Result<Lock, Wrong> {
    let (profile, mut clauses) = Clauses::read(text, OPTIONS);
    let lock = with(profile, &mut clauses)?;
    clauses.finish().map(|()| lock)
}

/// `REASON PROFILE`, and after commas the rest.
pub(super) fn account_lock(text: &str) -> Result<AccountLock, Wrong> {
    let (first, mut clauses) = Clauses::read(text, OPTIONS);
    let (reason, profile) = word(first);
    let reason = named(reason).ok_or((reason.to_owned(), REASON))?;
    let lock = with(profile, &mut clauses)?;
    let health = clauses.read_as("health", health)?;
    clauses.finish().map(|()| AccountLock { reason, lock, health })
}

fn with(name: &str, clauses: &mut Clauses<'_>) -> Result<Lock, Wrong> {
    let profile = match name {
        "async" => Profile::Async,
        "sync403" => Profile::Sync403,
        "sync400" => Profile::Sync400,
        "ban" => Profile::Ban,
        "review_pending" => Profile::ReviewPending,
        "intermittent" => Profile::Intermittent { delivered_percent: percent(clauses.needed("delivered")?)? },
        "late_duplicates" => Profile::LateDuplicates { after: time(clauses.needed("repeated after")?)? },
        "reengagement_wave" => Profile::ReengagementWave {
            lasting: time(clauses.needed("lasting")?)?,
            failed_percent: percent(clauses.needed("failed")?)?,
        },
        "" => return Err(("the profile that is missing".to_owned(), PROFILE)),
        _ => return Err((name.to_owned(), PROFILE)),
    };
    let option = |text: &str| (text.to_owned(), OPTIONS);
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let lock = profile.lock();
    Ok(Lock {
        failures_after: clauses
            .read_as("failures after", |text| text.parse().map_err(|_| (text.to_owned(), DELAY)))?,
        code: clauses.read_as("code", |text| text.parse().map_err(|_| option(text)))?.unwrap_or(lock.code),
        class: clauses.read_as("only", |text| named(text).ok_or_else(|| option(text)))?,
        calling_code: clauses.read_as("to", |text| {
            Some(text.to_owned()).filter(|text| digits(text)).ok_or_else(|| option(text))
        })?,
        expires_after: clauses.read_as("expires after", time)?,
        ..lock
    })
}

fn percent(text: &str) -> Result<u8, Wrong> {
    let number = text.strip_suffix('%').and_then(|number| number.parse().ok());
    number.filter(|number| *number <= 100).ok_or((text.to_owned(), PERCENT))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::graph::class::Class;
    use crate::simulator::{Delay, Health, Reason};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn every_lock_can_be_said() {
        let wave = Profile::ReengagementWave { lasting: SECOND * 600, failed_percent: 80 };
        for (text, expected) in [
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
            (
                "sync400, to 55, code 130497, expires after 1h",
                Profile::Sync400.lock().code(130_497).calling_code("55").expiring_after(SECOND * 3600),
            ),
            (
                "async, only business_initiated, code 131048",
                Profile::Async.lock().code(131_048).only(Class::BusinessInitiated),
            ),
        ] {
            assert_eq!(lock(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_lock_of_a_waba_has_a_reason() {
        let expected = Reason::RestrictedBusinessInitiated
            .with(Profile::Async.failing_after(SECOND).expiring_after(SECOND * 60))
            .showing(Health::Banned);
        let text = "restricted_business_initiated async, expires after 1m, health banned, failures after 1s";
        assert_eq!(account_lock(text), Ok(expected));
        assert_eq!(account_lock("disabled ban"), Ok(Reason::Disabled.with(Profile::Ban)));
        let wrong = |what: &str, rule| Err((what.to_owned(), rule));
        assert_eq!(account_lock("async"), wrong("async", REASON));
        assert_eq!(account_lock("disabled"), wrong("the profile that is missing", PROFILE));
        assert_eq!(lock("async, health banned"), Err(("health banned".to_owned(), OPTIONS)));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_rule() {
        const DURATION: &str = "a duration, as in 30s or 1m30s";
        for (text, what, rule) in [
            ("", "the profile that is missing", PROFILE),
            ("asink", "asink", PROFILE),
            ("async 2s", "async 2s", PROFILE),
            ("async, failures after soon", "soon", DELAY),
            ("async, failures after 30s..2s", "30s..2s", DELAY),
            ("async, failures after 1s, failures after 2s", "failures after 2s", OPTIONS),
            ("async, delivered 3%", "delivered 3%", OPTIONS),
            ("async,", "", OPTIONS),
            ("async, code many", "many", OPTIONS),
            ("async, only templates", "templates", OPTIONS),
            ("async, to +55", "+55", OPTIONS),
            ("async, expires after 1", "1", DURATION),
            ("intermittent", "intermittent", OPTIONS),
            ("intermittent, delivered 30", "30", PERCENT),
            ("intermittent, delivered 101%", "101%", PERCENT),
            ("late_duplicates, repeated after 1", "1", DURATION),
            ("reengagement_wave, lasting 1s", "reengagement_wave, lasting 1s", OPTIONS),
        ] {
            assert_eq!(lock(text), Err((what.to_owned(), rule)), "{text}");
        }
    }
}
