//! The transitions: [`Breaker::apply`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backoff::{Jitter, wait};
use super::evidence::{About, Reason, Source};
use super::policy::{NoWebhooks, Policy};
use super::state::{
    Accepted, Breaker, Contradiction, ContradictionKind, Delivered, Early, Fence, Generation, HalfOpen,
    IncidentStart, Lease, Lock, Open, Override, OverrideOrder, Probe, Said, Shown, State, Strikes,
};
use crate::graph::health::{Health, Unknown};
use crate::graph::ids::WamidKey;
use crate::time::Timestamp;

/// The most statuses that wait for a trial's answer, the most trial messages that wait for a status, and the most failed
/// messages that are known as such. A trial answers within seconds; what is dropped beyond this only delays a close until
/// the next status or trial, or costs a trial that fails.
const WAITING: usize = 256;

/// Meta's dates are in whole seconds: what is dated 12:00:00 may have happened up to this much later.
const DATE_STEP: Duration = Duration::from_secs(1);

/// Clocks are set by less than this in the ordinary course of things. Such a step lengthens a wait by itself; taken for a
/// clock that was set back, it would end the wait.
const CLOCK_STEP: Duration = Duration::from_secs(2);

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// 131031 or 368.
    Lock {
        /// Which send it is about.
        about: About,
        /// What opens the breaker, if this does.
        reason: Reason,
    },
    /// `sent`, `delivered` or `read`.
    Proof {
        /// Which message.
        about: About,
        /// Whether it is `sent`, which happens when Meta accepts; the others may come days later.
        sent: bool,
    },
    /// A trial was accepted. Also comes late, after its lease is over.
    TrialAccepted {
        /// Its permit.
        lease: Lease,
        /// The generation that admitted it.
        generation: Generation,
        /// Its messages; none if the answer is encrypted.
        keys: Vec<WamidKey>,
    },
    /// A trial ended and proved nothing: another error, no answer, or its permit was dropped.
    TrialEnded {
        /// Its permit.
        lease: Lease,
        /// Dropped, not answered.
        abandoned: bool,
    },
    /// A message failed with a code that is no lock. It proves nothing; if it was the trial, the next send may be the next.
    Failed {
        /// Which message.
        about: About,
    },
    /// A probe's outcome.
    Probed {
        /// Its lease.
        lease: Lease,
        /// What it found.
        health: Health,
    },
    /// What a probe of a closed breaker found: watching, or on an operator's word.
    Watched {
        /// The breaker's generation when the probe was begun.
        generation: Generation,
        /// What it found.
        health: Health,
    },
    /// Probe at once, if it is open and no probe is out.
    CheckNow {
        /// An operator, or Meta's word that it has been lifted: then a clear answer counts without waiting for the back-off.
        asked: bool,
    },
    /// Something may be due: see [`Breaker::next_due`].
    Tick,
    /// An operator closes it.
    Reset {
        /// Who, and why.
        text: String,
    },
    /// An operator holds it open or bypasses it.
    Hold(Override),
    /// An operator ends `open` or `bypass`.
    Lift {
        /// Who, and why.
        text: String,
    },
}

/// What the machine must know beside the event.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What time it is.
    pub now: Timestamp,
    /// A random number.
    pub jitter: Jitter,
    /// Whether a webhook ever came for this phone or its WABA.
    pub heard: bool,
    /// The numbers.
    pub policy: &'a Policy,
}

/// What came of an event.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The transitions, in order: an override that ran out can come before another.
    pub transitions: Vec<Transition>,
    /// A probe to start now.
    pub probe: Option<Lease>,
    /// What else is worth counting.
    pub notes: Vec<Note>,
    /// Whether something that outlives the process has changed.
    pub changed: bool,
}

