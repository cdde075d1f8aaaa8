//! One handle on all breakers: admit, observe, order.
//!
//! Evidence is applied where it is found, synchronously, under the breaker's own lock; then it is committed; then it is told.
//! What applies returns a [`Settling`]: whoever tells the outside of a transition (by an answer to the app, to Meta, to an
//! operator) awaits it first. The settling of a transition runs on its own task, so nothing is lost when the caller goes away.

mod hear;
mod orders;
mod permit;
mod record;
mod timers;
mod view;

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub use orders::{GenerationMismatch, Order, OrderKind, ProbeOrder};
pub use permit::Permit;
pub use timers::Timers;
pub use view::{BreakerView, ConditionView, OverrideView, ReasonView};

use crate::breaker::{
    Applied, Breaker, Context, Event, Generation, Jitter, Lease, Note, Policy, Rejection, Shown, Source,
    Transition, TransitionKind,
};
use crate::clock::Clock;
use crate::graph::health::Health;
use crate::graph::ids::{PhoneNumberId, WabaId};
use crate::registry::{Admitted, Cell, Phone, Phones, Registry, Sends};
use crate::store::{Commit, Store, StoreError, Table};
use crate::telemetry::Telemetry;
use crate::telemetry::events::{
    EvidenceEvent, ProbeEvent, SendEvent, StoreEvent, TransitionEvent, TrialEvent,
};
use crate::telemetry::labels::{ProbeOutcome, RejectReason, Scope, TrialOutcome, Verdict};
use crate::time::Timestamp;

use view::Around;

/// The handle. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Breakers(Arc<Inner>);

struct Inner {
    registry: Registry,
    sends: Sends,
    phones: Phones,
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
}

/// A probe to be made now, and answered with [`Breakers::probed`] before its lease is over.
#[derive(Clone, Debug)]
pub struct ProbeTicket {
    /// Whom to ask about.
    pub phone: PhoneNumberId,
    /// Its WABA, where it is known: tokens may be configured by WABA.
    pub waba: Option<WabaId>,
    /// Goes back with the outcome: an outcome of an earlier lease is ignored.
    pub lease: Lease,
}

/// What the gate is to do with a send.
#[derive(Debug)]
pub enum Gate {
    /// Forward it, and give the permit back with the outcome.
    Forward(Permit),
    /// Answer it with this.
    Reject(Box<Rejection>),
}

/// Which breakers to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Only this state (as shown: overrides count as their own state). None: all but the closed ones.
    pub state: Option<&'static str>,
    /// Only phones of this WABA.
    pub waba: Option<WabaId>,
    /// Only ids after this one, in text order.
    pub after: Option<PhoneNumberId>,
    /// At most so many.
    pub limit: usize,
}

