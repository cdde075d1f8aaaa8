//! Failures that overtook the answer to their own send: whose they are is known only when the answer comes.
//!
//! Until then such a failure is judged by its date, as one of a message that nobody knows is. That is not always enough: within
//! the clock skew of a close it is taken for late news, and it is no leak of ours. So it is kept for a while, and heard once more.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::graph::ids::WamidKey;
use crate::graph::webhook::Status;

/// The most failures that are kept; some 500 bytes each. An answer follows within seconds; failures of messages that were sent past
/// us, of which no answer will come, make way first in, first out.
const MOST: usize = 1024;

/// Failures of messages that nobody knows yet.
#[derive(Debug, Default)]
pub(super) struct Overtaking {
    failures: Mutex<VecDeque<(WamidKey, Status)>>,
    /// How many there are, for whoever looks on the ordinary path.
    kept: AtomicUsize,
}

impl Overtaking {
    /// Keeps a failure. Whoever calls must look once more whether the message is known by now.
    pub(super) fn keep(&self, key: WamidKey, failure: &Status) {
        let mut failures = self.lock();
        if failures.iter().any(|(known, _)| *known == key) {
            return;
        }
        if failures.len() >= MOST {
            failures.pop_front();
        }
        failures.push_back((key, failure.clone()));
        self.kept.store(failures.len(), Ordering::SeqCst);
    }

    /// Takes the failure of a message, if one was kept. To be called after the message is remembered.
    pub(super) fn take(&self, key: WamidKey) -> Option<Status> {
        if self.kept.load(Ordering::SeqCst) == 0 {
            return None;
        }
        let mut failures = self.lock();
        let at = failures.iter().position(|(known, _)| *known == key)?;
        let (_, failure) = failures.remove(at)?;
        self.kept.store(failures.len(), Ordering::SeqCst);
        Some(failure)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(WamidKey, Status)>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
