//! Operators' orders, and observe mode.

use std::time::Duration;

use sendfuse::breaker::Scope;
use sendfuse::breakers::{Order, OrderKind};
use sendfuse::config::Mode;
use sendfuse::simulator::{Profile, WABA};

use super::harness::{PHONE, Scene};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_reset_closes_now() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    scene.meta.unlock(PHONE);
    let breaker = scene.order(PHONE, OrderKind::Reset, None).await;
    assert_eq!((breaker.state, breaker.generation), ("closed", 2));
    assert_eq!(scene.send(PHONE).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_reset_of_what_is_closed_changes_nothing() {
    let scene = Scene::new();
    assert_eq!(scene.order(PHONE, OrderKind::Reset, None).await.generation, 0);
    scene.recover(PHONE).await;
    let generation = scene.breaker(PHONE).generation;
    assert_eq!(scene.order(PHONE, OrderKind::Reset, None).await.generation, generation);
}

#[tokio::test(start_paused = true)]
async fn a_reset_too_early_lasts_until_the_next_failure() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    scene.order(PHONE, OrderKind::Reset, None).await;
    let answer = scene.send(PHONE).await;
    assert!(!answer.is_rejection() && answer.code() == 131_031);
    assert_eq!((scene.state(PHONE), scene.breaker(PHONE).generation), ("open", 3));
}

#[tokio::test(start_paused = true)]
async fn held_open_until_its_time_is_over() {
    let scene = Scene::new();
    let breaker = scene.order(PHONE, OrderKind::Open, Some(HOUR)).await;
    assert_eq!((breaker.state, breaker.generation), ("forced_open", 1));
    let order = breaker.r#override.unwrap();
    assert_eq!((order.order, order.by.as_str(), order.reason.as_str()), ("open", "ops", "because"));
    assert_eq!(order.until.as_deref(), Some("2026-05-01T11:00:00Z"));
    let answer = scene.send(PHONE).await;
    assert_eq!((answer.header("x-sendfuse-state"), answer.code()), (Some("forced_open"), 131_031));
    assert_eq!(answer.header("x-sendfuse-next-check"), Some("3600"));
    scene.advance(HOUR - Duration::from_secs(1)).await;
    assert!(scene.send(PHONE).await.is_rejection());
    scene.advance(Duration::from_secs(1)).await;
    assert_eq!((scene.state(PHONE), scene.breaker(PHONE).generation), ("closed", 2));
    assert_eq!((scene.send(PHONE).await.status, scene.arrived(PHONE)), (200, 1));
}

/// Meta retries webhooks, and operators hold on to an `ETag`, for days.
#[tokio::test(start_paused = true)]
async fn the_generation_outlives_a_hold_by_eight_days() {
    let scene = Scene::new();
    scene.order(PHONE, OrderKind::Open, Some(HOUR)).await;
    scene.advance(HOUR * (1 + 8 * 24)).await;
    assert_eq!(scene.breaker(PHONE).generation, 2);
    scene.advance(HOUR * 2).await;
    assert_eq!(scene.breaker(PHONE).generation, 0, "and nothing is kept for ever");
}

