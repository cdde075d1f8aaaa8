//! Who is open: the only place with locks and atomics, and nothing here ever waits for anything else.
//!
//! Only breakers that were ever opened (and whose generation is still worth remembering) have a [`Cell`]; every other scope is
//! closed at generation 0 and costs nothing. While there is no cell at all, an admission is one atomic load; while none but phones'
//! are held, it is two and a look at the phone's.

mod cell;
mod hearing;
mod inline;
#[cfg(test)]
#[cfg(feature = "loom")]
mod loom;
mod phones;
mod pins;
mod sends;
mod sync;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use dashmap::DashMap;

use sync::{AtomicUsize, Ordering};

pub use cell::{Admitted, Cell};
pub use hearing::{Hearing, Moment};
pub use inline::Inline;
pub use phones::{Phone, Phones};
pub use pins::Pins;
pub use sends::{Accepted, Observed, REMEMBERED, Sends};

use crate::breaker::{Breaker, Generation, Scope};
use crate::graph::ids::{PhoneNumberId, WabaId};
use crate::time::Timestamp;

/// All cells.
#[derive(Default)]
pub struct Registry {
    cells: DashMap<Scope, Arc<Cell>>,
    /// At least the number of cells; raised before one is added.
    occupied: AtomicUsize,
    /// How many cells are not plainly closed, of accounts and of what needs a look at the send itself: countries, tokens. Raised before,
    /// and lowered after, their own words say so.
    held_wabas: Arc<AtomicUsize>,
    held_others: Arc<AtomicUsize>,
    /// When a breaker was last forgotten, in milliseconds.
    forgot_at: AtomicI64,
}

impl Registry {
    /// Whether there is no cell: then all are closed, at generation 0. One atomic load.
    pub fn is_empty(&self) -> bool {
        self.occupied.load(Ordering::Acquire) == 0
    }

    /// The generation to admit under, if the phone is plainly closed, and its account, too, where `waba` knows one, and nothing is
    /// held that the phone says nothing of. The ordinary path: `waba` is asked only while some account is held.
    pub fn plainly_closed(
        &self,
        phone: PhoneNumberId,
        waba: impl FnOnce() -> Option<WabaId>,
    ) -> Option<Generation> {
        if self.is_empty() {
            return Some(Generation::default());
        }
        if self.holds_others() {
            return None;
        }
        if self.holds_wabas()
            && let Some(waba) = waba()
        {
            self.closed(waba.into())?;
        }
        self.closed(phone.into())
    }

    /// Whether any account is held.
    pub fn holds_wabas(&self) -> bool {
        self.held_wabas.load(Ordering::Acquire) > 0
    }

    /// Whether any country or token is held: then each send has to be looked into.
    pub fn holds_others(&self) -> bool {
        self.held_others.load(Ordering::Acquire) > 0
    }

    /// The generation of this one breaker, if it is plainly closed.
    pub fn closed(&self, scope: Scope) -> Option<Generation> {
        match self.cells.get(&scope) {
            None => Some(Generation::default()),
            Some(cell) => cell.plainly_closed(),
        }
    }

    /// The cell of a scope, if it has one.
    pub fn get(&self, scope: Scope) -> Option<Arc<Cell>> {
        if self.is_empty() {
            return None;
        }
        self.cells.get(&scope).map(|cell| Arc::clone(&cell))
    }

    /// The cell of a scope; a closed one is made if it has none.
    pub fn get_or_make(&self, scope: Scope) -> Arc<Cell> {
        self.get(scope).unwrap_or_else(|| {
            let entry = self.cells.entry(scope);
            Arc::clone(&entry.or_insert_with(|| {
                self.occupied.fetch_add(1, Ordering::Release);
                Arc::new(Cell::new(Breaker::default(), (0, 0, 0), self.held_of(scope)))
            }))
        })
    }

    /// Puts back what the store kept.
    pub fn restore(&self, scope: Scope, breaker: Breaker, counts: (u64, u64, u64)) {
        self.occupied.fetch_add(1, Ordering::Release);
        self.cells.insert(scope, Arc::new(Cell::new(breaker, counts, self.held_of(scope))));
    }

    fn held_of(&self, scope: Scope) -> Option<Arc<AtomicUsize>> {
        match scope {
            Scope::Phone(_) => None,
            Scope::Waba(_) => Some(Arc::clone(&self.held_wabas)),
            Scope::PhoneCountry(..) | Scope::Token(_) => Some(Arc::clone(&self.held_others)),
        }
    }

