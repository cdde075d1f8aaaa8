//! The reference: it keeps all that was ever said, forgets nothing, and judges everything anew each time it is asked.

mod scope;

use std::collections::HashMap;

use self::scope::{About, Held, One};
use crate::breaker::{Scope, Topic};
use crate::breakers::OrderKind;
use crate::graph::class::Class;
use crate::graph::ids::{PhoneNumberId, WabaId};
use crate::graph::webhook::{AccountNews, StatusKind};

pub(super) use self::scope::Meets;

/// Milliseconds.
pub(super) const SKEW: i64 = 2_000;
pub(super) const MIN_OPEN: i64 = 30_000;
pub(super) const PROBE_LEASE: i64 = 60_000;
pub(super) const TRIAL_TIMEOUT: i64 = 20_000;

/// One thing that happened.
#[derive(Clone, Debug)]
pub(super) enum Word {
    Learned(PhoneNumberId, WabaId),
    Account(WabaId, Option<i64>, AccountNews),
    /// A send was let out. It is the trial of whatever waits for one.
    Sent {
        phone: PhoneNumberId,
        class: Option<Class>,
    },
    Accepted(usize),
    Refused(usize),
    /// Another answer, or none.
    Ended(usize),
    Status {
        phone: PhoneNumberId,
        message: Message,
        kind: StatusKind,
        dated: Option<i64>,
    },
    Error {
        phone: PhoneNumberId,
        dated: Option<i64>,
    },
    Asked(Ticket),
    Probed(Ticket, Found),
    Order(Scope, OrderKind, Option<i64>),
    Restart,
}

/// A message: of the send that was let out as the so manieth, or sent past us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Ours(usize),
    Foreign(PhoneNumberId, u8),
}

/// A probe that was asked for, and how far things had come then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    pub(super) scope: Scope,
    /// For an open breaker.
    pub(super) recovery: bool,
    pub(super) asked_at: i64,
    pub(super) moved: u64,
    /// The phone's account as it was known, and how far that had come.
    pub(super) account: Option<(WabaId, u64)>,
}

/// What a probe found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// None: no answer.
    pub(super) clear: Option<bool>,
    pub(super) phone_blocks: bool,
    pub(super) account_blocks: bool,
}

/// A send that was let out.
#[derive(Clone, Debug)]
struct Sent {
    phone: PhoneNumberId,
    /// Where nothing was held nobody looked at its body.
    class: Option<Class>,
    /// How far its phone's breaker had come.
    moved: u64,
    /// Each breaker whose trial it is, and how far that had come.
    trials: Vec<(Scope, u64)>,
    accepted_at: Option<i64>,
    /// The process that let it out has died since.
    forgotten: bool,
}

/// How things stand, as far as all that was said tells.
pub(super) struct World {
    spread: bool,
    half_open: bool,
    now: i64,
    wabas: HashMap<PhoneNumberId, WabaId>,
    scopes: HashMap<Scope, One>,
    sends: Vec<Sent>,
}

impl World {
    /// From the beginning to `now`.
    pub(super) fn of(history: &[(i64, Word)], spread: bool, half_open: bool, now: i64) -> Self {
        let (wabas, scopes, sends) = (HashMap::new(), HashMap::new(), Vec::new());
        let mut world = Self { spread, half_open, now, wabas, scopes, sends };
        for (at, word) in history {
            world.goes_on(*at);
            world.hears(word);
        }
        world.goes_on(now);
        world
    }

    fn goes_on(&mut self, now: i64) {
        self.now = now;
        self.scopes.values_mut().for_each(|one| one.goes_on(now));
    }

    fn one(&mut self, scope: impl Into<Scope>) -> &mut One {
        let (now, half_open) = (self.now, self.half_open);
        let one = self.scopes.entry(scope.into()).or_default();
        (one.now, one.half_open) = (now, half_open);
        one
    }

    pub(super) const fn now(&self) -> i64 {
        self.now
    }

    /// How often a breaker has moved.
    pub(super) fn moved(&self, scope: Scope) -> u64 {
        self.scopes.get(&scope).map_or(0, |one| one.moved)
    }

    pub(super) fn account_of(&self, phone: PhoneNumberId) -> Option<WabaId> {
        self.wabas.get(&phone).copied()
    }

