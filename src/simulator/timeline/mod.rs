//! What Meta does when, as a text that people can read.
//!
//! ```text
//! # From a # at the beginning of a line or after a blank, the rest is a comment.
//! phones locked = 106540352242922 206540352242000..206540352242008
//!
//! at 0s    statuses 200ms..30s
//! at 5s    lock locked async, failures after 2s
//! at 60s   health 106540352242922 sip_blocked
//! at 1m5s  unlock locked
//! ```
//!
//! One step a line. Times count from the start and do not go back; steps of the same time happen in their order. `phones`
//! names a set of phones; whoever plays the timeline may put others in its place ([`Timeline::with_phones`]). WHO is a phone
//! number id, a range of ids as above, or such a name; where a step is about a WABA, its own id will do.
//!
//! | step | |
//! |---|---|
//! | `lock WHO PROFILE` | `async`, `sync403`, `sync400`, `ban`, `review_pending`, see [`Profile`](super::Profile) |
//! | `lock WHO intermittent, delivered 30%` | |
//! | `lock WHO late_duplicates, repeated after 10m` | |
//! | `lock WHO reengagement_wave, lasting 10m, failed 80%` | |
//! | `lock … , failures after DELAY` | of any profile: a duration, or a range as `200ms..30s` |
//! | `lock … , code 131048` | the code of its failures, for instance 368, 130497 or 131042; 131031 if none is given |
//! | `lock … , only business_initiated` | or `customer_initiated`: holds messages of this class |
//! | `lock … , to 55` | holds messages to numbers that begin so |
//! | `lock … , expires after 30m` | ends by itself, and nobody says so |
//! | `unlock WHO` | all its locks |
//! | `lock_waba WHO REASON PROFILE, …` | all phones of WHO's WABAs, for `disabled`, `deleted`, `offboarded`, `review_rejected`, `restricted`, `restricted_business_initiated`, `restricted_customer_initiated`; options as of `lock`, and `health HEALTH`, see [`AccountLock`](super::AccountLock) |
//! | `unlock_waba WHO` | all locks of WHO's WABAs |
//! | `wabas WHO 10` | makes WHO, ten phones in each of as many WABAs as that takes |
//! | `statuses DELAY` | how long the statuses of all other messages take |
//! | `health WHO HEALTH` | `available`, `sip_blocked`, `payment_blocked`, `app_sip_blocked`, `limited_with_errors`, `banned`, `banned_unpaid`, `not_linked`, `blocked ENTITY CODE`; `as_locked` follows the lock again |
//! | `fault WHO FAULT` | `stall`, `reset`, `half_body`, `delay 2s`, `encoding gzip`, `chunked 1 2 3`, `status 200`, `code_as_string`, `error 401 190`; WHO may be `all` |
//! | `fault … , on KIND, times 3` | only `sends`, `probes` or `others`; only so often |
//! | `clear_faults WHO` | WHO may be `all` |
//! | `revoke_token TOKEN`, `restore_token TOKEN` | every call with it is answered 190 meanwhile |
//! | `event WHO EVENT` | an account event of WHO's WABAs: `disabled`, `restricted_business_initiated`, `review_rejected`, … see [`News`](super::News) |
//! | `event … , expires after 30m` | when its restrictions end |
//! | `event … , older by 10m` | it happened so long ago |
//! | `event … , ban_state list, expiration iso, entry_id partner, phone_number display, entry_first` | other ways to write it, see [`Shape`](super::Shape) |
//! | `event … , via URL HEADER SECRET` | brought by a forwarder, who signs it so |
//! | `webhook WABA FIELD JSON` | any other webhook of an account |
//!
//! | file | subject |
//! |---|---|
//! | `parse` | lines, names, times |
//! | `steps`, `locks`, `events`, `clauses` | what a step says |
//! | `play` | doing it |
//! | `shipped` | the timelines that come with sendfuse |

mod clauses;
mod events;
mod locks;
mod parse;
mod play;
mod shipped;
mod steps;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{AccountLock, Delay, Event, FaultRule, Health, Lock};

pub(super) use parse::range;
pub use shipped::SHIPPED;

/// A script for the simulated Meta. [`Simulator::play`](super::Simulator::play) has it happen.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    phones: BTreeMap<String, Vec<String>>,
    /// In the order of their times.
    moments: Vec<Moment>,
}

/// What happens at one time.
#[derive(Clone, Debug, PartialEq)]
struct Moment {
    at: Duration,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Lock(Phones, Lock),
    Unlock(Phones),
    LockWaba(Phones, AccountLock),
    UnlockWaba(Phones),
    /// So many phones in each.
    Wabas(Phones, usize),
    Statuses(Delay),
    Health(Phones, Option<Health>),
    /// Without phones: on all.
    Fault(Option<Phones>, FaultRule),
    ClearFaults(Option<Phones>),
    RevokeToken(String),
    RestoreToken(String),
    Event(Phones, Event),
    Webhook {
        waba: String,
        field: String,
        value: Value,
    },
}

/// Whom a step is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phones {
    Ids(Vec<String>),
    Named(String),
}

/// A line that says nothing we know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: `{what}`: {rule}")]
pub struct TimelineError {
    /// Which one; the first is 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
    /// What should be there.
    pub rule: &'static str,
}

/// A timeline has no phones of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the timeline names no phones `{0}`")]
pub struct UnknownPhones(pub String);

impl Timeline {
    /// Reads a timeline. Errors: the first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, TimelineError> {
        parse::parse(text)
    }

    /// The same with other phones under a name. Errors: it names none so.
    pub fn with_phones(
        mut self,
        name: &str,
        ids: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, UnknownPhones> {
        let named = self.phones.get_mut(name).ok_or_else(|| UnknownPhones(name.to_owned()))?;
        *named = ids.into_iter().map(Into::into).collect();
        Ok(self)
    }

    /// The phones under a name; none if it names none so.
    pub fn phones(&self, name: &str) -> &[String] {
        self.phones.get(name).map_or(&[], Vec::as_slice)
    }

    /// Cut at each of its times: timelines that happen at once. For whoever goes on by what has come to pass, not by the clock.
    pub fn moments(self) -> impl Iterator<Item = Self> {
        let phones = self.phones;
        self.moments.into_iter().map(move |moment| Self {
            phones: phones.clone(),
            moments: vec![Moment { at: Duration::ZERO, ..moment }],
        })
    }

    /// From the start to the last step.
    pub fn length(&self) -> Duration {
        self.moments.last().map_or(Duration::ZERO, |moment| moment.at)
    }
}
