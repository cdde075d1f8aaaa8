//! The dumb reference: it keeps every send and what became of it, forgets nothing, and looks everything up.

mod rules;

use super::super::*;
use super::happenings::{Answer, Happens};

/// All there is to know.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) policy: Policy,
    /// What happened before the first random event.
    pub(super) prelude: Vec<Happens>,
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
    backs_off_until: i64,
    /// A delivery that waits for the end of that: of which message.
    delivered: Option<Option<usize>>,
    /// The last probe of this incident found a block; and so did the last one of the incident before.
    health_blocks: bool,
    outlived_block: bool,
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
    /// Where it stands when all this has happened.
    pub(super) fn after(policy: Policy, prelude: Vec<Happens>) -> Self {
        let mut world = Self::new(policy);
        for happens in &prelude {
            world.happens(happens);
        }
        Self { prelude, ..world }
    }

    fn new(policy: Policy) -> Self {
        Self {
            policy,
            prelude: Vec::new(),
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
            backs_off_until: 0,
            delivered: None,
            health_blocks: false,
            outlived_block: false,
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

    /// The last trials, of this half-open or of earlier ones: how many sends ago each was.
    pub(super) fn last_trials(&self, most: usize) -> Vec<usize> {
        let ago = self.sends.iter().rev().enumerate();
        ago.filter(|(_, sent)| sent.trial_of.is_some()).map(|(back, _)| back).take(most).collect()
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
            Happens::CheckNow { asked } => {
                self.end_order();
                if asked {
                    self.backs_off_until = self.entered.1;
                }
                self.check();
            }
            Happens::Watched { stale, ref health } => {
                let generation = self.generation;
                self.end_order();
                if !stale && generation == self.generation && self.phase == Shown::Closed {
                    self.watched(health);
                }
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
            Happens::Failed { back } => {
                let Some(n) = Self::nth_last(self.sends.len(), back) else { return };
                self.end_order();
                let is_out = self.trial.is_some_and(|(out, ..)| out == n);
                if is_out && self.sends[n].answer == Some(Answer::Accepted) {
                    self.trial = None;
                }
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
        self.delivered = None;
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
}
