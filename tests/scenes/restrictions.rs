//! Restrictions and their dates: what ends by itself, what ends sooner, and what does not end for all that health says.

use std::time::Duration;

use sendfuse::breaker::TransitionKind;
use sendfuse::breakers::OrderKind;
use sendfuse::simulator::{Event, Expiration, Health, News, Profile, Reason, Shape};
use serde_json::{Value, json};

use super::harness::{Answer, Scene, json_request};
use super::kept::Kept;
use super::wabas::{HOUR, MINUTE, ONE, SECOND, TWO, WABA};

const BUSINESS: &str = "RESTRICTED_BIZ_INITIATED_MESSAGING";
const CUSTOMER: &str = "RESTRICTED_CUSTOMER_INITIATED_MESSAGING";

async fn template(scene: &Scene) -> Answer {
    let body = json!({"messaging_product": "whatsapp", "to": "16505551234", "type": "template",
        "template": {"name": "summer", "language": {"code": "en_US"}}});
    scene.call(json_request("POST", &format!("/v23.0/{TWO}/messages"), &body)).await
}

/// Posts a list of restrictions: each its type and its `expiration`, if it is not null.
async fn list(scene: &Scene, restrictions: &[(&str, Value)]) {
    let info: Vec<Value> = restrictions
        .iter()
        .map(|(kind, end)| match end {
            Value::Null => json!({"restriction_type": kind}),
            end => json!({"restriction_type": kind, "expiration": end}),
        })
        .collect();
    let post = json!({"object": "whatsapp_business_account", "entry": [{"id": WABA,
        "time": scene.seconds(Duration::ZERO), "changes": [{"field": "account_update",
            "value": {"event": "ACCOUNT_RESTRICTION", "restriction_info": info}}]}]});
    assert_eq!(scene.webhook(&post).await, 200);
    scene.settle().await;
}

fn later(scene: &Scene, time: Duration) -> i64 {
    scene.seconds(Duration::ZERO) + i64::try_from(time.as_secs()).unwrap()
}

async fn met() -> Scene {
    let scene = Scene::of_wabas();
    scene.meet_all().await;
    scene
}

#[tokio::test(start_paused = true)]
async fn one_with_a_date_lifts_itself_through_a_probe_then_and_not_before() {
    for expiration in [Expiration::Seconds, Expiration::Iso] {
        let scene = met().await;
        let lock = Profile::Sync403.lock().expiring_after(HOUR * 72);
        scene.meta.lock_waba(WABA, Reason::Restricted.with(lock));
        let shape = Shape { expiration, ..Shape::default() };
        scene.tell(Event::from(News::Restricted).expiring_after(HOUR * 72).shaped(shape)).await;
        let rejection = scene.send(ONE).await;
        let next: u64 = rejection.header("x-sendfuse-next-check").unwrap().parse().unwrap();
        assert!(next > 71 * 3600, "no look before its date: {next}");
        let details = rejection.details().to_owned();
        assert!(details.contains("It is restricted until 2026-05-04T10:00"), "{details}");
        assert!(
            scene.waba().closes_when.contains("not before 2026-05-04T10:00"),
            "{}",
            scene.waba().closes_when
        );
        for _ in 0..71 {
            scene.advance(HOUR).await;
            assert_eq!(scene.waba().state, "open", "however clear health is");
            assert!(scene.send(ONE).await.is_rejection());
        }
        let probes = scene.waba_probes();
        assert!(probes > 71, "it is looked at all the while: {probes}");
        let waited = scene.until_waba("half_open").await;
        let date = Duration::from_secs(3600);
        assert!(waited <= date && waited > date - MINUTE, "at its date: {waited:?}");
        assert!(scene.waba_probes() > probes, "a probe says so");
        assert_eq!(scene.send(ONE).await.status, 200);
        scene.until_waba("closed").await;
        assert_eq!(scene.waba_incident().transitions.len(), 3, "and all the while nothing else happened");
    }
}

#[tokio::test(start_paused = true)]
async fn one_whose_date_is_over_is_not_over_where_health_blocks() {
    let scene = met().await;
    scene.tell(Event::from(News::Restricted).expiring_after(HOUR)).await;
    scene.meta.set_health(WABA, Some(Health::Banned));
    scene.advance(HOUR * 24).await;
    assert_eq!(scene.waba().state, "open");
    scene.meta.set_health(WABA, None);
    scene.until_waba("half_open").await;
}

#[tokio::test(start_paused = true)]
async fn one_without_a_date_ends_as_a_lock_does() {
    let scene = met().await;
    scene.tell(News::RestrictedBusinessInitiated).await;
    let waited = scene.until_waba("half_open").await;
    assert!(waited >= MINUTE && waited < MINUTE * 3, "{waited:?}");
    assert_eq!(template(&scene).await.status, 200);
    scene.until_waba("closed").await;
}

