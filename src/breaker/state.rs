//! What a breaker is: variants that own their data, and what can be read off them. [`super::machine`] moves them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::Topic;
use super::evidence::{About, Reason};
use super::extent::Extent;
use super::machine::Locks;
use super::policy::Policy;
use crate::graph::class::Class;
use crate::graph::health::Health;
use crate::graph::ids::WamidKey;
use crate::time::Timestamp;

/// Counts a breaker's transitions. Only what was never opened is at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    pub(super) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Names one probe or one trial of a breaker; its outcome counts only while it is the current one. 0 names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lease(pub u64);

/// How long a closed breaker's generation is remembered: Meta retries webhooks for seven days.
const REMEMBERED: Duration = Duration::from_secs(8 * 24 * 3600);

/// The state machine of one scope. Serialised, it is what the store keeps; permits and leases die with the process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Breaker {
    pub(super) generation: Generation,
    pub(super) fence: Option<Fence>,
    pub(super) order: Option<Box<Override>>,
    pub(super) state: State,
    /// When its generation grew last.
    #[serde(default)]
    pub(super) stepped: Timestamp,
    /// What it is held for, from the step that took it out of plainly closed to the one that leads back.
    #[serde(default)]
    pub(super) incident: Option<IncidentStart>,
    /// How far Meta's account events have been heard: an older one is late news.
    #[serde(default)]
    pub(super) account: AccountDates,
    #[serde(skip)]
    pub(super) leases: u64,
}

/// Meta's dates of the newest account events, by topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AccountDates([Option<Timestamp>; 4]);

impl AccountDates {
    pub(super) const fn get(&self, topic: Topic) -> Option<Timestamp> {
        let Self([ban, restrictions, review, membership]) = self;
        *match topic {
            Topic::Ban => ban,
            Topic::Restrictions => restrictions,
            Topic::Review => review,
            Topic::Membership => membership,
        }
    }

    pub(super) fn set(&mut self, topic: Topic, dated: Timestamp) {
        let Self([ban, restrictions, review, membership]) = self;
        let newest = match topic {
            Topic::Ban => ban,
            Topic::Restrictions => restrictions,
            Topic::Review => review,
            Topic::Membership => membership,
        };
        *newest = (*newest).max(Some(dated));
    }

    fn newest(&self) -> Timestamp {
        self.0.iter().flatten().copied().max().unwrap_or_default()
    }
}

/// Where the last close or reset stands: what is not newer is late news.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// The generation that the close made.
    pub generation: Generation,
    /// When it was.
    pub at: Timestamp,
    /// Where the back-off goes on if a trip follows soon.
    pub attempt: u32,
    /// Health said blocked when it closed: messages or an operator knew better, so only after a clear answer is a block
    /// news again.
    #[serde(default)]
    pub outlived_block: bool,
    /// The contradiction that it closed with: messages were delivered though health said blocked.
    #[serde(default)]
    pub contradiction: Option<Box<Contradiction>>,
}

/// Names an incident: the step that began it. Neither generations nor seconds of one scope repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentStart {
    /// The generation that the step made.
    pub generation: Generation,
    /// When it was.
    pub at: Timestamp,
}

impl IncidentStart {
    /// The incident's id, for the phone or WABA `id`: `106540352242922-1-1777629600`.
    pub fn id(&self, id: &str) -> String {
        format!("{id}-{}-{}", self.generation.0, self.at.millis() / 1000)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Closed(#[serde(skip)] Strikes),
    Open(Box<Open>),
    HalfOpen(Box<HalfOpen>),
}

impl Default for State {
    fn default() -> Self {
        Self::Closed(Strikes::default())
    }
}

/// Evidence that was not yet enough to trip.
#[derive(Clone, Debug, Default)]
pub(super) struct Strikes {
    /// With their codes.
    pub(super) keys: Vec<(i64, Option<WamidKey>)>,
    pub(super) last: Timestamp,
}

/// What open and half-open have in common: the incident.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lock {
    /// Why it holds what it holds: the word that tripped it, or the last one that widened it.
    pub reason: Reason,
    /// What it holds.
    #[serde(default)]
    pub extent: Extent,
    /// What the first probe that was answered found: who blocks, and why.
    #[serde(default)]
    pub diagnosis: Option<(Timestamp, Health)>,
    /// When it tripped.
    pub since: Timestamp,
    /// The generation that the trip made; with `since` it names the incident.
    pub generation: Generation,
    /// Probes since, and what the last one found.
    pub probes: u64,
    /// What the last probe found.
    pub health: Option<(Timestamp, Health)>,
    /// Trials since.
    pub trials: u64,
    /// Health and messages say opposite things.
    pub contradiction: Option<Box<Contradiction>>,
    /// Since when there has been no token to probe with.
    pub no_token: Option<Timestamp>,
    pub(super) attempt: u32,
    /// Messages that met the lock: whatever is said of them beside, they prove nothing.
    #[serde(skip)]
    pub(super) failed: Vec<WamidKey>,
}

/// Health and messages say opposite things. No waiting helps; it is for Meta's support to say which is right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    /// Which of them says that it is locked.
    pub kind: ContradictionKind,
    /// When it was first so.
    pub since: Timestamp,
    /// How often since.
    pub count: u64,
    /// What health said last.
    pub health: Said,
    /// What a message said against it last.
    pub message: Said,
}

