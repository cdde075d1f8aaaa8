//! What is said of messages: they met the lock, they got through, they failed otherwise, they were accepted as trials.

use super::super::evidence::{About, Reason, Source};
use super::super::state::{Accepted, Breaker, Delivered, Early, Generation, Lease, Lock, State, Strikes};
use super::super::{Applied, Context, Note};
use super::WAITING;
use crate::graph::ids::WamidKey;

impl Breaker {
    pub(super) fn lock_evidence(
        &mut self,
        about: About,
        reason: Reason,
        cx: &Context<'_>,
        out: &mut Applied,
    ) {
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
                // A trial's message is one of this half-open's, whatever it is dated and whoever has forgotten its send.
                let is_trials = half.trial_of(&about).is_some();
                if refutes || is_trials || about.is_newer(half.entered, half.entered_at, cx.policy.skew) {
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

    pub(super) fn proof(&mut self, about: About, sent: bool, cx: &Context<'_>, out: &mut Applied) {
        // Delivered and 131031 for one message: the lock counts, whichever comes first.
        if about.key().is_some_and(|key| self.lock().is_some_and(|lock| lock.failed.contains(&key))) {
            return;
        }
        match &mut self.state {
            State::Closed(_) => {}
            State::Open(open) => {
                // When an unknown message was accepted is known by its `sent` only: people read old ones at any time. Where a trial
                // follows, that decides; without one, nothing less will do.
                let is_sure = sent || matches!(about, About::Send { .. });
                let is_newer = about.is_newer(open.entered, open.entered_at, cx.policy.skew);
                if is_newer && (is_sure || cx.policy.half_open) {
                    open.delivered = Some(Delivered { key: about.key(), is_sure });
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

    pub(super) fn trial_accepted(
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

    pub(super) fn trial_ended(&mut self, lease: Lease, abandoned: bool, out: &mut Applied) {
        let State::HalfOpen(half) = &mut self.state else { return };
        if half.trial.is_some_and(|trial| trial.lease == lease) {
            half.trial = None;
            out.notes.push(if abandoned { Note::TrialAbandoned } else { Note::TrialOther });
        }
    }

    /// The message may still be delivered (to another device, to another member of the group), so it stays known as a trial's.
    pub(super) fn failed(&mut self, about: &About, out: &mut Applied) {
        let State::HalfOpen(half) = &mut self.state else { return };
        let lease = half.trial_of(about);
        if lease.is_some() && half.trial.is_some_and(|trial| Some(trial.lease) == lease) {
            half.trial = None;
            out.notes.push(Note::TrialOther);
        }
    }
}

impl Strikes {
    /// Adds one piece of evidence, once for each message, and says whether it is enough.
    pub(super) fn add(&mut self, key: Option<WamidKey>, cx: &Context<'_>) -> bool {
        if key.is_none() || !self.keys.contains(&key) {
            self.keys.push(key);
        }
        self.last = cx.now;
        self.keys.len() >= usize::try_from(cx.policy.trip_after).unwrap_or(usize::MAX)
    }
}

impl Lock {
    pub(super) fn note_failed(&mut self, key: WamidKey) {
        if !self.failed.contains(&key) {
            if self.failed.len() >= WAITING {
                self.failed.remove(0);
            }
            self.failed.push(key);
        }
    }
}