    /// All cells, in the order of their ids.
    pub fn all(&self) -> Vec<(Scope, Arc<Cell>)> {
        let mut all: Vec<_> =
            self.cells.iter().map(|entry| (*entry.key(), Arc::clone(entry.value()))).collect();
        all.sort_unstable_by_key(|(scope, _)| *scope);
        all
    }

    /// Whether a generation that was noted at that time still means what it meant: a breaker that is forgotten begins anew at 0,
    /// and what comes to be judged then may bear a number that its next incident reaches again. What was noted in the very millisecond
    /// counts as later: the wrong guess opens once too often, and a probe mends it; the other would lose the news of a lock.
    pub fn generation_holds(&self, generation: Generation, noted: Timestamp) -> bool {
        generation == Generation::default() || noted.millis() >= self.forgot_at.load(Ordering::Relaxed)
    }

    /// Forgets breakers that were closed for so long that no late news can come. One that somebody holds at this moment
    /// stays. `tell` is told of each that goes, before another can be made in its place, and must not come back here.
    pub fn forget(&self, now: Timestamp, mut tell: impl FnMut(Scope)) {
        let old: Vec<_> = self.cells.iter().map(|entry| *entry.key()).collect();
        for scope in old {
            let gone = self.cells.remove_if(&scope, |_, cell| {
                let gone = Arc::strong_count(cell) == 1 && cell.read(|breaker| breaker.is_forgettable(now));
                if gone {
                    self.forgot_at.fetch_max(now.millis(), Ordering::Relaxed);
                    tell(scope);
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
    use crate::breaker::{Context, Event, Jitter, Override, OverrideOrder, Policy};
    use crate::graph::country::Country;

    /// Otherwise what is written of a new one could be deleted as the old one's.
    #[test]
    fn a_breaker_that_goes_is_told_of_before_there_can_be_another() {
        let (registry, phone) = (Registry::default(), Scope::from(PhoneNumberId::parse("1").unwrap()));
        drop(registry.get_or_make(phone));
        let mut gone = Vec::new();
        registry.forget(Timestamp::from_seconds(1_777_629_600), |phone| {
            assert!(registry.cells.try_get(&phone).is_locked());
            gone.push(phone);
        });
        assert_eq!(gone, [phone]);
        assert!(registry.get(phone).is_none());
    }

    fn held() -> Breaker {
        let mut breaker = Breaker::default();
        let order = Override {
            order: OverrideOrder::Open,
            by: String::new(),
            reason: String::new(),
            at: NOW,
            until: None,
        };
        let policy = Policy::default();
        breaker.apply(
            Event::Hold(order),
            &Context { now: NOW, jitter: Jitter(0), heard: true, policy: &policy },
        );
        breaker
    }

    const NOW: Timestamp = Timestamp::from_seconds(1_777_629_600);

    #[test]
    fn an_account_holds_its_phones_and_is_asked_for_only_while_one_is_held() {
        let (registry, phone) = (Registry::default(), PhoneNumberId::parse("1").unwrap());
        let [waba, other] = ["8", "9"].map(|id| WabaId::parse(id).unwrap());
        registry.restore(Scope::from(PhoneNumberId::parse("2").unwrap()), held(), (0, 0, 0));
        let never = || panic!("no account is held");
        assert_eq!(registry.plainly_closed(phone, never), Some(Generation(0)));

        registry.restore(waba.into(), held(), (0, 0, 0));
        assert_eq!(registry.plainly_closed(phone, || Some(waba)), None);
        assert_eq!(registry.plainly_closed(phone, || Some(other)), Some(Generation(0)));
        assert_eq!(registry.plainly_closed(phone, || None), Some(Generation(0)));

        let policy = Policy::default();
        let cx = Context { now: NOW, jitter: Jitter(0), heard: true, policy: &policy };
        let cell = registry.get(waba.into()).unwrap();
        cell.update(|breaker| breaker.apply(Event::Reset { text: String::new() }, &cx));
        assert_eq!(registry.plainly_closed(phone, never), Some(Generation(0)));
    }

    /// Those of a lock that is over stay for eight days.
    #[test]
    fn a_closed_cell_is_small() {
        assert!(size_of::<Cell>() <= 256, "{}", size_of::<Cell>());
    }

    #[test]
    fn while_a_country_or_a_token_is_held_every_send_is_looked_into() {
        let (registry, phone) = (Registry::default(), PhoneNumberId::parse("1").unwrap());
        let country = Scope::PhoneCountry(PhoneNumberId::parse("2").unwrap(), Country::parse("BR").unwrap());
        registry.restore(country, held(), (0, 0, 0));
        assert_eq!(registry.plainly_closed(phone, || None), None);
        assert!(registry.holds_others() && !registry.holds_wabas());
    }
}
