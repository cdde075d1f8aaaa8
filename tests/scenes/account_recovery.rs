//! From an account's lock back to closed: checks, trials, and what is the trial of more than one breaker.

use sendfuse::breaker::TransitionKind;
use sendfuse::simulator::{Fault, FaultRule, Health, News, Profile, Reason};
use serde_json::json;

use super::harness::{Scene, changes, send_request, status};
use super::wabas::{ALL, HOUR, MINUTE, ONE, SECOND, STRANGER, THREE, TWO};

/// All phones send; how many were rejected here.
async fn all_send(scene: &Scene) -> usize {
    let mut rejected = 0;
    for phone in ALL {
        rejected += usize::from(scene.send(phone).await.is_rejection());
    }
    rejected
}

fn kinds(scene: &Scene) -> Vec<TransitionKind> {
    scene.waba_incident().transitions.iter().map(|step| step.transition).collect()
}

fn confirmed(scene: &Scene) -> f64 {
    scene.metric("sendfuse_trials_total{outcome=\"confirmed\"}")
}

#[tokio::test(start_paused = true)]
async fn from_a_ban_to_closed() {
    let scene = Scene::of_wabas();
    scene.meet_all().await;
    scene.disable(Profile::Ban).await;
    for _ in 0..10 {
        assert_eq!(all_send(&scene).await, 3);
        assert_eq!(scene.send(STRANGER).await.status, 200);
        scene.advance(HOUR).await;
    }
    assert_eq!(scene.waba().state, "open", "health says BLOCKED");
    assert_eq!(ALL.map(|phone| scene.arrived(phone)), [1; 3]);

    scene.meta.unlock_waba(super::wabas::WABA);
    scene.tell(News::Reinstated).await;
    // Probed now, whatever the back-off has come to by then.
    assert_eq!(scene.waba().state, "half_open");
    scene.meta.fault(FaultRule::sends_of(TWO, Fault::Delay { delay: SECOND }).times(1));
    let trial = scene.start_send(TWO);
    scene.until_arrived(TWO, 2).await;
    assert!(scene.send(ONE).await.is_rejection(), "one trial for all its phones");
    assert!(scene.send(TWO).await.is_rejection());
    assert_eq!(trial.await.unwrap().status, 200);
    scene.until_waba("closed").await;
    assert_eq!((all_send(&scene).await, ALL.map(|phone| scene.arrived(phone))), (0, [2, 3, 2]));
    assert_eq!(kinds(&scene), [TransitionKind::Trip, TransitionKind::HalfOpen, TransitionKind::Close]);
    let incident = scene.waba_incident();
    assert_eq!((incident.rejected, incident.trials.len()), (32, 1));
    assert_eq!(incident.trip.unwrap().text, "account_update DISABLED_UPDATE: DISABLE");
}

#[tokio::test(start_paused = true)]
async fn from_a_ban_to_closed_where_health_is_clear_all_the_while() {
    let scene = Scene::of_wabas();
    scene.meet_all().await;
    scene.disable(Profile::Async).await;
    for _ in 0..12 * 60 {
        all_send(&scene).await;
        scene.advance(MINUTE).await;
        assert_ne!(scene.waba().state, "closed");
    }
    // Each half-open let one send through, which failed; the checks became rarer.
    let reopened =
        scene.metric("sendfuse_transitions_total{scope=\"waba\",source=\"webhook\",transition=\"reopen\"}");
    let arrived: u64 = ALL.map(|phone| scene.arrived(phone) - 1).iter().sum();
    assert!((40.0..60.0).contains(&reopened), "{reopened} in twelve hours");
    assert_eq!(arrived as f64, reopened, "one for each trial");
    let contradiction = scene.waba().conditions.into_iter().find(|known| known.name == "contradiction");
    assert!(contradiction.unwrap().count >= 10);

    scene.meta.unlock_waba(super::wabas::WABA);
    scene.tell(News::Reinstated).await;
    // Probed now; only that it may have opened again less than `min_open` ago.
    assert!(scene.until_waba("half_open").await <= MINUTE + SECOND);
    // A trial opened its own phone's breaker too. Who is closed beside the account is the trial.
    let open: Vec<&str> = ALL.into_iter().filter(|phone| scene.state(phone) != "closed").collect();
    let free = ALL.into_iter().find(|phone| !open.contains(phone));
    match free {
        Some(phone) => assert_eq!(scene.send(phone).await.status, 200),
        None => {
            scene.until_state(ONE, "half_open").await;
            assert_eq!(scene.send(ONE).await.status, 200);
        }
    }
    scene.until_waba("closed").await;
    for phone in open {
        if scene.state(phone) != "closed" {
            scene.until_state(phone, "half_open").await;
            assert_eq!(scene.send(phone).await.status, 200);
            scene.until_state(phone, "closed").await;
        }
    }
    assert_eq!(all_send(&scene).await, 0);
}

/// The account and one phone of it have each been locked, and are half-open.
async fn both_half_open() -> Scene {
    let scene = Scene::of_wabas();
    scene.meet_all().await;
    scene.trip(ONE).await;
    scene.disable(Profile::Sync403).await;
    scene.meta.unlock(ONE);
    scene.meta.unlock_waba(super::wabas::WABA);
    scene.until_state(ONE, "half_open").await;
    scene.until_waba("half_open").await;
    scene
}

