//! The journal: what an incident has when it is over, and that it survives.

use std::sync::Arc;
use std::time::Duration;

use sendfuse::breaker::{Shown, Source, TransitionKind, TrialOutcome};
use sendfuse::breakers::{OrderKind, ProbeOrder};
use sendfuse::incident::{Incident, KEPT_AT_EACH_END, MOST_FINISHED, OrderName, Outcome, Verdict};
use sendfuse::simulator::{Health, Profile, WABA};
use sendfuse::store::Table;
use serde_json::{Value, json};

use super::harness::{OTHER, PHONE, Scene, TOKEN, changes, failed, id};
use super::kept::Kept;

const SECOND: Duration = Duration::from_secs(1);

/// All incidents, newest first.
fn all(scene: &Scene) -> Vec<Incident> {
    let (found, _) = scene.breakers().incidents(None, None, usize::MAX);
    found.iter().map(|(_, summary)| scene.breakers().incident(&summary.id).unwrap()).collect()
}

fn only(scene: &Scene) -> Incident {
    let mut all = all(scene);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

fn on(store: &Kept) -> Scene {
    let store = Arc::new(store.clone());
    Scene::set(|stage| stage.store = store)
}

fn kinds(incident: &Incident) -> Vec<TransitionKind> {
    incident.transitions.iter().map(|step| step.transition).collect()
}

/// Opens for a webhook, is blocked (itself, not its account), then clear; one trial fails, one is delivered.
async fn story(scene: &Scene) {
    scene.lock(PHONE, Profile::Async);
    scene.meta.set_health(PHONE, Some(Health::NotLinked));
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.until_state(PHONE, "open").await;
    for _ in 0..3 {
        assert!(scene.send(PHONE).await.is_rejection());
    }
    let asked = ProbeOrder { reason: "ticket 4711".into(), by: "ann".into() };
    scene.breakers().probe(id(PHONE), asked, None).await.unwrap();
    scene.meta.set_health(PHONE, None);
    scene.until_state(PHONE, "half_open").await;
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.until_state(PHONE, "open").await;
    scene.meta.unlock(PHONE);
    scene.until_state(PHONE, "half_open").await;
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.until_state(PHONE, "closed").await;
}

#[tokio::test(start_paused = true)]
async fn the_whole_story_is_in_it() {
    let scene = Scene::new();
    story(&scene).await;
    let incident = only(&scene);
    assert_eq!(incident.id, format!("{PHONE}-1-{}", incident.opened_at.millis() / 1000));
    use TransitionKind::{Close, HalfOpen, Reopen, Trip};
    assert_eq!(kinds(&incident), [Trip, HalfOpen, Reopen, HalfOpen, Close]);
    let closing = incident.transitions.last().unwrap();
    assert_eq!((incident.closed_at, closing.to), (Some(closing.at), Shown::Closed));
    assert_eq!(incident.transitions[0].at, incident.opened_at);

    let trip = incident.trip.as_ref().unwrap();
    assert_eq!((trip.verdict, trip.source, trip.code), (Verdict::Lock, Source::Webhook, Some(131_031)));
    assert_eq!(trip.text, "Business Account locked");
    assert_eq!(trip.generation.map(|generation| generation.0), Some(0));
    assert!(trip.wamid.is_some() && trip.fbtrace_id.is_some() && trip.dated.is_some(), "{trip:?}");
    assert!(trip.accepted_at.unwrap() < trip.at);
    let verdicts: Vec<Verdict> = incident.evidence.iter().map(|evidence| evidence.verdict).collect();
    assert_eq!(verdicts, [Verdict::Lock, Verdict::Lock, Verdict::Delivered]);

    let outcomes: Vec<Outcome> = incident.probes.iter().map(|probe| probe.outcome).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Blocked).count(), 2);
    assert_eq!(outcomes[..2], [Outcome::Blocked; 2], "at the trip, and as ordered");
    assert!(outcomes[2..].contains(&Outcome::Clear), "{outcomes:?}");
    let blocking = incident.probes[0].entities.iter().filter(|entity| entity.blocks);
    let blocking: Vec<(&str, i64)> = blocking.map(|entity| (&*entity.kind, entity.errors[0].code)).collect();
    assert_eq!(blocking, [("PHONE_NUMBER", 141_000)]);
    let trials: Vec<TrialOutcome> = incident.trials.iter().map(|trial| trial.outcome).collect();
    assert_eq!(trials, [TrialOutcome::Locked, TrialOutcome::Confirmed]);
    assert!(incident.trials.iter().all(|trial| trial.wamid.is_some()));

    let [order] = &incident.orders[..] else { panic!("{:?}", incident.orders) };
    assert_eq!((order.order, &*order.by, &*order.reason), (OrderName::Probe, "ann", "ticket 4711"));
    assert_eq!((incident.leaked, incident.leaks.len()), (2, 2), "the first send, and the trial that failed");
    assert_eq!(incident.rejected, 3);
    // The statuses after the close are the closing trial's own, and nobody's evidence.
    scene.advance(SECOND * 600).await;
    assert_eq!(only(&scene), incident);
}

