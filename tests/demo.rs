//! `sendfuse demo`, as a newcomer runs it: the program, in a pipe.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const LONGEST: Duration = Duration::from_secs(60);

/// What has to be told, in this order.
const TOLD: [&str; 44] = [
    "curl http://127.0.0.1:",
    "/metrics",
    "SENDFUSE_ADMIN_URL=http://127.0.0.1:",
    "1. All numbers send",
    "app       sends from A: 200, wamid.",
    "app       sends from A2: 200, wamid.",
    "app       sends from B: 200, wamid.",
    "Meta      has reported all as sent and delivered: 6 webhooks",
    "2. Meta locks the account of A and A2",
    "app       sends from A: 403, (#131031) Business Account locked. Meta's own words",
    "sendfuse  the breaker of A is open, generation 1, source response",
    "rejected here:",
    "x-sendfuse-state: open",
    "x-sendfuse-reason: 131031; source=response",
    "x-sendfuse-incident: 106540352242922-1-",
    "x-sendfuse-next-check: ",
    "proxy-status: sendfuse; error=destination_unavailable",
    "\"Held back by sendfuse since ",
    "app       sends from B: 200, wamid.",
    "app       sends 5 more from A: all rejected here",
    "Meta      has counted 2 sends of A",
    "by an operator's order: blocked",
    "WABA BLOCKED, 141014",
    "the breaker of the account is open, too, for health says: WABA 806540352242923 is BLOCKED (141014",
    "app       sends from A2: 403, (#131031) Business Account locked. Rejected here",
    "\"Held back by sendfuse with all phones of the account 806540352242923 since ",
    "sendfuse  the breaker of A is half_open",
    "app       sends from A: the one trial. 403,",
    "sendfuse  the breaker of A is open again, generation 3",
    "condition contradiction: ",
    "sendfuse  the breaker of A is half_open",
    "app       sends from A: 200, wamid.",
    "sendfuse  the breaker of A is closed, generation 5",
    "Meta      has counted 1 send of A2, as before the lock",
    "app       sends from A2: 200, wamid.",
    "5. Meta locks B",
    "app       sends from B: 200, wamid.",
    "Meta      a webhook: that message has failed, 131031",
    "sendfuse  the breaker of B is open, generation 1, source webhook",
    "app       sends 6 from B: 403,",
    "app       sends from A: 200, wamid.",
    "sendfuse  the breaker of B is closed, generation 3",
    "reached Meta after a trip, beside trials     0    0    0",
    "What to do next:",
];

fn demo(temporary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sendfuse"));
    command.arg("demo").env("TMPDIR", temporary).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn end_of(child: Child) -> Output {
    tokio::time::timeout(LONGEST, child.wait_with_output()).await.expect("it ends").unwrap()
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().next().is_none()
}

#[tokio::test]
async fn the_demo_shows_two_locks_from_beginning_to_end() {
    let temporary = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let ended = end_of(demo(temporary.path()).spawn().unwrap()).await;
    let told = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "", "after:\n{told}");
    assert_eq!(ended.status.code(), Some(0));
    assert!(began.elapsed() < LONGEST);
    assert!(!told.contains('\x1b'), "{told}");
    let mut rest = told.as_str();
    for expected in TOLD {
        let Some((_, after)) = rest.split_once(expected) else {
            panic!("{expected:?} is not told, or not in its place:\n{told}");
        };
        rest = after;
    }
    assert!(is_empty(temporary.path()), "it leaves nothing behind");
}

#[tokio::test]
async fn an_interrupt_ends_the_demo_well() {
    let temporary = tempfile::tempdir().unwrap();
    let mut child = demo(temporary.path()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.starts_with("1. ") {
            break;
        }
    }
    assert!(!is_empty(temporary.path()), "it works there");
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    let mut last = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        last = line;
    }
    let ended = end_of(child).await;
    assert_eq!((ended.status.code(), &*String::from_utf8(ended.stderr).unwrap()), (Some(0), ""));
    assert_eq!(last, "Stopped. Nothing is left behind.");
    assert!(is_empty(temporary.path()));
}
