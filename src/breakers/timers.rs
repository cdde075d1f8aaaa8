//! Wakes breakers when something is due: a probe, the end of a lease, of a grace or of an order.

use std::collections::HashMap;
use std::future::poll_fn;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::time::{DelayQueue, delay_queue::Key};

use super::Breakers;
use crate::graph::ids::PhoneNumberId;
use crate::time::Timestamp;

/// How often breakers that need not be remembered any more are looked for.
const SWEEP: Duration = Duration::from_secs(3600);

/// How often phones that have become deaf are looked for.
const LISTEN: Duration = Duration::from_secs(15);

/// When a phone's breaker is due next; `None`, never.
pub(super) type Due = (PhoneNumberId, Option<Timestamp>);

/// The task behind [`Breakers`] that keeps time for them.
pub struct Timers {
    pub(super) breakers: Breakers,
    pub(super) due: mpsc::UnboundedReceiver<Due>,
}

impl Timers {
    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut queue = DelayQueue::new();
        let mut keys: HashMap<PhoneNumberId, Key> = HashMap::new();
        let (mut sweep, mut listen) = (tokio::time::interval(SWEEP), tokio::time::interval(LISTEN));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                due = self.due.recv() => {
                    let Some((phone, due)) = due else { return };
                    if let Some(key) = keys.remove(&phone) {
                        queue.try_remove(&key);
                    }
                    if let Some(due) = due {
                        keys.insert(phone, queue.insert(phone, due.since(self.breakers.now())));
                    }
                }
                Some(expired) = poll_fn(|cx| queue.poll_expired(cx)), if !queue.is_empty() => {
                    let phone = expired.into_inner();
                    keys.remove(&phone);
                    self.breakers.tick(phone);
                }
                _ = sweep.tick() => self.breakers.sweep(),
                _ = listen.tick() => self.breakers.listen(),
            }
        }
    }
}