/// One step of a breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Which.
    pub kind: TransitionKind,
    /// The shown state before.
    pub from: Shown,
    /// The shown state after.
    pub to: Shown,
    /// The generation that it made.
    pub generation: Generation,
    /// Whose word it was.
    pub source: Source,
    /// When.
    pub at: Timestamp,
    /// The evidence in words.
    pub text: String,
    /// The incident that it belongs to: the one that it begins, goes on with or ends.
    pub incident: IncidentStart,
}

/// The kinds of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransitionKind {
    /// closed → open
    Trip,
    /// open → half-open
    HalfOpen,
    /// half-open → open
    Reopen,
    /// half-open → closed (or open → closed without half-open)
    Close,
    /// any → closed, by an operator
    Reset,
    /// An operator holds it open.
    ForceOpen,
    /// An operator bypasses it.
    Bypass,
    /// An operator's order ended: by word, or because its time was over.
    Lift,
}

impl TransitionKind {
    /// All of them, in the order in which they are declared.
    pub const ALL: [Self; 8] = [
        Self::Trip,
        Self::HalfOpen,
        Self::Reopen,
        Self::Close,
        Self::Reset,
        Self::ForceOpen,
        Self::Bypass,
        Self::Lift,
    ];

    /// As the metrics write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trip => "trip",
            Self::HalfOpen => "half_open",
            Self::Reopen => "reopen",
            Self::Close => "close",
            Self::Reset => "reset",
            Self::ForceOpen => "force_open",
            Self::Bypass => "bypass",
            Self::Lift => "lift",
        }
    }
}

/// Things that are counted and are no transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Note {
    /// Evidence that was late news.
    Stale,
    /// A trial's message was delivered.
    TrialConfirmed,
    /// A trial was taken for confirmed, since no webhook ever comes here.
    TrialUnheard,
    /// A trial met 131031 or 368.
    TrialLocked,
    /// A trial ended with another code.
    TrialOther,
    /// A trial's permit was dropped.
    TrialAbandoned,
    /// A trial's lease ran out.
    TrialTimedOut,
    /// A probe came back after its lease, or unasked.
    ProbeIgnored,
    /// A probe's lease ran out.
    ProbeLeaseOver,
}

impl Breaker {
    /// The one door: every change of state goes through here, except that a trial begins with [`Breaker::begin_trial`].
    pub fn apply(&mut self, event: Event, cx: &Context<'_>) -> Applied {
        let mut out = Applied::default();
        self.drop_expired_order(cx, &mut out);
        match event {
            Event::Lock { about, reason } => self.lock_evidence(about, reason, cx, &mut out),
            Event::Proof { about, sent } => self.proof(about, sent, cx, &mut out),
            Event::TrialAccepted { lease, generation, keys } => {
                self.trial_accepted(lease, generation, keys, cx, &mut out);
            }
            Event::TrialEnded { lease, abandoned } => self.trial_ended(lease, abandoned, &mut out),
            Event::Failed { about } => self.failed(&about, &mut out),
            Event::Probed { lease, health } => self.probed(lease, health, cx, &mut out),
            Event::Watched { generation, health } => self.watched(generation, &health, cx, &mut out),
            Event::CheckNow { asked } => self.check_now(asked, cx, &mut out),
            Event::Tick => self.tick(cx, &mut out),
            Event::Reset { text } => self.reset(text, cx, &mut out),
            Event::Hold(order) => self.hold(order, cx, &mut out),
            Event::Lift { text } => self.lift(Source::Operator, text, cx, &mut out),
        }
        out.changed |= !out.transitions.is_empty();
        out
    }

