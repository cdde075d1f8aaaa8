//! One history, lived through: each step is done to the program and written down, and then all phones are compared.

use std::borrow::Cow;
use std::time::Duration;

use proptest::sample::Index;

use super::compare::{Reached, of_class};
use super::house::House;
use super::reference::{self, MIN_OPEN, Message, PROBE_LEASE, SKEW, TRIAL_TIMEOUT, Ticket, Word, World};
use super::says::lock;
use super::steps::{Ahead, Answer, Found, History, PHONES, Place, Step, WABAS};
use crate::breaker::{NoWebhooks, Policy, Scope};
use crate::breakers::{Gate, Order, OrderKind, Permit, ProbeTicket, Purpose, Settings};
use crate::graph::answer;
use crate::graph::class::Class;
use crate::graph::ids::{PhoneNumberId, WabaId};
use crate::graph::webhook::{Account, ErrorFact, Fact, StatusKind};
use crate::telemetry::Telemetry;
use crate::time::Timestamp;

/// So long after each step comes the next: longer than the skew, and than any back-off here.
const PACE: u64 = 3;

pub(super) struct Run {
    pub(super) house: House,
    pub(super) history: Vec<(i64, Word)>,
    spread: bool,
    half_open: bool,
    pub(super) phones: Vec<PhoneNumberId>,
    pub(super) wabas: Vec<WabaId>,
    /// Whose each phone is in truth.
    pub(super) owners: Vec<usize>,
    /// Sends that were let out, and those of them that are not answered yet.
    sent: Vec<PhoneNumberId>,
    flights: Vec<(usize, Permit)>,
    accepted: Vec<usize>,
    tickets: Vec<(ProbeTicket, Ticket)>,
    said: Vec<Fact>,
}

fn millis(duration: i64) -> Duration {
    Duration::from_millis(u64::try_from(duration).unwrap())
}

impl Run {
    pub(super) fn new(history: &History, telemetry: Telemetry) -> Self {
        // A back-off shorter than the pace, so that its jitter decides nothing here; and nothing closes by silence.
        let policy = Policy {
            min_open: millis(MIN_OPEN),
            half_open: history.half_open,
            trial_timeout: millis(TRIAL_TIMEOUT),
            no_webhooks: NoWebhooks::Hold,
            skew: millis(SKEW),
            probe_interval: Duration::from_secs(2),
            probe_max_interval: Duration::from_secs(2),
            probe_lease: millis(PROBE_LEASE),
            ..Policy::default()
        };
        let spread = history.spread;
        let commit_timeout = Duration::from_millis(250);
        let settings = Settings { policy, spread, commit_timeout, ..Settings::default() };
        Self {
            house: House::new(settings, telemetry),
            history: Vec::new(),
            spread,
            half_open: history.half_open,
            phones: (0..PHONES).map(|n| PhoneNumberId::parse(format!("{}", 100 + n)).unwrap()).collect(),
            // Not to be confused with the phones, though the ids of the two may be alike.
            wabas: (0..WABAS).map(|n| WabaId::parse(format!("{}", 100 + n)).unwrap()).collect(),
            owners: (0..PHONES).map(|n| n * WABAS / PHONES).collect(),
            sent: Vec::new(),
            flights: Vec::new(),
            accepted: Vec::new(),
            tickets: Vec::new(),
            said: Vec::new(),
        }
    }

    pub(super) fn world(&self) -> World {
        World::of(&self.history, self.spread, self.half_open, self.house.now().millis())
    }

    fn note(&mut self, word: Word) {
        self.history.push((self.house.now().millis(), word));
    }

    pub(super) fn at(&self, ahead: Ahead) -> Timestamp {
        Timestamp::from_millis(self.house.now().millis() + ahead * 1000)
    }

