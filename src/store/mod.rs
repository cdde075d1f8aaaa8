//! Where state outlives the process.

pub mod embedded;
pub mod memory;

use tokio::sync::oneshot;

/// The kinds of things that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// Breakers by scope: `phone/106540352242922`.
    Breakers,
    /// What was learned about phones, by id.
    Phones,
    /// Incidents without their leaks, by id: `106540352242922-1-1777629600`.
    Incidents,
    /// The leaks of an incident, by its id and their place: `106540352242922-1-1777629600/00000`.
    Leaks,
    /// What became of would-be rejections, by phone id.
    Observed,
}

/// The outcome of one write, once it is on stable storage.
pub type Commit = oneshot::Receiver<Result<(), StoreError>>;

/// A write or a read that failed. The text says what and where.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// Keeps values by key. Writes take effect in the order of the calls. No call blocks.
pub trait Store: Send + Sync + 'static {
    /// Writes (`Some`) or deletes (`None`) a value. Dropping the receipt does not undo it.
    fn put(&self, table: Table, key: String, value: Option<Vec<u8>>) -> Commit;

    /// All that the store held when it was opened. Called once per table, at the start.
    fn load(&self, table: Table) -> Result<Vec<(String, Vec<u8>)>, StoreError>;
}