/// The states that the admin API and the metrics show.
pub const SHOWN_STATES: [&str; 5] = ["closed", "open", "half_open", "forced_open", "bypassed"];

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
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| StoreError(format!("no random numbers: {error}")))?;
        let (due, due_receiver) = mpsc::unbounded_channel();
        let (probes, probe_receiver) = mpsc::unbounded_channel();
        let breakers = Self(Arc::new(Inner {
            registry: Registry::default(),
            sends: Sends::new(key),
            phones: Phones::default(),
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

    fn restore(&self) -> Result<(), StoreError> {
        let inner = &self.0;
        for (key, value) in inner.store.load(Table::Phones)? {
            let id =
                PhoneNumberId::parse(&key).map_err(|_| StoreError(format!("the store has a phone {key}")))?;
            let phone: Phone = serde_json::from_slice(&value).map_err(|error| {
                StoreError(format!("the store's record of phone {key} cannot be read: {error}"))
            })?;
            inner.phones.restore(id, phone);
        }
        for (key, value) in inner.store.load(Table::Breakers)? {
            let (phone, cell) = record::read(&key, &value)?;
            let settings = inner.settings.load();
            let cx = self.context(phone, &settings.policy);
            let due = cell.read(|breaker| breaker.next_due(&cx));
            inner.registry.restore(phone, cell);
            self.due(phone, due);
        }
        Ok(())
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
        self.0.telemetry.emit(SendEvent::Forward);
        Some(Permit { breakers: self.clone(), phone, generation, trial: None })
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
                (SendEvent::WouldReject, generation, None)
            }
            Admitted::Reject(_, rejection) => {
                cell.counts.rejected();
                inner.telemetry.emit(SendEvent::Reject(RejectReason::of(rejection.code)));
                return Gate::Reject(rejection);
            }
        };
        inner.telemetry.emit(event);
        Gate::Forward(Permit { breakers: self.clone(), phone, generation, trial })
    }

    /// The outcome of a probe.
    pub async fn probed(&self, ticket: &ProbeTicket, health: Health) {
        self.0.telemetry.emit(ProbeEvent { id: ticket.phone, outcome: ProbeOutcome::from(&health) });
        let waba = match &health {
            Health::Clear(entities) | Health::Blocked(entities) => entities
                .iter()
                .find(|entity| entity.kind == "WABA")
                .and_then(|entity| WabaId::parse(entity.id.as_deref()?).ok()),
            Health::Unknown(_) => None,
        };
        self.learn(ticket.phone, waba, false);
        let event = Event::Probed { lease: ticket.lease, health: health.clone() };
        self.apply_if_known(ticket.phone, event).await;
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
            drop(self.apply_if_known(phone, Event::CheckNow));
        }
    }

    /// One breaker. Any id is known: what was never opened is closed.
    pub fn view(&self, phone: PhoneNumberId) -> BreakerView {
        let cell = self.0.registry.get(phone);
        self.show(phone, cell.as_deref())
    }

    /// Breakers in the order of their ids; at most `filter.limit`, and whether there are more.
    pub fn list(&self, filter: &Filter) -> (Vec<BreakerView>, bool) {
        let now = self.now();
        let mut items = Vec::new();
        for (phone, cell) in self.0.registry.all() {
            let shown = cell.shown(now).name();
            let wanted = match filter.state {
                Some(state) => shown == state,
                None => shown != Shown::Closed.name(),
            };
            let of_waba = filter.waba.is_none_or(|waba| self.0.phones.get(phone).waba == Some(waba));
            if !wanted || !of_waba || filter.after.is_some_and(|after| phone <= after) {
                continue;
            }
            if items.len() >= filter.limit {
                return (items, true);
            }
            items.push(self.show(phone, Some(&cell)));
        }
        (items, false)
    }

    /// How many breakers are in each of [`SHOWN_STATES`] (closed: those that are remembered); the first `most` of those that
    /// are not closed; and how many are in contradiction.
    pub fn counts(&self, most: usize) -> Counted {
        let now = self.now();
        let mut counted = Counted { states: SHOWN_STATES.map(|state| (state, 0)), ..Counted::default() };
        for (phone, cell) in self.0.registry.all() {
            let shown = cell.shown(now);
            if let Some((_, count)) = counted.states.get_mut(shown.index()) {
                *count += 1;
            }
            if shown != Shown::Closed && counted.held.len() < most {
                counted.held.push((phone, shown.name()));
            }
            if shown != Shown::Closed
                && cell.read(|breaker| breaker.lock().is_some_and(|lock| lock.contradiction.is_some()))
            {
                counted.contradictions += 1;
            }
        }
        counted
    }

    fn show(&self, phone: PhoneNumberId, cell: Option<&Cell>) -> BreakerView {
        let settings = self.0.settings.load();
        let around = Around {
            phone: self.0.phones.get(phone),
            heard: self.0.phones.heard(phone),
            policy: &settings.policy,
            durability: &self.0.durability,
            now: self.now(),
        };
        BreakerView::of(phone, cell, &around)
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
    fn apply(&self, phone: PhoneNumberId, event: Event) -> Settling {
        let cell = self.0.registry.get_or_make(phone);
        self.apply_to(phone, &cell, event, None).unwrap_or_default()
    }

    /// Applies an event that means nothing to a breaker that was never opened.
    fn apply_if_known(&self, phone: PhoneNumberId, event: Event) -> Settling {
        match self.0.registry.get(phone) {
            Some(cell) => self.apply_to(phone, &cell, event, None).unwrap_or_default(),
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
        event: Event,
        expected: Option<Generation>,
    ) -> Result<Settling, GenerationMismatch> {
        let settings = self.0.settings.load();
        let cx = self.context(phone, &settings.policy);
        let seen = Seen::of(&event, &self.0.sends);
        let (applied, commit, due, incident) = cell.update(|breaker| {
            let current = breaker.generation();
            if expected.is_some_and(|expected| expected != current) {
                return Err(GenerationMismatch { current });
            }
            let applied = breaker.apply(event, &cx);
            if applied.transitions.iter().any(|step| step.kind == TransitionKind::Trip) {
                cell.counts.clear();
            }
            let moved = !applied.transitions.is_empty();
            if moved {
                cell.unsettled.fetch_add(1, Ordering::Relaxed);
            }
            // Under the lock, so that the store sees the writes in the order of the transitions. What is written once more
            // is durable no sooner than what was written before.
            let unsettled = cell.unsettled.load(Ordering::Relaxed) > 0;
            let commit = (applied.changed || unsettled).then(|| self.put(phone, breaker, cell));
            let commit = commit.filter(|_| moved || unsettled);
            Ok((applied, commit, breaker.next_due(&cx), breaker.incident(phone.as_str(), cx.now)))
        })?;
        self.due(phone, due);
        self.count(phone, seen.as_ref(), &applied);
        if let Some(lease) = applied.probe {
            let waba = self.0.phones.get(phone).waba;
            drop(self.0.probes.send(ProbeTicket { phone, waba, lease }));
        }
        Ok(match commit {
            Some(commit) => {
                let told = Told { phone, transitions: applied.transitions, incident, seen };
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

    /// Waits for the commit, then tells.
    async fn settle(self, told: Told, cell: Arc<Cell>, commit: Commit, patience: Duration) {
        let inner = &self.0;
        let durable = match tokio::time::timeout(patience, commit).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(error.0),
            Ok(Err(_)) => Err("the store has stopped".to_owned()),
            Err(_) => Err(format!("the store did not commit within {patience:?}")),
        };
        if !told.transitions.is_empty() {
            cell.unsettled.fetch_sub(1, Ordering::Relaxed);
        }
        if inner.durability.note(durable.is_ok(), self.now()) {
            inner.telemetry.emit(StoreEvent { error: durable.as_ref().err().map(String::as_str) });
        }
        let phone = told.phone;
        for step in &told.transitions {
            let detection = told.seen.as_ref().and_then(|seen| seen.accepted_at).map(|at| step.at.since(at));
            inner.telemetry.emit(TransitionEvent {
                scope: Scope::Phone,
                id: phone,
                transition: step.kind,
                from: step.from.name(),
                to: step.to.name(),
                generation: step.generation.0,
                source: step.source,
                code: told.seen.as_ref().and_then(|seen| seen.code),
                text: &step.text,
                incident: told.incident.as_deref(),
                detection: detection.filter(|_| step.kind == TransitionKind::Trip),
            });
        }
    }

    fn count(&self, id: PhoneNumberId, seen: Option<&Seen>, applied: &Applied) {
        let telemetry = &self.0.telemetry;
        if let Some(Seen { verdict, source, .. }) = seen {
            let stale = applied.notes.contains(&Note::Stale);
            telemetry.emit(EvidenceEvent { id, verdict: *verdict, source: *source, stale });
        }
        for note in &applied.notes {
            let outcome = match note {
                Note::TrialConfirmed => TrialOutcome::Confirmed,
                Note::TrialUnheard => TrialOutcome::Unheard,
                Note::TrialLocked => TrialOutcome::Locked,
                Note::TrialOther => TrialOutcome::OtherError,
                Note::TrialAbandoned => TrialOutcome::Abandoned,
                Note::TrialTimedOut => TrialOutcome::TimedOut,
                Note::ProbeLeaseOver => {
                    telemetry.emit(ProbeEvent { id, outcome: ProbeOutcome::UnknownLeaseOver });
                    continue;
                }
                Note::Stale | Note::ProbeIgnored => continue,
            };
            telemetry.emit(TrialEvent { id, outcome });
        }
    }

    fn announce_due(&self, phone: PhoneNumberId, cell: &Cell, policy: &Policy) {
        let cx = self.context(phone, policy);
        self.due(phone, cell.read(|breaker| breaker.next_due(&cx)));
    }

    fn due(&self, phone: PhoneNumberId, due: Option<Timestamp>) {
        // Without a receiver the program is stopping, and nothing becomes due any more.
        let _ = self.0.due.send((phone, due));
    }

    fn tick(&self, phone: PhoneNumberId) {
        drop(self.apply_if_known(phone, Event::Tick));
    }

    fn sweep(&self) {
        for phone in self.0.registry.forget(self.now()) {
            drop(self.0.store.put(Table::Breakers, record::key(phone), None));
        }
    }
}

/// Evidence as it is counted and told.
struct Seen {
    verdict: Verdict,
    source: Source,
    code: Option<i64>,
    /// When Meta accepted the send that it is about.
    accepted_at: Option<Timestamp>,
}

impl Seen {
    fn of(event: &Event, sends: &Sends) -> Option<Self> {
        let (verdict, source, code, about) = match event {
            Event::Lock { about, reason } => (Verdict::Lock, reason.source, Some(reason.code), about),
            Event::Proof { about } => (Verdict::Delivered, Source::Webhook, None, about),
            _ => return None,
        };
        let accepted_at = about.key().and_then(|key| sends.get(key)).map(|send| send.at);
        Some(Self { verdict, source, code, accepted_at })
    }
}

/// What a settling has to tell.
struct Told {
    phone: PhoneNumberId,
    transitions: Vec<Transition>,
    incident: Option<String>,
    seen: Option<Seen>,
}

impl fmt::Debug for Breakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Breakers")
    }
}

/// A snapshot for the metrics.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// How many are in each of [`SHOWN_STATES`].
    pub states: [(&'static str, u64); 5],
    /// Those that are not closed, capped.
    pub held: Vec<(PhoneNumberId, &'static str)>,
    /// Health says clear and sends fail.
    pub contradictions: u64,
}

/// The way of an applied event to stable storage and into the log. Await it before telling the outside; dropping it
/// leaves it to run by itself. Ready at once where there was no transition.
#[derive(Debug, Default)]
#[must_use = "await it before the outside is told of the transition"]
pub struct Settling(Option<JoinHandle<()>>);

impl Future for Settling {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        match &mut self.0 {
            None => Poll::Ready(()),
            // A settling that panicked has nothing more to wait for.
            Some(task) => Pin::new(task).poll(cx).map(drop),
        }
    }
}

/// Whether transitions reach stable storage.
#[derive(Debug, Default)]
pub(crate) struct Durability(Mutex<Option<(Timestamp, u64)>>);

impl Durability {
    /// Notes the outcome of a commit; says whether that changes anything.
    fn note(&self, durable: bool, now: Timestamp) -> bool {
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *lost;
        *lost = match (durable, before) {
            (true, _) => None,
            (false, None) => Some((now, 1)),
            (false, Some((since, count))) => Some((since, count + 1)),
        };
        before.is_some() == durable
    }

    /// Since when transitions are not durable, and how many were affected.
    fn lost(&self) -> Option<(Timestamp, u64)> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