    pub(super) async fn step(&mut self, step: &Step, reached: &mut Reached) {
        self.wait(PACE).await;
        match step {
            Step::Wait(seconds) => self.wait(*seconds).await,
            Step::Account { waba, news, dated } => {
                let news = self.news(news);
                let at = dated.map(|ahead| self.at(ahead));
                self.hear(Fact::Account(Account { waba: self.wabas[*waba], at, news })).await;
            }
            Step::Again(which) => {
                if !self.said.is_empty() {
                    let fact = which.get(&self.said).clone();
                    self.hear(fact).await;
                }
            }
            Step::Send { phone, class, answer } => self.send(*phone, *class, *answer, reached).await,
            Step::Answer(which, answer) => {
                if !self.flights.is_empty() {
                    let (send, permit) = self.flights.remove(which.index(self.flights.len()));
                    self.answer(send, permit, *answer).await;
                }
            }
            Step::Status { send, kind } => {
                if !self.accepted.is_empty() {
                    let send = *send.get(&self.accepted);
                    let wamid = format!("wamid.{send}");
                    let fact = self.status(self.sent[send], wamid, *kind, Some(0), false);
                    self.hear(fact).await;
                }
            }
            Step::Foreign { phone, message, kind, dated, names_waba } => {
                let wamid = format!("past.{message}");
                let fact = self.status(self.phones[*phone], wamid, *kind, *dated, *names_waba);
                self.hear(fact).await;
            }
            Step::Error { phone, dated } => {
                let at = dated.map(|ahead| self.at(ahead));
                let phone = self.phones[*phone];
                self.hear(Fact::Error(ErrorFact { waba: None, phone, at, error: lock() })).await;
            }
            Step::Probe(which, found) => self.probe(*which, *found).await,
            Step::Ask(place) => {
                let scope = self.scope(*place);
                if self
                    .house
                    .breakers
                    .0
                    .registry
                    .get(scope)
                    .is_none_or(|cell| cell.read(|it| it.lock().is_none()))
                {
                    let generation = crate::breaker::Generation(self.house.breakers.view(scope).generation);
                    self.house.breakers.ask(scope, Purpose::Order(generation));
                }
            }
            Step::Order { place, kind, seconds } => self.order(self.scope(*place), *kind, *seconds).await,
            Step::Numbers(waba) => {
                let of = |n: &usize| self.owners[*n] == *waba;
                let phones: Vec<_> = (0..PHONES).filter(of).map(|n| self.phones[n]).collect();
                self.house.breakers.learn_numbers(self.wabas[*waba], &phones);
                for phone in phones {
                    self.note(Word::Learned(phone, self.wabas[*waba]));
                }
            }
            Step::Moves { phone, waba } => self.owners[*phone] = *waba,
            Step::Restart => {
                self.flights.clear();
                self.tickets.clear();
                self.house.restart();
                self.note(Word::Restart);
            }
        }
        self.collect();
        self.compare(step, reached);
        self.collect();
    }

    /// Takes in the probes that are asked for, each as things stand.
    fn collect(&mut self) {
        let asked = self.house.asked();
        self.asked(asked);
    }

    fn asked(&mut self, asked: Vec<ProbeTicket>) {
        let now = self.house.now().millis();
        if !asked.is_empty() {
            let world = self.world();
            for ticket in asked {
                let stamped = stamped(&ticket, &world);
                self.history.push((now, Word::Asked(stamped)));
                self.tickets.push((ticket, stamped));
            }
            self.tickets.retain(|(_, ticket)| ticket.asked_at + 2 * PROBE_LEASE > now);
        }
    }

    async fn wait(&mut self, seconds: u64) {
        let until = self.house.now().plus(Duration::from_secs(seconds));
        // So many times at most: else something is due for ever.
        let most = 40 * (seconds + 10);
        for n in 0.. {
            assert!(n < most, "{n} wakes in {seconds} s");
            let more = self.house.go(until).await;
            self.collect();
            if !more {
                break;
            }
        }
    }

    fn scope(&self, place: Place) -> Scope {
        match place {
            Place::Phone(phone) => self.phones[phone].into(),
            Place::Waba(waba) => self.wabas[waba].into(),
        }
    }

