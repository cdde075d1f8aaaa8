//! One handle on all breakers: admit, observe, order.
//!
//! Evidence is applied where it is found, synchronously, under the breaker's own lock; then it is committed; then it is told.
//! What applies returns a [`Settling`]: whoever tells the outside of a transition (by an answer to the app, to Meta, to an
//! operator) awaits it first. The settling of a transition runs on its own task, so nothing is lost when the caller goes away.

mod hear;
mod incidents;
mod journal;
mod learn;
mod list;
mod orders;
mod overtaking;
mod permit;
mod pins;
mod record;
mod reopen;
mod tell;
#[cfg(test)]
mod tests;
mod timers;
mod view;
mod watch;
mod would_reject;

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

pub use list::{Counted, Filter, SHOWN_STATES};
pub use orders::{GenerationMismatch, Order, OrderKind, PinOrder, ProbeOrder};
pub use permit::{Permit, Quiet};
pub use pins::{PinGate, PinTry};
pub use tell::Settling;
pub use timers::Timers;
pub use view::{BreakerView, ConditionView, OverrideView, ReasonView};
pub use watch::Watching;

use crate::breaker::{Breaker, Context, Event, Generation, Jitter, Lease, Policy, Rejection, TransitionKind};
use crate::clock::Clock;
use crate::graph::health::Health;
use crate::graph::ids::{PhoneNumberId, WabaId};
use crate::pin::Attempts;
use crate::registry::{Admitted, Cell, Hearing, Phones, Pins, Registry, Sends};
use crate::store::{Commit, Store, StoreError, Table};
use crate::telemetry::Telemetry;
use crate::telemetry::events::{HearingEvent, ProbeEvent, SendEvent};
use crate::telemetry::labels::{ProbeOutcome, RejectReason};
use crate::time::Timestamp;

use journal::{Found, Jotting, Journal, Word};
use overtaking::Overtaking;
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
    settings: ArcSwap<Settings>,
    store: Arc<dyn Store>,
    durability: Durability,
    telemetry: Telemetry,
    clock: Clock,
    runtime: tokio::runtime::Handle,
    due: mpsc::UnboundedSender<timers::Due>,
    probes: mpsc::UnboundedSender<ProbeTicket>,
    waiting: Mutex<Vec<(PhoneNumberId, oneshot::Sender<Health>)>>,
}

/// What can be changed while running.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Decide, count and record, but let everything through.
    pub observe: bool,
    /// How breakers trip, wait and recover.
    pub policy: Policy,
    /// How long whoever tells of a transition waits for its commit.
    pub commit_timeout: Duration,
    /// How long sends may be accepted without any status before their phone counts as deaf; `None`: no webhook is expected.
    pub deaf_after: Option<Duration>,
    /// How closely phones that are closed are watched.
    pub watching: Watching,
    /// So many different refused PINs in a row hold the next.
    pub pin_attempts: Attempts,
}

/// A probe to be made now, and answered with [`Breakers::probed`] before its lease is over.
#[derive(Clone, Debug)]
pub struct ProbeTicket {
    /// Whom to ask about.
    pub phone: PhoneNumberId,
    /// Its WABA, where it is known: tokens may be configured by WABA.
    pub waba: Option<WabaId>,
    /// What it is for.
    pub purpose: Purpose,
}