    /// When [`Event::Tick`] is due next; never, if only sends and evidence can move it.
    pub fn next_due(&self, cx: &Context<'_>) -> Option<Timestamp> {
        let automatic = match &self.state {
            State::Closed(_) => None,
            State::Open(open) => match open.probe {
                Some(probe) => Some(soonest(probe.until, cx.policy.probe_lease, cx.now)),
                None => Some(soonest(open.next_check, longest_wait(cx.policy), cx.now)),
            },
            State::HalfOpen(half) => half.trial.map(|_| match half.unheard_deadline(cx) {
                Some(deadline) => soonest(deadline, cx.policy.trial_grace, cx.now),
                None => soonest(half.trial_deadline(), cx.policy.trial_timeout, cx.now),
            }),
        };
        let order = self.order.as_ref().and_then(|order| order.until);
        automatic.into_iter().chain(order).min()
    }

    fn lock_evidence(&mut self, about: About, reason: Reason, cx: &Context<'_>, out: &mut Applied) {
        if let (Some(lock), Some(key)) = (self.lock_mut(), about.key()) {
            lock.note_failed(key);
        }
        let is_news = self
            .fence
            .as_ref()
            .is_none_or(|fence| about.is_newer(fence.generation, fence.at, cx.policy.skew));
        match &mut self.state {
            State::Closed(strikes) => {
                if !is_news {
                    out.notes.push(Note::Stale);
                } else if strikes.add(about.key(), cx) {
                    self.trip(reason, None, cx, out);
                    // The first probe diagnoses.
                    self.check_now(false, cx, out);
                }
            }
            State::Open(open) => {
                let refuted = about.key().is_some_and(|key| open.delivered_message() == Some(key));
                if refuted {
                    open.delivered = None;
                } else if !is_news {
                    out.notes.push(Note::Stale);
                }
            }
            State::HalfOpen(half) => {
                let refutes = half.led_by.is_some() && half.led_by == about.key();
                if refutes || about.is_newer(half.entered, half.entered_at, cx.policy.skew) {
                    if half.is_trial(&about) {
                        out.notes.push(Note::TrialLocked);
                    }
                    self.reopen(reason, cx, out);
                } else if !half.keep_early(&about, Early::Lock(reason)) {
                    out.notes.push(Note::Stale);
                }
            }
        }
    }

    fn proof(&mut self, about: About, sent: bool, cx: &Context<'_>, out: &mut Applied) {
        // Delivered and 131031 for one message: the lock counts, whichever comes first.
        if about.key().is_some_and(|key| self.lock().is_some_and(|lock| lock.failed.contains(&key))) {
            return;
        }
        match &mut self.state {
            State::Closed(_) => {}
            State::Open(open) => {
                if about.is_newer(open.entered, open.entered_at, cx.policy.skew) {
                    open.delivered = Some(Delivered { key: about.key() });
                    open.next_check = open.next_check.min(open.backs_off_until);
                    self.recover_if_delivered(cx, out);
                }
            }
            State::HalfOpen(half) => {
                if half.is_trials_message(&about, sent) {
                    out.notes.push(Note::TrialConfirmed);
                    half.forget_trial(about.key());
                    half.counted.extend(about.key());
                    half.lock.delivered_against_health("a trial's message was delivered", cx);
                    self.confirmed(Source::Webhook, "a trial's message was delivered", cx, out);
                } else {
                    half.keep_early(&about, Early::Proof);
                }
            }
        }
    }

    fn trial_accepted(
        &mut self,
        lease: Lease,
        generation: Generation,
        keys: Vec<WamidKey>,
        cx: &Context<'_>,
        out: &mut Applied,
    ) {
        let State::HalfOpen(half) = &mut self.state else { return };
        if generation < half.entered {
            return;
        }
        if let Some(trial) = half.trial.as_mut().filter(|trial| trial.lease == lease) {
            trial.accepted = Some(Accepted { at: cx.now, nameless: keys.is_empty() });
        }
        half.trial_keys.extend(keys.iter().map(|key| (*key, lease)));
        let surplus = half.trial_keys.len().saturating_sub(WAITING);
        half.trial_keys.drain(..surplus);
        let mut early = half.take_early(&keys);
        // A lock counts before a proof: delivered and 131031 for one message means open, in either order.
        early.sort_by_key(|(_, early)| matches!(early, Early::Proof));
        if let Some((key, early)) = early.into_iter().next() {
            let about = About::Send { generation, key: Some(key) };
            match early {
                Early::Lock(reason) => self.lock_evidence(about, reason, cx, out),
                Early::Proof => self.proof(about, true, cx, out),
            }
        }
    }

