//! Failures that overtook the answer to their own send: whose they are is known only when the answer comes.
//!
//! Until then such a failure is judged by its date, as one of a message that nobody knows is. That is not always enough: within
//! the clock skew of a close it is taken for late news, and it is no leak of ours. So it is kept for a while, and heard once more.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::graph::ids::WamidKey;
use crate::graph::webhook::Status;
use crate::time::Timestamp;

/// The most failures that are kept; some 500 bytes each.
const MOST: usize = 1024;

/// How long one is kept. An answer follows within seconds; of a message that was sent past us none ever does.
const PATIENCE: Duration = Duration::from_secs(300);

/// Failures of messages that nobody knows yet, oldest first.
#[derive(Debug, Default)]
pub(super) struct Overtaking {
    failures: Mutex<VecDeque<Failure>>,
    /// How many there are, for whoever looks on the ordinary path.
    kept: AtomicUsize,
}

#[derive(Debug)]
struct Failure {
    at: Timestamp,
    key: WamidKey,
    status: Status,
}

impl Overtaking {
    /// Keeps a failure. Whoever calls must look once more whether the message is known by now.
    pub(super) fn keep(&self, key: WamidKey, status: &Status, now: Timestamp) {
        let mut failures = self.lock();
        forget_old(&mut failures, now);
        if !failures.iter().any(|known| known.key == key) {
            if failures.len() >= MOST {
                failures.pop_front();
            }
            failures.push_back(Failure { at: now, key, status: status.clone() });
        }
        self.kept.store(failures.len(), Ordering::SeqCst);
    }

    /// Takes the failure of a message, if one was kept. To be called after the message is remembered.
    pub(super) fn take(&self, key: WamidKey, now: Timestamp) -> Option<Status> {
        if self.kept.load(Ordering::SeqCst) == 0 {
            return None;
        }
        let mut failures = self.lock();
        forget_old(&mut failures, now);
        let at = failures.iter().position(|known| known.key == key);
        let taken = at.and_then(|at| failures.remove(at)).map(|failure| failure.status);
        self.kept.store(failures.len(), Ordering::SeqCst);
        taken
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Failure>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_old(failures: &mut VecDeque<Failure>, now: Timestamp) {
    while failures.front().is_some_and(|oldest| now.since(oldest.at) >= PATIENCE) {
        failures.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::ids::{PhoneNumberId, WamidHasher};
    use crate::graph::webhook::StatusKind;

    #[test]
    fn what_no_answer_comes_for_is_forgotten_and_costs_nothing_any_more() {
        let (overtaking, phone) = (Overtaking::default(), PhoneNumberId::parse("1").unwrap());
        let key = |n: usize| WamidHasher::new([7; 16]).key_of(phone, &n.to_string());
        let status = Status {
            waba: None,
            phone,
            wamid: String::new(),
            kind: StatusKind::Failed,
            at: None,
            errors: Vec::new(),
            recipient: None,
            country: None,
            biz_opaque_callback_data: None,
        };
        let at = |seconds: u64| Timestamp::from_seconds(1_777_629_600).plus(Duration::from_secs(seconds));
        for n in 0..=MOST {
            overtaking.keep(key(n), &status, at(0));
            overtaking.keep(key(n), &status, at(0));
        }
        assert_eq!(overtaking.kept.load(Ordering::SeqCst), MOST);
        assert_eq!(overtaking.take(key(0), at(1)), None, "it made way");
        assert_eq!(overtaking.take(key(1), at(299)), Some(status));
        assert_eq!(overtaking.take(key(1), at(299)), None, "once");
        assert_eq!(overtaking.take(key(2), at(300)), None);
        assert_eq!(overtaking.kept.load(Ordering::SeqCst), 0);
    }
}
