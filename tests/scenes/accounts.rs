//! How wide a lock is: all phones of an account if it is the account's, one phone if it is the phone's.

use std::time::Duration;

use sendfuse::breakers::Filter;
use sendfuse::config::{Mode, Spread};
use sendfuse::simulator::{News, Profile, Reason};
use serde_json::json;
use tokio::task::JoinSet;

use super::harness::{Scene, changes, failed, send_request};
use super::wabas::{ALL, ONE, SECOND, STRANGE_WABA, STRANGER, THREE, TWO, WABA};

const ACCOUNTS: usize = 1000;
const PHONES_EACH: usize = 10;
/// Apps that send side by side.
const APPS: usize = 20;

/// Each of these phones sends once; those that were rejected here, in their order.
async fn each_sends(scene: &Scene, phones: Vec<String>) -> Vec<String> {
    let mut apps = JoinSet::new();
    for phones in phones.chunks(phones.len() / APPS) {
        let (scene, phones) = (scene.clone(), phones.to_vec());
        apps.spawn(async move {
            let (mut app, mut rejected) = (scene.app().await, Vec::new());
            for phone in phones {
                let answer = app.call(send_request(&phone)).await;
                match answer.status {
                    200 => assert!(answer.json["messages"][0]["id"].is_string(), "Meta's own"),
                    403 if answer.is_rejection() => rejected.push(phone),
                    _ => panic!("{phone}: {answer:?}"),
                }
            }
            rejected
        });
    }
    let mut rejected = apps.join_all().await.concat();
    rejected.sort();
    rejected
}

#[tokio::test(start_paused = true)]
async fn of_a_thousand_accounts_one_is_locked_and_just_its_ten_phones_stop() {
    let scene = Scene::set(|stage| stage.meta.record = 0);
    let phones: Vec<String> = (0..ACCOUNTS * PHONES_EACH).map(|n| format!("2065403522{n:05}")).collect();
    let wabas = scene.meta.add_wabas(&phones, PHONES_EACH);
    // One phone of each account has sent; of the other nine nobody has heard.
    let first: Vec<String> = phones.iter().step_by(PHONES_EACH).cloned().collect();
    assert_eq!(each_sends(&scene, first).await, [""; 0]);
    scene.advance(SECOND * 3).await;

    let (locked, its) = (&wabas[420], &phones[4200..4210]);
    scene.meta.lock_waba(locked, Reason::Disabled.with(Profile::Ban));
    scene.meta.account_event(locked, News::Disabled);
    scene.settle().await;
    // What becomes of the ten thousand is no part of this, and takes long to tell.
    scene.meta.set_webhook_url(None);
    assert_eq!(each_sends(&scene, phones.clone()).await, its);

    let reached = |phone: &String| scene.meta.phone_counts(phone).arrived;
    assert_eq!(reached(&its[0]), 1, "what it sent before");
    assert!(its[1..].iter().all(|phone| reached(phone) == 0), "the first send of each sibling is local");
    let others: u64 = phones.iter().filter(|phone| !its.contains(phone)).map(reached).sum();
    assert_eq!(others, 999 + 9990);
    let rejected = scene.metric("sendfuse_sends_total{admission=\"reject\"}");
    assert_eq!((rejected, scene.waba_of(locked).rejected), (10.0, 10));

    // Nobody else has a breaker that is anything but closed, and none was.
    let listed = |accounts| scene.breakers().list(&Filter { accounts, limit: 100, ..Filter::default() }).0;
    let listed = [listed(true), listed(false)].concat();
    assert_eq!(listed.iter().map(|breaker| &breaker.id).collect::<Vec<_>>(), [locked]);
    assert_eq!(listed[0].phones.as_deref().map(<[String]>::len), Some(PHONES_EACH));
    let trips = |scope: &str| {
        let sources = ["webhook", "response", "probe"].map(|source| {
            scene.metric(&format!(
                "sendfuse_transitions_total{{scope=\"{scope}\",source=\"{source}\",transition=\"trip\"}}"
            ))
        });
        sources.iter().sum::<f64>()
    };
    assert_eq!((trips("waba"), trips("phone")), (1.0, 0.0));
}