    fn trial_ended(&mut self, lease: Lease, abandoned: bool, out: &mut Applied) {
        let State::HalfOpen(half) = &mut self.state else { return };
        if half.trial.is_some_and(|trial| trial.lease == lease) {
            half.trial = None;
            out.notes.push(if abandoned { Note::TrialAbandoned } else { Note::TrialOther });
        }
    }

    /// The message may still be delivered (to another device, to another member of the group), so it stays known as a trial's.
    fn failed(&mut self, about: &About, out: &mut Applied) {
        let State::HalfOpen(half) = &mut self.state else { return };
        let lease = half.trial_of(about);
        if lease.is_some() && half.trial.is_some_and(|trial| Some(trial.lease) == lease) {
            half.trial = None;
            out.notes.push(Note::TrialOther);
        }
    }

    fn probed(&mut self, lease: Lease, health: Health, cx: &Context<'_>, out: &mut Applied) {
        let State::Open(open) = &mut self.state else {
            out.notes.push(Note::ProbeIgnored);
            return;
        };
        if open.probe.is_none_or(|probe| probe.lease != lease) {
            out.notes.push(Note::ProbeIgnored);
            return;
        }
        open.probe = None;
        out.changed = true;
        let lock = &mut open.lock;
        let no_token = matches!(health, Health::Unknown(Unknown::NoToken | Unknown::TokenInvalid));
        lock.no_token = no_token.then(|| lock.no_token.unwrap_or(cx.now));
        match &health {
            Health::Clear(_) => {
                lock.probes += 1;
                lock.health = Some((cx.now, health));
                lock.agree(ContradictionKind::BlockedButDelivered);
                let not_before = open.entered_at.plus(cx.policy.min_open).max(open.backs_off_until);
                if is_over(not_before, longest_wait(cx.policy), cx.now) {
                    self.recover(Source::Probe, "health is clear: no entity blocks messaging", None, cx, out);
                } else {
                    open.next_check = not_before;
                }
            }
            Health::Unknown(Unknown::OverBudget) => open.schedule(cx),
            Health::Blocked(_) | Health::Unknown(_) => {
                if matches!(health, Health::Blocked(_)) {
                    lock.agree(ContradictionKind::ClearButFailing);
                }
                lock.probes += 1;
                lock.health = Some((cx.now, health));
                open.schedule(cx);
                open.lock.attempt = open.lock.attempt.saturating_add(1);
            }
        }
    }

    /// What a probe found while it was closed is news if nothing has happened since, and if health has not said the same
    /// when it closed.
    fn watched(&mut self, generation: Generation, health: &Health, cx: &Context<'_>, out: &mut Applied) {
        if !matches!(self.state, State::Closed(_)) || generation != self.generation {
            out.notes.push(Note::ProbeIgnored);
            return;
        }
        match health {
            Health::Clear(_) => {
                if let Some(fence) = self.fence.as_mut().filter(|fence| fence.outlived_block) {
                    (fence.outlived_block, fence.contradiction) = (false, None);
                    out.changed = true;
                }
            }
            Health::Blocked(_) => {
                let is_news = !self.fence.as_ref().is_some_and(|fence| fence.outlived_block);
                match Reason::of_health(health, cx.now).filter(|_| is_news) {
                    Some(reason) => {
                        self.trip(reason, Some((cx.now, health.clone())), cx, out);
                    }
                    None => out.notes.push(Note::Stale),
                }
            }
            Health::Unknown(_) => {}
        }
    }

