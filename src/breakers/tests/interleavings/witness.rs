//! What one phone's breaker may do and must do, judged without the program's own means: by the order in which things really
//! happened, and, where a message is unknown to the program, by Meta's date.

use std::collections::HashSet;
use std::time::Duration;

use super::expect::Expect;
use super::house::{Beneath, Stand};
use super::meta::News;
use super::post::Post;
use crate::breaker::{NoWebhooks, OverrideOrder, Policy};
use crate::graph::health::Health;
use crate::graph::webhook::StatusKind;

/// One send that was let out.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) phone: usize,
    /// Its place in the order of all that happened.
    pub(super) place: u64,
    pub(super) at: i64,
    /// The generation that admitted it.
    pub(super) generation: u64,
    pub(super) wamids: Vec<String>,
    /// The half-open that it is a trial of, by its place.
    pub(super) trial_of: Option<u64>,
    /// The process that heard the answer, and so knows which messages are its trials'.
    pub(super) known_to: Option<u64>,
    /// Whether its messages are in the memory of sends.
    pub(super) is_remembered: bool,
    /// When the answer came.
    pub(super) accepted_at: Option<i64>,
    /// Whether a good word about it may come: Meta did not simply lock it out, or nobody can tell its messages.
    pub(super) may_prove: bool,
}

/// A moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) place: u64,
    pub(super) at: i64,
}

/// A trial under way.
#[derive(Clone, Debug)]
struct Trial {
    send: usize,
    began: i64,
    /// Whether anything happened by which its permit may have become free.
    may_be_over: bool,
}

/// Whose doing a change was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Automation,
    Reset,
    /// Another order, or the end of one: it moves nothing beneath.
    Order,
}

/// Everything that was seen of one phone.
pub(super) struct Witness {
    policy: Policy,
    /// The last close or reset.
    fence: Option<Mark>,
    /// Since when it is as it is.
    entered: Mark,
    heard: bool,
    trial: Option<Trial>,
    /// Messages of which 131031 was said to this process: surely in this incident, or perhaps before it.
    failed: HashSet<String>,
    perhaps_failed: HashSet<String>,
    /// Messages of which this process was told 131031.
    told: HashSet<String>,
    /// Good and bad news that overtook the answer of a trial of this half-open.
    early: Vec<(String, bool)>,
    /// Whether a message accepted since it opened was delivered.
    delivered: bool,
    /// Whether it opened where a recovery had just failed: then nothing leads on before the back-off is over.
    backs_off: bool,
}

impl Witness {
    pub(super) fn new(policy: Policy) -> Self {
        let entered = Mark { place: 0, at: i64::MIN };
        let (failed, perhaps_failed, early) = (HashSet::new(), HashSet::new(), Vec::new());
        Self {
            policy,
            fence: None,
            entered,
            heard: false,
            trial: None,
            failed,
            perhaps_failed,
            early,
            told: HashSet::new(),
            delivered: false,
            backs_off: false,
        }
    }

    pub(super) const fn heard(&self) -> bool {
        self.heard
    }

    /// The half-open that it is in, if it is.
    pub(super) const fn half_open(&self) -> u64 {
        self.entered.place
    }

    /// Promise 1 and 7: what the gate may say. `forward`: whether it let the send out; `trial`: as the trial.
    pub(super) fn gated(&mut self, stand: Stand, forward: bool, trial: bool, send: usize, now: i64) {
        let [lease, grace] = [self.policy.trial_timeout, self.policy.trial_grace].map(millis);
        // An accepted one keeps its permit for the grace, where only silence can confirm it.
        let longest = if self.heard { lease } else { lease + grace };
        let busy = self.trial.as_ref().is_some_and(|trial| now - trial.began < longest);
        let over = |trial: &Trial| trial.may_be_over || now - trial.began >= lease;
        let may_be_free = self.trial.as_ref().is_none_or(over);
        match (stand.order, stand.beneath) {
            (Some(OverrideOrder::Open), _) => assert!(!forward, "let out though an operator holds it open"),
            (_, Beneath::Closed) => assert!(forward && !trial, "closed, and held back"),
            (order, Beneath::Open) => assert_eq!((forward, trial), (order.is_some(), false), "containment"),
            (order, Beneath::HalfOpen) => {
                assert_eq!(forward, trial || order.is_some(), "half-open lets out trials only");
                assert!(!trial || may_be_free, "two trials at once");
                assert!(trial || busy, "no trial is out, and this one was not let out");
            }
        }
        if trial {
            self.trial = Some(Trial { send, began: now, may_be_over: false });
        }
    }

    /// A permit came back without good news: it is free.
    pub(super) fn ended(&mut self, send: usize) {
        self.trial.take_if(|trial| trial.send == send);
    }

