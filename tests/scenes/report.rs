//! Observe mode tells afterwards what became of each send that enforce mode would have rejected.

use std::sync::Arc;
use std::time::Duration;

use sendfuse::breakers::OrderKind;
use sendfuse::config::{Config, Mode};
use sendfuse::incident::{Report, Sums};
use sendfuse::simulator::{Fault, FaultRule, Profile};
use serde_json::{Value, json};

use super::harness::{OTHER, PHONE, Scene, changes, failed, id, status};
use super::kept::Kept;

const SECOND: Duration = Duration::from_secs(1);

fn observing(store: &Kept) -> Scene {
    in_mode(store, Mode::Observe)
}

fn in_mode(store: &Kept, mode: Mode) -> Scene {
    let store = Arc::new(store.clone());
    Scene::set(|stage| {
        stage.store = store;
        stage.config.mode = mode;
    })
}

/// Whatever happens from now on, an operator would have its sends rejected.
async fn hold(scene: &Scene, phone: &str) {
    scene.order(phone, OrderKind::Open, None).await;
}

fn one(status: Value) -> Value {
    changes(PHONE, [json!({"statuses": [status]})])
}

#[track_caller]
fn assert_sums(report: &Report, failed: u64, delivered: u64, unknown: u64) {
    assert_eq!(report.would_reject, Sums { failed, delivered, unknown }, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn each_would_be_rejection_is_followed_to_its_end() {
    let scene = observing(&Kept::default());
    assert_eq!(scene.breakers().report(), Report::of(Vec::new(), None), "nothing was seen yet");
    hold(&scene, PHONE).await;
    scene.lock(PHONE, Profile::Sync403);
    let begun = scene.clock.now();
    assert_sums(&scene.breakers().report(), 0, 0, 0);
    // Answered with the lock, and with another error.
    assert_eq!(scene.send(PHONE).await.code(), 131_031);
    scene.meta.unlock(PHONE);
    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Error { status: 400, code: 131_026 }).times(1));
    assert_eq!(scene.send(PHONE).await.code(), 131_026);
    assert_sums(&scene.breakers().report(), 2, 0, 0);
    // No answer that can be read, and none at all.
    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::HalfBody).times(1));
    assert_eq!(scene.send(PHONE).await.status, 502);
    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Reset).times(1));
    assert_eq!(scene.send(PHONE).await.status, 502);
    assert_sums(&scene.breakers().report(), 2, 0, 2);
    // Accepted and delivered.
    assert_eq!(scene.send(PHONE).await.status, 200);
    assert_sums(&scene.breakers().report(), 2, 0, 3);
    scene.advance(SECOND * 10).await;
    assert_sums(&scene.breakers().report(), 2, 1, 2);
    // Accepted, and failed later: with the lock, and with another code.
    scene.lock(PHONE, Profile::Async);
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.advance(SECOND * 10).await;
    scene.meta.unlock(PHONE);
    assert_sums(&scene.breakers().report(), 3, 1, 2);
    scene.meta.set_webhook_url(None);
    let wamid = scene.send(PHONE).await.wamid();
    let now = scene.seconds(Duration::ZERO);
    scene.webhook(&one(failed(&wamid, 131_047, now))).await;
    assert_sums(&scene.breakers().report(), 4, 1, 2);
    // Failed outranks delivered, in either order, however often it is said.
    for order in [["failed", "delivered"], ["delivered", "failed"]] {
        let before = scene.breakers().report().would_reject;
        let wamid = scene.send(PHONE).await.wamid();
        for _ in 0..2 {
            for kind in order {
                scene.webhook(&one(status(&wamid, kind, now))).await;
            }
        }
        assert_sums(&scene.breakers().report(), before.failed + 1, before.delivered, before.unknown);
    }
    let report = scene.breakers().report();
    assert_sums(&report, 6, 1, 2);
    assert_eq!((report.since, report.until), (Some(begun), Some(scene.clock.now())));
    assert_eq!(report.would_reject.total(), scene.breaker(PHONE).would_reject);
    assert_eq!(scene.metric("sendfuse_sends_total{admission=\"would_reject\"}"), 9.0);
    let [phone] = &report.phones[..] else { panic!("{report:?}") };
    assert_eq!((phone.id, phone.sums), (id(PHONE), report.would_reject));
}

#[tokio::test(start_paused = true)]
async fn what_would_have_passed_is_not_in_it() {
    let scene = observing(&Kept::default());
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.trip(PHONE).await;
    assert_eq!(scene.send(OTHER).await.status, 200);
    scene.advance(SECOND * 10).await;
    assert_sums(&scene.breakers().report(), 0, 0, 0);
    assert_eq!(scene.breakers().report().phones, []);
}

#[tokio::test(start_paused = true)]
async fn phones_are_summed_and_a_restart_forgets_none() {
    let store = Kept::default();
    let scene = observing(&store);
    for (phone, sends) in [(PHONE, 3), (OTHER, 5)] {
        hold(&scene, phone).await;
        scene.lock(phone, Profile::Sync403);
        for _ in 0..sends {
            assert_eq!(scene.send(phone).await.code(), 131_031);
        }
    }
    scene.meta.unlock(PHONE);
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.advance(SECOND * 20).await;
    let before = scene.breakers().report();
    assert_sums(&before, 8, 1, 0);
    assert_eq!(before.phones.iter().map(|it| it.sums.total()).collect::<Vec<_>>(), [4, 5]);
    let crashed = store.copy();
    drop(scene);

    // Once it is enforced, the report says what was seen before.
    let scene = in_mode(&crashed, Mode::Enforce);
    assert!(scene.send(PHONE).await.is_rejection());
    let after = scene.breakers().report();
    assert_eq!(
        (after.would_reject, &after.phones, after.since),
        (before.would_reject, &before.phones, before.since)
    );
    assert!(after.until < before.until, "until the last one, and not until now");
    drop(scene);
    let scene = observing(&crashed);
    scene.lock(PHONE, Profile::Sync403);
    assert_eq!(scene.send(PHONE).await.code(), 131_031);
    assert_sums(&scene.breakers().report(), 9, 1, 0);
}

/// Statuses still tell what became of sends from before the mode was changed.
#[tokio::test(start_paused = true)]
async fn enforcing_does_not_stop_what_is_still_to_be_heard() {
    let scene = observing(&Kept::default());
    hold(&scene, PHONE).await;
    scene.meta.set_webhook_url(None);
    let wamid = scene.send(PHONE).await.wamid();
    let mut config = Config { mode: Mode::Enforce, ..Config::default() };
    config.upstream.url = "http://graph.facebook.com".parse().unwrap();
    config.webhook.app_secrets = vec![sendfuse::config::Secret::new("simulated-app-secret".to_owned())];
    scene.wired.reload(config).unwrap();
    assert_sums(&scene.breakers().report(), 0, 0, 1);
    scene.webhook(&one(status(&wamid, "read", scene.seconds(Duration::ZERO)))).await;
    assert_sums(&scene.breakers().report(), 0, 1, 0);
}