    fn check_now(&mut self, asked: bool, cx: &Context<'_>, out: &mut Applied) {
        let State::Open(open) = &mut self.state else { return };
        if asked {
            open.backs_off_until = open.entered_at;
        }
        if open.probe.is_some() {
            return;
        }
        self.leases += 1;
        let lease = Lease(self.leases);
        open.probe = Some(Probe { lease, until: cx.now.plus(cx.policy.probe_lease) });
        // Should the process die before the outcome, the next one probes then.
        open.schedule(cx);
        out.probe = Some(lease);
        out.changed = true;
    }

    fn tick(&mut self, cx: &Context<'_>, out: &mut Applied) {
        match &mut self.state {
            State::Closed(_) => {}
            State::Open(open) => match open.probe {
                Some(probe) if is_over(probe.until, cx.policy.probe_lease, cx.now) => {
                    out.notes.push(Note::ProbeLeaseOver);
                    self.probed(probe.lease, Health::Unknown(Unknown::LeaseOver), cx, out);
                }
                None if is_over(open.next_check, longest_wait(cx.policy), cx.now) => {
                    if !self.recover_if_delivered(cx, out) {
                        self.check_now(false, cx, out);
                    }
                }
                Some(_) | None => {}
            },
            State::HalfOpen(half) if half.trial.is_some() => {
                if let Some(deadline) = half.unheard_deadline(cx) {
                    if is_over(deadline, cx.policy.trial_grace, cx.now) {
                        out.notes.push(Note::TrialUnheard);
                        half.forget_trial(None);
                        let text = "a trial was accepted and no failure came; no webhook ever came here, so its delivery cannot be seen";
                        self.confirmed(Source::Timer, text, cx, out);
                    }
                } else if is_over(half.trial_deadline(), cx.policy.trial_timeout, cx.now) {
                    out.notes.push(Note::TrialTimedOut);
                    half.trial = None;
                }
            }
            State::HalfOpen(_) => {}
        }
    }

    fn reset(&mut self, text: String, cx: &Context<'_>, out: &mut Applied) {
        if self.is_plainly_closed() {
            return;
        }
        let from = self.shown(cx.now);
        self.order = None;
        self.close(0, cx);
        self.step(TransitionKind::Reset, from, Source::Operator, text, cx, out);
    }

    fn hold(&mut self, order: Override, cx: &Context<'_>, out: &mut Applied) {
        let from = self.shown(cx.now);
        let text = format!("{} by {}: {}", order.order.name(), order.by, order.reason);
        let kind = match order.order {
            OverrideOrder::Open => TransitionKind::ForceOpen,
            OverrideOrder::Bypass => TransitionKind::Bypass,
        };
        self.order = Some(order);
        self.step(kind, from, Source::Operator, text, cx, out);
    }

    fn lift(&mut self, source: Source, text: String, cx: &Context<'_>, out: &mut Applied) {
        let Some(order) = self.order.take() else { return };
        let from = order.order.shown();
        self.step(TransitionKind::Lift, from, source, text, cx, out);
    }

    fn drop_expired_order(&mut self, cx: &Context<'_>, out: &mut Applied) {
        if self.order.is_some() && self.order_at(cx.now).is_none() {
            self.lift(Source::Timer, "the order's time is over".to_owned(), cx, out);
        }
    }

    fn trip(
        &mut self,
        reason: Reason,
        health: Option<(Timestamp, Health)>,
        cx: &Context<'_>,
        out: &mut Applied,
    ) {
        // Also those that were not yet enough, if a probe trips it.
        let failed = match &self.state {
            State::Closed(strikes) => strikes.keys.iter().copied().flatten().collect(),
            State::Open(_) | State::HalfOpen(_) => Vec::new(),
        };
        let good_while = cx.policy.good_while();
        let soon = self.fence.as_ref().filter(|fence| cx.now.since(fence.at) < good_while);
        let lock = Lock {
            since: cx.now,
            generation: self.generation.next(),
            probes: u64::from(health.is_some()),
            health,
            trials: 0,
            contradiction: None,
            no_token: None,
            attempt: soon.map_or(0, |fence| fence.attempt),
            failed,
            reason,
        };
        let (from, source, text) = (self.shown(cx.now), lock.reason.source, lock.reason.to_string());
        self.open(lock, cx);
        self.step(TransitionKind::Trip, from, source, text, cx, out);
    }

