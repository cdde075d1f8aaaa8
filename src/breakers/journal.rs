//! The journal: incidents, kept current beside the breakers and in the store.
//!
//! It has a lock of its own, which no send that is let through ever takes, and which is never taken under a breaker's lock. So
//! two threads may bring the steps of one breaker in another order than they were made in; an incident sorts them by generation.
//!
//! **What is on disk when.** An incident's record is written with each transition, after the breaker's own, and whoever tells of
//! the transition waits for both. A leak is a record of its own, written before its webhook is acknowledged. All else (evidence,
//! probes, counts) is written every 15 s and at the end. What a crash takes of it is mended from the breaker's record.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Breakers;
use crate::breaker::{Applied, Event, IncidentStart, Note, Reason, Scope, Shown, TransitionKind};
use crate::graph::health::{Health, Unknown};
use crate::graph::ids::Wamid;
use crate::incident::{Book, Evidence, Incident, Key, Leak, OrderGiven, Probe, Trial};
use crate::registry::{Accepted, Cell};
use crate::store::{Commit, Table};
use crate::telemetry::events::LeakEvent;
use crate::time::Timestamp;

/// All incidents, and which of them the store does not know as they are now.
#[derive(Debug, Default)]
pub(super) struct Journal(Mutex<Pages>);

#[derive(Debug, Default)]
pub(super) struct Pages {
    pub(super) book: Book,
    pub(super) dirty: BTreeSet<Key>,
}

impl Journal {
    pub(super) fn lock(&self) -> MutexGuard<'_, Pages> {
        // Each step under it leaves whole entries behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event, and what is to be written down of it that the breaker need not know.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) event: Event,
    /// The message that it is about.
    pub(super) wamid: Option<Wamid>,
    /// When it happened, as Meta says.
    pub(super) dated: Option<Timestamp>,
    /// The operator's order that it carries out.
    pub(super) order: Option<OrderGiven>,
}

impl From<Event> for Word {
    fn from(event: Event) -> Self {
        Self { event, wamid: None, dated: None, order: None }
    }
}

/// What is to be written down of an event, once it is applied.
pub(super) struct Jotting {
    evidence: Option<Evidence>,
    health: Option<Health>,
    wamid: Option<Wamid>,
    order: Option<OrderGiven>,
}

impl Jotting {
    /// `evidence`: what it is evidence of.
    pub(super) fn of(word: &Word, evidence: Option<Evidence>) -> Self {
        let health = match &word.event {
            Event::Probed { health, .. } | Event::Watched { health, .. } => Some(health.clone()),
            _ => None,
        };
        Self { evidence, health, wamid: word.wamid.clone(), order: word.order.clone() }
    }
}

/// What an event did to a breaker, as it was seen under the breaker's lock.
pub(super) struct Found {
    /// The incident that it is in now.
    pub(super) current: Option<IncidentStart>,
    /// Why it tripped, if it did just now.
    pub(super) reason: Option<Reason>,
    /// The counts before a new incident began: rejected, would-be rejected, leaked.
    pub(super) counts_before: (u64, u64, u64),
}

/// What came of writing it down.
#[derive(Default)]
pub(super) struct Written {
    /// The receipt for the records of incidents that a transition has changed.
    pub(super) commit: Option<Commit>,
    /// When the first message was accepted that had failed before the breaker tripped.
    pub(super) first_accepted: Option<Timestamp>,
}

