//! The dumb reference: it keeps every send and what became of it, forgets nothing, and looks everything up.

use super::super::*;
use super::happenings::{Answer, Happens};

/// All there is to know.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) policy: Policy,
    pub(super) now: i64,
    heard: bool,
    pub(super) generation: u64,
    /// Closed, open or half-open; and the generation and the time of the step that led there.
    pub(super) phase: Shown,
    entered: (u64, i64),
    fence: Option<(u64, i64)>,
    order: Option<(OverrideOrder, Option<i64>)>,
    /// Messages (or none) that met the lock while it was closed, since the last step.
    strikes: Vec<Option<usize>>,
    /// Messages that met the lock in this incident.
    failed: Vec<usize>,
    /// Probes that did not clear, since the back-off began.
    backed_off: u32,
    next_check: i64,
    /// The probe that is out, and until when.
    probe: Option<(usize, i64)>,
    probes: usize,
    /// Whose delivery led to half-open.
    led_by: Option<usize>,
    /// The trial that is out, since when and until when.
    trial: Option<(usize, i64, i64)>,
    confirmed: u32,
    counted: Vec<usize>,
    /// Statuses that came while a trial's answer was on its way: the message, and whether it failed.
    early: Vec<(usize, bool)>,
    pub(super) sends: Vec<Sent>,
    /// The send that was answered by what happened last.
    pub(super) answered: Option<usize>,
    /// The steps that what happened last has led to.
    pub(super) steps: Vec<TransitionKind>,
}

/// A send that came to the gate; its place in the list names its message.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// The generation that let it out. None: rejected, or from before a restart.
    admitted: Option<u64>,
    /// The half-open whose trial it is, by the generation of that.
    trial_of: Option<u64>,
    pub(super) answer: Option<Answer>,
    answered_at: i64,
    confirmed: bool,
}

/// What a status is judged by.
#[derive(Clone, Copy, Debug)]
enum Said {
    OfOurs(u64),
    Dated(Option<i64>),
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap()
}

