//! Operators' orders on an account, and on a phone of an account.

use sendfuse::breakers::OrderKind;
use sendfuse::simulator::{News, Profile};

use super::harness::Scene;
use super::wabas::{ALL, HOUR, MINUTE, ONE, SECOND, STRANGER, THREE, TWO};

/// Which of the account's phones are rejected here.
async fn held(scene: &Scene) -> [bool; 3] {
    let mut held = [false; 3];
    for (held, phone) in held.iter_mut().zip(ALL) {
        *held = scene.send(phone).await.is_rejection();
    }
    held
}

async fn met() -> Scene {
    let scene = Scene::of_wabas();
    scene.meet_all().await;
    scene
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_held_open_holds_all_its_phones() {
    let scene = met().await;
    let breaker = scene.order_waba(OrderKind::Open, Some(HOUR)).await;
    assert_eq!((breaker.scope, breaker.state, breaker.generation), ("waba", "forced_open", 1));
    assert_eq!(held(&scene).await, [true; 3]);
    let answer = scene.send(ONE).await;
    assert_eq!(answer.header("x-sendfuse-state"), Some("forced_open"));
    assert!(answer.details().contains("an operator's order"), "{}", answer.details());
    assert_eq!(scene.send(STRANGER).await.status, 200);
    scene.advance(HOUR).await;
    assert_eq!((scene.waba().state, held(&scene).await), ("closed", [false; 3]));
    scene.order_waba(OrderKind::Open, None).await;
    scene.advance(HOUR * 24).await;
    assert_eq!(held(&scene).await, [true; 3]);
    assert_eq!(scene.order_waba(OrderKind::Lift, None).await.state, "closed");
    assert_eq!(held(&scene).await, [false; 3]);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_bypassed_lets_all_pass_until_it_is_lifted() {
    let scene = met().await;
    scene.disable(Profile::Sync403).await;
    scene.order_waba(OrderKind::Bypass, None).await;
    let answer = scene.send(TWO).await;
    assert!(!answer.is_rejection() && answer.code() == 131_031, "Meta's own word");
    assert_eq!(scene.order_waba(OrderKind::Lift, None).await.state, "open", "what automation says");
    assert_eq!(held(&scene).await, [true; 3]);
}

#[tokio::test(start_paused = true)]
async fn what_a_phone_meets_beneath_its_accounts_bypass_is_its_own() {
    let scene = met().await;
    scene.order_waba(OrderKind::Bypass, None).await;
    scene.trip(ONE).await;
    assert_eq!(held(&scene).await, [true, false, false]);
}

#[tokio::test(start_paused = true)]
async fn a_reset_closes_the_account_and_fences() {
    let scene = met().await;
    scene.disable(Profile::Sync403).await;
    scene.meta.unlock_waba(super::wabas::WABA);
    scene.advance(SECOND * 10).await;
    assert_eq!(scene.order_waba(OrderKind::Reset, None).await.state, "closed");
    assert_eq!(held(&scene).await, [false; 3]);
    // Meta says once more what it said before.
    scene.tell(sendfuse::simulator::Event::from(News::Disabled).older_by(SECOND * 10)).await;
    assert_eq!(scene.waba().state, "closed");
    // What is new counts.
    scene.advance(MINUTE).await;
    scene.tell(News::Disabled).await;
    assert_eq!(held(&scene).await, [true; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_reset_of_a_phone_is_no_order_against_its_account() {
    let scene = met().await;
    scene.trip(ONE).await;
    scene.disable(Profile::Sync403).await;
    scene.meta.unlock(ONE);
    scene.order(ONE, OrderKind::Reset, None).await;
    assert_eq!((scene.state(ONE), held(&scene).await), ("closed", [true; 3]));
    assert_eq!(scene.order_waba(OrderKind::Reset, None).await.state, "closed");
    scene.meta.unlock_waba(super::wabas::WABA);
    assert_eq!(held(&scene).await, [false; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_phones_bypass_outranks_whatever_holds_its_account() {
    let scene = met().await;
    for by_order in [false, true] {
        match by_order {
            false => scene.disable(Profile::Async).await,
            true => drop(scene.order_waba(OrderKind::Open, None).await),
        }
        scene.order(TWO, OrderKind::Bypass, Some(HOUR)).await;
        assert_eq!(held(&scene).await, [true, false, true], "{by_order}");
        assert_eq!(scene.breaker(TWO).held_by, None);
        scene.order(TWO, OrderKind::Lift, None).await;
        assert_eq!(held(&scene).await, [true; 3], "{by_order}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_phones_bypass_takes_no_trial_of_its_account() {
    let scene = met().await;
    scene.waba_half_open().await;
    scene.order(TWO, OrderKind::Bypass, None).await;
    for _ in 0..3 {
        assert_eq!(scene.send(TWO).await.status, 200);
    }
    assert_eq!(scene.waba().trials, 0);
    assert_eq!(scene.send(ONE).await.status, 200, "that is the trial");
    assert!(scene.send(THREE).await.is_rejection());
    assert_eq!(scene.waba().trials, 1);
}

#[tokio::test(start_paused = true)]
async fn a_phone_that_is_held_open_is_held_beneath_its_accounts_bypass() {
    let scene = met().await;
    scene.order(THREE, OrderKind::Open, None).await;
    scene.order_waba(OrderKind::Bypass, None).await;
    assert_eq!(held(&scene).await, [false, false, true]);
    scene.order_waba(OrderKind::Reset, None).await;
    assert_eq!(held(&scene).await, [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn an_operator_has_the_account_probed() {
    let scene = met().await;
    let order = || sendfuse::breakers::ProbeOrder { reason: "ticket".into(), by: "ops".into() };
    let waba = sendfuse::graph::ids::WabaId::parse(super::wabas::WABA).unwrap();
    let (_, breaker) = scene.breakers().probe(waba, order(), None).await.unwrap();
    assert_eq!(breaker.state, "closed");
    scene.meta.set_health(super::wabas::WABA, Some(sendfuse::simulator::Health::Banned));
    let (_, breaker) = scene.breakers().probe(waba, order(), None).await.unwrap();
    assert_eq!((breaker.state, breaker.reason.unwrap().source), ("open", "probe"));
    assert_eq!(held(&scene).await, [true; 3]);
}
