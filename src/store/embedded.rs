//! The embedded store: one crash-safe file in the data directory, one process at a time.
//!
//! Every batch of writes is one redb transaction with [`redb::Durability::Immediate`] and a two-phase commit. The second phase
//! costs one more fsync and is worth it: with a single phase redb takes a damaged last commit for a torn one and goes back
//! to the commit before it, so a flipped bit would silently forget a trip. With two, a commit that does not verify is an
//! error, and `kill -9` still only loses what was not yet acknowledged. One bit stays uncovered: the header's choice between
//! the last commit and the one before it, if it flips between a crash and the next start.

mod open;
mod writer;

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::watch;

use open::{Contents, Opener};
pub use open::{FILE_NAME, OpenError};
use writer::{Queue, Writer};

use super::{Commit, Store, StoreError, Table};

/// Whether the last write succeeded; if not, why. Changes when the disk goes or comes back, not with each failed write.
pub type Health = watch::Receiver<Result<(), StoreError>>;

/// The embedded store. Dropping it writes what is queued, waits for that, and lets go of the file: it blocks for as long
/// as the disk does.
#[derive(Debug)]
pub struct Embedded {
    queue: Arc<Queue>,
    contents: Mutex<Contents>,
    health: Health,
    writer: Option<JoinHandle<()>>,
    /// Held from before the file is looked at until after the writer is done with it.
    _lock: File,
}

impl Embedded {
    /// Opens the store in `dir`, which is made if it is missing; a new store starts empty. Verifies the whole file and recovers
    /// from a crash. A damaged file is refused, and left for its owner to look at.
    ///
    /// Blocks on the disk. Errors are one line for the operator, with the path and what to do.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let lock = open::lock(dir)?;
        let file = dir.join(FILE_NAME);
        open::create_if_missing(dir, &file)?;
        let opener: Opener = {
            let file = file.clone();
            Box::new(move || open::builder().open(&file))
        };
        Self::start(lock, &file, opener)
    }

    fn start(lock: File, file: &Path, opener: Opener) -> Result<Self, OpenError> {
        let (database, contents) = open::read(file, &opener)?;
        let queue = Arc::new(Queue::default());
        let (writer, health) = Writer::new(Arc::clone(&queue), file.to_owned(), opener, database);
        let writer = std::thread::Builder::new()
            .name("sendfuse-store".to_owned())
            .spawn(move || writer.run())
            .map_err(|cause| OpenError::File { file: file.to_owned(), cause })?;
        Ok(Self { queue, contents: Mutex::new(contents), health, writer: Some(writer), _lock: lock })
    }

    /// Follows the disk's health.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Waits until all writes so far are on stable storage, or one attempt to get them there has failed. Cancel safe.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.queue.flush().await.unwrap_or_else(|_| Err(StoreError("the store is closed".to_owned())))
    }
}

impl Store for Embedded {
    /// A value that could not be written is answered with an error, kept, and tried again with the next write and every
    /// second, until it is in or a later value of its key is.
    fn put(&self, table: Table, key: String, value: Option<Vec<u8>>) -> Commit {
        self.queue.put(table, key, value)
    }

    /// Hands over what was read at the opening; a second call for the same table is an error.
    fn load(&self, table: Table) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.contents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&table)
            .ok_or_else(|| StoreError(format!("the table {table:?} has been loaded before")))
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            // It contains its panics; were it to panic all the same, there is nothing left to be done about it here.
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests;
