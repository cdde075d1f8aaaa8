//! Looking at incidents: one, and all in pages.

use super::Breakers;
use super::journal::raise;
use crate::breaker::Scope;
use crate::incident::{Incident, Key, Summary};

impl Breakers {
    /// Incidents from the newest on, those before `after`, and only this scope's if one is named; each with its place. Whether there
    /// are more.
    pub fn incidents(
        &self,
        after: Option<Key>,
        scope: Option<Scope>,
        limit: usize,
    ) -> (Vec<(Key, Summary)>, bool) {
        let pages = self.0.journal.lock();
        let (found, more) = pages.book.page(after, scope, limit);
        let found = found
            .into_iter()
            .map(|(key, incident)| (key, incident.summary(), pages.book.latest(key.scope()) == Some(key)));
        let found: Vec<_> = found.collect();
        drop(pages);
        let items = found.into_iter().map(|(key, mut summary, is_latest)| {
            if let Some(cell) = self.0.registry.get(key.scope()).filter(|_| is_latest) {
                let (rejected, would_reject, _) = cell.counts.get();
                summary.rejected = summary.rejected.max(rejected);
                summary.would_reject = summary.would_reject.max(would_reject);
            }
            (key, summary)
        });
        (items.collect(), more)
    }

    /// The id of a scope's newest incident.
    pub(super) fn last_incident(&self, scope: Scope) -> Option<String> {
        let pages = self.0.journal.lock();
        let key = pages.book.latest(scope)?;
        Some(pages.book.get(key)?.id.clone())
    }

    /// One incident, with all that is kept of it.
    pub fn incident(&self, id: &str) -> Option<Incident> {
        let pages = self.0.journal.lock();
        let mut incident = pages.book.find(id)?.clone();
        let is_latest = pages.book.latest(incident.scope) == Some(Key::from(&incident));
        drop(pages);
        if let Some(cell) = self.0.registry.get(incident.scope).filter(|_| is_latest) {
            raise(&mut incident, cell.counts.get());
        }
        Some(incident)
    }
}