impl World {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            now: START,
            heard: false,
            generation: 0,
            phase: Shown::Closed,
            entered: (0, 0),
            fence: None,
            order: None,
            strikes: Vec::new(),
            failed: Vec::new(),
            backed_off: 0,
            next_check: 0,
            probe: None,
            probes: 0,
            led_by: None,
            trial: None,
            confirmed: 0,
            counted: Vec::new(),
            early: Vec::new(),
            sends: Vec::new(),
            answered: None,
            steps: Vec::new(),
        }
    }

    pub(super) fn time(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    pub(super) fn dated(&self, from_now: Option<i64>) -> Option<Timestamp> {
        from_now.map(|from_now| Timestamp::from_millis(self.now + from_now))
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context { now: self.time(), jitter: super::JITTER, heard: self.heard, policy: &self.policy }
    }

    /// The place of the one that is so many before the last.
    pub(super) fn nth_last(len: usize, back: usize) -> Option<usize> {
        len.checked_sub(back + 1)
    }

    pub(super) fn happens(&mut self, happens: &Happens) {
        self.steps.clear();
        self.answered = None;
        match *happens {
            Happens::Clock(by) => self.now += by,
            Happens::Heard => self.heard = true,
            Happens::Wait => {
                self.now = self.due().unwrap_or(self.now).max(self.now);
                self.end_order();
                self.tick();
            }
            Happens::Tick => {
                self.end_order();
                self.tick();
            }
            Happens::CheckNow => {
                self.end_order();
                self.check();
            }
            Happens::Hold { order, seconds } => {
                self.end_order();
                self.order = Some((order, seconds.map(|seconds| self.now + seconds * 1000)));
                self.step(match order {
                    OverrideOrder::Open => TransitionKind::ForceOpen,
                    OverrideOrder::Bypass => TransitionKind::Bypass,
                });
            }
            Happens::Lift => {
                self.end_order();
                if self.order.take().is_some() {
                    self.step(TransitionKind::Lift);
                }
            }
            Happens::Reset => {
                self.end_order();
                if self.phase != Shown::Closed || self.order.is_some() {
                    self.order = None;
                    self.close(TransitionKind::Reset);
                    self.backed_off = 0;
                }
            }
            Happens::Probed { back, ref health } => {
                self.end_order();
                if let (Some((out, _)), Some(this)) = (self.probe, Self::nth_last(self.probes, back))
                    && out == this
                {
                    self.probed(health);
                }
            }
            Happens::Send { observed } => self.send(observed),
            Happens::Answer { back, answer } => self.answer(back, answer),
            Happens::Status { back, failed, dated } => {
                let Some(n) = Self::nth_last(self.sends.len(), back) else { return };
                let sent = &self.sends[n];
                let said = match (sent.admitted, sent.answer) {
                    (Some(generation), Some(Answer::Accepted)) => Said::OfOurs(generation),
                    _ => Said::Dated(dated.map(|dated| self.now + dated)),
                };
                self.said(Some(n), said, failed);
            }
            Happens::Foreign { message, failed, dated } => {
                let said = Said::Dated(dated.map(|dated| self.now + dated));
                self.said(message.map(usize::from), said, failed);
            }
            Happens::Restart => self.restart(),
        }
    }

    fn restart(&mut self) {
        // What the store does not keep.
        self.strikes.clear();
        self.failed.clear();
        self.early.clear();
        self.counted.clear();
        (self.probe, self.probes, self.trial, self.led_by) = (None, 0, None, None);
        for sent in &mut self.sends {
            (sent.admitted, sent.trial_of) = (None, None);
        }
    }

    fn send(&mut self, observed: bool) {
        let (admission, n) = (self.admission(), self.sends.len());
        let is_trial = admission == Admission::Trial;
        self.sends.push(Sent {
            admitted: (admission != Admission::Reject || observed).then_some(self.generation),
            trial_of: is_trial.then_some(self.entered.0),
            answer: None,
            answered_at: 0,
            confirmed: false,
        });
        if is_trial {
            self.trial = Some((n, self.now, self.now + millis(self.policy.trial_timeout)));
        }
    }

    fn answer(&mut self, back: usize, answer: Answer) {
        let Some(n) = Self::nth_last(self.sends.len(), back) else { return };
        let Some(generation) = self.sends[n].admitted.filter(|_| self.sends[n].answer.is_none()) else {
            return;
        };
        (self.sends[n].answer, self.sends[n].answered_at) = (Some(answer), self.now);
        self.answered = Some(n);
        let is_trial = self.sends[n].trial_of.is_some();
        match answer {
            Answer::Locked => self.said(None, Said::OfOurs(generation), true),
            _ if !is_trial => {}
            Answer::Accepted | Answer::Encrypted => {
                self.end_order();
                let came: Vec<_> = self.early.iter().copied().filter(|(of, _)| *of == n).collect();
                if answer == Answer::Accepted && self.sends[n].trial_of == self.half_open() {
                    self.early.retain(|(of, _)| *of != n);
                    if !came.is_empty() {
                        self.said(Some(n), Said::OfOurs(generation), came.contains(&(n, true)));
                    }
                }
            }
            Answer::Other | Answer::Dropped => {
                self.end_order();
                if self.trial.is_some_and(|(out, ..)| out == n) {
                    self.trial = None;
                }
            }
        }
    }

    /// The generation that led to half-open, if it is.
    fn half_open(&self) -> Option<u64> {
        (self.phase == Shown::HalfOpen).then_some(self.entered.0)
    }

    fn is_newer(&self, said: Said, (generation, at): (u64, i64)) -> bool {
        match said {
            Said::OfOurs(admitted) => admitted >= generation,
            Said::Dated(dated) => dated.is_some_and(|dated| dated > at + millis(self.policy.skew)),
        }
    }

    fn said(&mut self, message: Option<usize>, said: Said, failed: bool) {
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
            (Shown::Closed, true) => {
                if self.fence.is_none_or(|fence| self.is_newer(said, fence)) {
                    if message.is_none() || !self.strikes.contains(&message) {
                        self.strikes.push(message);
                    }
                    if self.strikes.len() >= usize::try_from(self.policy.trip_after).unwrap() {
                        self.trip();
                    }
                }
            }
            (Shown::Open, false) if !known_to_have_failed => {
                if self.is_newer(said, self.entered) {
                    self.recover();
                    self.led_by = message;
                }
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

    fn probed(&mut self, health: &Health) {
        self.probe = None;
        match health {
            Health::Clear(_) => {
                let end = self.entered.1 + millis(self.policy.min_open);
                match self.is_over(end, self.policy.min_open) {
                    true => self.recover(),
                    false => self.next_check = end,
                }
            }
            Health::Unknown(Unknown::OverBudget) => self.schedule(),
            Health::Blocked(_) | Health::Unknown(_) => {
                self.backed_off += 1;
                self.schedule();
            }
        }
    }

    fn check(&mut self) {
        if self.phase == Shown::Open && self.probe.is_none() {
            self.probe = Some((self.probes, self.now + millis(self.policy.probe_lease)));
            self.probes += 1;
            self.schedule();
        }
    }

    fn tick(&mut self) {
        match (self.phase, self.probe, self.trial) {
            (Shown::Open, Some((_, until)), _) if self.is_over(until, self.policy.probe_lease) => {
                self.probed(&Health::Unknown(Unknown::LeaseOver));
            }
            (Shown::Open, None, _) if self.is_over(self.next_check, self.longest_wait()) => self.check(),
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
    pub(super) fn due(&self) -> Option<i64> {
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
        self.now >= deadline || deadline - self.now > millis(longest)
    }

    fn schedule(&mut self) {
        let mut wait = millis(self.policy.probe_interval);
        for _ in 0..self.backed_off.min(40) {
            wait = (wait * 2).min(millis(self.policy.probe_max_interval));
        }
        self.next_check = self.now + wait - wait / 10;
    }

    fn trip(&mut self) {
        let good_while = 4 * millis(self.policy.probe_max_interval);
        if self.fence.is_none_or(|(_, at)| self.now - at >= good_while) {
            self.backed_off = 0;
        }
        self.failed = self.strikes.iter().copied().flatten().collect();
        self.open(TransitionKind::Trip);
        self.check();
    }

    fn open(&mut self, kind: TransitionKind) {
        self.enter(Shown::Open, kind);
        self.schedule();
    }

    fn recover(&mut self) {
        match self.policy.half_open {
            true => self.enter(Shown::HalfOpen, TransitionKind::HalfOpen),
            false => self.close(TransitionKind::Close),
        }
    }

    fn close(&mut self, kind: TransitionKind) {
        self.enter(Shown::Closed, kind);
        self.fence = Some(self.entered);
    }

    fn enter(&mut self, phase: Shown, kind: TransitionKind) {
        self.step(kind);
        (self.phase, self.entered) = (phase, (self.generation, self.now));
        (self.probe, self.trial, self.led_by, self.confirmed) = (None, None, None, 0);
        self.strikes.clear();
        self.early.clear();
        self.counted.clear();
    }

    fn step(&mut self, kind: TransitionKind) {
        self.generation += 1;
        self.steps.push(kind);
    }

    fn standing(&self) -> Option<OverrideOrder> {
        let (order, until) = self.order?;
        until.is_none_or(|until| self.now < until).then_some(order)
    }

    fn end_order(&mut self) {
        if self.order.is_some() && self.standing().is_none() {
            self.order = None;
            self.step(TransitionKind::Lift);
        }
    }

    pub(super) fn shown(&self) -> Shown {
        match self.standing() {
            Some(OverrideOrder::Open) => Shown::ForcedOpen,
            Some(OverrideOrder::Bypass) => Shown::Bypassed,
            None => self.phase,
        }
    }

    /// What a send meets now.
    pub(super) fn admission(&self) -> Admission {
        match (self.shown(), self.phase, self.trial) {
            (Shown::ForcedOpen, ..) => Admission::Reject,
            (Shown::HalfOpen | Shown::Bypassed, Shown::HalfOpen, None) => Admission::Trial,
            (Shown::Bypassed | Shown::Closed, ..) => Admission::Forward,
            _ => Admission::Reject,
        }
    }
}
