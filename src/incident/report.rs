//! What became of the sends that enforce mode would have rejected.
//!
//! Each is in exactly one of three states: failed, delivered, or unknown. So the sum is always right.

use serde::{Deserialize, Serialize};

use crate::graph::ids::PhoneNumberId;
use crate::time::{Timestamp, rfc3339};

/// The would-be rejections of one phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// When the first one was.
    #[serde(with = "rfc3339")]
    pub since: Timestamp,
    /// When the last one was.
    #[serde(with = "rfc3339")]
    pub until: Timestamp,
    /// How they ended.
    #[serde(flatten)]
    pub sums: Sums,
}

/// How would-be rejections ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// With an error answer or a failed status, whatever the code.
    pub failed: u64,
    /// With `sent`, `delivered` or `read`, and no failure.
    pub delivered: u64,
    /// No word yet, or none that was heard.
    pub unknown: u64,
}

impl Sums {
    /// All of them.
    pub const fn total(&self) -> u64 {
        self.failed.saturating_add(self.delivered).saturating_add(self.unknown)
    }

    const fn plus(self, other: Self) -> Self {
        Self {
            failed: self.failed.saturating_add(other.failed),
            delivered: self.delivered.saturating_add(other.delivered),
            unknown: self.unknown.saturating_add(other.unknown),
        }
    }
}

impl Outcomes {
    /// None yet.
    pub fn begin(at: Timestamp) -> Self {
        Self { since: at, until: at, sums: Sums::default() }
    }

    /// A send passed that enforce mode would have rejected. What becomes of it is unknown.
    pub fn passed(&mut self, at: Timestamp) {
        self.until = self.until.max(at);
        self.sums.unknown = self.sums.unknown.saturating_add(1);
    }

    /// It was no send after all.
    pub fn withdrawn(&mut self) {
        self.sums.unknown = self.sums.unknown.saturating_sub(1);
    }

    /// One of which nothing was known was delivered.
    pub fn delivered(&mut self) {
        self.sums.unknown = self.sums.unknown.saturating_sub(1);
        self.sums.delivered = self.sums.delivered.saturating_add(1);
    }

    /// One failed; `was_delivered`: it had counted as delivered.
    pub fn failed(&mut self, was_delivered: bool) {
        let before = if was_delivered { &mut self.sums.delivered } else { &mut self.sums.unknown };
        *before = before.saturating_sub(1);
        self.sums.failed = self.sums.failed.saturating_add(1);
    }
}

/// What observe mode has seen: `GET /v1/report`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// When the first would-be rejection was; none: there was none.
    #[serde(with = "rfc3339::option")]
    pub since: Option<Timestamp>,
    /// Now, in observe mode; else when the last would-be rejection was.
    #[serde(with = "rfc3339::option")]
    pub until: Option<Timestamp>,
    /// All phones together.
    #[serde(serialize_with = "with_total")]
    pub would_reject: Sums,
    /// Each phone that had some, in the order of their ids.
    pub phones: Vec<ReportedPhone>,
}

/// One phone in a [`Report`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ReportedPhone {
    /// Which.
    pub id: PhoneNumberId,
    /// How its would-be rejections ended.
    #[serde(flatten, serialize_with = "with_total")]
    pub sums: Sums,
}

impl Report {
    /// Sums phones up. `now`: it goes on, until now.
    pub fn of(mut phones: Vec<(PhoneNumberId, Outcomes)>, now: Option<Timestamp>) -> Self {
        phones.retain(|(_, outcomes)| outcomes.sums.total() > 0);
        phones.sort_unstable_by_key(|(phone, _)| *phone);
        let since = phones.iter().map(|(_, outcomes)| outcomes.since).min();
        let last = phones.iter().map(|(_, outcomes)| outcomes.until).max();
        Self {
            since,
            until: since.and(now.or(last)),
            would_reject: phones.iter().fold(Sums::default(), |sums, (_, phone)| sums.plus(phone.sums)),
            phones: phones.into_iter().map(|(id, phone)| ReportedPhone { id, sums: phone.sums }).collect(),
        }
    }
}

fn with_total<S: serde::Serializer>(sums: &Sums, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Written {
        total: u64,
        failed: u64,
        delivered: u64,
        unknown: u64,
    }
    let Sums { failed, delivered, unknown } = *sums;
    Written { total: sums.total(), failed, delivered, unknown }.serialize(to)
}
