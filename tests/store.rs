//! The embedded store as an operator meets it: killed, damaged, shared by mistake.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use redb::{Database, TableDefinition};
use sendfuse::store::embedded::{Embedded, FILE_NAME, OpenError};
use sendfuse::store::{Store as _, Table};
use tempfile::TempDir;

/// Names the directory to a child that is to be killed.
const CHILD: &str = "SENDFUSE_TEST_STORE";
const KEYS: u64 = 40;
/// How many writes the child has under way at a time.
const UNDER_WAY: usize = 5;

type Entries = Vec<(String, Vec<u8>)>;

fn open(dir: &Path) -> Embedded {
    Embedded::open(dir).unwrap()
}

fn fails(dir: &Path) -> String {
    let error = Embedded::open(dir).unwrap_err().to_string();
    assert!(!error.contains('\n'), "one line: {error}");
    error
}

fn number(value: &[u8]) -> u64 {
    u64::from_be_bytes(value.try_into().unwrap())
}

/// Counts upwards from what is stored, the n-th write to key n % KEYS, and says which writes are acknowledged.
async fn count_until_killed(dir: &Path) {
    let store = open(dir);
    let stored = store.load(Table::Breakers).unwrap();
    let first = stored.iter().map(|(_, value)| number(value) + 1).max().unwrap_or(0);
    let mut under_way = std::collections::VecDeque::new();
    for n in first.. {
        let key = format!("phone/{:03}", n % KEYS);
        under_way.push_back((n, store.put(Table::Breakers, key, Some(n.to_be_bytes().to_vec()))));
        if under_way.len() > UNDER_WAY {
            let (n, commit) = under_way.pop_front().unwrap();
            commit.await.unwrap().unwrap();
            // Past the test harness, which would keep it for itself.
            let mut out = std::io::stdout().lock();
            if writeln!(out, "\nstored {n}").and_then(|()| out.flush()).is_err() {
                return;
            }
        }
    }
}

/// Lets a child write until it has acknowledged `writes` of them, kills it, and tells the last that it acknowledged.
fn run_and_kill(dir: &Path, writes: usize) -> u64 {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "store::what_was_acknowledged_survives_kill_9", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut acknowledged = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("stored ")?.parse().ok());
    let mut last: u64 = acknowledged.by_ref().take(writes).last().expect("the child has stored nothing");
    child.kill().unwrap();
    // What it could still say before it died has been acknowledged too.
    if let Some(later) = acknowledged.last() {
        last = later;
    }
    child.wait().unwrap();
    last
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    if let Some(dir) = env::var_os(CHILD) {
        return count_until_killed(Path::new(&dir)).await;
    }
    let dir = TempDir::new().unwrap();
    for writes in [1, 2, 17, 60, 111, 5, 243] {
        let acknowledged = run_and_kill(dir.path(), writes);
        let stored: BTreeMap<String, u64> = open(dir.path())
            .load(Table::Breakers)
            .unwrap()
            .into_iter()
            .map(|(key, value)| (key, number(&value)))
            .collect();
        let last = *stored.values().max().unwrap();
        assert!(last >= acknowledged, "{acknowledged} was acknowledged, {last} is the last that is there");
        // And nothing but a beginning of what was written, in the order in which it was.
        let expected: BTreeMap<String, u64> =
            (0..=last).map(|n| (format!("phone/{:03}", n % KEYS), n)).collect();
        assert_eq!(stored, expected);
    }
}

#[tokio::test]
async fn values_are_kept_replaced_and_deleted() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("made/on/the/way");
    let big = vec![0xa5; 3 << 20];
    {
        let store = open(&data);
        assert!(store.load(Table::Breakers).unwrap().is_empty());
        store.put(Table::Breakers, "phone/1".into(), Some(b"a".to_vec())).await.unwrap().unwrap();
        store.put(Table::Phones, "1".into(), Some(big.clone())).await.unwrap().unwrap();
        drop(store.put(Table::Breakers, "phone/2".into(), Some(b"x".to_vec())));
        drop(store.put(Table::Breakers, "phone/2".into(), Some(b"b".to_vec())));
        drop(store.put(Table::Breakers, "phone/1".into(), None));
        // Dropping flushes.
    }
    let store = open(&data);
    assert_eq!(store.load(Table::Breakers).unwrap(), [("phone/2".to_owned(), b"b".to_vec())]);
    assert_eq!(store.load(Table::Phones).unwrap(), [("1".to_owned(), big)]);
    store.load(Table::Phones).unwrap_err();
    store.flush().await.unwrap();

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in fs::read_dir(&data).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[test]
fn a_second_sendfuse_is_refused_until_the_first_is_gone() {
    let dir = TempDir::new().unwrap();
    let first = open(dir.path());
    let error = fails(dir.path());
    assert!(error.contains("in use by another sendfuse") && error.contains(FILE_NAME), "{error}");
    drop(first);
    open(dir.path());
}

#[test]
fn an_unusable_directory_is_named() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("a file");
    fs::write(&file, "").unwrap();
    for unusable in [file.join("data"), file, PathBuf::from("/proc/sendfuse")] {
        let error = fails(&unusable);
        assert!(error.contains(&unusable.display().to_string()) && error.contains("os error"), "{error}");
    }
}

#[test]
fn a_store_of_a_newer_version_is_refused() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path()));
    {
        let database = Database::open(dir.path().join(FILE_NAME)).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction
            .open_table(TableDefinition::<&str, u64>::new("meta"))
            .unwrap()
            .insert("format", 2)
            .unwrap();
        transaction.commit().unwrap();
    }
    let error = fails(dir.path());
    assert!(error.contains("newer sendfuse (format 2") && error.contains(FILE_NAME), "{error}");
}

