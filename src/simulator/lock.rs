//! How locks behave: of a phone, and of a whole WABA.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::answer::LOCKED;
use super::delay::Delay;
use super::health::Health;
use crate::graph::class::Class;

/// What a lock is like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "profile", rename_all = "snake_case")]
pub enum Profile {
    /// Sends are accepted and fail by webhook; health stays AVAILABLE.
    Async,
    /// Sends are answered 403 and the lock's code.
    Sync403,
    /// Sends are answered 400 and the lock's code.
    Sync400,
    /// The WABA is banned: sends are answered 403, health says BLOCKED (141014), nothing is delivered any more.
    Ban,
    /// As `Async`, but some messages get through.
    Intermittent {
        /// How many of 100 messages are delivered.
        delivered_percent: u8,
    },
    /// As `Async`, and every failure that came before the unlock comes once more after it, as it was.
    LateDuplicates {
        /// How long after the unlock.
        #[serde(with = "super::control::duration")]
        after: Duration,
    },
    /// A brand-new number, whose account is still under review: as `Async`, and its WABA says review PENDING. What else its
    /// health and its fields say is our guess: see the module's list.
    ReviewPending,
    /// As `Async`; after the unlock, messages fail for a while by 131047, which is no lock: the users' 24-hour windows have
    /// closed meanwhile. Templates need no window, and are delivered. The next lock ends it.
    ReengagementWave {
        /// For how long after the unlock.
        #[serde(with = "super::control::duration")]
        lasting: Duration,
        /// How many of 100 messages that are no templates go to a closed window.
        failed_percent: u8,
    },
}

impl Profile {
    /// A lock of this profile: 131031, of all messages, until it is ended.
    pub fn lock(self) -> Lock {
        self.into()
    }

    /// A lock of this profile, which tells its failures so long after it has accepted them.
    pub fn failing_after(self, delay: impl Into<Delay>) -> Lock {
        Lock { failures_after: Some(delay.into()), ..self.lock() }
    }
}

/// A lock: its profile, what it says, and which messages it holds. One replaces another of the same code, class and
/// calling code; others stand beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// What it is like.
    #[serde(flatten)]
    pub profile: Profile,
    /// From acceptance to `failed`; each message draws its own. `None`: as all other statuses.
    #[serde(default)]
    pub failures_after: Option<Delay>,
    /// What its failures say: 131031, or 368, 131048, 130497, …
    #[serde(default = "locked")]
    pub code: i64,
    /// Only messages of this class; `None`: all.
    #[serde(default)]
    pub class: Option<Class>,
    /// Only messages to numbers that begin so; `None`: all.
    #[serde(default)]
    pub calling_code: Option<String>,
    /// It ends by itself so long after it began. Nothing is said then, and nothing follows as after an unlock.
    #[serde(default, with = "super::control::optional_duration")]
    pub expires_after: Option<Duration>,
}

fn locked() -> i64 {
    LOCKED
}

impl From<Profile> for Lock {
    fn from(profile: Profile) -> Self {
        Self {
            profile,
            failures_after: None,
            code: LOCKED,
            class: None,
            calling_code: None,
            expires_after: None,
        }
    }
}

impl Lock {
    /// The same with another code.
    pub fn code(self, code: i64) -> Self {
        Self { code, ..self }
    }

    /// The same for messages of one class only.
    pub fn only(self, class: Class) -> Self {
        Self { class: Some(class), ..self }
    }

    /// The same for recipients whose number begins so.
    pub fn calling_code(self, digits: &str) -> Self {
        Self { calling_code: Some(digits.to_owned()), ..self }
    }

    /// The same, ending by itself.
    pub fn expiring_after(self, time: Duration) -> Self {
        Self { expires_after: Some(time), ..self }
    }
}

/// Why a WABA is locked. It decides what the fields of its nodes say, and a restriction which messages are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// `DISABLED_UPDATE` with `DISABLE`: the WABA says DISABLED, review REJECTED, and its phones BANNED.
    Disabled,
    /// `ACCOUNT_DELETED`.
    Deleted,
    /// `ACCOUNT_OFFBOARDED`.
    Offboarded,
    /// `account_review_update` with `REJECTED`: the WABA says review REJECTED.
    ReviewRejected,
    /// `ACCOUNT_RESTRICTION` of both classes.
    Restricted,
    /// `RESTRICTED_BIZ_INITIATED_MESSAGING`: templates and marketing messages fail.
    RestrictedBusinessInitiated,
    /// `RESTRICTED_CUSTOMER_INITIATED_MESSAGING`: all others fail.
    RestrictedCustomerInitiated,
}

impl Reason {
    /// A lock of a WABA for this reason.
    pub fn with(self, lock: impl Into<Lock>) -> AccountLock {
        AccountLock { reason: self, lock: lock.into(), health: None }
    }

    fn class(self) -> Option<Class> {
        match self {
            Self::RestrictedBusinessInitiated => Some(Class::BusinessInitiated),
            Self::RestrictedCustomerInitiated => Some(Class::CustomerInitiated),
            _ => None,
        }
    }
}

/// A lock of a WABA: of all its phones, those that come later included. One replaces another of the same reason as well
/// as code, class and calling code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountLock {
    /// Why.
    pub reason: Reason,
    /// How sends fail.
    #[serde(flatten)]
    pub lock: Lock,
    /// What health says of the WABA and its phones meanwhile. `None`: nothing of the lock, unless it is a
    /// [`Profile::Ban`].
    #[serde(default)]
    pub health: Option<Health>,
}

impl AccountLock {
    /// The same, seen by health.
    pub fn showing(self, health: Health) -> Self {
        Self { health: Some(health), ..self }
    }
}

/// A lock that was set.
pub(super) struct Held {
    pub(super) lock: Lock,
    /// Of a WABA's.
    pub(super) reason: Option<Reason>,
    health: Option<Health>,
    until: Option<Instant>,
}

impl From<Lock> for Held {
    fn from(lock: Lock) -> Self {
        // A time beyond all clocks never comes.
        let until = lock.expires_after.and_then(|time| Instant::now().checked_add(time));
        Self { lock, reason: None, health: None, until }
    }
}

impl From<AccountLock> for Held {
    fn from(AccountLock { reason, mut lock, health }: AccountLock) -> Self {
        lock.class = reason.class().or(lock.class);
        Self { reason: Some(reason), health, ..lock.into() }
    }
}

impl Held {
    pub(super) fn lives(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }

    /// Whether it holds a message.
    pub(super) fn holds(&self, class: Class, wa_id: Option<&str>) -> bool {
        let calling_code = self.lock.calling_code.as_deref();
        self.lock.class.is_none_or(|only| only == class)
            && calling_code.is_none_or(|begin| wa_id.is_some_and(|number| number.starts_with(begin)))
    }

    pub(super) fn replaces(&self, other: &Self) -> bool {
        let extent = |held: &Self| (held.reason, held.lock.code, held.lock.class);
        extent(self) == extent(other) && self.lock.calling_code == other.lock.calling_code
    }

    /// What health says while it lives, if it shows there.
    pub(super) fn shows(&self) -> Option<Health> {
        self.health.clone().or(match self.lock.profile {
            Profile::Ban => Some(Health::Banned),
            Profile::ReviewPending => Some(Health::LimitedWithErrors),
            _ => None,
        })
    }
}