impl Breakers {
    /// Writes down what an event did. Costs nothing if it did nothing.
    pub(super) fn write_down(
        &self,
        scope: Scope,
        cell: &Cell,
        jotting: Jotting,
        applied: &Applied,
        found: &Found,
    ) -> Written {
        let Jotting { evidence, health, wamid, order } = jotting;
        let says_something = |note: &Note| !matches!(note, Note::Stale | Note::ProbeIgnored);
        let is_nothing = applied.transitions.is_empty()
            && evidence.is_none()
            && health.is_none()
            && order.is_none()
            && !applied.notes.iter().any(says_something);
        if is_nothing {
            return Written::default();
        }
        let now = self.now();
        let mut written = Written::default();
        let mut pages = self.0.journal.lock();
        let mut touched = Vec::new();
        for step in &applied.transitions {
            let (key, first) = self.page_of(&mut pages, scope, cell, step.incident, found.counts_before);
            written.first_accepted = written.first_accepted.or(first);
            if let Some(incident) = pages.book.get_mut(key) {
                incident.step(step);
            }
            touched.push(key);
        }
        let here = match (touched.last(), found.current) {
            (Some(key), _) => Some(*key),
            (None, Some(start)) => Some(self.page_of(&mut pages, scope, cell, start, found.counts_before).0),
            (None, None) => None,
        };
        let tripped = applied.transitions.iter().any(|step| step.kind == TransitionKind::Trip);
        let is_stale = applied.notes.contains(&Note::Stale);
        let evidence = evidence.map(|evidence| Evidence { stale: is_stale, ..evidence });
        let evidence = evidence.or_else(|| found.reason.as_ref().map(Evidence::of_reason));
        if let Some(evidence) = evidence {
            let accepted_at = evidence.accepted_at.unwrap_or(evidence.at);
            let own = evidence.generation.and_then(|it| pages.book.owner(scope, it, accepted_at));
            let late = is_stale.then(|| pages.book.latest(scope)).flatten();
            // What trips is the new incident's, also where the send is from before an order that has ended since.
            let own = own.filter(|_| !tripped);
            match own.or(here).or(late) {
                Some(key) => pages.add(key, |incident| incident.hear(evidence, tripped)),
                None => pages.book.evidence_waits(scope, evidence),
            }
        }
        if let Some(key) = here {
            let ignored = applied.notes.contains(&Note::ProbeIgnored);
            let lease_over = applied.notes.contains(&Note::ProbeLeaseOver);
            let health = health.or(lease_over.then_some(Health::Unknown(Unknown::LeaseOver)));
            if let Some(health) = health {
                pages.add(key, |incident| incident.probe(Probe::of(&health, now, ignored)));
            }
            for note in &applied.notes {
                if let Note::Trial(outcome) = *note {
                    pages.add(key, |incident| {
                        incident.trial(Trial { at: now, outcome, wamid: wamid.clone() })
                    });
                }
            }
            if let Some(order) = order {
                pages.add(key, |incident| incident.order(order));
            }
        }
        for key in touched {
            let counts = cell.counts.get();
            if Some(key) == pages.book.latest(scope)
                && let Some(incident) = pages.book.get_mut(key)
            {
                raise(incident, counts);
            }
            written.commit = self.put_incident(&mut pages, key).or(written.commit);
        }
        // Only a step to closed ends an incident, and to look at them all is not for each that begins.
        let has_ended = applied.transitions.iter().any(|step| step.to == Shown::Closed);
        let surplus = if has_ended { pages.book.trim() } else { Vec::new() };
        for (id, leaks) in surplus {
            self.forget_leaks(&id, leaks);
            drop(self.0.store.put(Table::Incidents, id, None));
        }
        written
    }

    /// The incident that began with this step; made if it is not there. Then the one before it gets its last counts, and
    /// failures that waited for it are its leaks; the second is when the first of those was accepted.
    pub(super) fn page_of(
        &self,
        pages: &mut Pages,
        scope: Scope,
        cell: &Cell,
        start: IncidentStart,
        counts_before: (u64, u64, u64),
    ) -> (Key, Option<Timestamp>) {
        let recorded = pages.book.record(scope, start);
        let key = recorded.key;
        if let Some(before) = recorded.before {
            pages.add(before, |incident| raise(incident, counts_before));
        }
        if recorded.is_new {
            pages.dirty.insert(key);
        }
        let first = recorded.waited.iter().map(|leak| leak.accepted_at).min();
        for leak in recorded.waited {
            drop(self.add_leak(pages, cell, key, leak));
        }
        (key, first)
    }

    /// A message that Meta had accepted here failed for the lock, and was not counted before. The receipt is there if it was
    /// written down.
    pub(super) fn leaked(&self, scope: Scope, send: &Accepted, leak: Leak) -> Option<Commit> {
        let cell = self.0.registry.get(scope)?;
        // As the breaker judges it: an order that began and ended since is no close.
        let (current, is_news) = cell.read(|breaker| {
            let fence = breaker.fence().map(|fence| fence.generation);
            (breaker.incident(), fence.is_none_or(|fence| send.generation >= fence))
        });
        let mut pages = self.0.journal.lock();
        // Whoever began it may not have come here yet.
        let current = current.map(|start| self.page_of(&mut pages, scope, &cell, start, (0, 0, 0)).0);
        let key = match current {
            Some(key) if is_news => key,
            // Not yet enough to trip: it is a leak if that comes.
            None if is_news => {
                pages.book.leak_waits(scope, leak);
                return None;
            }
            _ => pages.book.owner(scope, send.generation, send.at)?,
        };
        self.add_leak(&mut pages, &cell, key, leak)
    }