    fn reopen(&mut self, reason: Reason, cx: &Context<'_>, out: &mut Applied) {
        let State::HalfOpen(half) = &self.state else { return };
        let mut lock = half.lock.clone();
        lock.failed_against_health(&reason, cx);
        lock.attempt = lock.attempt.saturating_add(1);
        let (from, source, text) = (self.shown(cx.now), reason.source, reason.to_string());
        self.open(lock, cx);
        self.step(TransitionKind::Reopen, from, source, text, cx, out);
    }

    /// A message accepted after the trip was delivered, and the back-off is over. Says whether it moved.
    fn recover_if_delivered(&mut self, cx: &Context<'_>, out: &mut Applied) -> bool {
        let State::Open(open) = &mut self.state else { return false };
        let Some(delivered) = open.delivered else { return false };
        if !is_over(open.backs_off_until, longest_wait(cx.policy), cx.now) {
            return false;
        }
        let text = "a message accepted after the trip was delivered";
        open.lock.delivered_against_health(text, cx);
        self.recover(Source::Webhook, text, delivered.key, cx, out);
        true
    }

    /// Open → half-open, or → closed where the policy wants no trials.
    fn recover(
        &mut self,
        source: Source,
        text: &str,
        led_by: Option<WamidKey>,
        cx: &Context<'_>,
        out: &mut Applied,
    ) {
        let State::Open(open) = &self.state else { return };
        let from = self.shown(cx.now);
        if !cx.policy.half_open {
            self.close(open.lock.attempt.saturating_add(1), cx);
            self.step(TransitionKind::Close, from, source, text.to_owned(), cx, out);
            return;
        }
        self.state = State::HalfOpen(HalfOpen {
            lock: open.lock.clone(),
            entered: self.generation.next(),
            entered_at: cx.now,
            confirmed: 0,
            led_by,
            trial: None,
            trial_keys: Vec::new(),
            counted: Vec::new(),
            early: Vec::new(),
        });
        self.step(TransitionKind::HalfOpen, from, source, text.to_owned(), cx, out);
    }

    /// One more trial is confirmed; enough of them close.
    fn confirmed(&mut self, source: Source, text: &str, cx: &Context<'_>, out: &mut Applied) {
        let State::HalfOpen(half) = &mut self.state else { return };
        half.confirmed += 1;
        out.changed = true;
        if half.confirmed >= cx.policy.trials_to_close {
            let (attempt, from) = (half.lock.attempt.saturating_add(1), self.shown(cx.now));
            self.close(attempt, cx);
            self.step(TransitionKind::Close, from, source, text.to_owned(), cx, out);
        }
    }

    fn open(&mut self, lock: Lock, cx: &Context<'_>) {
        let mut open = Open {
            lock,
            entered: self.generation.next(),
            entered_at: cx.now,
            next_check: cx.now,
            backs_off_until: cx.now,
            probe: None,
            delivered: None,
        };
        open.schedule(cx);
        if open.lock.attempt > 0 {
            open.backs_off_until = open.next_check;
        }
        self.state = State::Open(open);
    }

    fn close(&mut self, attempt: u32, cx: &Context<'_>) {
        let kind = ContradictionKind::BlockedButDelivered;
        let (outlived_block, contradiction) = match (self.lock(), &self.fence) {
            (Some(lock), _) => (
                matches!(lock.health, Some((_, Health::Blocked(_)))),
                lock.contradiction.clone().filter(|contradiction| contradiction.kind == kind),
            ),
            // Nothing but an order ends.
            (None, Some(fence)) => (fence.outlived_block, fence.contradiction.clone()),
            (None, None) => (false, None),
        };
        let generation = self.generation.next();
        self.fence = Some(Fence { generation, at: cx.now, attempt, outlived_block, contradiction });
        self.state = State::Closed(Strikes::default());
    }

