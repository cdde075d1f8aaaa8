//! How a locked phone behaves.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::delay::Delay;

/// What a lock is like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "profile", rename_all = "snake_case")]
pub enum Profile {
    /// Sends are accepted and fail by webhook; health stays AVAILABLE.
    Async,
    /// Sends are answered 403, 131031.
    Sync403,
    /// Sends are answered 400, 131031.
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

/// A lock: its profile, and when its failures are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// What it is like.
    #[serde(flatten)]
    pub profile: Profile,
    /// From acceptance to `failed`; each message draws its own. `None`: as all other statuses.
    #[serde(default)]
    pub failures_after: Option<Delay>,
}

impl From<Profile> for Lock {
    fn from(profile: Profile) -> Self {
        Self { profile, failures_after: None }
    }
}

impl Profile {
    /// A lock of this profile, which tells its failures so long after it has accepted them.
    pub fn failing_after(self, delay: impl Into<Delay>) -> Lock {
        Lock { profile: self, failures_after: Some(delay.into()) }
    }
}