    /// Promise 6: 131031 in the answer to a send.
    pub(super) fn refused(&mut self, sent: &Sent, before: Stand, after: Stand) {
        let expect = match before.beneath {
            Beneath::Closed if self.fence.is_none_or(|fence| sent.place > fence.place) => {
                Expect::Must(Beneath::Open)
            }
            Beneath::HalfOpen if sent.place > self.entered.place => Expect::Must(Beneath::Open),
            Beneath::Closed | Beneath::Open | Beneath::HalfOpen => Expect::Nothing,
        };
        expect.check(before, after, &format!("131031 was answered to {sent:?}"));
    }

    /// The answer brings to light whose the news was that came before it.
    pub(super) fn accepted(&mut self, send: usize, sent: &Sent, before: Stand, after: Stand, now: i64) {
        let is_trial = before.beneath == Beneath::HalfOpen && sent.trial_of == Some(self.entered.place);
        let kept = now - sent.at < millis(self.policy.trial_timeout);
        let early =
            |good| is_trial && self.early.iter().any(|(of, is)| *is == good && sent.wamids.contains(of));
        let overtaken = sent.wamids.iter().any(|wamid| self.told.contains(wamid));
        let is_news = self.fence.is_none_or(|fence| sent.place > fence.place);
        let expect = match (early(false), early(true)) {
            _ if before.beneath == Beneath::Closed => match overtaken && is_news {
                true => Expect::Must(Beneath::Open),
                false => Expect::Nothing,
            },
            (true, _) if kept => Expect::Must(Beneath::Open),
            (true, _) => Expect::Any(Beneath::Open, Beneath::Closed),
            (false, true) if kept && self.policy.trials_to_close == 1 => Expect::Must(Beneath::Closed),
            (false, true) => Expect::May(Beneath::Closed),
            (false, false) => Expect::Nothing,
        };
        expect.check(before, after, &format!("{sent:?} was accepted"));
        if let Some(trial) = self.trial.as_mut().filter(|trial| early(true) && trial.send == send) {
            trial.may_be_over = true;
        }
    }

    /// One webhook came. Says how much of it had to be counted as late, where that is certain.
    pub(super) fn posted(&mut self, post: &Post<'_>, before: Stand, after: Stand) -> Option<u64> {
        let expect = match before.beneath {
            Beneath::Closed => self.when_closed(post),
            Beneath::Open => self.when_open(post),
            Beneath::HalfOpen => self.when_half_open(post),
        };
        expect.check(before, after, &format!("a webhook said {:?}", post.news));
        let fresh = |news| post.is_newer(news, self.entered);
        self.delivered |= before.beneath == Beneath::Open && post.good().any(fresh);
        self.heard |= post.news.iter().any(|news| news.wamid.is_some());
        self.note(&post.news, before);
        let late = post.locks().count() as u64;
        (late == 0 || (before.beneath, expect) == (Beneath::Closed, Expect::Nothing)).then_some(late)
    }

    /// Promise 6: late news moves nothing, and new trouble always opens.
    fn when_closed(&self, post: &Post<'_>) -> Expect {
        match post.locks().any(|news| self.fence.is_none_or(|fence| post.is_newer(news, fence))) {
            true => Expect::Must(Beneath::Open),
            false => Expect::Nothing,
        }
    }

    /// A message that was accepted after the trip and is delivered leads on; one that met the lock proves nothing.
    fn when_open(&self, post: &Post<'_>) -> Expect {
        let fresh =
            || post.good().filter(|news| !self.failed(news, post) && post.is_newer(news, self.entered));
        let must = post.locks().next().is_none()
            && !self.backs_off
            && fresh().any(|news| !self.perhaps_failed(news));
        match fresh().next() {
            Some(_) if must => Expect::Must(Beneath::HalfOpen),
            Some(_) => Expect::May(Beneath::HalfOpen),
            None => Expect::Nothing,
        }
    }

    /// Promises 6 and 7: a trial's delivery closes, a lock that is newer than half-open opens, and nothing else moves it.
    fn when_half_open(&self, post: &Post<'_>) -> Expect {
        let is_trial = |sent: &Sent| sent.trial_of == Some(self.entered.place);
        // A trial of this process is known as one, even if the memory of sends has lost it; until it is confirmed.
        let is_trials = |news: &News| post.heard_of(news).is_some_and(is_trial);
        let unconfirmed = self.policy.trials_to_close == 1;
        let fails = |news: &News| post.is_newer(news, self.entered) || (unconfirmed && is_trials(news));
        let fails = post.locks().any(fails);
        let refuted = post.locks().any(|news| self.delivered || is_trials(news));
        let good = || post.good().filter(|news| !self.failed(news, post));
        let proofs = || good().filter(|news| post.heard_of(news).is_some_and(is_trial));
        let closes = proofs().next().is_some() || good().any(|news| self.is_taken_for_trial(news, post));
        let must = self.policy.trials_to_close == 1 && proofs().any(|news| !self.perhaps_failed(news));
        match (fails || refuted, closes) {
            (true, true) => Expect::Any(Beneath::Open, Beneath::Closed),
            (true, false) if fails => Expect::Must(Beneath::Open),
            (true, false) => Expect::May(Beneath::Open),
            (false, true) if must => Expect::Must(Beneath::Closed),
            (false, true) => Expect::May(Beneath::Closed),
            (false, false) => Expect::Nothing,
        }
    }

