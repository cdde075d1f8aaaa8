//! The one thread that writes, and the queue before it.
//!
//! The queue is a map and not a channel: a key that is written twice before the disk is ready is written once, with its
//! last value. So neither a slow disk nor one that is full for hours makes it grow beyond one value a key, and a value that
//! could not be written simply stays in it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redb::{Database, Durability};
use tokio::sync::{oneshot, watch};

use super::Health;
use super::open::{Opener, TABLES, contain};
use crate::store::{Commit, StoreError, Table};

/// How long after a failed write the next attempt is made, if no other write comes first.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Values that are not on stable storage yet; `None` deletes.
type Pending = HashMap<(Table, String), Option<Vec<u8>>>;
type Receipt = oneshot::Sender<Result<(), StoreError>>;

/// What waits for the writer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    pending: Pending,
    receipts: Vec<Receipt>,
    closing: bool,
}

impl Queue {
    /// Queues a value. Everything queued so far becomes durable with it, or not at all.
    pub(super) fn put(&self, table: Table, key: String, value: Option<Vec<u8>>) -> Commit {
        self.enqueue(|pending| {
            pending.insert((table, key), value);
        })
    }

    /// A receipt for everything queued so far.
    pub(super) fn flush(&self) -> Commit {
        self.enqueue(|_| {})
    }

    fn enqueue(&self, add: impl FnOnce(&mut Pending)) -> Commit {
        let (receipt, commit) = oneshot::channel();
        let mut state = self.lock();
        add(&mut state.pending);
        if state.receipts.len() == state.receipts.capacity() {
            // While the disk hangs, receipts that nobody waits for any more must not pile up.
            state.receipts.retain(|receipt| !receipt.is_closed());
        }
        state.receipts.push(receipt);
        drop(state);
        self.changed.notify_one();
        commit
    }

    /// Has the writer end once it has tried to write what is queued. Nothing may be queued after this.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_one();
    }

    /// Waits for work: something new, the end, or the time to try again what failed.
    pub(super) fn next(&self) -> (Pending, Vec<Receipt>, bool) {
        let idle = |state: &mut State| state.receipts.is_empty() && !state.closing;
        let state = self.lock();
        let mut state = if state.pending.is_empty() {
            self.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner)
        } else {
            let waited = self.changed.wait_timeout_while(state, RETRY_AFTER, idle);
            waited.unwrap_or_else(PoisonError::into_inner).0
        };
        (std::mem::take(&mut state.pending), std::mem::take(&mut state.receipts), state.closing)
    }

    /// Takes back what could not be written; values that came meanwhile are newer.
    pub(super) fn put_back(&self, failed: Pending) {
        let mut state = self.lock();
        for (key, value) in failed {
            state.pending.entry(key).or_insert(value);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held, and what is in it would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Owns the open file.
pub(super) struct Writer {
    queue: Arc<Queue>,
    file: PathBuf,
    opener: Opener,
    /// None after a failed write: redb then wants the file opened anew.
    database: Option<Database>,
    health: watch::Sender<Result<(), StoreError>>,
}

impl Writer {
    pub(super) fn new(
        queue: Arc<Queue>,
        file: PathBuf,
        opener: Opener,
        database: Database,
    ) -> (Self, Health) {
        let (health, follow) = watch::channel(Ok(()));
        (Self { queue, file, opener, database: Some(database), health }, follow)
    }

    /// Writes until the queue is closed.
    pub(super) fn run(mut self) {
        loop {
            let (batch, receipts, closing) = self.queue.next();
            let outcome = if batch.is_empty() { Ok(()) } else { self.write(&batch) };
            self.health.send_if_modified(|health| {
                let changed = health.is_ok() != outcome.is_ok();
                if changed {
                    health.clone_from(&outcome);
                }
                changed
            });
            if let Err(error) = &outcome {
                if closing {
                    tracing::error!(values = batch.len(), %error, "what was not yet stored is lost");
                } else {
                    self.queue.put_back(batch);
                }
            }
            for receipt in receipts {
                // Whoever does not wait any more does not mind.
                let _ = receipt.send(outcome.clone());
            }
            if closing {
                return;
            }
        }
    }

    fn write(&mut self, batch: &Pending) -> Result<(), StoreError> {
        let database = self.database.take();
        let opener = &self.opener;
        let written = contain(|| -> Result<Database, redb::Error> {
            let database = database.map_or_else(opener, Ok)?;
            commit(&database, batch)?;
            Ok(database)
        });
        match written {
            Ok(Ok(database)) => {
                self.database = Some(database);
                Ok(())
            }
            Ok(Err(error)) => Err(self.failed(&error)),
            Err(panic) => Err(self.failed(&panic)),
        }
    }

    fn failed(&self, why: &dyn std::fmt::Display) -> StoreError {
        StoreError(format!("{} cannot be written: {why}", self.file.display()))
    }
}

fn commit(database: &Database, batch: &Pending) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_two_phase_commit(true);
    for (table, definition) in TABLES {
        let mut rows = transaction.open_table(definition)?;
        for ((of, key), value) in batch {
            if *of != table {
                continue;
            }
            match value {
                Some(value) => drop(rows.insert(key.as_str(), value.as_slice())?),
                None => drop(rows.remove(key.as_str())?),
            }
        }
    }
    Ok(transaction.commit()?)
}