    fn add_leak(&self, pages: &mut Pages, cell: &Cell, key: Key, leak: Leak) -> Option<Commit> {
        // Before the leak: without its incident it would be nobody's after a crash. And before it is counted: what a crash
        // leaves behind counts no leak that it does not list.
        if pages.dirty.contains(&key) {
            drop(self.put_incident(pages, key));
        }
        let value = serde_json::to_vec(&leak).unwrap_or_default();
        let listed = pages.book.leak(key, leak)?;
        if pages.book.latest(key.scope()) == Some(key) {
            cell.counts.leaked();
        }
        self.0.telemetry.emit(LeakEvent { scope: key.scope() });
        for (id, leaks) in listed.emptied {
            self.forget_leaks(&id, leaks);
            if let Some(emptied) = pages.book.find(&id).map(Key::from) {
                pages.dirty.insert(emptied);
            }
        }
        let Some(place) = listed.place else {
            pages.dirty.insert(key);
            return None;
        };
        let id = &pages.book.get(key)?.id;
        let commit = self.0.store.put(Table::Leaks, leak_key(id, place), Some(value));
        pages.dirty.insert(key);
        Some(commit)
    }

    fn put_incident(&self, pages: &mut Pages, key: Key) -> Option<Commit> {
        pages.dirty.remove(&key);
        let incident = pages.book.get_mut(key)?;
        // They have records of their own.
        let leaks = std::mem::take(&mut incident.leaks);
        let value = serde_json::to_vec(incident).unwrap_or_default();
        incident.leaks = leaks;
        Some(self.0.store.put(Table::Incidents, incident.id.clone(), Some(value)))
    }

    fn forget_leaks(&self, id: &str, leaks: usize) {
        for place in 0..leaks {
            drop(self.0.store.put(Table::Leaks, leak_key(id, place), None));
        }
    }

    /// An operator has asked for a probe of a breaker that is in an incident.
    pub(super) fn write_down_order(&self, scope: Scope, order: OrderGiven) {
        let Some(cell) = self.0.registry.get(scope) else { return };
        let Some(start) = cell.read(|breaker| breaker.incident()) else { return };
        let mut pages = self.0.journal.lock();
        let (key, _) = self.page_of(&mut pages, scope, &cell, start, (0, 0, 0));
        pages.add(key, |incident| incident.order(order));
    }

    /// Writes what has changed since, and was not written at once.
    pub(super) fn flush(&self) {
        let latest = self.0.journal.lock().book.latest_of_all();
        // Outside the journal's lock: who forgets cells holds theirs.
        let counts = latest.into_iter().filter_map(|key| {
            let cell = self.0.registry.get(key.scope())?;
            Some((key, cell.counts.get()))
        });
        let counts: Vec<_> = counts.collect();
        let mut pages = self.0.journal.lock();
        for (key, counts) in counts {
            if pages.book.latest(key.scope()) == Some(key)
                && let Some(incident) = pages.book.get_mut(key)
                && raise(incident, counts)
            {
                pages.dirty.insert(key);
            }
        }
        for key in std::mem::take(&mut pages.dirty) {
            drop(self.put_incident(&mut pages, key));
        }
        drop(pages);
        self.flush_observed();
    }
}

impl Pages {
    /// Adds something to an incident, to be written before long.
    pub(super) fn add<R>(&mut self, key: Key, change: impl FnOnce(&mut Incident) -> R) {
        if let Some(incident) = self.book.get_mut(key) {
            change(incident);
            self.dirty.insert(key);
        }
    }
}

/// Sets the counts of sends that were held back; they never shrink. Says whether that changed anything.
pub(super) fn raise(incident: &mut Incident, (rejected, would_reject, _): (u64, u64, u64)) -> bool {
    let before = (incident.rejected, incident.would_reject);
    incident.rejected = incident.rejected.max(rejected);
    incident.would_reject = incident.would_reject.max(would_reject);
    (incident.rejected, incident.would_reject) != before
}

fn leak_key(id: &str, place: usize) -> String {
    format!("{id}/{place:05}")
}