    /// Delivered and 131031 for one message: the lock counts, whichever comes first.
    fn failed(&self, news: &News, post: &Post<'_>) -> bool {
        let here = post.locks().any(|lock| lock.wamid == news.wamid);
        here || news.wamid.as_ref().is_some_and(|wamid| self.failed.contains(wamid))
    }

    fn perhaps_failed(&self, news: &News) -> bool {
        news.wamid.as_ref().is_some_and(|wamid| self.perhaps_failed.contains(wamid))
    }

    /// A trial whose answer was opaque takes the next message that nobody knows, and that was sent since, for its own.
    fn is_taken_for_trial(&self, news: &News, post: &Post<'_>) -> bool {
        self.trial.as_ref().is_some_and(|trial| {
            let sent = &post.sends[trial.send];
            let opaque = sent.accepted_at.is_some() && sent.known_to.is_none();
            let since = news.dated.millis().saturating_add(1000) > trial.began;
            opaque && since && news.kind == StatusKind::Sent && post.remembered(news).is_none()
        })
    }

    fn note(&mut self, news: &[&News], before: Stand) {
        for news in news {
            let Some(wamid) = &news.wamid else { continue };
            if news.is_lock {
                self.told.insert(wamid.clone());
            }
            if news.is_lock && before.beneath == Beneath::Closed {
                self.perhaps_failed.insert(wamid.clone());
            } else if news.is_lock {
                self.failed.insert(wamid.clone());
            }
            if before.beneath == Beneath::HalfOpen && (news.is_lock || news.is_good()) {
                self.early.push((wamid.clone(), news.is_good()));
            }
            // A status that is no lock ends the trial that it is about, whether it is good or bad.
            if let Some(trial) = self.trial.as_mut().filter(|_| !news.is_lock) {
                trial.may_be_over = true;
            }
        }
    }

    /// The outcome of a probe came: by it alone nothing closes, and nothing but *clear* leads on.
    /// A look at a closed breaker (`at` this generation) may find a block.
    pub(super) fn probed(&self, health: &Health, at: Option<u64>, before: Stand, after: Stand) {
        let expect = match (before.beneath, health) {
            (Beneath::Open, Health::Clear(_)) if at.is_none() => Expect::May(Beneath::HalfOpen),
            (Beneath::Closed, Health::Blocked(_)) if at == Some(before.generation) => {
                Expect::May(Beneath::Open)
            }
            _ => Expect::Nothing,
        };
        expect.check(before, after, "a probe's outcome came");
    }

    /// Something was due. By the clock alone only a quiet trial closes, and only where no webhook ever came; and a delivery that
    /// came while it backed off leads on.
    pub(super) fn woke(&mut self, sends: &[Sent], before: Stand, after: Stand, now: i64) {
        let grace = millis(self.policy.trial_grace);
        let quiet = |sent: &Sent| {
            sent.trial_of == Some(self.entered.place) && sent.accepted_at.is_some_and(|at| now - at >= grace)
        };
        let may_close =
            !self.heard && self.policy.no_webhooks == NoWebhooks::Close && sends.iter().any(quiet);
        if (before.beneath, after.beneath) == (Beneath::Open, Beneath::HalfOpen) {
            assert!(self.delivered && self.backs_off, "led on by the clock alone");
        } else if after.beneath != before.beneath {
            let closes = (before.beneath, after.beneath) == (Beneath::HalfOpen, Beneath::Closed);
            assert!(closes && may_close, "moved by the clock from {before:?} to {after:?}");
        } else if before.order == after.order {
            assert_eq!(before, after, "a transition to where it was");
        }
        if let Some(trial) = self.trial.as_mut().filter(|_| may_close) {
            trial.may_be_over = true;
        }
    }

    /// After a step: notes where the breaker is now. `place`: this moment's place in the order of all that happened.
    pub(super) fn moved(&mut self, before: Stand, after: Stand, cause: Cause, place: u64, now: i64) {
        let mark = Mark { place, at: now };
        let stepped = after.generation != before.generation && cause == Cause::Automation;
        if after.beneath != before.beneath || stepped {
            self.entered = mark;
            self.trial = None;
            self.early.clear();
            self.delivered &= after.beneath == Beneath::HalfOpen;
            self.backs_off = before.beneath == Beneath::HalfOpen || self.fence.is_some();
        }
        let is_reset = cause == Cause::Reset && after.generation != before.generation;
        if after.beneath == Beneath::Closed && (before.beneath != Beneath::Closed || is_reset) {
            self.fence = Some(mark);
            (self.failed, self.perhaps_failed) = (HashSet::new(), HashSet::new());
        }
    }

    /// The process died: permits, leases and what was known of messages went with it.
    pub(super) fn restarted(&mut self) {
        self.trial = None;
        (self.failed, self.perhaps_failed) = (HashSet::new(), HashSet::new());
        self.early.clear();
        self.told.clear();
        self.delivered = false;
    }
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap()
}
