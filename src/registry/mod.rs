//! Who is open: the only place with locks and atomics, and nothing here ever waits for anything else.
//!
//! Only breakers that were ever opened (and whose generation is still worth remembering) have a [`Cell`]; every other phone is
//! closed at generation 0 and costs nothing. While there is no cell at all, an admission is one atomic load.

mod cell;
mod hearing;
mod inline;
#[cfg(test)]
#[cfg(feature = "loom")]
mod loom;
mod phones;
mod sends;
mod sync;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use dashmap::DashMap;

pub use cell::{Admitted, Cell};
pub use hearing::{Hearing, Moment};
pub use inline::Inline;
pub use phones::{Phone, Phones};
pub use sends::{Accepted, Observed, REMEMBERED, Sends};

use crate::breaker::{Breaker, Generation};
use crate::graph::ids::PhoneNumberId;
use crate::time::Timestamp;

/// All cells.
#[derive(Default)]
pub struct Registry {
    cells: DashMap<PhoneNumberId, Arc<Cell>>,
    /// At least the number of cells; raised before one is added.
    occupied: AtomicUsize,
    /// When a breaker was last forgotten, in milliseconds.
    forgot_at: AtomicI64,
}

impl Registry {
    /// The generation to admit under, if the phone is plainly closed. The ordinary path.
    pub fn plainly_closed(&self, phone: PhoneNumberId) -> Option<Generation> {
        if self.occupied.load(Ordering::Acquire) == 0 {
            return Some(Generation::default());
        }
        match self.cells.get(&phone) {
            None => Some(Generation::default()),
            Some(cell) => cell.plainly_closed(),
        }
    }

    /// The phone's cell, if it has one.
    pub fn get(&self, phone: PhoneNumberId) -> Option<Arc<Cell>> {
        if self.occupied.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.cells.get(&phone).map(|cell| Arc::clone(&cell))
    }

    /// The phone's cell; a closed one is made if it has none.
    pub fn get_or_make(&self, phone: PhoneNumberId) -> Arc<Cell> {
        self.get(phone).unwrap_or_else(|| {
            let entry = self.cells.entry(phone);
            Arc::clone(&entry.or_insert_with(|| {
                self.occupied.fetch_add(1, Ordering::Release);
                Arc::new(Cell::new(Breaker::default(), 0, 0, 0))
            }))
        })
    }

    /// Puts back what the store kept.
    pub fn restore(&self, phone: PhoneNumberId, cell: Cell) {
        self.occupied.fetch_add(1, Ordering::Release);
        self.cells.insert(phone, Arc::new(cell));
    }

    /// All cells, in the order of their ids.
    pub fn all(&self) -> Vec<(PhoneNumberId, Arc<Cell>)> {
        let mut all: Vec<_> =
            self.cells.iter().map(|entry| (*entry.key(), Arc::clone(entry.value()))).collect();
        all.sort_unstable_by_key(|(phone, _)| *phone);
        all
    }

    /// Whether a generation that was noted at that time still means what it meant: a breaker that is forgotten begins anew at 0,
    /// and what comes to be judged then may bear a number that its next incident reaches again.
    pub fn generation_holds(&self, generation: Generation, noted: Timestamp) -> bool {
        generation == Generation::default() || noted.millis() > self.forgot_at.load(Ordering::Relaxed)
    }

    /// Forgets breakers that were closed for so long that no late news can come. One that somebody holds at this moment
    /// stays. `tell` is told of each that goes, before another can be made in its place, and must not come back here.
    pub fn forget(&self, now: Timestamp, mut tell: impl FnMut(PhoneNumberId)) {
        let old: Vec<_> = self.cells.iter().map(|entry| *entry.key()).collect();
        for phone in old {
            let gone = self.cells.remove_if(&phone, |_, cell| {
                let gone = Arc::strong_count(cell) == 1 && cell.read(|breaker| breaker.is_forgettable(now));
                if gone {
                    self.forgot_at.fetch_max(now.millis(), Ordering::Relaxed);
                    tell(phone);
                }
                gone
            });
            if gone.is_some() {
                self.occupied.fetch_sub(1, Ordering::Release);
            }
        }
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;

    /// Otherwise what is written of a new one could be deleted as the old one's.
    #[test]
    fn a_breaker_that_goes_is_told_of_before_there_can_be_another() {
        let (registry, phone) = (Registry::default(), PhoneNumberId::parse("1").unwrap());
        drop(registry.get_or_make(phone));
        let mut gone = Vec::new();
        registry.forget(Timestamp::from_seconds(1_777_629_600), |phone| {
            assert!(registry.cells.try_get(&phone).is_locked());
            gone.push(phone);
        });
        assert_eq!(gone, [phone]);
        assert!(registry.get(phone).is_none());
    }
}