/// The two ways to disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContradictionKind {
    /// Health is clear, and trials fail with the lock.
    ClearButFailing,
    /// Health is blocked, and messages are delivered.
    BlockedButDelivered,
}

/// A piece of evidence in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// When we learned it.
    pub at: Timestamp,
    /// What it said.
    pub text: String,
}

/// Both sides, with their times.
impl std::fmt::Display for Contradiction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { health, message, .. } = self;
        write!(f, "health said at {}: {}; but at {}: {}", health.at, health.text, message.at, message.text)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) lock: Lock,
    pub(super) entered: Generation,
    pub(super) entered_at: Timestamp,
    pub(super) next_check: Timestamp,
    /// Until then nothing leads to half-open, not even a delivery: where it has just failed to recover, it waits as the
    /// back-off says. This is what bounds the transitions of an hour.
    #[serde(default)]
    pub(super) backs_off_until: Timestamp,
    #[serde(skip)]
    pub(super) probe: Option<Probe>,
    /// The message of a delivery that came while it backs off; it counts when that is over.
    #[serde(skip)]
    pub(super) delivered: Option<Delivered>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Delivered {
    pub(super) key: Option<WamidKey>,
    /// Whether it was accepted since it opened, beyond doubt.
    pub(super) is_sure: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    pub(super) lease: Lease,
    pub(super) until: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct HalfOpen {
    pub(super) lock: Lock,
    pub(super) entered: Generation,
    pub(super) entered_at: Timestamp,
    pub(super) confirmed: u32,
    /// The message whose delivery led here from open, if one did.
    #[serde(skip)]
    pub(super) led_by: Option<WamidKey>,
    #[serde(skip)]
    pub(super) trial: Option<Trial>,
    /// Messages of this half-open's trials that are not confirmed yet, oldest first, with the permits they went out by.
    #[serde(skip)]
    pub(super) trial_keys: Vec<(WamidKey, Lease)>,
    /// Messages that confirmed a trial: what follows of them is no other trial's.
    #[serde(skip)]
    pub(super) counted: Vec<WamidKey>,
    /// Statuses of unknown messages that came while a trial's answer was on its way: they may be the trial's.
    #[serde(skip)]
    pub(super) early: Vec<(WamidKey, Early)>,
}

#[derive(Clone, Debug)]
pub(super) enum Early {
    Proof,
    Lock(Locks),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    pub(super) lease: Lease,
    pub(super) started: Timestamp,
    pub(super) until: Timestamp,
    pub(super) accepted: Option<Accepted>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Accepted {
    pub(super) at: Timestamp,
    /// An encrypted answer names no message: then the next status of an unknown one is taken for the trial's.
    pub(super) nameless: bool,
}

/// An operator's standing order; automation goes on beneath it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// What.
    pub order: OverrideOrder,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
    /// Until when; `None` until it is lifted.
    pub until: Option<Timestamp>,
}

/// The orders that stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverrideOrder {
    /// Reject all.
    Open,
    /// Admit all.
    Bypass,
}

/// A state as it is shown: an override hides what is beneath.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// Sends flow.
    Closed,
    /// Sends are rejected.
    Open,
    /// Trials only.
    HalfOpen,
    /// Held open by an operator.
    ForcedOpen,
    /// Let through by an operator.
    Bypassed,
}

impl Shown {
    /// All of them, in the order of [`Shown::index`].
    pub const ALL: [Self; 5] = [Self::Closed, Self::Open, Self::HalfOpen, Self::ForcedOpen, Self::Bypassed];

    /// As the admin API and the metrics write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::Bypassed => "bypassed",
        }
    }

    /// Its place in [`Shown::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What the gate does with a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Let it through.
    Forward,
    /// Let it through as the trial, if [`Breaker::begin_trial`] gives it the permit.
    Trial,
    /// Answer it here.
    Reject,
}

impl Breaker {
    /// Where it stands.
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// What a send of this class meets at `now`; one of an unknown class is held if any class is. Reads only: nothing is counted, and
    /// no permit is taken.
    pub fn admit(&self, class: Option<Class>, now: Timestamp) -> Admission {
        let flows = self.lock().is_none_or(|lock| !lock.extent.holds(class));
        let free = match &self.state {
            _ if flows => Admission::Forward,
            State::Closed(_) => Admission::Forward,
            State::Open(_) => Admission::Reject,
            // Another class is on trial.
            State::HalfOpen(half) if half.lock.extent.waits(class, now) => Admission::Reject,
            State::HalfOpen(half) if half.trial.is_none() => Admission::Trial,
            State::HalfOpen(_) => Admission::Reject,
        };
        match self.order_at(now).map(|order| order.order) {
            Some(OverrideOrder::Open) => Admission::Reject,
            Some(OverrideOrder::Bypass) if free == Admission::Reject => Admission::Forward,
            _ => free,
        }
    }