    /// Whose breakers a send of this phone has to pass: its own, and its account's unless an operator has said otherwise.
    fn asked(&self, phone: PhoneNumberId) -> Vec<(Scope, &One)> {
        let own = self.scopes.get(&phone.into());
        let is_ordered = own.is_some_and(|one| one.order.is_some());
        let waba = self.account_of(phone).filter(|_| !is_ordered).map(Scope::from);
        let waba = waba.and_then(|waba| Some((waba, self.scopes.get(&waba)?)));
        own.map(|own| (phone.into(), own)).into_iter().chain(waba).collect()
    }

    /// What a send meets: the first that holds it, or else each whose trial it is.
    pub(super) fn meets(&self, phone: PhoneNumberId, class: Option<Class>) -> Result<Vec<Scope>, Scope> {
        let asked = self.asked(phone);
        let meeting = |what| move |(_, one): &&(Scope, &One)| one.meets(class) == what;
        match asked.iter().find(meeting(Meets::Held)) {
            Some((holder, _)) => Err(*holder),
            None => Ok(asked.iter().filter(meeting(Meets::Trial)).map(|(scope, _)| *scope).collect()),
        }
    }

    /// The one class that this breaker holds, if it does not hold all.
    pub(super) fn one_class(&self, scope: Scope) -> Option<Class> {
        let one = self.scopes.get(&scope)?;
        if one.order.is_some_and(|(kind, _)| kind == OrderKind::Open) {
            return None;
        }
        one.one_class()
    }

    fn hears(&mut self, word: &Word) {
        match word.clone() {
            Word::Learned(phone, waba) => drop(self.wabas.insert(phone, waba)),
            Word::Account(waba, dated, news) => self.account(waba, dated, &news),
            Word::Sent { phone, class } => self.sent(phone, class),
            Word::Accepted(send) => self.sends[send].accepted_at = Some(self.now),
            Word::Refused(send) => self.refused(send),
            Word::Ended(send) => {
                for (scope, _) in self.sends[send].trials.clone() {
                    self.one(scope).trial_ended(send);
                }
            }
            Word::Status { phone, message, kind, dated } => self.status(phone, message, kind, dated),
            Word::Error { phone, dated } => self.locked(phone, About::dated(None, dated), dated),
            Word::Asked(ticket) if ticket.recovery => self.one(ticket.scope).asks(ticket.asked_at),
            Word::Asked(_) => {}
            Word::Probed(ticket, found) => self.probed(ticket, found),
            Word::Order(scope, kind, until) => self.one(scope).ordered(kind, until),
            Word::Restart => {
                self.sends.iter_mut().for_each(|send| send.forgotten = true);
                self.scopes.values_mut().for_each(One::restarts);
            }
        }
    }

    fn sent(&mut self, phone: PhoneNumberId, class: Option<Class>) {
        let plain = |scope: Scope| self.scopes.get(&scope).is_none_or(One::is_plain);
        let is_plain = plain(phone.into()) && self.account_of(phone).is_none_or(|waba| plain(waba.into()));
        let trials = self.meets(phone, class).expect("what is let out is not held");
        let trials: Vec<_> = trials.into_iter().map(|scope| (scope, self.moved(scope))).collect();
        let send = self.sends.len();
        for (scope, _) in &trials {
            self.one(*scope).permit = Some((send, self.now + TRIAL_TIMEOUT));
        }
        let (class, moved) = (class.filter(|_| !is_plain), self.moved(phone.into()));
        self.sends.push(Sent { phone, class, moved, trials, accepted_at: None, forgotten: false });
    }

    /// The answer is a lock's: its phone is locked, and whatever it was the trial of is not over.
    fn refused(&mut self, send: usize) {
        let Sent { phone, moved, trials, .. } = self.sends[send].clone();
        let about = About { message: None, moved: Some(moved), dated: Some(self.now) };
        self.spreads(phone, about, Some(self.now));
        for (scope, moved) in trials {
            let about = About { message: None, moved: Some(moved), dated: None };
            self.one(scope).refused_trial(about);
        }
        self.one(phone).locked(about);
    }

