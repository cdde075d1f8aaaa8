//! One history, lived through: each step is done to the program, and the witness says whether it was right.

use super::house::{Beneath, House, Stand};
use super::meta::{Answer, Meta};
use super::post::Post;
use super::reached::Reached;
use super::steps::{History, PHONES, Pick, Step};
use super::witness::{Cause, Sent, Witness};
use crate::breaker::Generation;
use crate::breakers::{Order, OrderKind, Permit, ProbeTicket, Purpose};
use crate::graph::health::Health;
use crate::telemetry::Telemetry;

/// What the program remembers of its sends when a webhook comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// All of them.
    Whole,
    /// None: a million others came between.
    Overflown,
    /// None, and nothing else that is not stored: it is restarted before each webhook.
    Dead,
}

/// A send whose answer is under way.
pub(super) struct Flight {
    pub(super) send: usize,
    pub(super) permit: Permit,
    pub(super) answer: Answer,
}

/// How long an answer can be under way, in milliseconds: then the program itself gives up.
const PATIENCE: i64 = 3_600_000;

pub(super) struct Run {
    pub(super) house: House,
    pub(super) meta: Meta,
    pub(super) reached: Reached,
    pub(super) memory: Memory,
    pub(super) witnesses: Vec<Witness>,
    pub(super) sends: Vec<Sent>,
    pub(super) flights: Vec<Flight>,
    pub(super) place: u64,
    trials_to_close: u64,
}

impl Run {
    pub(super) fn new(history: &History, memory: Memory, telemetry: Telemetry) -> Self {
        Self {
            house: House::new(history.policy.clone(), telemetry),
            meta: Meta::new(history.ahead),
            reached: Reached::default(),
            memory,
            witnesses: (0..PHONES).map(|_| Witness::new(history.policy.clone())).collect(),
            sends: Vec::new(),
            flights: Vec::new(),
            place: 0,
            trials_to_close: u64::from(history.policy.trials_to_close),
        }
    }

    pub(super) async fn step(&mut self, step: &Step) {
        match step {
            Step::Wait(time) => self.wait(i64::try_from(time.as_millis()).unwrap()).await,
            Step::Due => {
                if let Some(due) = self.house.due() {
                    self.wait(due - self.house.now()).await;
                }
            }
            Step::Send(sending) => drop(self.send(*sending)),
            Step::Talk(sending, answer_last) => self.talk(*sending, *answer_last).await,
            Step::Past(sending) => drop(self.meta.takes(*sending, self.house.now())),
            Step::Answer(pick) => {
                if let Some(n) = pick.of(self.flights.len()) {
                    self.answer(n).await;
                }
            }
            Step::HangUp(pick) => {
                if let Some(n) = pick.of(self.flights.len()) {
                    self.hang_up(n);
                }
            }
            Step::Post(picks) => {
                let told = self.meta.told(self.house.now());
                let facts: Vec<usize> =
                    picks.iter().filter_map(|pick| Some(told[pick.of(told.len())?])).collect();
                self.post(&facts).await;
            }
            Step::Probed(pick, health) => self.probed(*pick, health.clone()).await,
            Step::Look(phone) => self.look(*phone),
            Step::Healthy => {
                self.healthy().await;
                self.wait(65_000).await;
                self.healthy().await;
            }
            Step::Lock(phone) => self.meta.locked[*phone] = true,
            Step::Unlock(phone) => self.meta.locked[*phone] = false,
            Step::Restart => self.restart(),
            Step::Order(phone, kind, hold) => self.order(*phone, *kind, *hold).await,
        }
    }

    pub(super) fn stand(&self, phone: usize) -> Stand {
        self.house.stands(phone)
    }

    pub(super) fn heard(&self, phone: usize) -> bool {
        self.witnesses[phone].heard()
    }

    pub(super) fn flights(&self) -> usize {
        self.flights.len()
    }

    pub(super) fn stands(&self) -> [Stand; PHONES] {
        std::array::from_fn(|phone| self.stand(phone))
    }

    /// Time goes by; what is due on the way is done.
    pub(super) async fn wait(&mut self, time: i64) {
        let until = self.house.now() + time;
        let mut woken_at = (0, 0);
        loop {
            let before = self.stands();
            let Some(phone) = self.house.go(until).await else {
                self.are_forgotten(before);
                break;
            };
            let now = self.house.now();
            woken_at = if woken_at.0 == now { (now, woken_at.1 + 1) } else { (now, 0) };
            assert!(woken_at.1 < 10, "it is due again and again and does not get on");
            let after = self.stand(phone);
            self.witnesses[phone].woke(&self.sends, before[phone], after, now);
            let cause = if before[phone].order == after.order { Cause::Automation } else { Cause::Order };
            self.moved(before, Some(phone), cause);
        }
        while let Some(n) =
            self.flights.iter().position(|it| self.house.now() - self.sends[it.send].at > PATIENCE)
        {
            self.hang_up(n);
        }
    }

    /// What was closed for eight days begins anew at generation 0: other generations of sends from before mean nothing now.
    fn are_forgotten(&mut self, before: [Stand; PHONES]) {
        if self.stands() != before {
            self.reached.forgotten += 1;
            self.sends.iter_mut().for_each(|sent| sent.is_remembered &= sent.generation == 0);
        }
    }

