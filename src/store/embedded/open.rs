//! Opening the embedded store's file: who may, what is refused, and in which words.

use std::any::Any;
use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::backends::InMemoryBackend;
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition,
    TableError,
};

use crate::store::Table;

/// The store's file in the data directory.
pub const FILE_NAME: &str = "sendfuse.redb";
/// A store that is being made. It gets its name once it is whole, so that a crash meanwhile leaves no half of one.
const NEW_FILE_NAME: &str = "sendfuse.redb.new";
/// Locked for as long as the store is open. redb locks its file too, but that lock is gone for a moment when the file is
/// opened anew after a failed write.
const LOCK_NAME: &str = "sendfuse.lock";

/// The layout of the tables and their values.
const FORMAT: u64 = 1;
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const FORMAT_KEY: &str = "format";

/// Pages that redb keeps in memory. The store is read once and is small.
const CACHE_BYTES: usize = 8 << 20;

/// Opens the file, for the first time or anew after a failed write.
pub(super) type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send>;

/// All that a store held when it was opened.
pub(super) type Contents = HashMap<Table, Vec<(String, Vec<u8>)>>;

pub(super) type Definition = TableDefinition<'static, &'static str, &'static [u8]>;

/// Where each kind of thing is kept.
pub(super) const TABLES: [(Table, Definition); 5] = [
    (Table::Breakers, TableDefinition::new("breakers")),
    (Table::Phones, TableDefinition::new("phones")),
    (Table::Incidents, TableDefinition::new("incidents")),
    (Table::Leaks, TableDefinition::new("leaks")),
    (Table::Observed, TableDefinition::new("observed")),
];

/// The tables that every store has had from the first version on. The others come with the first write of a version that
/// knows them.
const ALWAYS_THERE: [Table; 2] = [Table::Breakers, Table::Phones];

/// Why a store could not be opened: one line, for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory is not there and cannot be made, or nothing can be made in it.
    #[error(
        "the data directory {} cannot be used: {cause}; make it writable for sendfuse, or set store.path to one that is",
        dir.display()
    )]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// Another process has it open.
    #[error(
        "{} is in use by another sendfuse: stop that one, or give this one a store.path of its own",
        file.display()
    )]
    InUse {
        /// The store's file.
        file: PathBuf,
    },
    /// The file is there, but cannot be read or written.
    #[error("{} cannot be opened: {cause}", file.display())]
    File {
        /// The store's file.
        file: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// The file does not verify. It has been left as it is.
    #[error(
        "{} is damaged, or is no store of sendfuse's ({detail}): restore it from a backup, or move it away to start with an \
         empty one, which forgets which numbers are locked; sendfuse neither repairs nor deletes it",
        file.display()
    )]
    Corrupt {
        /// The store's file.
        file: PathBuf,
        /// What is wrong with it, in one line.
        detail: String,
    },
    /// A later version has written it.
    #[error(
        "{} was written by a newer sendfuse (format {found}, this one knows {FORMAT}): run that version, or move the file \
         away to start with an empty one, which forgets which numbers are locked",
        file.display()
    )]
    Newer {
        /// The store's file.
        file: PathBuf,
        /// Its format.
        found: u64,
    },
}

/// Makes the directory if it is missing, and locks it against other processes for as long as the file lives.
pub(super) fn lock(dir: &Path) -> Result<File, OpenError> {
    let unusable = |cause| OpenError::Directory { dir: dir.to_owned(), cause };
    make_dir(dir).map_err(unusable)?;
    let lock =
        private(OpenOptions::new().write(true).create(true)).open(dir.join(LOCK_NAME)).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { file: dir.join(FILE_NAME) }),
        Err(TryLockError::Error(cause)) => Err(unusable(cause)),
    }
}