    async fn hear(&mut self, fact: Fact) {
        self.house.breakers.hear(std::slice::from_ref(&fact)).await;
        match &fact {
            Fact::Account(Account { waba, at, news }) => {
                self.note(Word::Account(*waba, at.map(Timestamp::millis), news.clone()));
            }
            Fact::Status(status) => {
                if let Some(waba) = status.waba {
                    self.note(Word::Learned(status.phone, waba));
                }
                let (from, n) = status.wamid.split_once('.').unwrap();
                let message = match from {
                    "wamid" => Message::Ours(n.parse().unwrap()),
                    _ => Message::Foreign(status.phone, n.parse().unwrap()),
                };
                let kind = match status.kind {
                    StatusKind::Failed if status.errors.is_empty() => StatusKind::Other,
                    kind => kind,
                };
                let (phone, dated) = (status.phone, status.at.map(Timestamp::millis));
                self.note(Word::Status { phone, message, kind, dated });
            }
            Fact::Error(error) => {
                self.note(Word::Error { phone: error.phone, dated: error.at.map(Timestamp::millis) });
            }
            _ => {}
        }
        self.said.push(fact);
    }

    async fn send(
        &mut self,
        phone: usize,
        class: Option<Class>,
        answer: Option<Answer>,
        reached: &mut Reached,
    ) {
        let phone = self.phones[phone];
        let Gate::Forward(permit) = self.house.breakers.admit(phone, of_class(class)) else { return };
        let trials = self.world().meets(phone, class).unwrap_or_default();
        reached.trials_of_two += u64::from(trials.len() == 2);
        reached.trials_of_accounts += u64::from(trials.iter().any(|scope| scope.phone().is_none()));
        self.note(Word::Sent { phone, class });
        let send = self.sent.len();
        self.sent.push(phone);
        match answer {
            Some(answer) => self.answer(send, permit, answer).await,
            None => self.flights.push((send, permit)),
        }
    }

    async fn answer(&mut self, send: usize, permit: Permit, answer: Answer) {
        match answer {
            Answer::Accepted => {
                let message = answer::Message { wamid: Cow::Owned(format!("wamid.{send}")), recipient: None };
                permit.accepted(std::slice::from_ref(&message), None).await;
                self.accepted.push(send);
                self.note(Word::Accepted(send));
            }
            Answer::Locked => {
                permit.locked(368, "blocked".to_owned(), None).await;
                self.note(Word::Refused(send));
            }
            Answer::Other => {
                permit.other().await;
                self.note(Word::Ended(send));
            }
            Answer::Dropped => {
                drop(permit);
                self.note(Word::Ended(send));
            }
        }
    }

    async fn order(&mut self, scope: Scope, kind: OrderKind, seconds: Option<u64>) {
        let (reason, by) = ("because".to_owned(), "ann".to_owned());
        let hold = seconds.map(Duration::from_secs);
        self.house.breakers.order(scope, Order { kind, reason, by, hold }, None).await.unwrap();
        let until = hold.map(|hold| self.house.now().plus(hold).millis());
        self.note(Word::Order(scope, kind, until));
    }

    /// The newest probes are answered oftener than old ones.
    async fn probe(&mut self, which: Index, found: Found) {
        self.tickets.retain(|(ticket, _)| ticket.purpose != Purpose::Numbers);
        if self.tickets.is_empty() {
            return;
        }
        let back = which.index(self.tickets.len().min(3));
        let (ticket, stamped) = self.tickets.remove(self.tickets.len() - 1 - back);
        let health = self.health(ticket.scope, found);
        if let (Some(phone), false) = (ticket.scope.phone(), matches!(found, Found::Unknown)) {
            let n = self.phones.iter().position(|known| *known == phone).unwrap();
            self.note(Word::Learned(phone, self.wabas[self.owners[n]]));
        }
        self.house.breakers.probed(&ticket, health).await;
        let found = match found {
            Found::Clear => {
                reference::Found { clear: Some(true), phone_blocks: false, account_blocks: false }
            }
            Found::Unknown => reference::Found { clear: None, phone_blocks: false, account_blocks: false },
            Found::Blocked { phone, account } => reference::Found {
                clear: Some(false),
                phone_blocks: phone,
                account_blocks: account.is_some(),
            },
        };
        self.note(Word::Probed(stamped, found));
    }
}

fn stamped(ticket: &ProbeTicket, world: &World) -> Ticket {
    let account = ticket.scope.phone().and_then(|phone| world.account_of(phone));
    Ticket {
        scope: ticket.scope,
        recovery: matches!(ticket.purpose, Purpose::Recovery(_)),
        asked_at: world.now(),
        moved: world.moved(ticket.scope),
        account: account.map(|waba| (waba, world.moved(waba.into()))),
    }
}
