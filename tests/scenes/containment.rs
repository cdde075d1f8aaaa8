//! Once a breaker has opened, no send that starts later reaches Meta: opened means before the tripping answer is released,
//! and before the tripping webhook is acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sendfuse::breakers::OrderKind;
use sendfuse::simulator::{Fault, FaultRule, Profile};
use sendfuse::store::{Commit, Store, StoreError, Table};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::harness::{OTHER, PHONE, Scene, changes, failed, send_request};

const CLIENTS: usize = 64;

/// What clients saw; "late" are sends that started after one of them had been told of the lock.
#[derive(Debug, Default)]
struct Seen {
    told: AtomicBool,
    forwarded: AtomicU64,
    rejected: AtomicU64,
    late: AtomicU64,
    late_forwarded: AtomicU64,
}

/// Many clients that send on and on, `sends` each. `told`: whether Meta's word has gone out by some other way.
async fn clients(scene: &Scene, sends: usize, pause: Duration, told: fn(&Scene) -> bool) -> Arc<Seen> {
    let (seen, mut clients) = (Arc::new(Seen::default()), JoinSet::new());
    for n in 0..CLIENTS {
        let (scene, seen) = (scene.clone(), Arc::clone(&seen));
        clients.spawn(async move {
            // Out of step, so that at any time somebody is about to send.
            sleep(pause * u32::try_from(n).unwrap() / 12).await;
            let mut app = scene.app().await;
            for _ in 0..sends {
                let late = seen.told.load(Ordering::SeqCst) || told(&scene);
                let answer = app.call(send_request(PHONE)).await;
                let rejected = answer.is_rejection();
                if answer.code() == 131_031 && !rejected {
                    seen.told.store(true, Ordering::SeqCst);
                }
                let counter = if rejected { &seen.rejected } else { &seen.forwarded };
                counter.fetch_add(1, Ordering::SeqCst);
                seen.late.fetch_add(u64::from(late), Ordering::SeqCst);
                seen.late_forwarded.fetch_add(u64::from(late && !rejected), Ordering::SeqCst);
                if pause > Duration::ZERO && !seen.told.load(Ordering::SeqCst) {
                    sleep(pause).await;
                }
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    seen
}

#[track_caller]
fn assert_contained(scene: &Scene, seen: &Seen, what: &str) {
    let counts = scene.meta.phone_counts(PHONE);
    println!("{what}: {CLIENTS} clients, {counts:?}, {seen:?}");
    assert_eq!(seen.late_forwarded.load(Ordering::SeqCst), 0, "a later send reached Meta");
    assert!(seen.late.load(Ordering::SeqCst) > 1000, "there were later sends");
    assert_eq!(counts.arrived, seen.forwarded.load(Ordering::SeqCst), "what Meta saw is what it answered");
    assert_eq!(scene.breaker(PHONE).rejected, seen.rejected.load(Ordering::SeqCst));
    assert_eq!((scene.state(PHONE), scene.state(OTHER)), ("open", "closed"));
}

#[tokio::test(start_paused = true)]
async fn after_a_locked_answer_was_released() {
    let scene = Scene::new();
    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Delay { delay: Duration::from_millis(30) }));
    let locker = scene.clone();
    tokio::spawn(async move {
        locker.until_arrived(PHONE, 200).await;
        locker.lock(PHONE, Profile::Sync403);
    });
    let seen = clients(&scene, 50, Duration::from_millis(7), |_| false).await;
    assert_contained(&scene, &seen, "sync lock");
    let counts = scene.meta.phone_counts(PHONE);
    assert!(counts.arrived_after_lock <= CLIENTS as u64, "only what was in flight: {counts:?}");
}

#[tokio::test(start_paused = true)]
async fn after_the_webhook_was_acknowledged() {
    let scene = Scene::new();
    scene.lock(PHONE, Profile::Async);
    let told = |scene: &Scene| scene.acknowledged.load(Ordering::SeqCst) > 0;
    let seen = clients(&scene, 100, Duration::from_millis(9), told).await;
    scene.advance(Duration::from_secs(5)).await;
    assert_contained(&scene, &seen, "async lock");
    let leaked = scene.breaker(PHONE).leaked;
    assert_eq!(leaked, seen.forwarded.load(Ordering::SeqCst), "every one that Meta accepted failed");
}

/// The same with threads that really race.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn among_threads() {
    let scene = Scene::set(|stage| stage.meta.record = 0);
    let locker = scene.clone();
    tokio::spawn(async move {
        locker.until_arrived(PHONE, 300).await;
        locker.lock(PHONE, Profile::Sync403);
    });
    let seen = clients(&scene, 50, Duration::ZERO, |_| false).await;
    assert_contained(&scene, &seen, "sync lock, two threads");
}

/// A store that takes its time, or for ever (`None`).
struct Slow(Option<Duration>);

impl Store for Slow {
    fn put(&self, _: Table, _: String, _: Option<Vec<u8>>) -> Commit {
        let (receipt, commit) = oneshot::channel();
        let time = self.0;
        tokio::spawn(async move {
            match time {
                Some(time) => sleep(time).await,
                None => std::future::pending().await,
            }
            let _ = receipt.send(Ok(()));
        });
        commit
    }

    fn load(&self, _: Table) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        Ok(Vec::new())
    }
}

