//! Observe mode: what became of each send that enforce mode would have rejected.

use dashmap::DashMap;

use super::Breakers;
use crate::graph::ids::{PhoneNumberId, WamidKey};
use crate::graph::webhook::StatusKind;
use crate::incident::{Outcomes, Report};
use crate::registry::Observed;
use crate::store::Table;
use crate::time::Timestamp;

/// The most phones whose would-be rejections are counted. Only phones that were not closed have some; 100 bytes each.
const MOST_PHONES: usize = 100_000;

/// The would-be rejections of all phones, and which of them the store does not know as they are now.
#[derive(Debug, Default)]
pub(super) struct WouldRejects(DashMap<PhoneNumberId, (Outcomes, bool)>);

impl WouldRejects {
    /// Puts back what the store kept.
    pub(super) fn restore(&self, phone: PhoneNumberId, outcomes: Outcomes) {
        self.0.insert(phone, (outcomes, false));
    }

    /// One passed.
    pub(super) fn passed(&self, phone: PhoneNumberId, at: Timestamp) {
        if self.0.len() >= MOST_PHONES && !self.has(phone) {
            return;
        }
        let mut entry = self.0.entry(phone).or_insert_with(|| (Outcomes::begin(at), true));
        entry.0.passed(at);
        entry.1 = true;
    }

    /// Whether the phone has ever had one: otherwise its statuses need no look.
    pub(super) fn has(&self, phone: PhoneNumberId) -> bool {
        !self.0.is_empty() && self.0.contains_key(&phone)
    }

    /// Changes what is known of a phone's; nothing if it has none.
    pub(super) fn change(&self, phone: PhoneNumberId, change: impl FnOnce(&mut Outcomes)) {
        if let Some(mut entry) = self.0.get_mut(&phone) {
            change(&mut entry.0);
            entry.1 = true;
        }
    }
}

impl Breakers {
    /// A status of a message whose send may have been a would-be rejection. Failed outranks delivered.
    pub(super) fn observe_status(&self, phone: PhoneNumberId, key: WamidKey, kind: StatusKind) {
        let inner = &self.0;
        // Within the step, so that the counts see two statuses of one message in their order.
        inner.sends.update(key, |send| {
            let (observed, was_delivered) = match (send.observed, kind) {
                (Observed::WouldReject, StatusKind::Sent | StatusKind::Delivered | StatusKind::Read) => {
                    (Observed::Delivered, false)
                }
                (Observed::WouldReject, StatusKind::Failed) => (Observed::Failed, false),
                (Observed::Delivered, StatusKind::Failed) => (Observed::Failed, true),
                _ => return,
            };
            send.observed = observed;
            inner.would_rejects.change(phone, |outcomes| match observed {
                Observed::Failed => outcomes.failed(was_delivered),
                _ => outcomes.delivered(),
            });
        });
    }

    /// What observe mode has seen, since it first saw something, across restarts.
    pub fn report(&self) -> Report {
        let phones = self.0.would_rejects.0.iter().map(|entry| (*entry.key(), entry.value().0)).collect();
        Report::of(phones, self.settings().observe.then(|| self.now()))
    }

    /// Writes what has changed.
    pub(super) fn flush_observed(&self) {
        for mut entry in self.0.would_rejects.0.iter_mut() {
            if std::mem::take(&mut entry.1) {
                let value = serde_json::to_vec(&entry.0).unwrap_or_default();
                drop(self.0.store.put(Table::Observed, entry.key().to_string(), Some(value)));
            }
        }
    }
}
