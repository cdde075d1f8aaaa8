//! One breaker as many threads see it.
//!
//! The ordinary path reads one atomic word: `generation * 2` while the breaker is plainly closed, odd otherwise. Whoever
//! changes the breaker does it under the lock and stores the word before the lock is given back. So once a change has
//! returned, every later admission sees it; an admission that read the word before is one that was already in flight.

use std::sync::Arc;

use super::sync::{AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::breaker::{Admission, Breaker, Generation, Lease, Policy, Shown};
use crate::graph::class::Class;
use crate::time::Timestamp;

/// A breaker, shared.
pub struct Cell {
    word: AtomicU64,
    breaker: Mutex<Breaker>,
    /// Counts those of its kind that are not plainly closed.
    held: Option<Arc<AtomicUsize>>,
    /// Counts of the incident.
    pub counts: Counts,
    /// Transitions that wait for their commit.
    pub unsettled: AtomicU64,
}

/// What the sends of a breaker's incident met.
#[derive(Debug, Default)]
pub struct Counts {
    rejected: AtomicU64,
    would_reject: AtomicU64,
    leaked: AtomicU64,
}

/// What one breaker says to a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It may go, under this generation.
    Forward(Generation),
    /// It may go as the trial, under this generation and with this permit.
    Trial(Generation, Lease),
    /// It may not. The generation is there for observe mode, which lets it through.
    Reject(Generation),
}

impl Cell {
    /// A cell with this breaker and the counts of its incident: rejected, would-be rejected, leaked. `held` counts the cells that
    /// are not plainly closed.
    pub fn new(
        breaker: Breaker,
        (rejected, would_reject, leaked): (u64, u64, u64),
        held: Option<Arc<AtomicUsize>>,
    ) -> Self {
        if let Some(held) = held.as_ref().filter(|_| !breaker.is_plainly_closed()) {
            held.fetch_add(1, Ordering::AcqRel);
        }
        let word = AtomicU64::new(word(&breaker));
        let counts = Counts {
            rejected: AtomicU64::new(rejected),
            would_reject: AtomicU64::new(would_reject),
            leaked: AtomicU64::new(leaked),
        };
        Self { word, breaker: Mutex::new(breaker), held, counts, unsettled: AtomicU64::new(0) }
    }

    /// The generation, if the breaker is plainly closed: sends flow, and nothing more need be asked.
    pub fn plainly_closed(&self) -> Option<Generation> {
        let word = self.word.load(Ordering::Acquire);
        (word & 1 == 0).then_some(Generation(word >> 1))
    }

    /// Decides about one send of this class, and takes the trial's permit for it if there is one.
    pub fn admit(&self, class: Option<Class>, now: Timestamp, policy: &Policy) -> Admitted {
        if let Some(generation) = self.plainly_closed() {
            return Admitted::Forward(generation);
        }
        let mut breaker = self.lock();
        let generation = breaker.generation();
        match breaker.admit(class, now) {
            Admission::Forward => Admitted::Forward(generation),
            Admission::Trial => match breaker.begin_trial(now, policy) {
                Some(lease) => Admitted::Trial(generation, lease),
                None => Admitted::Forward(generation),
            },
            Admission::Reject => Admitted::Reject(generation),
        }
    }

    /// Changes the breaker. Every admission after this returns sees the change.
    pub fn update<R>(&self, change: impl FnOnce(&mut Breaker) -> R) -> R {
        // Published by drop, so that even a change that panics half-way leaves no word that says otherwise.
        let mut publish = Publish { cell: self, breaker: self.lock() };
        change(&mut publish.breaker)
    }

    /// Looks at the breaker.
    pub fn read<R>(&self, look: impl FnOnce(&Breaker) -> R) -> R {
        look(&self.lock())
    }

    /// A thread that panicked under the lock has left a breaker behind: each step of the machine is one assignment.
    fn lock(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Stores the word of a changed breaker before its lock is given back.
struct Publish<'a> {
    cell: &'a Cell,
    breaker: MutexGuard<'a, Breaker>,
}

impl Drop for Publish<'_> {
    fn drop(&mut self) {
        let Cell { word: published, held, .. } = self.cell;
        let is_held = |word: u64| word & 1 == 1;
        let (before, after) = (published.load(Ordering::Relaxed), word(&self.breaker));
        let held = held.as_ref().filter(|_| is_held(before) != is_held(after));
        // Never is a cell held and not counted.
        if let Some(held) = held.filter(|_| is_held(after)) {
            held.fetch_add(1, Ordering::AcqRel);
        }
        published.store(after, Ordering::Release);
        if let Some(held) = held.filter(|_| is_held(before)) {
            held.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Counts {
    /// Counts a rejected send.
    pub fn rejected(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a send that enforce mode would have rejected.
    pub fn would_reject(&self) {
        self.would_reject.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a leak.
    pub fn leaked(&self) {
        self.leaked.fetch_add(1, Ordering::Relaxed);
    }

    /// The incident is known to have had at least so many: rejected, would-be rejected, leaked.
    pub fn raise(&self, (rejected, would_reject, leaked): (u64, u64, u64)) {
        self.rejected.fetch_max(rejected, Ordering::Relaxed);
        self.would_reject.fetch_max(would_reject, Ordering::Relaxed);
        self.leaked.fetch_max(leaked, Ordering::Relaxed);
    }

    /// A new incident begins.
    pub fn clear(&self) {
        for count in [&self.rejected, &self.would_reject, &self.leaked] {
            count.store(0, Ordering::Relaxed);
        }
    }

    /// Rejected, would-be rejected, leaked.
    pub fn get(&self) -> (u64, u64, u64) {
        let [rejected, would_reject, leaked] =
            [&self.rejected, &self.would_reject, &self.leaked].map(|count| count.load(Ordering::Relaxed));
        (rejected, would_reject, leaked)
    }
}

fn word(breaker: &Breaker) -> u64 {
    breaker.generation().0 << 1 | u64::from(!breaker.is_plainly_closed())
}

/// A quick look from outside: the state as it is shown, and the generation.
impl Cell {
    /// The shown state at `now`.
    pub fn shown(&self, now: Timestamp) -> Shown {
        match self.plainly_closed() {
            Some(_) => Shown::Closed,
            None => self.read(|breaker| breaker.shown(now)),
        }
    }
}
