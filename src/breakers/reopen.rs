//! What the store kept is put back, and what a crash has torn apart is mended.

use super::{Breakers, journal::raise, record};
use crate::graph::ids::PhoneNumberId;
use crate::incident::{Evidence, Incident, Leak, Outcomes};
use crate::registry::Phone;
use crate::store::{StoreError, Table};

impl Breakers {
    /// Breakers and phones must all be readable: to forget one would open the gate to a locked number. Incidents and reports
    /// decide nothing; one that cannot be read is left where it is, with a line in the log.
    pub(super) fn restore(&self) -> Result<(), StoreError> {
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
            let (scope, breaker, counts) = record::read(&key, &value)?;
            let settings = inner.settings.load();
            let due = breaker.next_due(&self.context(scope, &settings.policy));
            inner.registry.restore(scope, breaker, counts);
            self.due(scope, due);
        }
        for (id, incident) in self.readable::<Incident>(Table::Incidents)? {
            if incident.id == id {
                inner.journal.lock().book.restore(incident);
            }
        }
        for (key, leak) in self.readable::<Leak>(Table::Leaks)? {
            let id = key.split_once('/').map_or(&*key, |(id, _)| id);
            if !inner.journal.lock().book.restore_leak(id, leak) {
                tracing::warn!(incident = id, "the store has a leak of an incident that is not there");
            }
        }
        for (key, outcomes) in self.readable::<Outcomes>(Table::Observed)? {
            if let Ok(phone) = PhoneNumberId::parse(&key) {
                inner.would_rejects.restore(phone, outcomes);
            }
        }
        self.mend_incidents();
        Ok(())
    }

    fn readable<T: serde::de::DeserializeOwned>(
        &self,
        table: Table,
    ) -> Result<impl Iterator<Item = (String, T)>, StoreError> {
        let entries = self.0.store.load(table)?;
        Ok(entries.into_iter().filter_map(move |(key, value)| match serde_json::from_slice(&value) {
            Ok(value) => Some((key, value)),
            Err(error) => {
                tracing::warn!(?table, key, %error, "a record in the store cannot be read; it is left as it is");
                None
            }
        }))
    }

    /// The breakers know best: each one's incident is there, and no other goes on.
    fn mend_incidents(&self) {
        let inner = &self.0;
        let mut pages = inner.journal.lock();
        let mut current = Vec::new();
        for (scope, cell) in inner.registry.all() {
            let (start, reason) =
                cell.read(|breaker| (breaker.incident(), breaker.lock().map(|lock| lock.reason.clone())));
            if let Some(start) = start {
                let (key, _) = self.page_of(&mut pages, scope, &cell, start, (0, 0, 0));
                current.push(key);
                if let (Some(incident), Some(reason)) = (pages.book.get_mut(key), reason)
                    && incident.trip.is_none()
                {
                    incident.hear(Evidence::of_reason(&reason), true);
                    pages.dirty.insert(key);
                }
            }
            if let Some(key) = pages.book.latest(scope)
                && let Some(incident) = pages.book.get_mut(key)
            {
                cell.counts.raise((incident.rejected, incident.would_reject, incident.leaked));
                let counts = cell.counts.get();
                // Of a store that knew no incidents.
                incident.leaked = incident.leaked.max(counts.2);
                raise(incident, counts);
            }
        }
        for key in pages.book.latest_of_all() {
            let Some(incident) = pages.book.get(key).filter(|incident| incident.closed_at.is_none()) else {
                continue;
            };
            if current.contains(&key) {
                continue;
            }
            let last = incident.transitions.last().map_or(incident.opened_at, |step| step.at);
            let known = inner.registry.get(key.scope()).map(|cell| {
                cell.read(|breaker| (breaker.fence().map_or(last, |fence| fence.at), breaker.generation()))
            });
            let (at, generation) = known.unwrap_or((last, incident.generation));
            pages.add(key, |incident| incident.end(at.max(last), generation));
        }
    }
}