    fn status(&mut self, phone: PhoneNumberId, message: Message, kind: StatusKind, dated: Option<i64>) {
        let known = match message {
            Message::Ours(send) => Some(self.sends[send].clone()).filter(|sent| !sent.forgotten),
            Message::Foreign(..) => None,
        };
        let sent = known.as_ref();
        let about = About { message: Some(message), moved: sent.map(|sent| sent.moved), dated };
        // An account's breaker goes by the time of the acceptance, where that is known.
        let dated = sent.and_then(|sent| sent.accepted_at).or(dated);
        let of_account = About::dated(Some(message), dated);
        let trial_of = |scope: Scope| {
            let trials = sent.map(|sent| sent.trials.clone()).unwrap_or_default();
            trials.into_iter().find(|(of, _)| *of == scope).map(|(_, moved)| moved)
        };
        let class = sent.and_then(|sent| sent.class);
        let waba = self.account_of(phone).map(Scope::from);
        let told = waba.map(|waba| (waba, of_account)).into_iter().chain([(phone.into(), about)]);
        if kind == StatusKind::Failed {
            if let Some(waba) = waba {
                let trial = trial_of(waba);
                self.one(waba).heard_of_lock(of_account, trial);
            }
            let trial = trial_of(phone.into());
            if !self.one(phone).refuted_by(about, trial) {
                self.locked(phone, about, dated);
            } else {
                self.spreads(phone, about, dated);
            }
            return;
        }
        for (scope, about) in told {
            let (trial, send) = (trial_of(scope), message);
            match kind {
                StatusKind::Other => self.one(scope).failed_otherwise(send),
                _ => self.one(scope).delivered(about, kind == StatusKind::Sent, class, trial),
            }
        }
    }

    /// A lock of one phone, which says nothing of any other unless an operator wants it to.
    fn locked(&mut self, phone: PhoneNumberId, about: About, dated: Option<i64>) {
        self.spreads(phone, about, dated);
        self.one(phone).locked(about);
    }

    fn spreads(&mut self, phone: PhoneNumberId, about: About, dated: Option<i64>) {
        if let Some(waba) = self.account_of(phone)
            && self.spread
            && self.one(phone).is_news(about)
        {
            self.one(waba).locked(About::dated(about.message, dated));
        }
    }

    fn account(&mut self, waba: WabaId, dated: Option<i64>, news: &AccountNews) {
        let one = self.one(waba);
        match news {
            AccountNews::Disabled => one.banned(Topic::Ban, dated),
            AccountNews::Deleted | AccountNews::Offboarded => one.banned(Topic::Membership, dated),
            AccountNews::ReviewRejected => one.banned(Topic::Review, dated),
            AccountNews::Reconnected => one.lifted(Topic::Membership, dated),
            AccountNews::ReviewApproved => one.lifted(Topic::Review, dated),
            AccountNews::Reinstated => one.reinstated(dated),
            AccountNews::Restricted(list) => {
                let held = |class| {
                    let dates: Vec<_> =
                        list.iter().filter(|it| it.class == class).map(|it| it.until).collect();
                    // The longest; and for as long as nobody knows, if one has no date.
                    let longest = dates.iter().flatten().max().filter(|_| dates.iter().all(Option::is_some));
                    let until = longest.map(|until| until.millis());
                    (!dates.is_empty()).then_some(Held { until, listed: true })
                };
                one.restricted([Class::BusinessInitiated, Class::CustomerInitiated].map(held), dated);
            }
            AccountNews::Warning(_) | AccountNews::Unreadable => {}
        }
    }

    fn probed(&mut self, ticket: Ticket, found: Found) {
        let waba = ticket.scope.phone().and_then(|phone| self.account_of(phone));
        let is_accounts = waba.is_some() && found.account_blocks;
        if let (Some(waba), Some(_)) = (waba, found.clear) {
            let moved = ticket.account.filter(|(known, _)| *known == waba).map_or(0, |(_, moved)| moved);
            self.one(waba).watched(moved, !found.account_blocks);
        }
        let one = self.one(ticket.scope);
        match (ticket.recovery, found.clear) {
            (true, clear) => one.probed(ticket.asked_at, clear),
            (false, Some(true)) => one.watched(ticket.moved, true),
            // It is the account's, and held there.
            (false, Some(false)) if is_accounts && !found.phone_blocks => {}
            (false, Some(false)) => one.watched(ticket.moved, false),
            (false, None) => {}
        }
    }
}
