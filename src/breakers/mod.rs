//! One handle on all breakers: admit, observe, order.
//!
//! Evidence is applied where it is found, synchronously, under the breaker's own lock; then it is committed; then it is told.
//! What applies returns a [`Settling`]: whoever tells the outside of a transition (by an answer to the app, to Meta, to an
//! operator) awaits it first. The settling of a transition runs on its own task, so nothing is lost when the caller goes away.

mod accounts;
mod admit;
mod hear;
mod incidents;
mod journal;
mod learn;
mod list;
mod orders;
mod overtaking;
mod partly;
mod permit;
mod pins;
mod probing;
mod record;
mod refused;
mod reopen;
mod rules;
mod strangers;
mod tell;
#[cfg(test)]
mod tests;
mod timers;
mod view;
mod watch;
mod would_reject;

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

pub use list::{Counted, Filter, SHOWN_STATES};
pub use orders::{GenerationMismatch, Order, OrderKind, PinOrder, ProbeOrder};
pub use partly::AlsoHeld;
pub use permit::{Permit, Quiet};
pub use pins::{PinCallView, PinGate, PinGuardView, PinTry};
pub use probing::{ProbeTicket, Purpose};
pub use refused::MOST_REFUSED_TOKENS;
pub use rules::{Clears, Reach, Rule, Traits};
pub use tell::Settling;
pub use timers::Timers;
pub use view::{BreakerView, ConditionView, DiagnosisView, OverrideView, ReasonView};
pub use watch::Watching;

use crate::breaker::{
    Breaker, Context, Event, Generation, Jitter, Policy, Rejection, Scope, Transition, TransitionKind,
};
use crate::clock::Clock;
use crate::graph::health::Health;
use crate::graph::ids::{PhoneNumberId, WabaId};
use crate::pin::Attempts;
use crate::registry::{Cell, Hearing, Phones, Pins, Registry, Sends};
use crate::store::{Commit, Store, StoreError, Table};
use crate::telemetry::Telemetry;
use crate::telemetry::events::HearingEvent;
use crate::time::Timestamp;

use journal::{Found, Jotting, Journal, Word};
use overtaking::Overtaking;
use refused::RefusedTokens;
use strangers::Strangers;
use tell::{Durability, Seen, Told};
use watch::Watch;
use would_reject::WouldRejects;

/// The handle. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Breakers(Arc<Inner>);

struct Inner {
    registry: Registry,
    sends: Sends,
    phones: Phones,
    hearing: Hearing,
    pins: Pins,
    journal: Journal,
    would_rejects: WouldRejects,
    overtaking: Overtaking,
    watch: Watch,
    refused_tokens: RefusedTokens,
    strangers: Strangers,
    settings: ArcSwap<Settings>,
    store: Arc<dyn Store>,
    durability: Durability,
    telemetry: Telemetry,
    clock: Clock,
    runtime: tokio::runtime::Handle,
    due: mpsc::UnboundedSender<timers::Due>,
    probes: mpsc::UnboundedSender<ProbeTicket>,
    waiting: Mutex<Vec<(Scope, oneshot::Sender<Health>)>>,
}

/// What can be changed while running.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Decide, count and record, but let everything through.
    pub observe: bool,
    /// How breakers trip, wait and recover.
    pub policy: Policy,
    /// Whether one phone's lock holds for its whole account.
    pub spread: bool,
    /// What else than a lock opens a breaker.
    pub rules: Vec<Rule>,
    /// How long whoever tells of a transition waits for its commit.
    pub commit_timeout: Duration,
    /// How long sends may be accepted without any status before their phone counts as deaf; `None`: no webhook is expected.
    pub deaf_after: Option<Duration>,
    /// How closely phones that are closed are watched.
    pub watching: Watching,
    /// So many different refused PINs in a row hold the next.
    pub pin_attempts: Attempts,
}

/// What the gate is to do with a send.
#[derive(Debug)]
pub enum Gate {
    /// Forward it, and give the permit back with the outcome.
    Forward(Permit),
    /// Answer it with this, at once: the send path waits for no store.
    Reject(Box<Rejection>),
}

