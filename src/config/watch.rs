//! When to load the configuration again: at SIGHUP, and when its file has other contents than before.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use sha2::{Digest, Sha256};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// How long a file is left alone after it began to change: writers truncate first.
const SETTLE: Duration = Duration::from_millis(200);

/// Why the configuration should be loaded again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The process got SIGHUP.
    Signal,
    /// The file has other contents.
    File,
}

/// Watches for SIGHUP and, if there is one, the configuration file.
///
/// The file's directory is watched, because files are replaced and Kubernetes swaps a symbolic link beside them; the file
/// too, because it may be mounted or linked from elsewhere. Reading it stirs nothing, and what stirs is compared by
/// contents, so writing the same again is no change. A file that is gone is being replaced: no change either.
#[derive(Debug)]
pub struct Watcher {
    hangup: Signal,
    file: Option<WatchedFile>,
}

#[derive(Debug)]
struct WatchedFile {
    path: PathBuf,
    watcher: RecommendedWatcher,
    stirs: Arc<Notify>,
    /// Something moved, and the contents have not been compared since.
    stirred: bool,
    /// The contents at the last comparison.
    seen: Option<[u8; 32]>,
}

impl Watcher {
    /// Watches from now on; without a file, for SIGHUP only, which from now on no longer ends the process. To miss no
    /// change, make it before loading. Needs a tokio runtime; fails if the file's directory cannot be watched.
    pub fn new(file: Option<PathBuf>) -> io::Result<Self> {
        Ok(Self { hangup: signal(SignalKind::hangup())?, file: file.map(WatchedFile::new).transpose()? })
    }

    /// Waits for the next reason to load again. Cancel safe: nothing is lost when the future is dropped.
    pub async fn changed(&mut self) -> Cause {
        let file = async {
            match &mut self.file {
                Some(file) => file.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(()) = self.hangup.recv() => Cause::Signal,
            () = file => Cause::File,
        }
    }
}

impl WatchedFile {
    fn new(path: PathBuf) -> io::Result<Self> {
        let stirs = Arc::new(Notify::new());
        let sender = Arc::clone(&stirs);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // An error may mean that events were lost.
            if event.map_or(true, |event| moves(event.kind)) {
                sender.notify_one();
            }
        });
        let mut file =
            Self { path, watcher: watcher.map_err(io::Error::other)?, stirs, stirred: false, seen: None };
        let directory = match file.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        file.watcher.watch(directory, RecursiveMode::NonRecursive).map_err(io::Error::other)?;
        file.watch_itself();
        file.seen = std::fs::read(&file.path).ok().map(fingerprint);
        Ok(file)
    }

    /// Watches what is now at the path; its predecessor's watch went with it. Where that fails, the directory is left.
    fn watch_itself(&mut self) {
        let _ = self.watcher.unwatch(&self.path);
        let _ = self.watcher.watch(&self.path, RecursiveMode::NonRecursive);
    }

    async fn changed(&mut self) {
        loop {
            if !self.stirred {
                self.stirs.notified().await;
                self.stirred = true;
            }
            tokio::time::sleep(SETTLE).await;
            let now = tokio::fs::read(&self.path).await.ok().map(fingerprint);
            // No await from here on: to be dropped now would lose the change.
            self.stirred = false;
            if now.is_some() && now != self.seen {
                self.seen = now;
                self.watch_itself();
                return;
            }
        }
    }
}

/// Whether an event can mean other contents. Opening and reading cannot, and answering them by reading would never end.
fn moves(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

fn fingerprint(contents: Vec<u8>) -> [u8; 32] {
    Sha256::digest(contents).into()
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, ModifyKind, RemoveKind};

    use super::*;

    #[test]
    fn what_only_looks_does_not_move() {
        for kind in [
            AccessKind::Any,
            AccessKind::Read,
            AccessKind::Open(AccessMode::Any),
            AccessKind::Open(AccessMode::Write),
            AccessKind::Close(AccessMode::Read),
        ] {
            assert!(!moves(EventKind::Access(kind)), "{kind:?}");
        }
        for kind in [
            EventKind::Any,
            EventKind::Other,
            EventKind::Access(AccessKind::Close(AccessMode::Write)),
            EventKind::Create(CreateKind::Any),
            EventKind::Modify(ModifyKind::Any),
            EventKind::Remove(RemoveKind::Any),
        ] {
            assert!(moves(kind), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn reading_the_file_does_not_even_wake() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("sendfuse.toml");
        std::fs::write(&path, "a").unwrap();
        let file = WatchedFile::new(path.clone()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"a");
        tokio::time::timeout(4 * SETTLE, file.stirs.notified()).await.expect_err("silence");
        std::fs::write(&path, "a").unwrap();
        file.stirs.notified().await;
    }
}
