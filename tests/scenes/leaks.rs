//! Leaks: what Meta accepted after the lock began and failed with it, each once, in the incident that it belongs to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sendfuse::breakers::OrderKind;
use sendfuse::incident::{Incident, Leak};
use sendfuse::simulator::Profile;
use sendfuse::time::Timestamp;
use serde_json::{Value, json};

use super::harness::{OTHER, PHONE, Scene, changes, failed, json_request, status, text};
use super::kept::Kept;

const SECOND: Duration = Duration::from_secs(1);

/// The phone's incidents, oldest first.
fn incidents(scene: &Scene) -> Vec<Incident> {
    let (found, more) = scene.breakers().incidents(None, Some(super::harness::id(PHONE).into()), 100);
    assert!(!more);
    found.iter().rev().map(|(_, summary)| scene.breakers().incident(&summary.id).unwrap()).collect()
}

fn wamids(incident: &Incident) -> Vec<&str> {
    incident.leaks.iter().map(|leak| leak.wamid.reveal()).collect()
}

fn one(status: Value) -> Value {
    changes(PHONE, [json!({"statuses": [status]})])
}

/// A send with something to get back; when it was accepted, and Meta's id of the call.
async fn send(scene: &Scene, data: &str) -> Option<(String, Timestamp, String)> {
    let mut body = text();
    body["biz_opaque_callback_data"] = json!(data);
    let answer = scene.call(json_request("POST", &format!("/v23.0/{PHONE}/messages"), &body)).await;
    let trace = answer.header("x-fb-request-id")?.to_owned();
    (answer.status == 200).then(|| (answer.wamid(), scene.clock.now(), trace))
}

#[tokio::test(start_paused = true)]
async fn exactly_the_sends_between_the_lock_and_the_trip_with_their_times() {
    let scene = Scene::new();
    for n in 0..3 {
        send(&scene, &format!("healthy {n}")).await.unwrap();
    }
    scene.advance(SECOND * 5).await;
    scene.meta.lock(PHONE, Profile::Async.failing_after(SECOND * 2));
    let (mut accepted, mut rejected) = (BTreeMap::new(), 0);
    for n in 0..40 {
        match send(&scene, &format!("order {n}")).await {
            Some((wamid, at, trace)) => drop(accepted.insert(wamid, (format!("order {n}"), at, trace))),
            None => rejected += 1,
        }
        scene.advance(Duration::from_millis(99)).await;
    }
    assert!(accepted.len() > 15 && rejected > 15, "{} {rejected}", accepted.len());
    scene.advance(SECOND * 5).await;

    let [incident] = &incidents(&scene)[..] else { panic!("one incident") };
    let leaks: BTreeMap<String, &Leak> =
        incident.leaks.iter().map(|leak| (leak.wamid.reveal().to_owned(), leak)).collect();
    assert_eq!(leaks.len(), incident.leaks.len(), "each once");
    assert!(leaks.keys().eq(accepted.keys()));
    for (wamid, (data, at, trace)) in &accepted {
        let leak = leaks[wamid];
        // The answer takes its way through pipes, which take no time.
        assert_eq!(leak.accepted_at, *at, "{data}");
        let failed_at = at.plus(SECOND * 2).millis() / 1000;
        assert_eq!(
            leak.failed_at,
            Timestamp::from_seconds(failed_at),
            "{data}: as Meta says, in whole seconds"
        );
        assert_eq!(leak.fbtrace_id.as_deref(), Some(&**trace));
        assert_eq!(leak.biz_opaque_callback_data.as_deref(), Some(&**data));
        assert_eq!((leak.recipient.as_deref(), leak.code), (Some("…1234"), 131_031));
    }
    let leaked = accepted.len() as u64;
    assert_eq!((incident.leaked, incident.rejected), (leaked, rejected));
    assert_eq!((scene.breaker(PHONE).leaked, scene.breaker(PHONE).rejected), (leaked, rejected));
    assert_eq!(scene.metric("sendfuse_leaked_sends_total"), leaked as f64);
    // The first of them tripped it, and is a leak too.
    let trip = incident.trip.as_ref().unwrap();
    let first = accepted.values().map(|(_, at, _)| *at).min().unwrap();
    assert_eq!((trip.accepted_at, trip.stale), (Some(first), false));
    assert_eq!(trip.at, first.plus(SECOND * 2));
    assert_eq!(scene.metric("sendfuse_detection_seconds_count"), 1.0);
    assert_eq!(scene.metric("sendfuse_detection_seconds_sum"), 2.0);
    assert_eq!(scene.metric("sendfuse_leaked_sends_total"), leaked as f64);
}

#[tokio::test(start_paused = true)]
async fn news_after_the_close_belongs_to_the_incident_before() {
    let scene = Scene::new();
    // Accepted before anything happened; their failures come whenever they like.
    let [early, late, later] = [0, 1, 2].map(|_| scene.send(PHONE));
    let (early, late, later) = (early.await.wamid(), late.await.wamid(), later.await.wamid());
    let now = || scene.seconds(Duration::ZERO);
    scene.webhook(&one(failed(&early, 131_031, now()))).await;
    assert_eq!(scene.state(PHONE), "open");
    scene.order(PHONE, OrderKind::Reset, None).await;
    let generation = scene.breaker(PHONE).generation;

    scene.advance(SECOND * 10).await;
    scene.webhook(&one(failed(&late, 131_031, now()))).await;
    assert_eq!((scene.state(PHONE), scene.breaker(PHONE).generation), ("closed", generation));
    let [first] = &incidents(&scene)[..] else { panic!("one incident") };
    assert_eq!(wamids(first), [&*early, &*late], "a finished incident still gets its own");
    assert!(first.closed_at.is_some());
    assert!(first.evidence.last().unwrap().stale);
    assert_eq!(scene.breaker(PHONE).leaked, 2);

    // Another incident: what was admitted before the close is the first one's, also while the second goes on.
    let new = scene.send(PHONE).await.wamid();
    scene.webhook(&one(failed(&new, 131_031, now()))).await;
    assert_eq!((scene.state(PHONE), scene.breaker(PHONE).leaked), ("open", 1));
    for wamid in [&early, &late, &later, &new, &later, &new] {
        scene.webhook(&one(failed(wamid, 131_031, now()))).await;
    }
    let [first, second] = &incidents(&scene)[..] else { panic!("two incidents") };
    assert_eq!(wamids(first), [&*early, &*late, &*later]);
    assert_eq!(wamids(second), [&*new]);
    assert_eq!((first.leaked, second.leaked, scene.breaker(PHONE).leaked), (3, 1, 1));
    assert_eq!(scene.metric("sendfuse_leaked_sends_total"), 4.0);
}