impl Breakers {
    /// All closed, but for what the store remembers. Probes that become due are sent to the receiver; [`Timers::run`] must
    /// be driven for anything to become due. Must be called within a tokio runtime.
    ///
    /// Fails if the store cannot be read, or holds a record that cannot be understood: to go on would open the gate to
    /// numbers that are locked.
    pub fn open(
        store: Arc<dyn Store>,
        settings: Settings,
        telemetry: Telemetry,
        clock: Clock,
    ) -> Result<(Self, Timers, mpsc::UnboundedReceiver<ProbeTicket>), StoreError> {
        let key = || {
            let mut key = [0; 16];
            let filled = getrandom::fill(&mut key);
            filled.map(|()| key).map_err(|error| StoreError(format!("no random numbers: {error}")))
        };
        let (due, due_receiver) = mpsc::unbounded_channel();
        let (probes, probe_receiver) = mpsc::unbounded_channel();
        let breakers = Self(Arc::new(Inner {
            registry: Registry::default(),
            sends: Sends::new(key()?),
            phones: Phones::default(),
            hearing: Hearing::default(),
            pins: Pins::new(key()?),
            journal: Journal::default(),
            would_rejects: WouldRejects::default(),
            overtaking: Overtaking::default(),
            watch: Watch::default(),
            refused_tokens: RefusedTokens::default(),
            strangers: Strangers::default(),
            settings: ArcSwap::from_pointee(settings),
            store,
            durability: Durability::default(),
            telemetry,
            clock,
            runtime: tokio::runtime::Handle::current(),
            due,
            probes,
            waiting: Mutex::default(),
        }));
        breakers.restore()?;
        breakers.count_strangers();
        let timers = Timers { breakers: breakers.clone(), due: due_receiver };
        Ok((breakers, timers, probe_receiver))
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The settings as they are now.
    pub fn settings(&self) -> Arc<Settings> {
        self.0.settings.load_full()
    }

    /// Goes by other settings from now on.
    pub fn reload(&self, settings: Settings) {
        if settings.deaf_after.is_none() {
            self.0.hearing.stop_waiting();
        }
        self.0.settings.store(Arc::new(settings));
    }

    fn context<'a>(&self, scope: Scope, policy: &'a Policy) -> Context<'a> {
        let heard = match scope {
            Scope::Phone(phone) => self.0.phones.heard(phone),
            Scope::Waba(waba) => self.0.phones.account_heard(waba),
            Scope::PhoneCountry(phone, _) => self.0.phones.heard(phone),
            // Its trials need no status.
            Scope::Token(_) => true,
        };
        // Without randomness there is no jitter, and nothing worse.
        let jitter = Jitter(getrandom::u64().unwrap_or_default());
        Context { now: self.now(), jitter, heard, policy }
    }

    fn learn(&self, phone: PhoneNumberId, waba: Option<WabaId>, heard: bool) {
        if let Some(learned) = self.0.phones.learn(phone, waba, heard) {
            let value = serde_json::to_vec(&learned).unwrap_or_default();
            // Nobody is told of this, so nobody waits for it.
            drop(self.0.store.put(Table::Phones, phone.to_string(), Some(value)));
        }
    }

    /// Applies an event to the breaker of this scope, which is made if it has none.
    fn apply(&self, scope: Scope, word: impl Into<Word>) -> Settling {
        let cell = self.0.registry.get_or_make(scope);
        self.apply_to(scope, &cell, word.into(), None).unwrap_or_default()
    }

    /// Applies an event that means nothing to a breaker that was never opened.
    fn apply_if_known(&self, scope: Scope, word: impl Into<Word>) -> Settling {
        match self.0.registry.get(scope) {
            Some(cell) => self.apply_to(scope, &cell, word.into(), None).unwrap_or_default(),
            None => Settling::default(),
        }
    }

    /// The one way from an event to a breaker. `expected`: only if the breaker is at this generation; the comparison and the
    /// change are one step under the breaker's lock.
    ///
    /// An event that moves nothing also settles only when the transitions before it have: the second of two sends that are
    /// answered 131031 at once tells its app of the same trip.
    fn apply_to(
        &self,
        scope: Scope,
        cell: &Arc<Cell>,
        word: Word,
        expected: Option<Generation>,
    ) -> Result<Settling, GenerationMismatch> {
        let settings = self.0.settings.load();
        let cx = self.context(scope, &settings.policy);
        let mut seen = Seen::of(&word, &self.0.sends, cx.now);
        let jotting = Jotting::of(&word, seen.as_ref().map(|seen| seen.0.clone()));
        let (applied, commit, found) = cell.update(|breaker| {
            let current = breaker.generation();
            if expected.is_some_and(|expected| expected != current) {
                return Err(GenerationMismatch { current });
            }
            let applied = breaker.apply(word.event, &cx);
            let counts_before = cell.counts.get();
            if applied.transitions.iter().any(|step| step.incident.generation == step.generation) {
                cell.counts.clear();
            }
            let tripped = applied.transitions.iter().any(|step| step.kind == TransitionKind::Trip);
            let reason = breaker.lock().filter(|_| tripped).map(|lock| lock.reason.clone());
            let found = Found { current: breaker.incident(), reason, counts_before };
            if !applied.transitions.is_empty() {
                cell.unsettled.fetch_add(1, Ordering::Relaxed);
            }
            // Under the lock, so that the store sees the writes in the order of the transitions. What is written once more
            // is durable no sooner than what was written before.
            let unsettled = cell.unsettled.load(Ordering::Relaxed) > 0;
            let commit = (applied.changed || unsettled).then(|| self.put(scope, breaker, cell));
            let commit = commit.filter(|_| unsettled);
            // Likewise: what is due by the last change must be heard last.
            self.due(scope, breaker.next_due(&cx));
            Ok((applied, commit, found))
        })?;
        // After the breaker's record. What is written in this order is durable in this order, so its receipt is good for both.
        let written = self.write_down(scope, cell, jotting, &applied, &found);
        let commit = written.commit.or(commit);
        if let Some(seen) = &mut seen {
            seen.0.accepted_at = written.first_accepted.into_iter().chain(seen.0.accepted_at).min();
        }
        self.count(scope, seen.as_ref(), &applied);
        if let Some(lease) = applied.probe {
            self.ask(scope, Purpose::Recovery(lease));
        }
        let tripped = |step: &Transition| step.kind == TransitionKind::Trip;
        if matches!(scope, Scope::Waba(_)) && applied.transitions.iter().any(tripped) {
            // Which phones are its.
            self.ask(scope, Purpose::Numbers);
        }
        Ok(match commit {
            Some(commit) => {
                let told = Told { scope, transitions: applied.transitions, seen };
                let told = self.clone().settle(told, Arc::clone(cell), commit, settings.commit_timeout);
                Settling::on(self.0.runtime.spawn(told))
            }
            None => Settling::default(),
        })
    }

    fn put(&self, scope: Scope, breaker: &Breaker, cell: &Cell) -> Commit {
        if !scope.is_kept() {
            let (receipt, commit) = oneshot::channel();
            // Nobody waits for longer than this.
            drop(receipt.send(Ok(())));
            return commit;
        }
        let value = record::write(breaker, cell.counts.get());
        self.0.store.put(Table::Breakers, record::key(scope), Some(value))
    }

    fn announce_due(&self, scope: Scope, cell: &Cell, policy: &Policy) {
        let cx = self.context(scope, policy);
        cell.read(|breaker| self.due(scope, breaker.next_due(&cx)));
    }

    fn due(&self, scope: Scope, due: Option<Timestamp>) {
        // Without a receiver the program is stopping, and nothing becomes due any more.
        let _ = self.0.due.send((scope, due));
    }

    fn tick(&self, scope: Scope) {
        drop(self.apply_if_known(scope, Event::Tick));
    }

    /// Looks for phones that have become deaf; each is told once.
    fn listen(&self) {
        let Some(after) = self.0.settings.load().deaf_after else { return };
        for phone in self.0.hearing.newly_deaf(self.now(), after) {
            self.0.telemetry.emit(HearingEvent { id: phone, deaf: true });
        }
    }

    fn sweep(&self) {
        let mut gone = Vec::new();
        self.0.registry.forget(self.now(), |scope| {
            drop(self.0.store.put(Table::Breakers, record::key(scope), None));
            gone.push(scope);
        });
        let mut pages = self.0.journal.lock();
        gone.into_iter().for_each(|scope| pages.book.forget_waiting(scope));
        drop(pages);
        self.tidy_refused_tokens();
        self.count_strangers();
    }
}

impl fmt::Debug for Breakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Breakers")
    }
}