    /// Counts a step that was just made. The state must be the new one already.
    fn step(
        &mut self,
        kind: TransitionKind,
        from: Shown,
        source: Source,
        text: String,
        cx: &Context<'_>,
        out: &mut Applied,
    ) {
        self.generation = self.generation.next();
        self.stepped = cx.now;
        let (generation, at) = (self.generation, cx.now);
        let incident = self.incident.unwrap_or(IncidentStart { generation, at });
        self.incident = (!self.is_plainly_closed()).then_some(incident);
        let to = self.shown(at);
        out.transitions.push(Transition { kind, from, to, generation, source, at, text, incident });
    }
}

impl Strikes {
    /// Adds one piece of evidence, once for each message, and says whether it is enough.
    fn add(&mut self, key: Option<WamidKey>, cx: &Context<'_>) -> bool {
        if key.is_none() || !self.keys.contains(&key) {
            self.keys.push(key);
        }
        self.last = cx.now;
        self.keys.len() >= usize::try_from(cx.policy.trip_after).unwrap_or(usize::MAX)
    }
}

impl Lock {
    /// A trial met the lock. If health said clear before, they disagree; if it said blocked, they agree.
    fn failed_against_health(&mut self, reason: &Reason, cx: &Context<'_>) {
        let message = Said { at: cx.now, text: reason.to_string() };
        match &self.health {
            Some((_, Health::Clear(_))) => self.disagree(ContradictionKind::ClearButFailing, message, cx),
            Some(_) | None => self.agree(ContradictionKind::BlockedButDelivered),
        }
    }

    /// A message got through. If health said blocked before, they disagree; if it said clear, they agree.
    fn delivered_against_health(&mut self, text: &str, cx: &Context<'_>) {
        let message = Said { at: cx.now, text: text.to_owned() };
        match &self.health {
            Some((_, Health::Blocked(_))) => {
                self.disagree(ContradictionKind::BlockedButDelivered, message, cx);
            }
            Some(_) | None => self.agree(ContradictionKind::ClearButFailing),
        }
    }

    fn disagree(&mut self, kind: ContradictionKind, message: Said, cx: &Context<'_>) {
        let Some((at, health)) = &self.health else { return };
        let before = self.contradiction.take().filter(|before| before.kind == kind);
        let (since, count) = before.map_or((cx.now, 0), |before| (before.since, before.count));
        let health = Said { at: *at, text: health.to_string() };
        self.contradiction = Some(Contradiction { kind, since, count: count + 1, health, message });
    }

    /// Health and messages agree again, as far as this kind goes.
    fn agree(&mut self, kind: ContradictionKind) {
        self.contradiction.take_if(|contradiction| contradiction.kind == kind);
    }

    fn note_failed(&mut self, key: WamidKey) {
        if !self.failed.contains(&key) {
            if self.failed.len() >= WAITING {
                self.failed.remove(0);
            }
            self.failed.push(key);
        }
    }
}

impl Open {
    fn delivered_message(&self) -> Option<WamidKey> {
        self.delivered?.key
    }

    fn schedule(&mut self, cx: &Context<'_>) {
        let policy = cx.policy;
        let wait = wait(self.lock.attempt, policy.probe_interval, policy.probe_max_interval, cx.jitter);
        self.next_check = cx.now.plus(wait);
    }
}

impl HalfOpen {
    fn is_trial(&self, about: &About) -> bool {
        match about.key() {
            Some(_) => self.trial_of(about).is_some(),
            None => self.trial.is_some() && matches!(about, About::Send { .. }),
        }
    }