fn with_store(store: Slow) -> Scene {
    Scene::set(|stage| stage.store = Arc::new(store))
}

#[tokio::test(start_paused = true)]
async fn a_trip_is_durable_before_anyone_is_told() {
    let commit = Duration::from_millis(200);
    let scene = with_store(Slow(Some(commit)));
    scene.lock(PHONE, Profile::Sync403);
    let began = Instant::now();
    let tripping = scene.start_send(PHONE);
    scene.settle().await;
    assert_eq!(scene.state(PHONE), "open", "the gate waits for no store");
    assert!(scene.send(PHONE).await.is_rejection(), "nor does a rejection");
    assert!(began.elapsed() < commit);
    assert!(!tripping.is_finished(), "the answer that trips does");
    assert_eq!(tripping.await.unwrap().code(), 131_031);
    assert_eq!(began.elapsed(), commit);
    assert_eq!(scene.arrived(PHONE), 1);
    assert!(scene.breaker(PHONE).conditions.is_empty(), "{:?}", scene.breaker(PHONE).conditions);
}

#[tokio::test(start_paused = true)]
async fn so_is_one_by_webhook_and_an_order() {
    let commit = Duration::from_millis(200);
    let scene = with_store(Slow(Some(commit)));
    let began = Instant::now();
    let lock = changes(PHONE, [json!({"statuses": [failed("wamid.x", 131_031, scene.seconds(commit))]})]);
    assert_eq!(scene.webhook(&lock).await, 200);
    assert_eq!(began.elapsed(), commit);
    scene.order(PHONE, OrderKind::Reset, None).await;
    assert_eq!(began.elapsed(), commit * 2);
    assert_eq!(scene.send(PHONE).await.status, 200);
    assert_eq!(began.elapsed(), commit * 2, "an ordinary send waits for nothing");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_delays_a_trip_and_no_longer() {
    let scene = with_store(Slow(None));
    scene.lock(PHONE, Profile::Sync403);
    let began = Instant::now();
    assert_eq!(scene.send(PHONE).await.code(), 131_031);
    assert_eq!(began.elapsed(), Duration::from_millis(250), "store.commit_timeout");
    let conditions = scene.breaker(PHONE).conditions;
    assert!(conditions.iter().any(|condition| condition.name == "not_durable"), "{conditions:?}");
    assert!(scene.send(PHONE).await.is_rejection(), "the trip acts all the same");
    assert_eq!(scene.metric("sendfuse_store_up"), 0.0);
}