#[tokio::test(start_paused = true)]
async fn a_later_list_without_it_a_reinstatement_or_an_operator_ends_it_before_its_date() {
    for news in [News::Unrestricted, News::RestrictedElsewhere, News::Reinstated] {
        let scene = met().await;
        scene.tell(Event::from(News::Restricted).expiring_after(HOUR * 72)).await;
        scene.advance(HOUR).await;
        scene.tell(news).await;
        assert_eq!(scene.waba().state, "half_open", "probed now: {news:?}");
    }
    // What only asks for a look does not take the date away.
    for news in [News::ReviewApproved, News::AccountReconnected] {
        let scene = met().await;
        scene.tell(Event::from(News::Restricted).expiring_after(HOUR * 72)).await;
        scene.advance(HOUR).await;
        scene.tell(news).await;
        assert_eq!(scene.waba().state, "open", "{news:?}");
        assert_eq!(scene.order_waba(OrderKind::Reset, None).await.state, "closed");
        assert_eq!(scene.send(ONE).await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn an_older_list_says_nothing() {
    let scene = met().await;
    scene.tell(Event::from(News::RestrictedBusinessInitiated).expiring_after(HOUR * 72)).await;
    let before = scene.waba();
    for news in [News::Unrestricted, News::Restricted] {
        scene.tell(Event::from(news).older_by(HOUR)).await;
        let after = scene.waba();
        assert_eq!(
            (after.generation, after.extent),
            (before.generation, Some("business_initiated")),
            "{news:?}"
        );
    }
    scene.advance(HOUR).await;
    assert_eq!(scene.waba().state, "open");
}

#[tokio::test(start_paused = true)]
async fn each_class_ends_at_its_own_date() {
    let scene = met().await;
    let ends = [(BUSINESS, json!(later(&scene, HOUR))), (CUSTOMER, json!(later(&scene, HOUR * 3)))];
    list(&scene, &ends).await;
    assert_eq!(scene.waba().extent, Some("all"));
    scene.advance(HOUR - MINUTE).await;
    assert!(template(&scene).await.is_rejection() && scene.send(TWO).await.is_rejection());
    scene.advance(MINUTE * 2).await;
    // Recovery is shown, of one class as of all. The other waits for its own date.
    assert_eq!((scene.waba().state, scene.waba().extent), ("half_open", Some("all")));
    let rejection = scene.send(TWO).await;
    assert!(rejection.is_rejection());
    assert!(rejection.header("x-sendfuse-next-check").unwrap().parse::<u64>().unwrap() > 3600);
    assert_eq!(template(&scene).await.status, 200, "the trial");
    scene.until_waba("open").await;
    assert_eq!(scene.waba().extent, Some("customer_initiated"));
    assert_eq!(template(&scene).await.status, 200);
    assert!(scene.send(TWO).await.is_rejection());
    scene.advance(HOUR * 2).await;
    assert_eq!(scene.waba().state, "half_open");
    assert_eq!(scene.send(TWO).await.status, 200);
    scene.until_waba("closed").await;
    let steps: Vec<_> = scene.waba_incident().transitions.iter().map(|step| step.transition).collect();
    use TransitionKind::{Close, Extent, HalfOpen, Trip};
    assert_eq!(steps, [Trip, HalfOpen, Extent, HalfOpen, Close]);
}

#[tokio::test(start_paused = true)]
async fn two_lists_combine_and_the_newest_date_holds() {
    let scene = met().await;
    list(&scene, &[(BUSINESS, json!(later(&scene, HOUR * 72)))]).await;
    assert_eq!(scene.send(ONE).await.status, 200);
    scene.advance(MINUTE).await;
    let both = [(BUSINESS, json!(later(&scene, HOUR * 2))), (CUSTOMER, json!(later(&scene, HOUR * 2)))];
    list(&scene, &both).await;
    assert_eq!(scene.waba().extent, Some("all"));
    assert!(scene.send(ONE).await.is_rejection());
    scene.advance(HOUR * 2 - MINUTE).await;
    assert_eq!(scene.waba().state, "open");
    scene.advance(MINUTE * 2).await;
    assert_eq!(scene.waba().state, "half_open", "two hours, and not three days");
}

#[tokio::test(start_paused = true)]
async fn an_absurd_date_is_none() {
    let absurd = [
        json!(0),
        json!(-1),
        json!("soon"),
        json!([]),
        json!({}),
        json!(true),
        json!(i64::MAX),
        json!(1e300),
        json!("2026-13-45T00:00:00Z"),
        json!("9999-99-99"),
    ];
    for date in absurd {
        let scene = met().await;
        list(&scene, &[(BUSINESS, date.clone()), (CUSTOMER, date.clone())]).await;
        assert_eq!((scene.waba().state, scene.waba().extent), ("open", Some("all")), "{date}");
        let waited = scene.until_waba("half_open").await;
        assert!(waited < MINUTE * 3, "{date}: {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_date_is_kept_across_a_restart() {
    let store = Kept::default();
    let scene = Scene::of_wabas_set(|stage| stage.store = std::sync::Arc::new(store));
    scene.meet_all().await;
    scene.tell(Event::from(News::RestrictedBusinessInitiated).expiring_after(HOUR * 5)).await;
    let scene = scene.restart(HOUR).await;
    assert!(template(&scene).await.is_rejection());
    assert_eq!(scene.send(ONE).await.status, 200);
    scene.advance(HOUR * 4 - MINUTE).await;
    assert_eq!((scene.waba().state, scene.waba().extent), ("open", Some("business_initiated")));
    // Its date comes and goes while nobody runs.
    let scene = scene.restart(HOUR).await;
    scene.advance(SECOND * 30).await;
    // No token is known after a restart: a call that passes brings one.
    assert_eq!(scene.send(ONE).await.status, 200);
    scene.until_waba("half_open").await;
}
