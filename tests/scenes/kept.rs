//! A store in memory that outlives a scene: what a process finds when it starts again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sendfuse::store::{Commit, Store, StoreError, Table};
use tokio::sync::oneshot;

type Rows = BTreeMap<String, Vec<u8>>;

/// Clones are the same store.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Vec<(Table, Rows)>>>);

impl Kept {
    /// As it is now, whatever is written later: what a `kill -9` at this moment leaves.
    pub(super) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().unwrap().clone())))
    }

    pub(super) fn rows(&self, table: Table) -> Rows {
        let tables = self.0.lock().unwrap();
        tables.iter().find(|(known, _)| *known == table).map(|(_, rows)| rows.clone()).unwrap_or_default()
    }

    /// As a version that did not know this table would have left it.
    pub(super) fn without(self, table: Table) -> Self {
        self.0.lock().unwrap().retain(|(known, _)| *known != table);
        self
    }

    /// All keys and values, as text.
    pub(super) fn text(&self) -> String {
        let tables = self.0.lock().unwrap();
        let rows = tables.iter().flat_map(|(_, rows)| rows);
        rows.map(|(key, value)| format!("{key} {}\n", String::from_utf8_lossy(value))).collect()
    }
}

impl Store for Kept {
    fn put(&self, table: Table, key: String, value: Option<Vec<u8>>) -> Commit {
        let mut tables = self.0.lock().unwrap();
        let at = tables.iter().position(|(known, _)| *known == table).unwrap_or_else(|| {
            tables.push((table, Rows::new()));
            tables.len() - 1
        });
        let rows = &mut tables[at].1;
        match value {
            Some(value) => drop(rows.insert(key, value)),
            None => drop(rows.remove(&key)),
        }
        let (receipt, commit) = oneshot::channel();
        receipt.send(Ok(())).unwrap();
        commit
    }

    fn load(&self, table: Table) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        Ok(self.rows(table).into_iter().collect())
    }
}