#[tokio::test(start_paused = true)]
async fn held_open_until_it_is_lifted() {
    let scene = Scene::new();
    scene.order(PHONE, OrderKind::Open, None).await;
    scene.advance(HOUR * 24 * 20).await;
    assert!(scene.send(PHONE).await.is_rejection());
    assert_eq!(scene.order(PHONE, OrderKind::Lift, None).await.state, "closed");
    assert_eq!(scene.send(PHONE).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn bypassed_lets_all_through_while_automation_counts_beneath() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    assert_eq!(scene.order(PHONE, OrderKind::Bypass, Some(HOUR)).await.state, "bypassed");
    for _ in 0..3 {
        let answer = scene.send(PHONE).await;
        assert!(!answer.is_rejection());
        assert_eq!(answer.code(), 131_031, "Meta's own word");
    }
    assert_eq!(scene.arrived(PHONE), 4);
    assert_eq!(scene.order(PHONE, OrderKind::Lift, None).await.state, "open", "what automation says");
    assert!(scene.send(PHONE).await.is_rejection());
}

#[tokio::test(start_paused = true)]
async fn a_trip_beneath_a_bypass_shows_when_it_ends() {
    let scene = Scene::new();
    scene.order(PHONE, OrderKind::Bypass, Some(Duration::from_secs(30))).await;
    scene.lock(PHONE, Profile::Async);
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.advance(Duration::from_secs(5)).await;
    assert_eq!(scene.state(PHONE), "bypassed");
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.advance(Duration::from_secs(26)).await;
    assert_eq!(scene.state(PHONE), "open");
    assert!(scene.send(PHONE).await.is_rejection());
}

#[tokio::test(start_paused = true)]
async fn a_recovery_beneath_a_hold_shows_when_it_is_lifted() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    scene.order(PHONE, OrderKind::Open, None).await;
    scene.meta.unlock(PHONE);
    scene.advance(HOUR).await;
    assert!(scene.send(PHONE).await.is_rejection(), "operators win");
    assert_eq!(scene.order(PHONE, OrderKind::Lift, None).await.state, "half_open");
}

#[tokio::test(start_paused = true)]
async fn an_order_that_races_a_trip_loses_visibly() {
    let scene = Scene::new();
    let seen = scene.breaker(PHONE).generation;
    scene.trip(PHONE).await;
    for kind in [OrderKind::Reset, OrderKind::Open, OrderKind::Bypass, OrderKind::Lift] {
        let refused = scene.order_if(PHONE, kind, None, Some(seen)).await.unwrap_err();
        assert_eq!(refused.current.0, 1, "{kind:?}");
        assert_eq!(scene.state(PHONE), "open", "{kind:?}");
    }
    assert_eq!(scene.order_if(PHONE, OrderKind::Reset, None, Some(1)).await.unwrap().state, "closed");
}

#[tokio::test(start_paused = true)]
async fn observe_computes_and_counts_and_rejects_nothing() {
    let scene = Scene::with(|config| config.mode = Mode::Observe);
    scene.trip(PHONE).await;
    for _ in 0..10 {
        let answer = scene.send(PHONE).await;
        assert!(!answer.is_rejection());
        assert_eq!(answer.code(), 131_031);
    }
    let breaker = scene.breaker(PHONE);
    assert_eq!((breaker.state, breaker.would_reject, breaker.rejected), ("open", 10, 0));
    assert_eq!(scene.arrived(PHONE), 11);
    assert_eq!(scene.metric("sendfuse_sends_total{admission=\"would_reject\"}"), 10.0);
    assert_eq!(scene.metric("sendfuse_sends_total{admission=\"reject\"}"), 0.0);
    scene.meta.unlock(PHONE);
    scene.until_state(PHONE, "half_open").await;
    for _ in 0..5 {
        assert_eq!(scene.send(PHONE).await.status, 200);
    }
    scene.until_state(PHONE, "closed").await;
    assert_eq!(scene.breaker(PHONE).would_reject, 14, "one of the five was the trial");
}

/// A phone's view names the account's breaker while that decides about its sends, and an order on the phone outranks it.
#[tokio::test(start_paused = true)]
async fn a_phone_says_that_its_account_holds_it() {
    let scene = Scene::new();
    let account = Scope::parse("waba", WABA).unwrap();
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.advance(Duration::from_secs(10)).await;
    let held = || scene.breaker(PHONE).held_by;
    assert_eq!((scene.breaker(PHONE).waba_id.as_deref(), held()), (Some(WABA), None));
    let order = async |kind| {
        let order = Order { kind, reason: "because".into(), by: "ops".into(), hold: None };
        scene.breakers().order(account, order, None).await.unwrap();
    };
    order(OrderKind::Open).await;
    assert_eq!(held(), Some(account.to_string()));
    assert!(scene.send(PHONE).await.is_rejection());
    scene.order(PHONE, OrderKind::Bypass, None).await;
    assert_eq!(held(), None);
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.order(PHONE, OrderKind::Lift, None).await;
    assert_eq!(held(), Some(account.to_string()));
    order(OrderKind::Bypass).await;
    assert_eq!(held(), None);
}
