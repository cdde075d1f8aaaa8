//! What is said of messages: they met the lock, they got through, they failed otherwise, they were accepted as trials.

use super::super::evidence::{About, Source};
use super::super::extent::Left;
use super::super::state::{Accepted, Breaker, Delivered, Early, Generation, Lease, Lock, State, Strikes};
use super::super::{Applied, Context, Note, TrialOutcome};
use super::{Locks, WAITING};
use crate::graph::class::Class;
use crate::graph::ids::WamidKey;

impl Breaker {
    pub(super) fn lock_evidence(&mut self, about: About, locks: Locks, cx: &Context<'_>, out: &mut Applied) {
        if let (Some(lock), Some(key)) = (self.lock_mut(), about.key()) {
            lock.note_failed(key);
        }
        let is_news = self.is_news(&about, cx.policy);
        match &mut self.state {
            State::Closed(_) if locks.only_trial => {}
            State::Closed(strikes) => {
                if !is_news {
                    out.notes.push(Note::Stale);
                } else if strikes.add(locks.reason.code, about.key(), cx) {
                    self.trip(locks.reason, locks.extent, None, cx, out);
                    self.diagnose(cx, out);
                }
            }
            State::Open(open) => {
                let refuted = about.key().is_some_and(|key| open.delivered_message() == Some(key));
                if refuted {
                    open.delivered = None;
                }
                if locks.only_trial {
                    return;
                }
                if is_news {
                    self.widen(&locks.extent, locks.reason, cx, out);
                } else if !refuted {
                    out.notes.push(Note::Stale);
                }
            }
            State::HalfOpen(half) => {
                let refutes = half.led_by.is_some() && half.led_by == about.key();
                // A trial's message is one of this half-open's, whatever it is dated and whoever has forgotten its send.
                let is_trials = half.trial_of(&about).is_some();
                // The answer to a trial names no message: it says itself under which generation it went out.
                let may_be_trial = !locks.only_trial || matches!(about, About::Send { key: None, .. });
                let is_newer = may_be_trial && about.is_newer(half.entered, half.entered_at, cx.policy.skew);
                if refutes || is_trials || is_newer {
                    if half.is_trial(&about) {
                        out.notes.push(Note::Trial(TrialOutcome::Locked));
                    }
                    self.reopen(locks, cx, out);
                } else {
                    let only_trial = locks.only_trial;
                    if !half.keep_early(&about, Early::Lock(locks)) && !only_trial {
                        out.notes.push(Note::Stale);
                    }
                }
            }
        }
    }

    pub(super) fn proof(
        &mut self,
        about: About,
        sent: bool,
        class: Option<Class>,
        cx: &Context<'_>,
        out: &mut Applied,
    ) {
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
                // What was let through proves nothing of what is held; and before its date nothing does.
                let extent = &open.lock.extent;
                let is_held = extent.class().is_none_or(|held| class == Some(held));
                let may_go = is_held && extent.left(true, cx.now) == Left::Nothing;
                if is_newer && may_go && (is_sure || cx.policy.half_open) {
                    open.delivered = Some(Delivered { key: about.key(), is_sure });
                    open.next_check = open.next_check.min(open.backs_off_until);
                    self.recover_if_delivered(cx, out);
                }
            }
            State::HalfOpen(half) => {
                if half.is_trials_message(&about, sent, class) {
                    out.notes.push(Note::Trial(TrialOutcome::Confirmed));
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
                Early::Lock(locks) => self.lock_evidence(about, locks, cx, out),
                Early::Proof => self.proof(about, true, None, cx, out),
            }
        }
    }

    pub(super) fn trial_proven(&mut self, lease: Lease, cx: &Context<'_>, out: &mut Applied) {
        let State::HalfOpen(half) = &mut self.state else { return };
        if half.trial.is_some_and(|trial| trial.lease == lease) {
            out.notes.push(Note::Trial(TrialOutcome::Confirmed));
            half.forget_trial(None);
            self.confirmed(Source::Response, "a trial was accepted", cx, out);
        }
    }

    pub(super) fn trial_ended(&mut self, lease: Lease, abandoned: bool, out: &mut Applied) {
        let State::HalfOpen(half) = &mut self.state else { return };
        if half.trial.is_some_and(|trial| trial.lease == lease) {
            half.trial = None;
            let outcome = if abandoned { TrialOutcome::Abandoned } else { TrialOutcome::OtherError };
            out.notes.push(Note::Trial(outcome));
        }
    }

    /// The message may still be delivered (to another device, to another member of the group), so it stays known as a trial's.
    pub(super) fn failed(&mut self, about: &About, out: &mut Applied) {
        let State::HalfOpen(half) = &mut self.state else { return };
        let lease = half.trial_of(about);
        if lease.is_some() && half.trial.is_some_and(|trial| Some(trial.lease) == lease) {
            half.trial = None;
            out.notes.push(Note::Trial(TrialOutcome::OtherError));
        }
    }
}

impl Strikes {
    /// Adds one piece of evidence, once for each message, and says whether it is enough.
    pub(super) fn add(&mut self, code: i64, key: Option<WamidKey>, cx: &Context<'_>) -> bool {
        if key.is_none() || !self.keys.contains(&(code, key)) {
            self.keys.push((code, key));
        }
        self.last = cx.now;
        let count = self.keys.iter().filter(|(its_code, _)| *its_code == code).count();
        count >= usize::try_from(cx.policy.trip_after).unwrap_or(usize::MAX)
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
