//! One breaker as the state table has it.

use super::{MIN_OPEN, Message, PROBE_LEASE, SKEW};
use crate::breaker::Topic;
use crate::breakers::OrderKind;
use crate::graph::class::Class;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Closed,
    Open,
    HalfOpen,
}

/// What a class of messages is held for: always until a probe is clear, and never before this date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) until: Option<i64>,
    /// By a list of Meta's, which the next one may change.
    pub(super) listed: bool,
}

/// All messages, until a probe is clear.
const ALL: [Option<Held>; 2] = [Some(Held { until: None, listed: false }); 2];

/// What a send meets at one breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Meets {
    Nothing,
    Trial,
    Held,
}

/// What evidence is about: a message, and how far the breaker had come when its send was let out, or else Meta's date.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    pub(super) message: Option<Message>,
    pub(super) moved: Option<u64>,
    pub(super) dated: Option<i64>,
}

impl About {
    pub(super) fn dated(message: Option<Message>, dated: Option<i64>) -> Self {
        Self { message, moved: None, dated }
    }

    fn is_newer(self, (moved, at): (u64, i64)) -> bool {
        match self.moved {
            Some(admitted) => admitted >= moved,
            None => self.dated.is_some_and(|dated| dated > at + SKEW),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct One {
    pub(super) now: i64,
    pub(super) half_open: bool,
    /// How often it has moved.
    pub(super) moved: u64,
    phase: Phase,
    /// How far it had come, and when, when it came to be as it is; and when it closed last.
    entered: (u64, i64),
    closed: Option<(u64, i64)>,
    /// What it holds, unless it is closed: business-initiated and customer-initiated messages.
    holds: [Option<Held>; 2],
    pub(super) order: Option<(OrderKind, Option<i64>)>,
    /// Account events heard: of what, and their dates.
    heard: Vec<(Topic, i64)>,
    /// The trial that is out, and until when it is waited for.
    pub(super) permit: Option<(usize, i64)>,
    /// When the probe that is out was asked for.
    probe: Option<i64>,
    /// Messages that have met the lock.
    failed: Vec<Message>,
    /// The message whose delivery led to half-open.
    led_by: Option<Message>,
    /// Health said blocked last; and when it closed last, so that the same is no news.
    blocked: bool,
    outlived: bool,
}

fn place(class: Class) -> usize {
    usize::from(class == Class::CustomerInitiated)
}

impl One {
    pub(super) fn goes_on(&mut self, now: i64) {
        self.now = now;
        if self.order.is_some_and(|(_, until)| until.is_some_and(|until| until <= now)) {
            self.order = None;
            self.moved += 1;
        }
        self.permit = self.permit.filter(|(_, until)| now < *until);
        if self.probe.take_if(|asked_at| now >= *asked_at + PROBE_LEASE).is_some() {
            // No answer is one, too: nobody knows.
            self.blocked = false;
        }
    }

    pub(super) fn is_plain(&self) -> bool {
        self.phase == Phase::Closed && self.order.is_none()
    }

    fn holds(&self, class: Option<Class>) -> bool {
        match class {
            Some(class) => self.holds[place(class)].is_some(),
            None => true,
        }
    }

    /// Whether a message of this class waits for a date.
    fn waits(&self, class: Option<Class>) -> bool {
        let waits =
            |held: &Option<Held>| held.and_then(|held| held.until).is_some_and(|until| self.now < until);
        match class {
            Some(class) => waits(&self.holds[place(class)]),
            None => self.holds.iter().any(waits),
        }
    }

    pub(super) fn one_class(&self) -> Option<Class> {
        match self.holds {
            [Some(_), None] => Some(Class::BusinessInitiated),
            [None, Some(_)] => Some(Class::CustomerInitiated),
            _ => None,
        }
    }

    pub(super) fn meets(&self, class: Option<Class>) -> Meets {
        let meets = match self.phase {
            Phase::Closed => Meets::Nothing,
            _ if !self.holds(class) => Meets::Nothing,
            // Another class is on trial.
            Phase::HalfOpen if self.waits(class) => Meets::Held,
            Phase::HalfOpen if self.permit.is_none() => Meets::Trial,
            Phase::Open | Phase::HalfOpen => Meets::Held,
        };
        match (self.order, meets) {
            (Some((OrderKind::Open, _)), _) => Meets::Held,
            (Some((OrderKind::Bypass, _)), Meets::Held) => Meets::Nothing,
            _ => meets,
        }
    }

    fn moves(&mut self, phase: Phase) {
        self.moved += 1;
        (self.phase, self.entered) = (phase, (self.moved, self.now));
        (self.permit, self.led_by, self.probe) = (None, None, None);
        if phase == Phase::Closed {
            (self.closed, self.outlived, self.blocked) = (Some(self.entered), self.blocked, false);
            self.holds = [None, None];
        }
    }

    /// Where no trials are wanted, what would lead to them closes.
    fn recovers(&mut self) {
        self.moves(if self.half_open { Phase::HalfOpen } else { Phase::Closed });
    }

    pub(super) fn is_news(&self, about: About) -> bool {
        self.closed.is_none_or(|closed| about.is_newer(closed))
    }

    pub(super) fn locked(&mut self, about: About) {
        self.holds_more(about, ALL);
    }

    fn holds_more(&mut self, about: About, more: [Option<Held>; 2]) {
        match self.phase {
            Phase::Closed if self.is_news(about) => {
                self.moves(Phase::Open);
                (self.holds, self.failed) = (more, Vec::new());
            }
            Phase::Open if self.is_news(about) => {
                for (held, more) in self.holds.iter_mut().zip(more) {
                    *held = match (*held, more) {
                        (Some(held), Some(more)) => Some(Held {
                            // What a list has lifted no older list holds again.
                            until: held.until.or(more.until.filter(|_| !(held.listed && more.listed))),
                            listed: held.listed || more.listed,
                        }),
                        (held, more) => held.or(more),
                    };
                }
            }
            Phase::HalfOpen if about.is_newer(self.entered) => self.reopens(more),
            _ => {}
        }
        self.notes(about.message);
    }

    fn reopens(&mut self, more: [Option<Held>; 2]) {
        self.moves(Phase::Open);
        for (held, more) in self.holds.iter_mut().zip(more) {
            // The dates of what was on trial are over.
            let waits = held.and_then(|held| held.until).is_some_and(|until| self.now < until);
            let over = held.map(|_| Held { until: None, listed: false });
            *held = if waits { *held } else { more.or(over) };
        }
    }

    fn notes(&mut self, failed: Option<Message>) {
        if self.phase != Phase::Closed {
            self.failed.extend(failed);
        }
    }

    /// Whether a trial was let out since it is as it is.
    fn is_of_now(&self, trial: Option<u64>) -> bool {
        trial.is_some_and(|moved| moved >= self.entered.0)
    }

    /// Whether a message that met the lock was this half-open's trial, or what led to it; then it is open again.
    pub(super) fn refuted_by(&mut self, about: About, trial: Option<u64>) -> bool {
        let is_led_by = self.led_by.is_some() && self.led_by == about.message;
        let refuted = self.phase == Phase::HalfOpen && (is_led_by || self.is_of_now(trial));
        if refuted {
            // It is not over; but one phone's lock makes its account's no wider.
            self.reopens([None, None]);
            self.notes(about.message);
        }
        refuted
    }

    /// The same, of an account whose phone's lock says nothing more to it.
    pub(super) fn heard_of_lock(&mut self, about: About, trial: Option<u64>) {
        self.refuted_by(about, trial);
        self.notes(about.message);
    }

    /// A trial's answer is a lock's.
    pub(super) fn refused_trial(&mut self, about: About) {
        if self.phase == Phase::HalfOpen && about.is_newer(self.entered) {
            self.reopens([None, None]);
        }
    }

    pub(super) fn trial_ended(&mut self, send: usize) {
        self.permit = self.permit.filter(|(out, _)| *out != send);
    }

    pub(super) fn failed_otherwise(&mut self, message: Message) {
        if let Message::Ours(send) = message {
            self.trial_ended(send);
        }
    }

    pub(super) fn delivered(&mut self, about: About, sent: bool, class: Option<Class>, trial: Option<u64>) {
        if about.message.is_some_and(|message| self.failed.contains(&message)) {
            return;
        }
        match self.phase {
            Phase::HalfOpen if self.is_of_now(trial) => {
                let stays = |held: &Held| held.until.is_some_and(|until| self.now < until);
                let rest = self.holds.map(|held| held.filter(stays));
                let phase = if rest == [None, None] { Phase::Closed } else { Phase::Open };
                self.moves(phase);
                self.holds = rest;
            }
            Phase::Open => {
                let of_held = self.one_class().is_none_or(|held| class == Some(held));
                let dates_over =
                    self.holds.iter().flatten().all(|held| held.until.is_none_or(|until| self.now >= until));
                let is_sure = sent || about.moved.is_some();
                if about.is_newer(self.entered) && of_held && dates_over && (is_sure || self.half_open) {
                    self.recovers();
                    self.led_by = about.message.filter(|_| self.phase == Phase::HalfOpen);
                }
            }
            Phase::Closed | Phase::HalfOpen => {}
        }
    }

    /// A probe is asked for because it is open.
    pub(super) fn asks(&mut self, asked_at: i64) {
        self.probe = Some(asked_at);
    }

    /// The answer to such a probe.
    pub(super) fn probed(&mut self, asked_at: i64, clear: Option<bool>) {
        if self.probe.take_if(|out| *out == asked_at).is_none() {
            return;
        }
        self.blocked = clear == Some(false);
        if clear != Some(true) || self.now < self.entered.1 + MIN_OPEN {
            return;
        }
        let stays = |held: &Held| held.until.is_some_and(|until| self.now < until);
        let left = self.holds.map(|held| held.filter(stays));
        if left == [None, None] || (self.half_open && left != self.holds) {
            self.recovers();
        } else {
            self.holds = left;
        }
    }

    /// The answer to a probe of a closed breaker. Nothing may have happened to it since it was asked for.
    pub(super) fn watched(&mut self, moved: u64, clear: bool) {
        if self.phase != Phase::Closed || moved != self.moved {
            return;
        }
        match clear {
            true => self.outlived = false,
            false if self.outlived => {}
            false => {
                self.moves(Phase::Open);
                (self.holds, self.failed, self.blocked) = (ALL, Vec::new(), true);
            }
        }
    }

    pub(super) fn ordered(&mut self, kind: OrderKind, until: Option<i64>) {
        match kind {
            OrderKind::Reset if self.is_plain() => {}
            OrderKind::Reset => {
                self.order = None;
                // Nothing but an order ends, where it was closed beneath.
                self.blocked = if self.phase == Phase::Closed { self.outlived } else { self.blocked };
                self.moves(Phase::Closed);
            }
            OrderKind::Lift => self.moved += u64::from(self.order.take().is_some()),
            OrderKind::Open | OrderKind::Bypass => {
                self.order = Some((kind, until));
                self.moved += 1;
            }
        }
    }

    pub(super) fn restarts(&mut self) {
        (self.permit, self.led_by, self.probe) = (None, None, None);
        self.failed.clear();
    }

    /// Whether an account event is the newest of its topic; none if a newer one was heard.
    fn takes(&mut self, topic: Topic, dated: &mut Option<i64>) -> Option<bool> {
        // Nothing is said before it happens.
        *dated = dated.map(|dated| dated.min(self.now + SKEW));
        let newest = self.newest(topic);
        if dated.is_some() && *dated < newest {
            return None;
        }
        self.heard.extend(dated.map(|dated| (topic, dated)));
        Some(*dated > newest)
    }

    fn newest(&self, topic: Topic) -> Option<i64> {
        self.heard.iter().filter(|(of, _)| *of == topic).map(|(_, dated)| *dated).max()
    }

    pub(super) fn banned(&mut self, topic: Topic, mut dated: Option<i64>) {
        if self.takes(topic, &mut dated).is_some() {
            self.holds_more(About::dated(None, dated), ALL);
        }
    }

    pub(super) fn lifted(&mut self, topic: Topic, mut dated: Option<i64>) {
        self.takes(topic, &mut dated);
    }

    pub(super) fn reinstated(&mut self, mut dated: Option<i64>) {
        // It is the end of any ban, and of any list of restrictions.
        self.takes(Topic::Ban, &mut dated);
        let is_newest = self.takes(Topic::Restrictions, &mut dated);
        if dated.is_none() || is_newest == Some(true) {
            self.relists([None, None]);
        }
    }

    pub(super) fn restricted(&mut self, list: [Option<Held>; 2], mut dated: Option<i64>) {
        let Some(is_newest) = self.takes(Topic::Restrictions, &mut dated) else { return };
        if is_newest {
            self.relists(list);
        }
        if list != [None, None] {
            self.holds_more(About::dated(None, dated), list);
        }
    }

    /// What is held until a list's date is held until the newest list's.
    fn relists(&mut self, list: [Option<Held>; 2]) {
        let (now, on_trial) = (self.now, self.phase == Phase::HalfOpen);
        for (held, listed) in self.holds.iter_mut().zip(list) {
            if let Some(held) = held
                && (held.listed || listed.is_some())
                // What is on trial stays so: only a lock ends that.
                && !(on_trial && held.until.is_none_or(|until| until <= now))
            {
                *held = Held { until: listed.and_then(|listed| listed.until), listed: true };
            }
        }
    }
}
