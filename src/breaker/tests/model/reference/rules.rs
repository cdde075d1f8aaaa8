//! The reference's rules: what is said of messages, probes, waits, and steps.

use super::super::super::*;
use super::{Answer, Said, World, millis};

impl World {
    /// The generation that led to half-open, if it is.
    pub(super) fn half_open(&self) -> Option<u64> {
        (self.phase == Shown::HalfOpen).then_some(self.entered.0)
    }

    fn is_newer(&self, said: Said, (generation, at): (u64, i64)) -> bool {
        match said {
            Said::OfOurs(admitted) => admitted >= generation,
            Said::Dated(dated) => dated.is_some_and(|dated| dated > at + millis(self.policy.skew)),
        }
    }

    pub(super) fn said(&mut self, message: Option<usize>, said: Said, failed: bool) {
        self.end_order();
        let awaits = self.trial.is_some_and(|(out, ..)| self.sends[out].answer.is_none());
        let early = match (message, said) {
            (Some(message), Said::Dated(_)) if awaits => Some((message, failed)),
            _ => None,
        };
        let known_to_have_failed = message.is_some_and(|message| self.failed.contains(&message));
        if failed {
            self.failed.extend(message.filter(|_| self.phase != Shown::Closed));
        }
        match (self.phase, failed) {
            (Shown::Closed, true) if self.fence.is_none_or(|fence| self.is_newer(said, fence)) => {
                if message.is_none() || !self.strikes.contains(&message) {
                    self.strikes.push(message);
                }
                if self.strikes.len() >= usize::try_from(self.policy.trip_after).unwrap() {
                    self.trip();
                    self.check();
                }
            }
            (Shown::Open, false) if !known_to_have_failed && self.is_newer(said, self.entered) => {
                self.delivered = Some(message);
                self.next_check = self.next_check.min(self.backs_off_until);
                self.recover_if_delivered();
            }
            (Shown::Open, true) if message.is_some() && self.delivered == Some(message) => {
                self.delivered = None;
            }
            (Shown::HalfOpen, true) => {
                let refutes = message.is_some() && message == self.led_by;
                if refutes || self.is_newer(said, self.entered) {
                    self.backed_off += 1;
                    self.open(TransitionKind::Reopen);
                } else {
                    self.early.extend(early);
                }
            }
            (Shown::HalfOpen, false) if !known_to_have_failed => match self.confirms(message, said) {
                Some(trial) => self.confirm(trial, message),
                None => self.early.extend(early),
            },
            _ => {}
        }
    }

    /// The trial of this half-open that a delivery is about.
    fn confirms(&self, message: Option<usize>, said: Said) -> Option<usize> {
        let is_one = |n: &usize| {
            let sent = self.sends.get(*n);
            sent.is_some_and(|sent| {
                let accepted = sent.answer == Some(Answer::Accepted);
                accepted && !sent.confirmed && sent.trial_of.is_some() && sent.trial_of == self.half_open()
            })
        };
        if let Some(n) = message.filter(is_one) {
            return Some(n);
        }
        let (out, since, _) = self.trial?;
        let moved = match said {
            Said::Dated(Some(dated)) => dated > since - 1000,
            _ => false,
        };
        let counted = message.is_some_and(|message| self.counted.contains(&message));
        (self.sends[out].answer == Some(Answer::Encrypted) && moved && !counted).then_some(out)
    }

    fn confirm(&mut self, trial: usize, message: Option<usize>) {
        self.sends[trial].confirmed = true;
        self.counted.extend(message);
        if self.trial.is_some_and(|(out, ..)| out == trial) {
            self.trial = None;
        }
        self.confirmed += 1;
        if self.confirmed >= self.policy.trials_to_close {
            self.close(TransitionKind::Close);
        }
    }

    fn recover_if_delivered(&mut self) -> bool {
        match self.delivered {
            Some(message) if self.is_over(self.backs_off_until, self.longest_wait()) => {
                self.recover();
                self.led_by = message.filter(|_| self.phase == Shown::HalfOpen);
                true
            }
            _ => false,
        }
    }

    pub(super) fn watched(&mut self, health: &Health) {
        match health {
            Health::Clear(_) => self.outlived_block = false,
            Health::Blocked(_) if !self.outlived_block => {
                self.trip();
                self.health_blocks = true;
            }
            _ => {}
        }
    }

    pub(super) fn probed(&mut self, health: &Health) {
        self.probe = None;
        if *health != Health::Unknown(Unknown::OverBudget) {
            self.health_blocks = matches!(health, Health::Blocked(_));
        }
        match health {
            Health::Clear(_) => {
                let end = (self.entered.1 + millis(self.policy.min_open)).max(self.backs_off_until);
                match self.is_over(end, self.longest_wait()) {
                    true => self.recover(),
                    false => self.next_check = end,
                }
            }
            Health::Unknown(Unknown::OverBudget) => self.schedule(),
            Health::Blocked(_) | Health::Unknown(_) => {
                self.schedule();
                self.backed_off += 1;
            }
        }
    }

    pub(super) fn check(&mut self) {
        if self.phase == Shown::Open && self.probe.is_none() {
            self.probe = Some((self.probes, self.now + millis(self.policy.probe_lease)));
            self.probes += 1;
            self.schedule();
        }
    }