/// Makes an empty store unless there is a file. To be called under [`lock`].
pub(super) fn create_if_missing(dir: &Path, file: &Path) -> Result<(), OpenError> {
    let failed = |cause| OpenError::Directory { dir: dir.to_owned(), cause };
    // A broken link is a file as well: what it should lead to may be on a disk that is not mounted.
    match fs::symlink_metadata(file) {
        Ok(_) => return Ok(()),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {}
        Err(cause) => return Err(failed(cause)),
    }
    let new = dir.join(NEW_FILE_NAME);
    private(OpenOptions::new().write(true).create(true).truncate(true)).open(&new).map_err(failed)?;
    contain(|| -> Result<(), redb::Error> {
        let database = builder().create(&new)?;
        let transaction = database.begin_write()?;
        transaction.open_table(META)?.insert(FORMAT_KEY, FORMAT)?;
        for (_, definition) in TABLES {
            transaction.open_table(definition)?;
        }
        transaction.commit()?;
        Ok(database.close()?)
    })
    .unwrap_or_else(|panic| Err(redb::Error::Corrupted(panic)))
    .map_err(|error| failed(into_io(error)))?;
    fs::rename(&new, file).map_err(failed)?;
    // The names must be on stable storage before the first write is acknowledged: the file's, and the directory's.
    sync_dir(dir).map_err(failed)?;
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        // A parent that may not be read was not made by us just now.
        let _ = sync_dir(parent);
    }
    Ok(())
}

/// How every file of ours is opened.
pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    // Without it redb trusts a file that was closed cleanly, and may panic later if it is damaged.
    builder.set_check_integrity_on_open(true);
    builder
}

/// Opens the file, checks its format, and reads it all.
///
/// The first opening is of a copy in memory. redb recovers a file while it looks at it, so one that it refuses half-way has
/// been written to; a rehearsal leaves what is refused exactly as it was.
pub(super) fn read(file: &Path, opener: &Opener) -> Result<(Database, Contents), OpenError> {
    let bytes = fs::read(file).map_err(|cause| OpenError::File { file: file.to_owned(), cause })?;
    let damaged = |detail: &str| OpenError::Corrupt { file: file.to_owned(), detail: one_line(detail) };
    if bytes.is_empty() {
        // redb would take it for a new one.
        return Err(damaged("it is empty"));
    }
    let (_, format, _) = contain(|| read_all(builder().create_with_backend(copy(&bytes)?)?))
        // Memory does not fail: whatever goes wrong here is the bytes' fault.
        .unwrap_or_else(|panic| Err(redb::Error::Corrupted(panic)))
        .map_err(|error| damaged(&error.to_string()))?;
    match format {
        Some(FORMAT) => {}
        Some(found) if found > FORMAT => return Err(OpenError::Newer { file: file.to_owned(), found }),
        _ => return Err(damaged("it does not tell its format")),
    }
    let (database, _, contents) = contain(|| read_all(opener()?))
        .unwrap_or_else(|panic| Err(redb::Error::Corrupted(panic)))
        .map_err(|error| match error {
            redb::Error::Io(cause) => OpenError::File { file: file.to_owned(), cause },
            redb::Error::DatabaseAlreadyOpen => OpenError::InUse { file: file.to_owned() },
            error => damaged(&error.to_string()),
        })?;
    Ok((database, contents))
}

fn copy(bytes: &[u8]) -> io::Result<InMemoryBackend> {
    let backend = InMemoryBackend::new();
    backend.set_len(bytes.len() as u64)?;
    backend.write(0, bytes)?;
    Ok(backend)
}

/// The format, and the contents if we know the format.
fn read_all(database: Database) -> Result<(Database, Option<u64>, Contents), redb::Error> {
    let transaction = database.begin_read()?;
    let format = transaction.open_table(META)?.get(FORMAT_KEY)?.map(|format| format.value());
    let mut contents = Contents::new();
    if format == Some(FORMAT) {
        for (table, definition) in TABLES {
            let mut entries = Vec::new();
            let rows = match transaction.open_table(definition) {
                Err(TableError::TableDoesNotExist(_)) if !ALWAYS_THERE.contains(&table) => {
                    contents.insert(table, entries);
                    continue;
                }
                rows => rows?,
            };
            for entry in rows.iter()? {
                let (key, value) = entry?;
                entries.push((key.value().to_owned(), value.value().to_owned()));
            }
            contents.insert(table, entries);
        }
    }
    Ok((database, format, contents))
}

/// Runs redb with its panics contained: on a damaged file it may reach an assertion of its own before it finds the
/// damage, and that must be one clear line too. Nothing that `work` touched is used after a panic.
pub(super) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| said(&*panic))
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("an assertion failed");
    one_line(text)
}

fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ")
}

fn into_io(error: redb::Error) -> io::Error {
    match error {
        redb::Error::Io(cause) => cause,
        error => io::Error::other(error),
    }
}

#[cfg(unix)]
fn make_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(not(unix))]
fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(dir)
}

/// Files that we make are for their owner only: which numbers are locked is nobody else's business.
#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}