#[tokio::test(start_paused = true)]
async fn late_duplicates_change_nothing() {
    let scene = Scene::new();
    scene.lock(PHONE, Profile::LateDuplicates { after: SECOND * 600 });
    for _ in 0..5 {
        scene.send(PHONE).await;
    }
    scene.until_state(PHONE, "open").await;
    scene.advance(SECOND * 5).await;
    scene.meta.unlock(PHONE);
    scene.until_state(PHONE, "half_open").await;
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.until_state(PHONE, "closed").await;
    let leaks = |scene: &Scene| incidents(scene).iter().map(|it| it.leaks.clone()).collect::<Vec<_>>();
    let before = leaks(&scene);
    scene.advance(SECOND * 1200).await;
    assert_eq!(leaks(&scene), before);
    assert_eq!((before.len(), before[0].len()), (1, 5));
    scene.trip(PHONE).await;
    scene.advance(SECOND * 5).await;
    let found = incidents(&scene);
    assert_eq!((found[0].leaked, found[1].leaked, scene.breaker(PHONE).leaked), (5, 0, 0));
    assert_eq!(scene.metric("sendfuse_leaked_sends_total"), 5.0);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_leak() {
    let scene = Scene::new();
    let mine = scene.send(PHONE).await.wamid();
    let others = scene.send(OTHER).await.wamid();
    scene.advance(SECOND * 5).await;
    let now = scene.seconds(Duration::ZERO);
    scene.trip(PHONE).await;
    for status in [
        failed("wamid.sent-past-us", 131_031, now),
        failed(&others, 131_031, now),
        failed(&mine, 131_026, now),
        status(&mine, "delivered", now),
        failed("", 131_031, now),
    ] {
        scene.webhook(&one(status)).await;
    }
    let [incident] = &incidents(&scene)[..] else { panic!("one incident") };
    assert_eq!((incident.leaked, &*incident.leaks), (0, &[][..]), "and its own answer said no at once");
    // A group's message: one leak, however many of its members it fails for.
    let statuses: Vec<Value> = (0..5).map(|_| failed(&mine, 368, now)).collect();
    scene.webhook(&changes(PHONE, [json!({"statuses": statuses})])).await;
    let [incident] = &incidents(&scene)[..] else { panic!("one incident") };
    assert_eq!((incident.leaked, incident.leaks[0].code), (1, 368));
}

#[tokio::test(start_paused = true)]
async fn failures_that_were_not_yet_enough_to_trip_are_leaks_once_it_trips() {
    let scene = Scene::with(|config| config.breaker.trip_after = 3);
    let mut sent = Vec::new();
    let accepted = scene.clock.now();
    for _ in 0..3 {
        sent.push(scene.send(PHONE).await.wamid());
        scene.advance(SECOND * 10).await;
    }
    for (n, wamid) in sent.iter().enumerate() {
        assert_eq!((scene.state(PHONE), incidents(&scene).len()), ("closed", 0));
        scene.advance(SECOND * 10).await;
        let (twice, now) = (n + 1 < sent.len(), scene.seconds(Duration::ZERO));
        for _ in 0..=usize::from(twice) {
            scene.webhook(&one(failed(wamid, 131_031, now))).await;
        }
    }
    let [incident] = &incidents(&scene)[..] else { panic!("one incident") };
    assert_eq!(wamids(incident), sent);
    assert_eq!((incident.leaked, scene.breaker(PHONE).leaked), (3, 3));
    assert_eq!(scene.metric("sendfuse_leaked_sends_total"), 3.0);
    let took = scene.clock.now().since(accepted).as_secs_f64();
    let detected = scene.metric("sendfuse_detection_seconds_sum");
    assert!((detected - took).abs() < 0.01, "from the first that failed: {detected} of {took}");
    assert_eq!(incident.evidence.len(), 3, "what is said again is not listed again");
}

#[tokio::test(start_paused = true)]
async fn a_leak_is_stored_before_its_webhook_is_answered() {
    let store = Kept::default();
    let kept = Arc::new(store.clone());
    let scene = Scene::set(|stage| stage.store = kept);
    let mut sent = Vec::new();
    for _ in 0..4 {
        sent.push(scene.send(PHONE).await.wamid());
    }
    for (n, wamid) in sent.iter().enumerate() {
        let now = scene.seconds(Duration::ZERO);
        scene.webhook(&one(failed(wamid, 131_031, now))).await;
        let crashed = Arc::new(store.copy());
        let again = Scene::set(|stage| stage.store = crashed);
        let [incident] = &incidents(&again)[..] else { panic!("one incident") };
        assert_eq!(wamids(incident), sent[..=n]);
        assert_eq!((incident.leaked, again.breaker(PHONE).leaked), (n as u64 + 1, n as u64 + 1));
    }
}
