//! Who is open: the only place with locks and atomics, and nothing here ever waits for anything else.
//!
//! Only breakers that were ever opened (and whose generation is still worth remembering) have a [`Cell`]; every other phone is
//! closed at generation 0 and costs nothing. While there is no cell at all, an admission is one atomic load.

mod cell;
mod hearing;
#[cfg(test)]
#[cfg(feature = "loom")]
mod loom;
mod phones;
mod sends;
mod sync;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;

pub use cell::{Admitted, Cell};
pub use hearing::Hearing;
pub use phones::{Phone, Phones};
pub use sends::{Accepted, Sends};

use crate::breaker::{Breaker, Generation};
use crate::graph::ids::PhoneNumberId;
use crate::time::Timestamp;

/// All cells.
#[derive(Default)]
pub struct Registry {
    cells: DashMap<PhoneNumberId, Arc<Cell>>,
    /// At least the number of cells; raised before one is added.
    occupied: AtomicUsize,
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

    /// Forgets breakers that were closed for so long that no late news can come; returns whose they were. One that somebody
    /// holds at this moment stays.
    pub fn forget(&self, now: Timestamp) -> Vec<PhoneNumberId> {
        let old: Vec<_> = self.cells.iter().map(|entry| *entry.key()).collect();
        old.into_iter()
            .filter(|phone| {
                let gone = self.cells.remove_if(phone, |_, cell| {
                    Arc::strong_count(cell) == 1 && cell.read(|breaker| breaker.is_forgettable(now))
                });
                if gone.is_some() {
                    self.occupied.fetch_sub(1, Ordering::Release);
                }
                gone.is_some()
            })
            .collect()
    }
}