/// The phone's first probe finds that it is the account: each has an incident, with its own trip and its own end.
#[tokio::test(start_paused = true)]
async fn a_block_of_the_account_is_an_incident_of_its_own() {
    let scene = Scene::new();
    scene.lock(PHONE, Profile::Async);
    scene.meta.set_health(WABA, Some(Health::Banned));
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.until_state(PHONE, "open").await;
    scene.settle().await;
    let [of_account, of_phone] = &all(&scene)[..] else { panic!("{:#?}", all(&scene)) };
    assert_eq!((of_phone.scope, of_account.scope.to_string()), (id(PHONE).into(), format!("waba/{WABA}")));
    assert_eq!((of_phone.trip.as_ref().unwrap().source, of_phone.leaked), (Source::Webhook, 1));
    let trip = of_account.trip.as_ref().unwrap();
    assert_eq!((trip.source, trip.code, of_account.leaked), (Source::Probe, Some(141_014), 0));
    assert_eq!(trip.text, format!("WABA {WABA} is BLOCKED (141014: The WABA is banned.)"));
    assert_eq!((of_phone.probes[0].outcome, of_account.closed_at), (Outcome::Blocked, None));

    scene.meta.unlock(PHONE);
    scene.meta.set_health(WABA, None);
    let account = || scene.breakers().view(of_account.scope).state;
    while (scene.state(PHONE), account()) != ("half_open", "half_open") {
        scene.advance(SECOND).await;
    }
    // The one send is the trial of both. It meets the lock at once: both are told so.
    scene.lock(PHONE, Profile::Sync403);
    assert_eq!((scene.send(PHONE).await.code(), scene.state(PHONE), account()), (131_031, "open", "open"));
    scene.meta.unlock(PHONE);
    while (scene.state(PHONE), account()) != ("half_open", "half_open") {
        scene.advance(SECOND).await;
    }
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.until_state(PHONE, "closed").await;
    scene.settle().await;
    for incident in all(&scene) {
        use TransitionKind::{Close, HalfOpen, Reopen, Trip};
        assert_eq!(kinds(&incident), [Trip, HalfOpen, Reopen, HalfOpen, Close], "{}", incident.id);
        let trials: Vec<TrialOutcome> = incident.trials.iter().map(|trial| trial.outcome).collect();
        assert_eq!(trials, [TrialOutcome::Locked, TrialOutcome::Confirmed], "{}", incident.id);
    }
}

