//! The writer against a disk that fails on demand. What needs a process or a damaged file is in `tests/store.rs`.

use std::io;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use tempfile::TempDir;

use super::*;

/// A disk that is full while `full` says so, and counts its fsyncs. `panics`: opening it anew does, once.
#[derive(Clone, Debug, Default)]
struct Disk {
    full: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
    syncs: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Backend {
    inner: FileBackend,
    disk: Disk,
}

impl Disk {
    fn check(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn open(&self, dir: &TempDir) -> Embedded {
        let lock = open::lock(dir.path()).unwrap();
        let file = dir.path().join(FILE_NAME);
        open::create_if_missing(dir.path(), &file).unwrap();
        let (disk, path): (Self, PathBuf) = (self.clone(), file.clone());
        let opener: Opener = Box::new(move || {
            assert!(!disk.panics.swap(false, Ordering::SeqCst), "a fault inside the library");
            let file = File::options().read(true).write(true).open(&path)?;
            open::builder()
                .create_with_backend(Backend { inner: FileBackend::new(file)?, disk: disk.clone() })
        });
        Embedded::start(lock, &file, opener).unwrap()
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.check()?;
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.check()?;
        self.disk.syncs.fetch_add(1, Ordering::SeqCst);
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.check()?;
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }
}

fn put(store: &Embedded, key: &str, value: &[u8]) -> Commit {
    store.put(Table::Breakers, key.to_owned(), Some(value.to_vec()))
}

/// What a new process would find.
fn kept(dir: &TempDir) -> Vec<(String, Vec<u8>)> {
    Embedded::open(dir.path()).unwrap().load(Table::Breakers).unwrap()
}

#[tokio::test]
async fn a_full_disk_fails_the_receipts_and_loses_nothing() {
    let (dir, disk) = (TempDir::new().unwrap(), Disk::default());
    let store = disk.open(&dir);
    let mut health = store.health();
    put(&store, "before", b"1").await.unwrap().unwrap();
    assert!(health.borrow().is_ok());

    disk.full.store(true, Ordering::SeqCst);
    let failed = put(&store, "during", b"old").await.unwrap().unwrap_err();
    assert!(failed.to_string().contains(FILE_NAME), "{failed}");
    health.wait_for(Result::is_err).await.unwrap();
    put(&store, "during", b"new").await.unwrap().unwrap_err();
    store.put(Table::Breakers, "before".into(), None).await.unwrap().unwrap_err();
    store.flush().await.unwrap_err();

    // Nobody writes any more: the store comes back by itself.
    disk.full.store(false, Ordering::SeqCst);
    health.wait_for(Result::is_ok).await.unwrap();
    // As after `kill -9`: nothing is flushed on the way.
    let copy = TempDir::new().unwrap();
    std::fs::copy(dir.path().join(FILE_NAME), copy.path().join(FILE_NAME)).unwrap();
    assert_eq!(kept(&copy), [("during".to_owned(), b"new".to_vec())]);

    put(&store, "after", b"2").await.unwrap().unwrap();
    drop(store);
    assert_eq!(kept(&dir), [("after".to_owned(), b"2".to_vec()), ("during".to_owned(), b"new".to_vec())]);
}

#[tokio::test]
async fn the_next_write_takes_along_what_failed() {
    let (dir, disk) = (TempDir::new().unwrap(), Disk::default());
    let store = disk.open(&dir);
    disk.full.store(true, Ordering::SeqCst);
    put(&store, "a", b"1").await.unwrap().unwrap_err();
    disk.full.store(false, Ordering::SeqCst);
    put(&store, "b", b"2").await.unwrap().unwrap();
    assert!(store.health().borrow().is_ok());
    drop(store);
    assert_eq!(kept(&dir).len(), 2);
}

#[tokio::test]
async fn a_panic_of_the_library_is_a_failed_write() {
    let (dir, disk) = (TempDir::new().unwrap(), Disk::default());
    let store = disk.open(&dir);
    disk.full.store(true, Ordering::SeqCst);
    put(&store, "a", b"0").await.unwrap().unwrap_err();
    disk.full.store(false, Ordering::SeqCst);
    disk.panics.store(true, Ordering::SeqCst);
    let failed = put(&store, "a", b"1").await.unwrap().unwrap_err();
    assert!(failed.to_string().contains("a fault inside the library"), "{failed}");
    put(&store, "b", b"2").await.unwrap().unwrap();
    drop(store);
    assert_eq!(kept(&dir).len(), 2);
}

#[tokio::test]
async fn a_disk_that_stays_full_does_not_hold_up_the_end() {
    let (dir, disk) = (TempDir::new().unwrap(), Disk::default());
    let store = disk.open(&dir);
    put(&store, "a", b"1").await.unwrap().unwrap();
    disk.full.store(true, Ordering::SeqCst);
    let commit = put(&store, "a", b"2");
    drop(store);
    commit.await.unwrap().unwrap_err();
    assert_eq!(kept(&dir), [("a".to_owned(), b"1".to_vec())]);
}

#[tokio::test]
async fn what_is_queued_together_is_committed_together() {
    let (dir, disk) = (TempDir::new().unwrap(), Disk::default());
    let store = disk.open(&dir);
    put(&store, "warm", b"up").await.unwrap().unwrap();
    let before = disk.syncs.load(Ordering::SeqCst);
    let commits: Vec<_> = (0..500).map(|n| put(&store, &format!("{n}"), &[0; 64])).collect();
    for commit in commits {
        commit.await.unwrap().unwrap();
    }
    let syncs = disk.syncs.load(Ordering::SeqCst) - before;
    assert!((2..500).contains(&syncs), "{syncs} fsyncs for 500 writes");
}

#[test]
fn receipts_that_nobody_waits_for_do_not_pile_up() {
    let queue = Queue::default();
    for n in 0..10_000_u32 {
        drop(queue.put(Table::Phones, "1".to_owned(), Some(n.to_be_bytes().to_vec())));
    }
    queue.close();
    let (pending, receipts, closing) = queue.next();
    assert_eq!(pending.len(), 1, "one value a key");
    assert!(receipts.len() < 16, "{}", receipts.len());
    assert!(closing);
}

#[test]
fn what_failed_does_not_replace_what_came_meanwhile() {
    let queue = Queue::default();
    drop(queue.put(Table::Breakers, "both".to_owned(), Some(b"old".to_vec())));
    drop(queue.put(Table::Breakers, "first".to_owned(), Some(b"1".to_vec())));
    let (failed, _, _) = queue.next();
    drop(queue.put(Table::Breakers, "both".to_owned(), None));
    queue.put_back(failed);
    let (pending, _, _) = queue.next();
    assert_eq!(pending[&(Table::Breakers, "both".to_owned())], None);
    assert_eq!(pending[&(Table::Breakers, "first".to_owned())], Some(b"1".to_vec()));
}
