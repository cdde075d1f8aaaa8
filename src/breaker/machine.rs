//! The transitions: [`Breaker::apply`].
//!
//! | file | subject |
//! |---|---|
//! | `messages` | what is said of messages |
//! | `accounts` | what Meta says of the account |
//! | `trials` | the trials of a half-open breaker |
//! | `probes` | what probes find |
//! | `contradictions` | whether the two agree |
//! | `orders` | what operators say |
//! | `steps` | the steps that follow |
//! | `deadline` | waits, whatever the clock does |

mod accounts;
mod contradictions;
mod deadline;
mod messages;
mod orders;
mod probes;
mod steps;
mod trials;

use std::time::Duration;

use self::deadline::{is_over, longest_wait, soonest};
use super::event::{Applied, Context, Event, Note, TrialOutcome};
use super::evidence::{Reason, Source};
use super::extent::Extent;
use super::state::{Breaker, State};
use crate::graph::health::{Health, Unknown};
use crate::time::Timestamp;

/// The most statuses that wait for a trial's answer, the most trial messages that wait for a status, and the most failed
/// messages that are known as such. A trial answers within seconds; what is dropped beyond this only delays a close until
/// the next status or trial, or costs a trial that fails.
const WAITING: usize = 256;

/// Meta's dates are in whole seconds: what is dated 12:00:00 may have happened up to this much later.
const DATE_STEP: Duration = Duration::from_secs(1);

/// Evidence of a lock.
#[derive(Clone, Debug)]
pub(super) struct Locks {
    pub(super) reason: Reason,
    pub(super) extent: Extent,
    pub(super) only_trial: bool,
}

impl Breaker {
    /// The one door: every change of state goes through here, except that a trial begins with [`Breaker::begin_trial`].
    pub fn apply(&mut self, event: Event, cx: &Context<'_>) -> Applied {
        let mut out = Applied::default();
        self.drop_expired_order(cx, &mut out);
        match event {
            Event::Lock { about, reason, extent, only_trial } => {
                self.lock_evidence(about, Locks { reason, extent, only_trial }, cx, &mut out);
            }
            Event::Account(account) => self.account_event(account, cx, &mut out),
            Event::Proof { about, sent, class } => self.proof(about, sent, class, cx, &mut out),
            Event::TrialAccepted { lease, generation, keys, proves } => {
                self.trial_accepted(lease, generation, keys, cx, &mut out);
                if proves {
                    self.trial_proven(lease, cx, &mut out);
                }
            }
            Event::TrialEnded { lease, abandoned } => self.trial_ended(lease, abandoned, &mut out),
            Event::Failed { about } => self.failed(&about, &mut out),
            Event::Probed { lease, health } => self.probed(lease, health, cx, &mut out),
            Event::Watched { generation, health } => self.watched(generation, &health, cx, &mut out),
            Event::CheckNow { asked } => self.check_now(asked, cx, &mut out),
            Event::Tick => self.tick(cx, &mut out),
            Event::Replaced { text } => self.replaced(&text, cx, &mut out),
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

    fn tick(&mut self, cx: &Context<'_>, out: &mut Applied) {
        match &mut self.state {
            State::Closed(_) => {}
            State::Open(open) => match open.probe {
                Some(probe) if is_over(probe.until, cx.policy.probe_lease, cx.now) => {
                    out.notes.push(Note::ProbeLeaseOver);
                    self.probed(probe.lease, Health::Unknown(Unknown::LeaseOver), cx, out);
                }
                None if is_over(open.next_check, longest_wait(cx.policy), cx.now) => {
                    if !self.recover_if_delivered(cx, out) && !self.release_by_dates(cx, out) {
                        self.check_now(false, cx, out);
                    }
                }
                Some(_) | None => {}
            },
            State::HalfOpen(half) if half.trial.is_some() => {
                if let Some(deadline) = half.unheard_deadline(cx) {
                    if is_over(deadline, cx.policy.trial_grace, cx.now) {
                        out.notes.push(Note::Trial(TrialOutcome::Unheard));
                        half.forget_trial(None);
                        let text = "a trial was accepted and no failure came; no webhook ever came here, so its delivery cannot be seen";
                        self.confirmed(Source::Timer, text, cx, out);
                    }
                } else if is_over(half.trial_deadline(), cx.policy.trial_timeout, cx.now) {
                    out.notes.push(Note::Trial(TrialOutcome::TimedOut));
                    half.trial = None;
                }
            }
            State::HalfOpen(_) => {}
        }
    }
}
