//! What probes find, and when the next one is due.

use super::super::backoff::wait;
use super::super::evidence::{Reason, Source};
use super::super::extent::{Extent, Left};
use super::super::state::{Breaker, ContradictionKind, Generation, Lease, Open, Probe, State};
use super::super::{Applied, Context, Note};
use super::deadline::{is_over, longest_wait};
use crate::graph::health::{Health, Unknown};
use crate::graph::ids::WamidKey;
use crate::time::Timestamp;

impl Breaker {
    pub(super) fn probed(&mut self, lease: Lease, health: Health, cx: &Context<'_>, out: &mut Applied) {
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
        if !matches!(health, Health::Unknown(_)) {
            lock.diagnosis.get_or_insert_with(|| (cx.now, health.clone()));
        }
        match &health {
            Health::Clear(_) => {
                lock.probes += 1;
                lock.health = Some((cx.now, health));
                lock.agree(ContradictionKind::BlockedButDelivered);
                let not_before = open.entered_at.plus(cx.policy.min_open).max(open.backs_off_until);
                if !is_over(not_before, longest_wait(cx.policy), cx.now) {
                    open.look_at(not_before, cx);
                    return;
                }
                match open.lock.extent.left(true, cx.now) {
                    Left::Nothing => {
                        let text = "health is clear: no entity blocks messaging";
                        self.recover(Source::Probe, text, None, cx, out);
                    }
                    Left::Less(rest) => {
                        let text = "health is clear, and the date of a class is over";
                        self.leave(rest, Source::Probe, text, cx, out);
                    }
                    Left::Same => {
                        open.schedule(cx);
                        open.lock.attempt = open.lock.attempt.saturating_add(1);
                    }
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
    pub(super) fn watched(
        &mut self,
        generation: Generation,
        health: &Health,
        cx: &Context<'_>,
        out: &mut Applied,
    ) {
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
                        self.trip(reason, Extent::default(), Some((cx.now, health.clone())), cx, out);
                    }
                    None => out.notes.push(Note::Stale),
                }
            }
            Health::Unknown(_) => {}
        }
    }

    /// The first probe says who blocks, and why. What ends by its date alone needs none.
    pub(super) fn diagnose(&mut self, cx: &Context<'_>, out: &mut Applied) {
        if self.lock().is_some_and(|lock| !lock.extent.ends_by_dates()) {
            self.check_now(false, cx, out);
        }
    }

    pub(super) fn check_now(&mut self, asked: bool, cx: &Context<'_>, out: &mut Applied) {
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
}

impl Open {
    pub(super) fn delivered_message(&self) -> Option<WamidKey> {
        self.delivered?.key
    }

    /// When the next look is due if the back-off goes on from here.
    pub(super) fn back_off(&self, cx: &Context<'_>) -> Timestamp {
        let policy = cx.policy;
        cx.now.plus(wait(self.lock.attempt, policy.probe_interval, policy.probe_max_interval, cx.jitter))
    }

    pub(super) fn schedule(&mut self, cx: &Context<'_>) {
        let at = match self.lock.extent.ends_by_dates() {
            // Nothing is asked until then, but no wait is longer than this.
            true => cx.now.plus(longest_wait(cx.policy)),
            false => self.back_off(cx),
        };
        self.look_at(at, cx);
        if self.delivered.is_some() {
            self.next_check = self.next_check.min(self.backs_off_until);
        }
    }

    /// Looks next at that time. What is left at a date before is looked at then.
    pub(super) fn look_at(&mut self, at: Timestamp, cx: &Context<'_>) {
        self.next_check = self.lock.extent.dates(cx.now).fold(at, Timestamp::min);
    }
}