/// The first version had breakers and phones only.
#[tokio::test]
async fn a_store_of_the_first_version_opens_and_grows() {
    let later = [Table::Incidents, Table::Leaks, Table::Observed];
    let delete = |dir: &Path, names: &[&str]| {
        let database = Database::open(dir.join(FILE_NAME)).unwrap();
        let transaction = database.begin_write().unwrap();
        for name in names {
            assert!(transaction.delete_table(TableDefinition::<&str, &[u8]>::new(name)).unwrap());
        }
        transaction.commit().unwrap();
    };
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    store.put(Table::Breakers, "phone/1".into(), Some(vec![1])).await.unwrap().unwrap();
    drop(store);
    delete(dir.path(), &["incidents", "leaks", "observed"]);
    let store = open(dir.path());
    assert_eq!(store.load(Table::Breakers).unwrap(), [("phone/1".to_owned(), vec![1])]);
    for table in later {
        assert_eq!(store.load(table).unwrap(), []);
        store.put(table, "x".into(), Some(vec![2])).await.unwrap().unwrap();
    }
    drop(store);
    let store = open(dir.path());
    for table in later {
        assert_eq!(store.load(table).unwrap(), [("x".to_owned(), vec![2])]);
    }
    drop(store);
    // What was always there is missed.
    delete(dir.path(), &["breakers"]);
    assert!(fails(dir.path()).contains("damaged"));
}

#[test]
fn a_crash_while_the_store_is_made_is_no_damage() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("sendfuse.redb.new"), [0; 9000]).unwrap();
    drop(open(dir.path()));
    assert!(!dir.path().join("sendfuse.redb.new").exists());
}

/// A store with entries in both tables: closed, and as a crash leaves it.
async fn samples() -> (Entries, [(&'static str, Vec<u8>); 2]) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join(FILE_NAME);
    let store = open(dir.path());
    let mut entries = Entries::new();
    for n in 0..60_u32 {
        let (key, value) = (format!("phone/{n:03}"), vec![n.to_le_bytes()[0]; 300]);
        store.put(Table::Breakers, key.clone(), Some(value.clone())).await.unwrap().unwrap();
        entries.push((key, value));
    }
    let crashed = fs::read(&file).unwrap();
    drop(store);
    (entries, [("closed", fs::read(&file).unwrap()), ("crashed", crashed)])
}

/// The one bit that nothing covers: which of redb's two commit slots is the current one. Flipped in a file that was not closed, it
/// names the commit before the last, exactly as if the crash had come before the last was acknowledged.
const CURRENT_SLOT: (usize, usize) = (9, 0);

/// Opens damaged bytes. They must read as they were, or be refused by name and left alone. Tells whether they were refused.
fn is_refused(damaged: &[u8], entries: &Entries, what: &str) -> bool {
    // In memory where there is such a place: this is done a thousand times, and each opening syncs.
    let dir = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
    let file = dir.path().join(FILE_NAME);
    fs::write(&file, damaged).unwrap();
    match Embedded::open(dir.path()) {
        Ok(store) => {
            assert!(store.load(Table::Breakers).unwrap() == *entries, "{what}: opened with other data");
            false
        }
        Err(error) => {
            let text = error.to_string();
            assert!(matches!(error, OpenError::Corrupt { .. }), "{what}: {text}");
            assert!(text.contains(&file.display().to_string()) && !text.contains('\n'), "{what}: {text}");
            assert!(text.contains("restore it from a backup"), "{what}: {text}");
            assert!(fs::read(&file).unwrap() == damaged, "{what}: refused, and changed all the same");
            true
        }
    }
}

#[tokio::test]
async fn a_truncated_file_is_refused_and_left_alone() {
    let (entries, samples) = samples().await;
    for (name, whole) in samples {
        assert!(!is_refused(&whole, &entries, name));
        for keep in [0, 1, 9, 100, 320, 4095, 4096, 4097, 8192] {
            assert!(is_refused(&whole[..keep], &entries, &format!("{name}, cut to {keep}")));
        }
        // There may have been nothing in what is cut off, and then the rest may be whole.
        for cut in [1, 2, 4095, 4096, 8192, whole.len() / 3, whole.len() / 2] {
            is_refused(&whole[..whole.len() - cut], &entries, &format!("{name}, {cut} bytes cut off"));
        }
        assert!(is_refused(b"this is no database at all", &entries, "text"));
    }
}

#[tokio::test]
async fn a_flipped_bit_never_panics_and_never_changes_what_is_read() {
    let (entries, samples) = samples().await;
    for (name, whole) in samples {
        let mut refused = 0;
        // The header's flags bit by bit, the rest of it byte by byte, and the file here and there: an odd stride meets
        // every offset in a page.
        let flags = (0..8).map(|bit| (9, bit));
        let header = (0..320).map(|place| (place, (place + 1) % 8));
        let rest = (320..whole.len()).step_by((whole.len() / 100) | 1).map(|place| (place, place % 8));
        for (place, bit) in flags.chain(header).chain(rest).filter(|flip| *flip != CURRENT_SLOT) {
            let mut damaged = whole.clone();
            damaged[place] ^= 1 << bit;
            refused += usize::from(is_refused(&damaged, &entries, &format!("{name}, {place}.{bit}")));
        }
        assert!(refused > 20, "{name}: only {refused} flips were noticed");
    }
}
