//! After a change: wait until it is on stable storage, then tell, in the log and in the metrics.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::Breakers;
use super::journal::Word;
use crate::breaker::{About, Applied, Event, Note, Scope, Transition, TransitionKind};
use crate::incident::{self, Evidence};
use crate::registry::{Cell, Sends};
use crate::store::Commit;
use crate::telemetry::events::{EvidenceEvent, ProbeEvent, StoreEvent, TransitionEvent, TrialEvent};
use crate::telemetry::labels::{ProbeOutcome, Verdict};
use crate::time::Timestamp;

/// The way of an applied event to stable storage and into the log. Await it before telling the outside; dropping it
/// leaves it to run by itself. Ready at once where there is no transition that is not durable yet.
#[derive(Debug, Default)]
#[must_use = "await it before the outside is told of the transition"]
pub struct Settling(Vec<JoinHandle<()>>);

impl Future for Settling {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(task) = self.0.last_mut() {
            // A settling that panicked has nothing more to wait for.
            drop(ready!(Pin::new(task).poll(cx)));
            self.0.pop();
        }
        Poll::Ready(())
    }
}

impl Settling {
    /// That of what runs by itself on this task.
    pub(super) fn on(task: JoinHandle<()>) -> Self {
        Self(vec![task])
    }

    /// Both.
    pub(super) fn and(mut self, mut other: Self) -> Self {
        self.0.append(&mut other.0);
        self
    }
}

impl Breakers {
    /// Waits for the commit, then tells. What has no transition of its own to tell only waits.
    pub(super) async fn settle(self, told: Told, cell: Arc<Cell>, mut commit: Commit, patience: Duration) {
        let inner = &self.0;
        let in_time = tokio::time::timeout(patience, &mut commit).await;
        let is_late = in_time.is_err();
        let durable = match in_time {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(error.0),
            Ok(Err(_)) => Err("the store has stopped".to_owned()),
            Err(_) => Err(format!("the store did not commit within {patience:?}")),
        };
        if told.transitions.is_empty() {
            return;
        }
        cell.unsettled.fetch_sub(1, Ordering::Relaxed);
        if inner.durability.note(durable.is_ok(), self.now()) {
            inner.telemetry.emit(StoreEvent { error: durable.as_ref().err().map(String::as_str) });
        }
        if is_late {
            // Nobody waits for this, but the condition must go when its cause goes.
            let breakers = self.clone();
            inner.runtime.spawn(async move {
                if matches!(commit.await, Ok(Ok(()))) {
                    breakers.stored();
                }
            });
        }
        let scope = told.scope;
        for step in &told.transitions {
            let detection =
                told.seen.as_ref().and_then(|seen| seen.0.accepted_at).map(|at| step.at.since(at));
            inner.telemetry.emit(TransitionEvent {
                scope,
                transition: step.kind,
                from: step.from.name(),
                to: step.to.name(),
                generation: step.generation.0,
                source: step.source,
                code: told.seen.as_ref().and_then(|seen| seen.0.code),
                text: &step.text,
                observe: inner.settings.load().observe,
                incident: &step.incident.id(&scope.id()),
                detection: detection.filter(|_| step.kind == TransitionKind::Trip),
            });
        }
    }

    /// The store has written all that it was given. Says whether that was news, which is then told.
    pub fn stored(&self) -> bool {
        let is_news = self.0.durability.note(true, self.now());
        if is_news {
            self.0.telemetry.emit(StoreEvent { error: None });
        }
        is_news
    }

    pub(super) fn count(&self, scope: Scope, seen: Option<&Seen>, applied: &Applied) {
        let telemetry = &self.0.telemetry;
        if let Some(seen) = seen {
            let stale = applied.notes.contains(&Note::Stale);
            telemetry.emit(EvidenceEvent { scope, verdict: seen.label(), source: seen.0.source, stale });
        }
        for note in &applied.notes {
            match *note {
                Note::Trial(outcome) => telemetry.emit(TrialEvent { scope, outcome }),
                Note::ProbeLeaseOver => {
                    telemetry.emit(ProbeEvent { scope, outcome: ProbeOutcome::UnknownLeaseOver });
                }
                Note::Stale | Note::ProbeIgnored => {}
            }
        }
    }
}