/// What a probe is for. It goes back with the outcome, which counts only while what it was made for still stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An open breaker, which waits for the outcome under this lease.
    Recovery(Lease),
    /// An operator asks about a breaker that is not open, at this generation.
    Order(Generation),
    /// A look at a phone that sends, at this generation, to find a block before the first failed send does.
    Watch(Generation),
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
        self.0.settings.store(Arc::new(settings));
    }

    /// The ordinary path: a permit if the phone is plainly closed. A local read without a lock, whatever the number of phones.
    pub fn admit_closed(&self, phone: PhoneNumberId) -> Option<Permit> {
        let generation = self.0.registry.plainly_closed(phone)?;
        Some(self.permit(phone, generation, None, SendEvent::Forward))
    }

    /// If no phone has a breaker, closed or not: this moment, for sends that are found in a request when it is on its way already.
    pub fn quiet(&self) -> Option<Quiet> {
        let admitted = self.0.hearing.moment();
        self.0.registry.is_empty().then(|| Quiet { breakers: self.clone(), admitted })
    }

    /// Decides about one send.
    pub fn admit(&self, phone: PhoneNumberId) -> Gate {
        if let Some(permit) = self.admit_closed(phone) {
            return Gate::Forward(permit);
        }
        let inner = &self.0;
        let settings = inner.settings.load();
        let cell = inner.registry.get_or_make(phone);
        let (event, generation, trial) = match cell.admit(phone.as_str(), self.now(), &settings.policy) {
            Admitted::Forward(generation) => (SendEvent::Forward, generation, None),
            Admitted::Trial(generation, lease) => {
                self.announce_due(phone, &cell, &settings.policy);
                (SendEvent::Trial, generation, Some(lease))
            }
            Admitted::Reject(generation, _) if settings.observe => {
                cell.counts.would_reject();
                inner.would_rejects.passed(phone, self.now());
                (SendEvent::WouldReject, generation, None)
            }
            Admitted::Reject(_, rejection) => {
                cell.counts.rejected();
                inner.telemetry.emit(SendEvent::Reject(RejectReason::of(rejection.code)));
                return Gate::Reject(rejection);
            }
        };
        Gate::Forward(self.permit(phone, generation, trial, event))
    }

    fn permit(
        &self,
        phone: PhoneNumberId,
        generation: Generation,
        trial: Option<Lease>,
        event: SendEvent,
    ) -> Permit {
        let admitted = self.0.hearing.moment();
        Permit { breakers: self.clone(), phone, generation, trial, admitted, counted: Some(event) }
    }

    /// The outcome of a probe.
    pub async fn probed(&self, ticket: &ProbeTicket, health: Health) {
        let is_watch = matches!(ticket.purpose, Purpose::Watch(_));
        if is_watch && !self.0.watch.looked(ticket.phone, &health) {
            return;
        }
        self.0.telemetry.emit(ProbeEvent { id: ticket.phone, outcome: ProbeOutcome::from(&health) });
        let waba = match &health {
            Health::Clear(entities) | Health::Blocked(entities) => entities
                .iter()
                .find(|entity| entity.kind == "WABA")
                .and_then(|entity| WabaId::parse(entity.id.as_deref()?).ok()),
            Health::Unknown(_) => None,
        };
        self.learn(ticket.phone, waba, false);
        match ticket.purpose {
            Purpose::Recovery(lease) => {
                self.apply_if_known(ticket.phone, Event::Probed { lease, health: health.clone() }).await;
            }
            Purpose::Order(generation) | Purpose::Watch(generation) => {
                let event = Event::Watched { generation, health: health.clone() };
                match health {
                    // Only this can be news to a phone that was never held.
                    Health::Blocked(_) => self.apply(ticket.phone, event).await,
                    Health::Clear(_) | Health::Unknown(_) => self.apply_if_known(ticket.phone, event).await,
                }
            }
        }
        if is_watch {
            // Whoever waits has asked for a probe of their own.
            return;
        }
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, waiter) in waiting.extract_if(.., |(phone, _)| *phone == ticket.phone) {
            // Whoever waited may have given up.
            drop(waiter.send(health.clone()));
        }
    }

    /// A token for this phone was seen: if its breaker waits for one, it is probed now.
    pub fn token_learned(&self, phone: PhoneNumberId) {
        let Some(cell) = self.0.registry.get(phone) else { return };
        if cell.read(|breaker| breaker.lock().is_some_and(|lock| lock.no_token.is_some())) {
            drop(self.apply_if_known(phone, Event::CheckNow { asked: false }));
        }
    }

    fn context<'a>(&self, phone: PhoneNumberId, policy: &'a Policy) -> Context<'a> {
        // Without randomness there is no jitter, and nothing worse.
        let jitter = Jitter(getrandom::u64().unwrap_or_default());
        Context { now: self.now(), jitter, heard: self.0.phones.heard(phone), policy }
    }

    fn learn(&self, phone: PhoneNumberId, waba: Option<WabaId>, heard: bool) {
        if let Some(learned) = self.0.phones.learn(phone, waba, heard) {
            let value = serde_json::to_vec(&learned).unwrap_or_default();
            // Nobody is told of this, so nobody waits for it.
            drop(self.0.store.put(Table::Phones, phone.to_string(), Some(value)));
        }
    }

    /// Applies an event to the phone's breaker, which is made if it has none.
    fn apply(&self, phone: PhoneNumberId, word: impl Into<Word>) -> Settling {
        let cell = self.0.registry.get_or_make(phone);
        self.apply_to(phone, &cell, word.into(), None).unwrap_or_default()
    }

    /// Applies an event that means nothing to a breaker that was never opened.
    fn apply_if_known(&self, phone: PhoneNumberId, word: impl Into<Word>) -> Settling {
        match self.0.registry.get(phone) {
            Some(cell) => self.apply_to(phone, &cell, word.into(), None).unwrap_or_default(),
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
        phone: PhoneNumberId,
        cell: &Arc<Cell>,
        word: Word,
        expected: Option<Generation>,
    ) -> Result<Settling, GenerationMismatch> {
        let settings = self.0.settings.load();
        let cx = self.context(phone, &settings.policy);
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
            let commit = (applied.changed || unsettled).then(|| self.put(phone, breaker, cell));
            let commit = commit.filter(|_| unsettled);
            // Likewise: what is due by the last change must be heard last.
            self.due(phone, breaker.next_due(&cx));
            Ok((applied, commit, found))
        })?;
        // After the breaker's record. What is written in this order is durable in this order, so its receipt is good for both.
        let written = self.write_down(phone, cell, jotting, &applied, &found);
        let commit = written.commit.or(commit);
        if let Some(seen) = &mut seen {
            seen.0.accepted_at = written.first_accepted.into_iter().chain(seen.0.accepted_at).min();
        }
        self.count(phone, seen.as_ref(), &applied);
        if let Some(lease) = applied.probe {
            let waba = self.0.phones.get(phone).waba;
            drop(self.0.probes.send(ProbeTicket { phone, waba, purpose: Purpose::Recovery(lease) }));
        }
        Ok(match commit {
            Some(commit) => {
                let told = Told { phone, transitions: applied.transitions, seen };
                let told = self.clone().settle(told, Arc::clone(cell), commit, settings.commit_timeout);
                Settling(Some(self.0.runtime.spawn(told)))
            }
            None => Settling::default(),
        })
    }

    fn put(&self, phone: PhoneNumberId, breaker: &Breaker, cell: &Cell) -> Commit {
        let value = record::write(breaker, cell.counts.get());
        self.0.store.put(Table::Breakers, record::key(phone), Some(value))
    }

    fn announce_due(&self, phone: PhoneNumberId, cell: &Cell, policy: &Policy) {
        let cx = self.context(phone, policy);
        cell.read(|breaker| self.due(phone, breaker.next_due(&cx)));
    }

    fn due(&self, phone: PhoneNumberId, due: Option<Timestamp>) {
        // Without a receiver the program is stopping, and nothing becomes due any more.
        let _ = self.0.due.send((phone, due));
    }

    fn tick(&self, phone: PhoneNumberId) {
        drop(self.apply_if_known(phone, Event::Tick));
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
        self.0.registry.forget(self.now(), |phone| {
            drop(self.0.store.put(Table::Breakers, record::key(phone), None));
            gone.push(phone);
        });
        let mut pages = self.0.journal.lock();
        gone.into_iter().for_each(|phone| pages.book.forget_waiting(phone));
    }
}

impl fmt::Debug for Breakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Breakers")
    }
}