#[tokio::test(start_paused = true)]
async fn one_send_is_the_trial_of_both_and_its_delivery_closes_both() {
    let scene = both_half_open().await;
    let trial = scene.send(ONE).await;
    assert_eq!((trial.status, trial.is_rejection()), (200, false));
    assert_eq!(all_send(&scene).await, 3, "while it is out");
    scene.advance(SECOND).await;
    assert_eq!((scene.state(ONE), scene.waba().state, confirmed(&scene)), ("closed", "closed", 2.0));
    assert_eq!(all_send(&scene).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_trial_of_both_that_fails_reopens_both() {
    for profile in [Profile::Sync403, Profile::Async] {
        let scene = both_half_open().await;
        scene.lock(ONE, profile);
        assert!(!scene.send(ONE).await.is_rejection());
        scene.advance(SECOND).await;
        assert_eq!((scene.state(ONE), scene.waba().state), ("open", "open"));
        assert_eq!(all_send(&scene).await, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_trial_of_the_account_that_fails_reopens_it() {
    for profile in [Profile::Sync403, Profile::Async] {
        let scene = Scene::of_wabas();
        scene.meet_all().await;
        scene.waba_half_open().await;
        scene.meta.lock_waba(super::wabas::WABA, Reason::Disabled.with(profile));
        assert!(!scene.send(TWO).await.is_rejection());
        scene.advance(SECOND).await;
        assert_eq!((scene.waba().state, scene.state(ONE)), ("open", "closed"));
        assert_eq!(all_send(&scene).await, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_trial_without_a_status_gives_its_place_back_to_both() {
    let scene = both_half_open().await;
    scene.meta.fault(FaultRule::sends_of(ONE, Fault::Error { status: 500, code: 1 }).times(1));
    assert_eq!(scene.send(ONE).await.status, 500);
    assert_eq!(scene.send(ONE).await.status, 200);
    scene.advance(SECOND).await;
    assert_eq!((scene.state(ONE), scene.waba().state), ("closed", "closed"));

    let scene = both_half_open().await;
    scene.meta.fault(FaultRule::sends_of(ONE, Fault::Stall).times(1));
    let mut app = scene.app().await;
    let hung = tokio::spawn(async move { app.try_call(send_request(ONE)).await.is_err() });
    scene.until_arrived(ONE, 3).await;
    hung.abort();
    scene.advance(MINUTE * 10).await;
    assert_eq!((scene.state(ONE), scene.waba().state), ("half_open", "half_open"));
    assert_eq!(scene.send(ONE).await.status, 200);
    scene.advance(SECOND).await;
    assert_eq!((scene.state(ONE), scene.waba().state), ("closed", "closed"));
}

#[tokio::test(start_paused = true)]
async fn who_is_held_by_its_own_breaker_takes_no_trial_of_its_account() {
    let scene = Scene::of_wabas();
    scene.meet_all().await;
    scene.disable(Profile::Sync403).await;
    scene.meta.unlock_waba(super::wabas::WABA);
    scene.until_waba("half_open").await;
    scene.order(ONE, sendfuse::breakers::OrderKind::Open, None).await;
    assert!(scene.send(ONE).await.is_rejection());
    assert_eq!(scene.waba().trials, 0);
    assert_eq!(scene.send(THREE).await.status, 200);
    scene.until_waba("closed").await;
    assert!(scene.send(ONE).await.is_rejection());
}

#[tokio::test(start_paused = true)]
async fn a_reinstatement_is_probed_now_but_min_open_is_kept() {
    let scene = Scene::of_wabas();
    scene.meet_all().await;
    scene.disable(Profile::Sync403).await;
    scene.meta.unlock_waba(super::wabas::WABA);
    let probes = scene.waba_probes();
    scene.advance(SECOND).await;
    scene.tell(News::Reinstated).await;
    assert_eq!((scene.waba_probes(), scene.waba().state), (probes + 1, "open"));
    let waited = scene.until_waba("half_open").await;
    assert!(waited >= SECOND * 58 && waited <= SECOND * 61, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_sent_past_the_proxy_and_delivered_is_a_sign_of_life() {
    let scene = Scene::of_wabas();
    scene.meet_all().await;
    scene.disable(Profile::Sync403).await;
    scene.meta.set_health(super::wabas::WABA, Some(Health::Banned));
    scene.advance(MINUTE * 20).await;
    assert_eq!(scene.waba().state, "open");
    let seen = |phone: &str, waba: &str| {
        let mut news =
            changes(phone, [json!({"statuses": [status("wamid.past", "sent", scene.seconds(SECOND))]})]);
        news["entry"][0]["id"] = json!(waba);
        news
    };
    scene.webhook(&seen(STRANGER, super::wabas::STRANGE_WABA)).await;
    scene.settle().await;
    assert_eq!(scene.waba().state, "open", "another account's says nothing");
    scene.webhook(&seen(THREE, super::wabas::WABA)).await;
    scene.settle().await;
    assert_eq!(scene.waba().state, "half_open");
}