    /// One webhook, with these news.
    pub(super) async fn post(&mut self, news: &[usize]) {
        match self.memory {
            Memory::Whole => {}
            Memory::Overflown => {
                self.house.breakers.0.sends.forget_all();
                self.sends.iter_mut().for_each(|sent| sent.is_remembered = false);
            }
            Memory::Dead => self.restart(),
        }
        let (before, stale) = (self.stands(), self.house.stale());
        let facts: Vec<_> = news.iter().map(|n| self.meta.news[*n].fact(&self.house.phones)).collect();
        self.house.breakers.hear(&facts).await;
        let mut late = Some(0);
        for (phone, before) in before.into_iter().enumerate() {
            let news = news.iter().map(|n| &self.meta.news[*n]).filter(|news| news.phone == phone);
            let (news, skew) = (news.collect(), self.house.skew());
            let (process, now) = (self.house.process, self.house.now());
            let post = Post { news, sends: &self.sends, process, skew, now };
            let certain = self.witnesses[phone].posted(&post, before, self.house.stands(phone));
            late = late.zip(certain).map(|(all, more)| all + more);
        }
        if let Some(late) = late {
            assert_eq!(self.house.stale() - stale, late, "late news is counted");
            self.reached.late += late;
        }
        self.moved(before, None, Cause::Automation);
    }

    pub(super) async fn probed(&mut self, pick: Pick, health: Health) {
        let Some(n) = pick.of(self.house.tickets.len()) else { return };
        let (ticket, before) = (self.house.tickets.remove(n), self.stands());
        let phone = self.house.phones.iter().position(|phone| Some(*phone) == ticket.scope.phone()).unwrap();
        self.house.breakers.probed(&ticket, health.clone()).await;
        let at = match ticket.purpose {
            Purpose::Order(generation) | Purpose::Watch(generation) => Some(generation.0),
            Purpose::Recovery(_) | Purpose::Numbers => None,
        };
        self.witnesses[phone].probed(&health, at, before[phone], self.stand(phone));
        self.moved(before, Some(phone), Cause::Automation);
    }

    /// Begins a probe of what is not open, as an operator may.
    fn look(&mut self, phone: usize) {
        let stand = self.stand(phone);
        if stand.beneath == Beneath::Closed {
            let purpose = Purpose::Order(Generation(stand.generation));
            let scope = self.house.phones[phone].into();
            self.house.tickets.push(ProbeTicket { scope, waba: None, phones: Vec::new(), purpose });
        }
    }

    /// Every probe under way says that nothing blocks.
    pub(super) async fn healthy(&mut self) {
        while !self.house.tickets.is_empty() {
            self.probed(Pick::newest(), Health::Clear(Vec::new())).await;
        }
    }

    pub(super) async fn order(&mut self, phone: usize, kind: OrderKind, hold: Option<u64>) {
        let before = self.stands();
        let hold = hold.map(std::time::Duration::from_secs);
        let order = Order { kind, reason: "because".to_owned(), by: "ann".to_owned(), hold };
        let fence = Generation(before[phone].generation);
        self.house.breakers.order(self.house.phones[phone], order, Some(fence)).await.unwrap();
        let after = self.stand(phone);
        let cause = if kind == OrderKind::Reset { Cause::Reset } else { Cause::Order };
        let beneath = if kind == OrderKind::Reset { Beneath::Closed } else { before[phone].beneath };
        assert_eq!(after.beneath, beneath, "{kind:?}");
        self.reached.resets += u64::from(kind == OrderKind::Reset && after != before[phone]);
        self.moved(before, Some(phone), cause);
    }

    pub(super) fn restart(&mut self) {
        let before = self.stands();
        self.house.restart();
        // What was under way died with the process; what it would still write is not written.
        self.flights.clear();
        self.sends.iter_mut().for_each(|sent| sent.is_remembered = false);
        self.witnesses.iter_mut().for_each(Witness::restarted);
        assert_eq!(self.stands(), before, "what was is still so after a restart");
        self.moved(before, None, Cause::Automation);
    }

    /// After each step, which was about `only` one phone or about all of them.
    pub(super) fn moved(&mut self, before: [Stand; PHONES], only: Option<usize>, cause: Cause) {
        self.place += 1;
        let now = self.house.now();
        for (phone, before) in before.into_iter().enumerate() {
            let after = self.stand(phone);
            assert!(
                only.is_none_or(|only| only == phone) || before == after,
                "moved by another phone's doing"
            );
            self.reached.moved(before.beneath, after.beneath, cause);
            if (before.beneath, after.beneath, cause)
                == (Beneath::HalfOpen, Beneath::Closed, Cause::Automation)
            {
                self.is_shown_to_be_free(phone);
            }
            self.witnesses[phone].moved(before, after, cause, self.place, now);
        }
        self.house.collect();
    }

    /// Promise 7: what closed it were as many trials as the policy asks for, and Meta may really have delivered one; or silence
    /// where there was never a word.
    fn is_shown_to_be_free(&self, phone: usize) {
        let half_open = Some(self.witnesses[phone].half_open());
        let trials = || self.sends.iter().filter(|sent| sent.phone == phone && sent.trial_of == half_open);
        assert!(
            trials().count() as u64 >= self.trials_to_close,
            "closed by fewer trials than the policy asks for"
        );
        let shown = trials().any(|sent| sent.may_prove);
        assert!(shown || !self.heard(phone), "closed, and Meta had delivered no trial");
    }
}
