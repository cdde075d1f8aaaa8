//! The steps from state to state. Each is one assignment of the new state, and then [`Breaker::step`].

use super::super::evidence::{Reason, Source};
use super::super::extent::{Extent, Left};
use super::super::state::{
    Breaker, ContradictionKind, Fence, HalfOpen, IncidentStart, Lock, Open, Shown, State, Strikes,
};
use super::super::{Applied, Context, Transition, TransitionKind};
use super::Locks;
use super::deadline::{is_over, longest_wait};
use crate::graph::health::Health;
use crate::graph::ids::WamidKey;
use crate::time::Timestamp;

impl Breaker {
    pub(super) fn trip(
        &mut self,
        reason: Reason,
        extent: Extent,
        health: Option<(Timestamp, Health)>,
        cx: &Context<'_>,
        out: &mut Applied,
    ) {
        // Also those that were not yet enough, if a probe trips it.
        let failed = match &self.state {
            State::Closed(strikes) => strikes.keys.iter().filter_map(|(_, key)| *key).collect(),
            State::Open(_) | State::HalfOpen(_) => Vec::new(),
        };
        let good_while = cx.policy.good_while();
        let soon = self.fence.as_ref().filter(|fence| cx.now.since(fence.at) < good_while);
        let lock = Lock {
            since: cx.now,
            generation: self.generation.next(),
            probes: u64::from(health.is_some()),
            diagnosis: health.clone(),
            health,
            extent,
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

    pub(super) fn reopen(&mut self, locks: Locks, cx: &Context<'_>, out: &mut Applied) {
        let Locks { reason, extent, only_trial } = locks;
        let State::HalfOpen(half) = &self.state else { return };
        let mut lock = half.lock.clone();
        // A trial is one of what is held, and says nothing of the rest.
        let extent = if only_trial { extent.within(&lock.extent) } else { extent };
        lock.failed_against_health(&reason, cx);
        lock.attempt = lock.attempt.saturating_add(1);
        lock.extent = lock.extent.reopened(&extent, cx.now);
        let (from, source, text) = (self.shown(cx.now), reason.source, reason.to_string());
        self.open(lock, cx);
        self.step(TransitionKind::Reopen, from, source, text, cx, out);
    }

    /// Further evidence, while it is open: it may hold more than before.
    pub(super) fn widen(&mut self, by: &Extent, reason: Reason, cx: &Context<'_>, out: &mut Applied) {
        let State::Open(open) = &mut self.state else { return };
        let extent = open.lock.extent.widened(by);
        if extent == open.lock.extent {
            return;
        }
        let (source, text) = (reason.source, reason.to_string());
        open.lock.reason = reason;
        self.extend(extent, source, &text, cx, out);
        self.diagnose(cx, out);
    }

    /// What it holds, or until when, has changed.
    pub(super) fn extend(
        &mut self,
        extent: Extent,
        source: Source,
        text: &str,
        cx: &Context<'_>,
        out: &mut Applied,
    ) {
        let from = self.shown(cx.now);
        match &mut self.state {
            State::Closed(_) => return,
            State::Open(open) => {
                open.lock.extent = extent;
                // What was delivered says nothing of what is held now.
                open.delivered = None;
                open.schedule(cx);
            }
            State::HalfOpen(half) => half.lock.extent = extent,
        }
        self.step(TransitionKind::Extent, from, source, format!("{text}: it holds {extent}"), cx, out);
    }

    /// Some classes may go on, and `rest` has to wait for its dates: to half-open, where the rest stays held. There is no trial where the
    /// policy wants none, or where health has to be asked about the rest meanwhile: then it is left at once, and should the
    /// evidence come again, the next time is later.
    pub(super) fn leave(
        &mut self,
        rest: Extent,
        source: Source,
        text: &str,
        cx: &Context<'_>,
        out: &mut Applied,
    ) {
        if cx.policy.half_open && rest.waits(None, cx.now) {
            return self.recover(source, text, None, cx, out);
        }
        if let State::Open(open) = &mut self.state {
            open.lock.attempt = open.lock.attempt.saturating_add(1);
            open.backs_off_until = open.back_off(cx);
        }
        self.extend(rest, source, text, cx, out);
    }

    /// Leaves what its dates alone hold and no longer do. Says whether there is nothing to be asked of health.
    pub(super) fn release_by_dates(&mut self, cx: &Context<'_>, out: &mut Applied) -> bool {
        let State::Open(open) = &mut self.state else { return false };
        let may_leave = is_over(open.backs_off_until, longest_wait(cx.policy), cx.now);
        match open.lock.extent.left(false, cx.now) {
            Left::Nothing | Left::Less(_) if !may_leave => open.next_check = open.backs_off_until,
            Left::Nothing => self.recover(Source::Timer, "its time is over", None, cx, out),
            Left::Less(rest) => self.leave(rest, Source::Timer, "the time of a class is over", cx, out),
            Left::Same if open.lock.extent.ends_by_dates() => open.schedule(cx),
            Left::Same => return false,
        }
        true
    }

    /// A message accepted after the trip was delivered, and the back-off is over. Says whether it moved.
    pub(super) fn recover_if_delivered(&mut self, cx: &Context<'_>, out: &mut Applied) -> bool {
        let State::Open(open) = &mut self.state else { return false };
        let Some(delivered) = open.delivered else { return false };
        if open.lock.extent.left(true, cx.now) != Left::Nothing {
            // Its date was over, but the clock has gone back since.
            open.delivered = None;
            return false;
        }
        if !is_over(open.backs_off_until, longest_wait(cx.policy), cx.now) {
            return false;
        }
        let text = "a message accepted after the trip was delivered";
        if delivered.is_sure {
            open.lock.delivered_against_health(text, cx);
        }
        self.recover(Source::Webhook, text, delivered.key, cx, out);
        true
    }

    /// Open → half-open, or → closed where the policy wants no trials.
    pub(super) fn recover(
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
        self.state = State::HalfOpen(Box::new(HalfOpen {
            lock: open.lock.clone(),
            entered: self.generation.next(),
            entered_at: cx.now,
            confirmed: 0,
            led_by,
            trial: None,
            trial_keys: Vec::new(),
            counted: Vec::new(),
            early: Vec::new(),
        }));
        self.step(TransitionKind::HalfOpen, from, source, text.to_owned(), cx, out);
    }

    /// One more trial is confirmed; enough of them close.
    pub(super) fn confirmed(&mut self, source: Source, text: &str, cx: &Context<'_>, out: &mut Applied) {
        let State::HalfOpen(half) = &mut self.state else { return };
        half.confirmed += 1;
        out.changed = true;
        if half.confirmed < cx.policy.trials_to_close {
            return;
        }
        if let Left::Less(rest) = half.lock.extent.left(true, cx.now) {
            let mut lock = half.lock.clone();
            (lock.extent, lock.attempt) = (rest, lock.attempt.saturating_add(1));
            let from = self.shown(cx.now);
            self.open(lock, cx);
            self.step(TransitionKind::Extent, from, source, format!("{text}: it holds {rest}"), cx, out);
        } else {
            let (attempt, from) = (half.lock.attempt.saturating_add(1), self.shown(cx.now));
            self.close(attempt, cx);
            self.step(TransitionKind::Close, from, source, text.to_owned(), cx, out);
        }
    }

    /// Open or half-open → closed, if no recovery has just failed.
    pub(super) fn replaced(&mut self, text: &str, cx: &Context<'_>, out: &mut Applied) {
        let from = self.shown(cx.now);
        let attempt = match &self.state {
            State::Closed(_) => return,
            State::Open(open) if !is_over(open.backs_off_until, longest_wait(cx.policy), cx.now) => return,
            State::Open(open) => open.lock.attempt,
            State::HalfOpen(half) => half.lock.attempt,
        };
        self.close(attempt.saturating_add(1), cx);
        self.step(TransitionKind::Close, from, Source::Response, text.to_owned(), cx, out);
    }

    pub(super) fn open(&mut self, lock: Lock, cx: &Context<'_>) {
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
            open.backs_off_until = open.back_off(cx);
        }
        self.state = State::Open(Box::new(open));
    }

    pub(super) fn close(&mut self, attempt: u32, cx: &Context<'_>) {
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
    pub(super) fn step(
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