#[tokio::test(start_paused = true)]
async fn a_phones_lock_is_its_own_however_many_there_are() {
    for profile in [Profile::Sync403, Profile::Sync400, Profile::Async] {
        let scene = Scene::of_wabas();
        scene.meet_all().await;
        for phone in [ONE, TWO] {
            scene.lock(phone, profile.clone());
            scene.send(phone).await;
            scene.until_state(phone, "open").await;
        }
        assert_eq!((scene.waba().state, scene.waba().generation), ("closed", 0), "{profile:?}");
        for _ in 0..3 {
            assert!(scene.send(ONE).await.is_rejection() && scene.send(TWO).await.is_rejection());
            assert_eq!((scene.send(THREE).await.status, scene.send(STRANGER).await.status), (200, 200));
            scene.advance(SECOND * 10).await;
        }
        assert_eq!(scene.waba().generation, 0, "nor do its probes widen it: {profile:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_spread_one_phones_lock_is_its_accounts() {
    for (profile, code) in [(Profile::Sync403, 131_031), (Profile::Async, 131_031), (Profile::Sync400, 368)] {
        let scene = Scene::of_wabas_set(|stage| stage.config.breaker.spread = Spread::Waba);
        scene.meet_all().await;
        scene.meta.lock(ONE, profile.lock().code(code));
        scene.send(ONE).await;
        scene.until_state(ONE, "open").await;
        assert_eq!((scene.waba().state, scene.waba().reason.unwrap().code), ("open", Some(code)));
        for phone in ALL {
            assert!(scene.send(phone).await.is_rejection(), "{phone}");
        }
        assert_eq!((scene.arrived(TWO), scene.arrived(THREE)), (1, 1), "not one more");
        assert_eq!(scene.send(STRANGER).await.status, 200);
        assert_eq!(scene.waba_of(STRANGE_WABA).state, "closed");
    }
}

#[tokio::test(start_paused = true)]
async fn with_spread_too_late_news_is_no_news() {
    let scene = Scene::of_wabas_set(|stage| stage.config.breaker.spread = Spread::Waba);
    scene.meet_all().await;
    let old = scene.send(ONE).await.wamid();
    let then = scene.seconds(Duration::ZERO);
    scene.trip(ONE).await;
    scene.meta.unlock(ONE);
    scene.until_waba("half_open").await;
    scene.until_state(ONE, "half_open").await;
    assert_eq!(scene.send(ONE).await.status, 200);
    scene.until_waba("closed").await;
    assert_eq!(scene.state(ONE), "closed");
    scene.webhook(&changes(ONE, [json!({"statuses": [failed(&old, 131_031, then)]})])).await;
    assert_eq!((scene.waba().state, scene.state(ONE)), ("closed", "closed"));
}

#[tokio::test(start_paused = true)]
async fn observe_mode_holds_no_account() {
    let scene = Scene::of_wabas_set(|stage| stage.config.mode = Mode::Observe);
    scene.meet_all().await;
    scene.disable(Profile::Sync403).await;
    for phone in ALL {
        let answer = scene.send(phone).await;
        assert!(!answer.is_rejection() && answer.code() == 131_031, "Meta's own word");
    }
    assert_eq!((scene.waba().would_reject, scene.waba().rejected), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn the_rejection_says_that_it_is_the_accounts() {
    let scene = Scene::of_wabas();
    scene.meet_all().await;
    scene.disable(Profile::Sync403).await;
    let answer = scene.send(TWO).await;
    assert_eq!((answer.status, answer.code()), (403, 131_031));
    assert_eq!(answer.header("x-sendfuse-state"), Some("open"));
    assert_eq!(answer.header("x-sendfuse-reason"), Some("131031; source=webhook"));
    assert_eq!(answer.header("x-sendfuse-incident"), scene.waba().incident.as_deref());
    let details = answer.details();
    assert!(
        details.starts_with(&format!("Held back by sendfuse with all phones of the account {WABA} since "))
    );
    assert!(details.contains("account_update DISABLED_UPDATE: DISABLE"), "{details}");
    // Its own breaker is closed; who looks at it is told what holds it.
    let breaker = scene.breaker(TWO);
    assert_eq!((breaker.state, breaker.held_by.as_deref()), ("closed", Some(&*format!("waba/{WABA}"))));
    assert_eq!(scene.breaker(STRANGER).held_by, None);
    // All that is no send passes.
    let others = [
        ("GET", format!("/v23.0/{TWO}/whatsapp_business_profile"), json!({})),
        ("POST", format!("/v23.0/{TWO}/register"), json!({"messaging_product": "whatsapp", "pin": "000001"})),
        ("GET", format!("/v23.0/{WABA}/phone_numbers"), json!({})),
        (
            "POST",
            format!("/v23.0/{TWO}/messages"),
            json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.u"}),
        ),
    ];
    for (method, target, body) in others {
        let answer = scene.call(super::harness::json_request(method, &target, &body)).await;
        assert_eq!((answer.status, answer.is_rejection()), (200, false), "{target}: {}", answer.json);
    }
}