    /// Whether a send of any class is held at `now`.
    pub fn holds_all(&self, now: Timestamp) -> bool {
        let held = |class| self.admit(Some(class), now) == Admission::Reject;
        held(Class::BusinessInitiated) && held(Class::CustomerInitiated)
    }

    /// Takes the trial permit if this is half-open and it is free.
    pub fn begin_trial(&mut self, now: Timestamp, policy: &Policy) -> Option<Lease> {
        let State::HalfOpen(half) = &mut self.state else { return None };
        if half.trial.is_some() {
            return None;
        }
        self.leases += 1;
        let lease = Lease(self.leases);
        half.lock.trials += 1;
        let until = now.plus(policy.trial_timeout);
        half.trial = Some(Trial { lease, started: now, until, accepted: None });
        Some(lease)
    }

    /// The state as it is shown at `now`.
    pub fn shown(&self, now: Timestamp) -> Shown {
        match (self.order_at(now).map(|order| order.order), &self.state) {
            (Some(OverrideOrder::Open), _) => Shown::ForcedOpen,
            (Some(OverrideOrder::Bypass), _) => Shown::Bypassed,
            (None, State::Closed(_)) => Shown::Closed,
            (None, State::Open(_)) => Shown::Open,
            (None, State::HalfOpen(_)) => Shown::HalfOpen,
        }
    }

    /// The operator's order that stands at `now`.
    pub fn order_at(&self, now: Timestamp) -> Option<&Override> {
        self.order.as_deref().filter(|order| order.until.is_none_or(|until| now < until))
    }

    /// The incident, if it is open or half-open beneath any override.
    pub const fn lock(&self) -> Option<&Lock> {
        match &self.state {
            State::Closed(_) => None,
            State::Open(open) => Some(&open.lock),
            State::HalfOpen(half) => Some(&half.lock),
        }
    }

    pub(super) const fn lock_mut(&mut self) -> Option<&mut Lock> {
        match &mut self.state {
            State::Closed(_) => None,
            State::Open(open) => Some(&mut open.lock),
            State::HalfOpen(half) => Some(&mut half.lock),
        }
    }

    /// Whether automation, beneath any override, is half-open.
    pub const fn is_half_open(&self) -> bool {
        matches!(self.state, State::HalfOpen(_))
    }

    /// When the next probe is due, if it is open.
    pub fn next_check(&self) -> Option<Timestamp> {
        match &self.state {
            State::Open(open) if open.lock.extent.ends_by_dates() => {
                open.lock.extent.last_date().or(Some(open.next_check))
            }
            State::Open(open) => Some(open.next_check),
            State::Closed(_) | State::HalfOpen(_) => None,
        }
    }

    /// Since when a trial is under way, and when its permit is free again at the latest.
    pub fn trial(&self) -> Option<(Timestamp, Timestamp)> {
        match &self.state {
            State::HalfOpen(half) => half.trial.map(|trial| (trial.started, trial.until)),
            State::Closed(_) | State::Open(_) => None,
        }
    }

    /// The incident that it is held for, by the lock or by an operator.
    pub const fn incident(&self) -> Option<IncidentStart> {
        self.incident
    }

    /// Whether this is about something that began after the last close.
    pub fn is_news(&self, about: &About, policy: &Policy) -> bool {
        let fence = self.fence.as_ref();
        fence.is_none_or(|fence| about.is_newer(fence.generation, fence.at, policy.skew))
    }

    /// Where the last close or reset stands.
    pub const fn fence(&self) -> Option<&Fence> {
        self.fence.as_ref()
    }

    /// The contradiction that holds at `now`. One that it closed with is believed to be over after a good while without news.
    pub fn contradiction(&self, now: Timestamp, policy: &Policy) -> Option<&Contradiction> {
        match self.lock() {
            Some(lock) => lock.contradiction.as_deref(),
            None => {
                let fence = self.fence.as_ref().filter(|fence| now.since(fence.at) < policy.good_while())?;
                fence.contradiction.as_deref()
            }
        }
    }

    /// Whether this is plainly closed, so that the gate need not look closer.
    pub const fn is_plainly_closed(&self) -> bool {
        matches!(self.state, State::Closed(_)) && self.order.is_none()
    }

    /// Whether nothing would be lost by forgetting it: closed for so long that no late news can come any more.
    pub fn is_forgettable(&self, now: Timestamp) -> bool {
        let State::Closed(strikes) = &self.state else { return false };
        self.order.is_none()
            && now.since(self.stepped.max(strikes.last).max(self.account.newest())) > REMEMBERED
    }
}