    pub(super) fn tick(&mut self) {
        match (self.phase, self.probe, self.trial) {
            (Shown::Open, Some((_, until)), _) if self.is_over(until, self.policy.probe_lease) => {
                self.probed(&Health::Unknown(Unknown::LeaseOver));
            }
            (Shown::Open, None, _) if self.is_over(self.next_check, self.longest_wait()) => {
                let recovered = self.recover_if_delivered();
                if !recovered {
                    self.check();
                }
            }
            (Shown::HalfOpen, _, Some((out, _, until))) => match self.grace_of(out) {
                Some(end) if self.is_over(end, self.policy.trial_grace) => self.confirm(out, None),
                None if self.is_over(until, self.policy.trial_timeout) => self.trial = None,
                _ => {}
            },
            _ => {}
        }
    }

    fn grace_of(&self, trial: usize) -> Option<i64> {
        let sent = &self.sends[trial];
        let accepted = matches!(sent.answer, Some(Answer::Accepted | Answer::Encrypted));
        (accepted && !self.heard && self.policy.no_webhooks == NoWebhooks::Close)
            .then(|| sent.answered_at + millis(self.policy.trial_grace))
    }

    /// When something is due.
    pub(in super::super) fn due(&self) -> Option<i64> {
        let (deadline, longest) = match (self.phase, self.probe, self.trial) {
            (Shown::Open, Some((_, until)), _) => (Some(until), self.policy.probe_lease),
            (Shown::Open, None, _) => (Some(self.next_check), self.longest_wait()),
            (Shown::HalfOpen, _, Some((out, _, until))) => match self.grace_of(out) {
                Some(end) => (Some(end), self.policy.trial_grace),
                None => (Some(until), self.policy.trial_timeout),
            },
            _ => (None, Duration::ZERO),
        };
        let deadline = deadline.map(|end| if self.is_over(end, longest) { self.now } else { end });
        let order = self.order.and_then(|(_, until)| until);
        deadline.into_iter().chain(order).min()
    }

    fn longest_wait(&self) -> Duration {
        self.policy.probe_max_interval.max(self.policy.min_open)
    }

    fn is_over(&self, deadline: i64, longest: Duration) -> bool {
        self.now >= deadline || deadline - self.now > millis(longest) + 2_000
    }

    fn schedule(&mut self) {
        let mut wait = millis(self.policy.probe_interval);
        for _ in 0..self.backed_off.min(40) {
            wait = (wait * 2).min(millis(self.policy.probe_max_interval));
        }
        self.next_check = self.now + wait - wait / 10;
        if self.delivered.is_some() {
            self.next_check = self.next_check.min(self.backs_off_until);
        }
    }

    fn trip(&mut self) {
        let good_while = 4 * millis(self.policy.probe_max_interval);
        if self.fence.is_none_or(|(_, at)| self.now - at >= good_while) {
            self.backed_off = 0;
        }
        self.failed = self.strikes.iter().copied().flatten().collect();
        self.health_blocks = false;
        self.open(TransitionKind::Trip);
    }

    fn open(&mut self, kind: TransitionKind) {
        self.enter(Shown::Open, kind);
        self.schedule();
        self.backs_off_until = if self.backed_off > 0 { self.next_check } else { self.now };
    }

    fn recover(&mut self) {
        match self.policy.half_open {
            true => self.enter(Shown::HalfOpen, TransitionKind::HalfOpen),
            false => self.close(TransitionKind::Close),
        }
    }

    pub(super) fn close(&mut self, kind: TransitionKind) {
        if self.phase != Shown::Closed {
            self.outlived_block = self.health_blocks;
        }
        self.enter(Shown::Closed, kind);
        self.fence = Some(self.entered);
        self.backed_off += 1;
    }

    fn enter(&mut self, phase: Shown, kind: TransitionKind) {
        self.step(kind);
        (self.phase, self.entered) = (phase, (self.generation, self.now));
        (self.probe, self.trial, self.led_by, self.confirmed) = (None, None, None, 0);
        self.delivered = None;
        self.strikes.clear();
        self.early.clear();
        self.counted.clear();
    }

    pub(super) fn step(&mut self, kind: TransitionKind) {
        self.generation += 1;
        self.steps.push(kind);
    }

    fn standing(&self) -> Option<OverrideOrder> {
        let (order, until) = self.order?;
        until.is_none_or(|until| self.now < until).then_some(order)
    }

    pub(super) fn end_order(&mut self) {
        if self.order.is_some() && self.standing().is_none() {
            self.order = None;
            self.step(TransitionKind::Lift);
        }
    }

    pub(in super::super) fn shown(&self) -> Shown {
        match self.standing() {
            Some(OverrideOrder::Open) => Shown::ForcedOpen,
            Some(OverrideOrder::Bypass) => Shown::Bypassed,
            None => self.phase,
        }
    }

    /// What a send meets now.
    pub(in super::super) fn admission(&self) -> Admission {
        match (self.shown(), self.phase, self.trial) {
            (Shown::ForcedOpen, ..) => Admission::Reject,
            (Shown::HalfOpen | Shown::Bypassed, Shown::HalfOpen, None) => Admission::Trial,
            (Shown::Bypassed | Shown::Closed, ..) => Admission::Forward,
            _ => Admission::Reject,
        }
    }
}
