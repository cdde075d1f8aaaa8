//! Wakes breakers when something is due: a probe, the end of a lease, of a grace or of an order.

use std::collections::HashMap;
use std::future::poll_fn;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::time::{DelayQueue, delay_queue::Key};

use super::Breakers;
use crate::breaker::Scope;
use crate::time::Timestamp;

/// How often breakers that need not be remembered any more are looked for.
const SWEEP: Duration = Duration::from_secs(3600);

/// How often phones that have become deaf, and phones that are to be watched, are looked for, and what is not urgent is stored.
pub(super) const LISTEN: Duration = Duration::from_secs(15);

/// The longest that is slept for one breaker. The queue takes no wait beyond some two years, and an order may stand for ten. A
/// breaker that is woken too early is asked again.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// When a phone's breaker is due next; `None`, never.
pub(super) type Due = (Scope, Option<Timestamp>);

/// The task behind [`Breakers`] that keeps time for them.
pub struct Timers {
    pub(super) breakers: Breakers,
    pub(super) due: mpsc::UnboundedReceiver<Due>,
}

impl Timers {
    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut queue = DelayQueue::new();
        let mut keys: HashMap<Scope, Key> = HashMap::new();
        let (mut sweep, mut listen) = (tokio::time::interval(SWEEP), tokio::time::interval(LISTEN));
        loop {
            tokio::select! {
                () = stop.cancelled() => return self.breakers.flush(),
                due = self.due.recv() => {
                    let Some((scope, due)) = due else { return };
                    if let Some(key) = keys.remove(&scope) {
                        queue.try_remove(&key);
                    }
                    if let Some(due) = due {
                        keys.insert(scope, queue.insert(scope, due.since(self.breakers.now()).min(LONGEST)));
                    }
                }
                Some(expired) = poll_fn(|cx| queue.poll_expired(cx)), if !queue.is_empty() => {
                    let scope = expired.into_inner();
                    keys.remove(&scope);
                    self.breakers.tick(scope);
                }
                _ = sweep.tick() => self.breakers.sweep(),
                // When it should have come: whatever is once a minute stays so.
                at = listen.tick() => {
                    self.breakers.listen();
                    self.breakers.watch(at);
                    self.breakers.flush();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::breakers::{Order, OrderKind, Settings};
    use crate::clock::Clock;
    use crate::graph::ids::PhoneNumberId;
    use crate::store::memory::Memory;
    use crate::telemetry::Telemetry;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[tokio::test(start_paused = true)]
    async fn an_order_may_stand_for_ten_years() {
        let (store, clock) = (Arc::new(Memory), Clock::starting_at(Timestamp::from_seconds(1_777_629_600)));
        let (breakers, timers, _probes) =
            Breakers::open(store, Settings::default(), Telemetry::new(), clock).unwrap();
        let stop = CancellationToken::new();
        let keeping_time = tokio::spawn(timers.run(stop.clone()));
        let [long, short] = ["1", "2"].map(|id| PhoneNumberId::parse(id).unwrap());
        for (phone, hold) in [(long, 3650 * DAY), (short, 3 * DAY)] {
            let (reason, by) = ("an audit".to_owned(), "ann".to_owned());
            let order = Order { kind: OrderKind::Open, reason, by, hold: Some(hold) };
            breakers.order(phone, order, None).await.unwrap();
        }
        tokio::time::sleep(4 * DAY).await;
        // Its end was told, which only a tick does.
        assert_eq!([long, short].map(|phone| breakers.view(phone).generation), [1, 2]);
        stop.cancel();
        keeping_time.await.unwrap();
    }
}
