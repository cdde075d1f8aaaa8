//! Promise 1 where it counts: many clients on real sockets, a lock in the middle of the traffic.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use sendfuse::simulator::{PHONE, Profile, Simulator};
use tokio::task::JoinSet;

use super::rig::{Connection, HEALTHY, Said, Scene, Sendfuse, deliver, message, within};

const CLIENTS: usize = 64;
const HEALTHY_CLIENTS: usize = 4;
/// From Meta's acceptance to its webhook.
const WEBHOOK_DELAY: Duration = Duration::from_millis(200);
/// What is sent before the lock.
const BEFORE: u64 = 4 * CLIENTS as u64;
/// How often each client hears no before it is content.
const REJECTIONS: usize = 3;

/// When the trip was first told, and how many sends of the phone had arrived at Meta by then.
type Told = Arc<OnceLock<(Instant, u64)>>;

fn note(told: &Told, meta: &Simulator) {
    told.get_or_init(|| (Instant::now(), meta.phone_counts(PHONE).arrived));
}

/// One send, as its client saw it.
struct Sent {
    began: Instant,
    ended: Instant,
    said: Said,
}

/// One client on one connection, which it keeps; goes on until `enough`.
async fn hammer(proxy: std::net::SocketAddr, phone: &str, mut enough: impl FnMut(Said) -> bool) -> Vec<Sent> {
    let mut connection = Connection::http1(proxy).await;
    let mut sent = Vec::new();
    loop {
        let began = Instant::now();
        let said = connection.call(message(phone)).await.said();
        sent.push(Sent { began, ended: Instant::now(), said });
        if enough(said) {
            return sent;
        }
    }
}

/// Hammers, locks, hammers on. Gives the sends of the locked phone. Meta's word in an answer is `told`, if it was not before.
async fn lock_in_traffic(scene: &Scene, sendfuse: &Sendfuse, profile: Profile, told: &Told) -> Vec<Sent> {
    let proxy = sendfuse.proxy;
    let (content, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (content, told, meta) = (Arc::clone(&content), Arc::clone(told), scene.meta.clone());
        clients.spawn(async move {
            let mut rejections = 0;
            hammer(proxy, PHONE, |said| {
                if said == Said::Locked {
                    note(&told, &meta);
                }
                rejections += usize::from(said == Said::Rejected);
                if said == Said::Rejected && rejections == REJECTIONS {
                    content.fetch_add(1, Ordering::Relaxed);
                }
                content.load(Ordering::Relaxed) == CLIENTS
            })
            .await
        });
    }
    let mut healthy = JoinSet::new();
    for _ in 0..HEALTHY_CLIENTS {
        let over = Arc::clone(&over);
        healthy.spawn(async move { hammer(proxy, HEALTHY, |_| over.load(Ordering::Relaxed)).await });
    }

    within(
        "traffic flows",
        scene.meta.until(|counts| counts.phones.get(PHONE).is_some_and(|it| it.accepted >= BEFORE)),
    )
    .await;
    scene.meta.lock(PHONE, profile);
    let sent: Vec<Sent> = within("the locked phone's clients are content", clients.join_all())
        .await
        .into_iter()
        .flatten()
        .collect();
    over.store(true, Ordering::Relaxed);
    let healthy: Vec<Sent> = healthy.join_all().await.into_iter().flatten().collect();

    let lost = healthy.iter().filter(|sent| sent.said != Said::Accepted).count();
    assert_eq!(lost, 0, "of {} sends of the healthy phone", healthy.len());
    assert!(healthy.len() > HEALTHY_CLIENTS, "the healthy phone had traffic");
    assert_eq!(scene.meta.phone_counts(HEALTHY).accepted, healthy.len() as u64);
    let strange = sent.iter().find(|sent| sent.said == Said::Other);
    assert!(strange.is_none(), "each send is accepted, locked or rejected");
    sent
}

/// Holds the promise against what was seen: nothing that began after the trip was told has reached Meta.
fn judge(kind: &str, sent: &[Sent], told: &Told, scene: &Scene) {
    let &(told, arrived_then) = told.get().expect("Meta has said it");
    let reached = |sent: &&Sent| sent.said != Said::Rejected;
    let leaked = sent.iter().filter(|sent| sent.began > told).filter(reached).count();
    let under_way = sent.iter().filter(|sent| sent.began <= told && sent.ended > told).count();
    let rejected = sent.iter().filter(|sent| sent.said == Said::Rejected).count();
    let counts = scene.meta.phone_counts(PHONE);
    let arrived_later = counts.arrived - arrived_then;
    println!(
        "containment, {kind}, {CLIENTS} clients: {} sends, {} arrived at Meta, {} of them after the lock began; \
         when the trip was told {under_way} sends were in flight, and {arrived_later} arrived after that; \
         of the sends begun after it {leaked} reached Meta; {rejected} rejected in all",
        sent.len(),
        counts.arrived,
        counts.arrived_after_lock,
    );
    assert_eq!(leaked, 0);
    assert!(arrived_later <= under_way as u64, "only what was in flight");
    // What Meta has counted is what was not rejected, and nothing beside it.
    assert_eq!(counts.arrived, (sent.len() - rejected) as u64);
    assert!(rejected >= REJECTIONS * CLIENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_told_in_an_answer_stops_64_clients() {
    let scene = Scene::new(|_| {}).await;
    scene.configure("");
    let sendfuse = scene.run().await;
    let told = Told::default();
    let sent = lock_in_traffic(&scene, &sendfuse, Profile::Sync403, &told).await;
    judge("synchronous lock", &sent, &told, &scene);
    // At most one of each client was on its way when the first answer said so.
    assert!(scene.meta.phone_counts(PHONE).arrived_after_lock <= CLIENTS as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_told_by_a_webhook_stops_64_clients() {
    let (told, meta) = (Told::default(), Arc::new(OnceLock::<Simulator>::new()));
    let (first, counting) = (Arc::clone(&told), Arc::clone(&meta));
    let scene = Scene::new(|options| {
        options.status_delay = WEBHOOK_DELAY;
        options.deliver = Some(Arc::new(move |request| {
            let failed = String::from_utf8_lossy(request.body()).contains("131031");
            let (delivery, first, meta) = (deliver(request), Arc::clone(&first), Arc::clone(&counting));
            Box::pin(async move {
                let answer = delivery.await?;
                if failed && answer.status() == 200 {
                    note(&first, meta.get().unwrap());
                }
                Ok(answer)
            })
        }));
    })
    .await;
    meta.get_or_init(|| scene.meta.clone());
    scene.configure("");
    let sendfuse = scene.run().await;
    let sent = lock_in_traffic(&scene, &sendfuse, Profile::Async, &told).await;
    judge("asynchronous lock, webhook after 200 ms", &sent, &told, &scene);
}