/// Evidence, as it is written down, counted and told.
pub(super) struct Seen(pub(super) Evidence);

impl Seen {
    pub(super) fn of(word: &Word, sends: &Sends, now: Timestamp) -> Option<Self> {
        let (evidence, about) = match &word.event {
            Event::Lock { about, reason, .. } => (Evidence::of_reason(reason), about),
            Event::Proof { about, sent, .. } => {
                let text = if *sent { "sent" } else { "delivered or read" };
                (Evidence::of_proof(text, now), about)
            }
            _ => return None,
        };
        let send = about.key().and_then(|key| sends.get(key));
        let generation = match about {
            About::Send { generation, .. } => Some(*generation),
            About::Unknown { .. } => None,
        };
        let of_send = send.and_then(|send| send.fbtrace_id).map(|id| id.as_str().to_owned());
        Some(Self(Evidence {
            wamid: word.wamid.clone(),
            accepted_at: send.map(|send| send.at),
            dated: word.dated,
            fbtrace_id: evidence.fbtrace_id.or(of_send),
            generation,
            ..evidence
        }))
    }

    const fn label(&self) -> Verdict {
        match self.0.verdict {
            incident::Verdict::Lock => Verdict::Lock,
            incident::Verdict::Delivered => Verdict::Delivered,
        }
    }
}

/// What a settling has to tell.
pub(super) struct Told {
    pub(super) scope: Scope,
    pub(super) transitions: Vec<Transition>,
    pub(super) seen: Option<Seen>,
}

/// Whether transitions reach stable storage.
#[derive(Debug, Default)]
pub(super) struct Durability(Mutex<Option<(Timestamp, u64)>>);

impl Durability {
    /// Notes the outcome of a commit; says whether that changes anything.
    fn note(&self, durable: bool, now: Timestamp) -> bool {
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *lost;
        *lost = match (durable, before) {
            (true, _) => None,
            (false, None) => Some((now, 1)),
            (false, Some((since, count))) => Some((since, count + 1)),
        };
        before.is_some() == durable
    }

    /// Since when transitions are not durable, and how many were affected.
    pub(super) fn lost(&self) -> Option<(Timestamp, u64)> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::breakers::{Order, OrderKind, Settings};
    use crate::clock::Clock;
    use crate::graph::ids::PhoneNumberId;
    use crate::store::{Store, StoreError, Table};
    use crate::telemetry::Telemetry;

    /// Commits when it is told to.
    #[derive(Default)]
    struct Slow(Mutex<Vec<oneshot::Sender<Result<(), StoreError>>>>);

    impl Store for Slow {
        fn put(&self, _: Table, _: String, _: Option<Vec<u8>>) -> Commit {
            let (receipt, commit) = oneshot::channel();
            self.0.lock().unwrap().push(receipt);
            commit
        }

        fn load(&self, _: Table) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
            Ok(Vec::new())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_durable_late_is_durable() {
        let (store, clock) =
            (Arc::new(Slow::default()), Clock::starting_at(Timestamp::from_seconds(1_777_629_600)));
        let settings = Settings { commit_timeout: Duration::from_millis(250), ..Settings::default() };
        let (breakers, ..) =
            Breakers::open(Arc::<Slow>::clone(&store), settings, Telemetry::new(), clock).unwrap();
        let phone = PhoneNumberId::parse("1").unwrap();
        let (reason, by) = ("an audit".to_owned(), "ann".to_owned());
        let order = Order { kind: OrderKind::Open, reason, by, hold: None };
        let view = breakers.order(phone, order, None).await.unwrap();
        assert_eq!(view.conditions.first().map(|condition| condition.name), Some("not_durable"));
        for receipt in store.0.lock().unwrap().drain(..) {
            // Not every write has somebody who waits for it.
            let _ = receipt.send(Ok(()));
        }
        // Virtual: lets the others run.
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(breakers.view(phone).conditions.is_empty());
        assert!(!breakers.stored(), "told once");
    }
}