    /// The permit that a message went out by, if it is a trial's.
    fn trial_of(&self, about: &About) -> Option<Lease> {
        let key = about.key()?;
        self.trial_keys.iter().find(|(known, _)| *known == key).map(|(_, lease)| *lease)
    }

    /// Whether a status is about a trial of this half-open: one of its messages, or, where the trial's answer named none,
    /// a message that nobody knows and that Meta sent after the trial began. (Delivered and read may be an old one's.)
    fn is_trials_message(&self, about: &About, sent: bool) -> bool {
        if self.trial_of(about).is_some() {
            return true;
        }
        let nameless = self.trial.filter(|trial| trial.accepted.is_some_and(|accepted| accepted.nameless));
        match (nameless, about) {
            (Some(trial), About::Unknown { key, dated: Some(dated) }) if sent => {
                let counted = key.is_some_and(|key| self.counted.contains(&key));
                !counted && dated.plus(DATE_STEP) > trial.started
            }
            _ => false,
        }
    }

    /// Frees the permit of a confirmed trial, unless another trial has it by now, and forgets its messages: `delivered` and
    /// `read` after `sent` must not count again.
    fn forget_trial(&mut self, key: Option<WamidKey>) {
        let named = self.trial_keys.iter().find(|(known, _)| Some(*known) == key).map(|(_, lease)| *lease);
        let current = self.trial.map(|trial| trial.lease);
        let lease = named.or(current);
        self.trial_keys.retain(|(_, of)| Some(*of) != lease);
        if lease == current {
            self.trial = None;
        }
    }

    /// Keeps a status of an unknown message while a trial's answer is on its way. Says whether it was kept.
    fn keep_early(&mut self, about: &About, early: Early) -> bool {
        let (About::Unknown { key: Some(key), .. }, Some(trial)) = (about, self.trial) else { return false };
        if trial.accepted.is_some() {
            return false;
        }
        let kind = std::mem::discriminant(&early);
        if self.early.iter().any(|(known, it)| known == key && std::mem::discriminant(it) == kind) {
            return true;
        }
        if self.early.len() >= WAITING {
            self.early.remove(0);
        }
        self.early.push((*key, early));
        true
    }

    /// Takes what came early for these messages. The rest waits on: it may be about another trial.
    fn take_early(&mut self, keys: &[WamidKey]) -> Vec<(WamidKey, Early)> {
        self.early.extract_if(.., |(key, _)| keys.contains(key)).collect()
    }

    fn trial_deadline(&self) -> Timestamp {
        self.trial.map_or(self.entered_at, |trial| trial.until)
    }

    /// When an accepted trial counts as confirmed, where no webhook can confirm it and the policy says so.
    fn unheard_deadline(&self, cx: &Context<'_>) -> Option<Timestamp> {
        let accepted = self.trial?.accepted?;
        (!cx.heard && cx.policy.no_webhooks == NoWebhooks::Close)
            .then(|| accepted.at.plus(cx.policy.trial_grace))
    }
}

impl OverrideOrder {
    /// As operators write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Bypass => "bypass",
        }
    }

    const fn shown(self) -> Shown {
        match self {
            Self::Open => Shown::ForcedOpen,
            Self::Bypass => Shown::Bypassed,
        }
    }
}

fn longest_wait(policy: &Policy) -> Duration {
    policy.probe_max_interval.max(policy.min_open)
}

/// Whether a deadline is over. One that lies further ahead than it could ever have been set was set by a clock that has
/// gone back since, and is over too.
fn is_over(deadline: Timestamp, longest: Duration, now: Timestamp) -> bool {
    now >= deadline || deadline.since(now) > longest.saturating_add(CLOCK_STEP)
}

fn soonest(deadline: Timestamp, longest: Duration, now: Timestamp) -> Timestamp {
    if is_over(deadline, longest, now) { now } else { deadline }
}