#[tokio::test(start_paused = true)]
async fn an_operators_order_is_an_incident_too() {
    let scene = Scene::new();
    scene.order(PHONE, OrderKind::Open, Some(SECOND * 60)).await;
    assert!(scene.send(PHONE).await.is_rejection());
    let incident = only(&scene);
    assert_eq!(scene.breaker(PHONE).incident.as_deref(), Some(&*incident.id));
    assert_eq!((incident.trip, incident.closed_at, incident.rejected), (None, None, 1));
    let [order] = &incident.orders[..] else { panic!("{:?}", incident.orders) };
    assert_eq!((order.order, &*order.by, &*order.reason), (OrderName::Open, "ops", "because"));
    assert_eq!(order.until, Some(order.at.plus(SECOND * 60)));
    scene.advance(SECOND * 61).await;
    let incident = only(&scene);
    assert_eq!(kinds(&incident), [TransitionKind::ForceOpen, TransitionKind::Lift]);
    assert_eq!(incident.closed_at, Some(incident.opened_at.plus(SECOND * 60)));

    // Beneath an order automation goes on: one incident until both have let go.
    scene.order(PHONE, OrderKind::Bypass, None).await;
    scene.lock(PHONE, Profile::Sync403);
    assert_eq!(scene.send(PHONE).await.code(), 131_031);
    scene.order(PHONE, OrderKind::Lift, None).await;
    assert_eq!(scene.state(PHONE), "open");
    scene.order(PHONE, OrderKind::Reset, None).await;
    let found = all(&scene);
    assert_eq!((found.len(), &found[1]), (2, &incident), "newest first");
    use TransitionKind::{Bypass, Lift, Reset, Trip};
    assert_eq!(kinds(&found[0]), [Bypass, Trip, Lift, Reset]);
    let trip = found[0].trip.as_ref().unwrap();
    assert_eq!((trip.source, trip.fbtrace_id.is_some()), (Source::Response, true));
    let orders: Vec<OrderName> = found[0].orders.iter().map(|order| order.order).collect();
    assert_eq!(orders, [OrderName::Bypass, OrderName::Lift, OrderName::Reset]);
    assert_eq!((found[0].rejected, found[1].rejected), (0, 1), "each its own");
    // An order that does nothing is nobody's.
    scene.order(OTHER, OrderKind::Reset, None).await;
    assert_eq!(all(&scene).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn incidents_survive_a_restart_finished_or_not() {
    let store = Kept::default();
    let scene = on(&store);
    story(&scene).await;
    scene.advance(SECOND * 10).await;
    scene.trip(PHONE).await;
    for _ in 0..7 {
        assert!(scene.send(PHONE).await.is_rejection());
    }
    scene.advance(SECOND * 20).await;
    let (before, counts) = (all(&scene), scene.breaker(PHONE));
    assert_eq!((before.len(), before[0].rejected, before[0].closed_at), (2, 7, None));
    let crashed = store.copy();
    drop(scene);

    let scene = on(&crashed);
    let after = all(&scene);
    assert_eq!(after, before);
    let view = scene.breaker(PHONE);
    assert_eq!(
        (view.rejected, view.leaked, view.incident),
        (counts.rejected, counts.leaked, counts.incident)
    );
    scene.order(PHONE, OrderKind::Reset, None).await;
    let now = all(&scene);
    assert_eq!((now.len(), now[1].clone()), (2, before[1].clone()));
    assert!(now[0].closed_at.is_some(), "it goes on where it was, and ends");
    assert_eq!(kinds(&now[0]), [TransitionKind::Trip, TransitionKind::Reset]);
    assert_eq!(all(&on(&crashed.copy())), now, "and its end is kept too");
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_has_torn_apart_is_mended() {
    let store = Kept::default();
    let scene = on(&store);
    scene.trip(PHONE).await;
    scene.send(PHONE).await;
    scene.advance(SECOND * 20).await;
    let open = store.copy();
    let whole = only(&scene);
    scene.order(PHONE, OrderKind::Reset, None).await;
    let closed = store.copy();

    // The breaker's record is there, the incident's is not: a store of a version before incidents, too.
    let mended = only(&on(&open.copy().without(Table::Incidents)));
    assert_eq!((&mended.id, mended.opened_at, mended.closed_at), (&whole.id, whole.opened_at, None));
    let (trip, reason) = (mended.trip.unwrap(), whole.trip.unwrap());
    assert_eq!((trip.code, trip.at, trip.fbtrace_id), (reason.code, reason.at, reason.fbtrace_id));

    // The breaker's close is there, the incident's is not.
    let torn = open.copy().without(Table::Breakers);
    for (key, value) in closed.rows(Table::Breakers) {
        drop(sendfuse::store::Store::put(&torn, Table::Breakers, key, Some(value)));
    }
    let scene = on(&torn);
    let mended = only(&scene);
    assert_eq!(mended.closed_at, mended.closed_at.max(Some(whole.opened_at)));
    assert!(mended.closed_at.is_some());
    scene.trip(PHONE).await;
    assert_eq!(all(&scene).len(), 2, "the next one is another");

    // A record that cannot be read is left alone, and stops nothing.
    drop(sendfuse::store::Store::put(&open, Table::Incidents, "x".into(), Some(b"{".to_vec())));
    drop(sendfuse::store::Store::put(&open, Table::Leaks, "x/00000".into(), Some(b"{".to_vec())));
    assert_eq!(only(&on(&open)).id, whole.id);
    assert!(open.rows(Table::Incidents).contains_key("x"));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_evidence_leaves_beginning_and_end() {
    let store = Kept::default();
    let scene = on(&store);
    scene.trip(PHONE).await;
    for n in 0..200 {
        let now = scene.seconds(Duration::ZERO);
        let status = failed(&format!("wamid.{n:03}"), 131_031, now);
        scene.webhook(&changes(PHONE, [json!({"statuses": [status]})])).await;
    }
    let incident = only(&scene);
    assert_eq!(incident.evidence.len(), 2 * KEPT_AT_EACH_END);
    let last = incident.evidence.last().unwrap().wamid.as_ref().unwrap();
    assert_eq!((last.reveal(), incident.left_out.evidence), ("wamid.199", 151));
    scene.advance(SECOND * 20).await;
    assert_eq!(only(&on(&store.copy())).left_out.evidence, 151);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_so_many_finished_ones_are_kept() {
    let store = Kept::default();
    let scene = on(&store);
    scene.order(OTHER, OrderKind::Open, None).await;
    for n in 0..MOST_FINISHED + 2 {
        for kind in [OrderKind::Open, OrderKind::Reset] {
            scene.order(PHONE, kind, None).await;
        }
        if n == 0 {
            assert_eq!(all(&scene).len(), 2);
        }
    }
    assert_eq!(all(&scene).len(), MOST_FINISHED + 1);
    assert_eq!(store.rows(Table::Incidents).len(), MOST_FINISHED + 1);
    assert!(all(&scene).iter().any(|incident| incident.scope == id(OTHER).into()), "an open one stays");
}

/// Promise 8: a wamid is kept, for an appeal needs it; nothing else that tells whom a message was for, or what it said.
#[tokio::test(start_paused = true)]
async fn nothing_secret_is_stored() {
    let store = Kept::default();
    let scene = on(&store);
    story(&scene).await;
    scene.trip(PHONE).await;
    scene.advance(SECOND * 20).await;
    let api: Vec<Value> = all(&scene).into_iter().map(|it| serde_json::to_value(it).unwrap()).collect();
    let (stored, shown) = (store.text(), serde_json::to_string(&api).unwrap());
    for (place, text) in [("store", &stored), ("incidents", &shown)] {
        assert!(text.contains("wamid.") && text.contains("…1234"), "{place}: saw nothing");
        for secret in [TOKEN, "16505551234", "simulated-app-secret", "\"hi\"", "\"body\""] {
            assert!(!text.contains(secret), "{secret} in {place}: {text}");
        }
    }
    let masked: Vec<Value> =
        all(&scene).into_iter().map(|it| serde_json::to_value(it.masked()).unwrap()).collect();
    let masked = serde_json::to_string(&masked).unwrap();
    for leak in all(&scene).iter().flat_map(|incident| &incident.leaks) {
        assert!(shown.contains(leak.wamid.reveal()) && !masked.contains(leak.wamid.reveal()));
    }
}
