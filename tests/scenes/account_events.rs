//! What Meta tells of accounts: each row of the state table, every shape, and what comes late, twice or in disorder.

use std::time::Duration;

use sendfuse::simulator::{BanState, EntryId, Event, Health, News, NumberIn, Profile, Reason, Shape};
use serde_json::json;

use super::harness::Scene;
use super::wabas::{HOUR, MINUTE, ONE, SECOND, STRANGE_WABA, STRANGER, TWO, WABA};

/// What an event does to a breaker that is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Opens(&'static str),
    Warns,
    Nothing,
}

fn does(news: News) -> Does {
    match news {
        News::Disabled
        | News::Restricted
        | News::AccountDeleted
        | News::AccountOffboarded
        | News::ReviewRejected => Does::Opens("all"),
        News::RestrictedBusinessInitiated => Does::Opens("business_initiated"),
        News::RestrictedCustomerInitiated => Does::Opens("customer_initiated"),
        News::ScheduledForDisable
        | News::AccountViolation
        | News::AlertCritical
        | News::AlertWarning
        | News::Flagged
        | News::Downgrade => Does::Warns,
        _ => Does::Nothing,
    }
}

fn counted(scene: &Scene, event: &str) -> f64 {
    scene.metric(&format!("sendfuse_account_events_total{{event=\"{event}\"}}"))
}

async fn met() -> Scene {
    let scene = Scene::of_wabas();
    scene.meet_all().await;
    scene
}

#[tokio::test(start_paused = true)]
async fn what_opens_what_only_warns_and_what_says_nothing() {
    for news in News::ALL {
        let scene = met().await;
        scene.tell(news).await;
        let breaker = scene.waba();
        let seen = match (breaker.state, scene.waba_probes()) {
            ("open", 1) => Does::Opens(breaker.extent.unwrap()),
            ("closed", 1) => Does::Warns,
            ("closed", 0) => Does::Nothing,
            other => panic!("{news:?}: {other:?}"),
        };
        assert_eq!(seen, does(news), "{news:?}");
        assert_eq!(counted(&scene, "warning"), f64::from(u8::from(seen == Does::Warns)), "{news:?}");
        assert_eq!(counted(&scene, "unreadable"), 0.0, "{news:?}");
        if let Does::Opens(_) = seen {
            let reason = breaker.reason.unwrap();
            assert_eq!((reason.source, reason.code), ("webhook", Some(131_031)), "{news:?}");
        } else {
            assert_eq!(breaker.generation, 0, "{news:?}");
            assert_eq!(scene.send(ONE).await.status, 200, "{news:?}");
        }
        assert_eq!(scene.waba_of(STRANGE_WABA).generation, 0, "{news:?}");
        assert_eq!((scene.state(ONE), scene.send(STRANGER).await.status), ("closed", 200), "{news:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_an_open_breaker_probed_now() {
    for news in News::ALL {
        let scene = met().await;
        scene.disable(Profile::Ban).await;
        scene.advance(HOUR).await;
        let (probes, generation) = (scene.waba_probes(), scene.waba().generation);
        // Its next check is far away.
        scene.tell(news).await;
        let lifts = [News::Reinstated, News::Unrestricted, News::ReviewApproved, News::AccountReconnected];
        // Restrictions of something else are a list without any of messages.
        let asks = lifts.contains(&news) || news == News::RestrictedElsewhere || does(news) == Does::Warns;
        assert_eq!(scene.waba_probes() - probes, usize::from(asks), "{news:?}");
        assert_eq!(scene.waba().state, "open", "still blocked: {news:?}");
        assert!(
            scene.waba().generation <= generation + 1 && scene.send(ONE).await.is_rejection(),
            "{news:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_warning_that_health_confirms_opens() {
    let scene = met().await;
    scene.block(Reason::ReviewRejected.with(Profile::Sync403), Health::Banned);
    scene.tell(News::AccountViolation).await;
    let breaker = scene.waba();
    assert_eq!((breaker.state, breaker.reason.unwrap().source), ("open", "probe"));
    assert!(scene.send(TWO).await.is_rejection());
    assert_eq!(scene.arrived(TWO), 1);
}

#[tokio::test(start_paused = true)]
async fn every_shape_says_the_same() {
    let ban_states = [BanState::Text, BanState::List];
    let numbers = [NumberIn::Absent, NumberIn::Display, NumberIn::Id];
    for ban_state in ban_states {
        for entry_id in [EntryId::Waba, EntryId::Partner] {
            for phone_number in numbers {
                for entry_first in [false, true] {
                    let shape = Shape { ban_state, entry_id, phone_number, entry_first, ..Shape::default() };
                    let scene = met().await;
                    scene.tell(Event::from(News::Disabled).shaped(shape)).await;
                    assert_eq!(scene.waba().state, "open", "{shape:?}");
                    assert_eq!(scene.waba_of(sendfuse::simulator::PARTNER).generation, 0, "{shape:?}");
                    assert!(scene.send(TWO).await.is_rejection(), "{shape:?}");
                    assert_eq!(scene.send(STRANGER).await.status, 200, "{shape:?}");
                    // And ends the same.
                    scene.advance(HOUR).await;
                    scene.tell(Event::from(News::Reinstated).shaped(shape)).await;
                    assert_eq!(scene.waba().state, "half_open", "{shape:?}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn several_ban_states_at_once_are_counted_and_change_nothing() {
    let shape = Shape { ban_state: BanState::Several, ..Shape::default() };
    for news in [News::Disabled, News::ScheduledForDisable, News::Reinstated] {
        let scene = met().await;
        scene.tell(Event::from(news).shaped(shape)).await;
        assert_eq!(
            (scene.waba().generation, counted(&scene, "unreadable"), scene.waba_probes()),
            (0, 1.0, 0)
        );
        assert_eq!(scene.send(ONE).await.status, 200);
        scene.disable(Profile::Ban).await;
        scene.advance(HOUR).await;
        let (generation, probes) = (scene.waba().generation, scene.waba_probes());
        scene.tell(Event::from(news).shaped(shape)).await;
        assert_eq!((scene.waba().generation, scene.waba_probes()), (generation, probes));
        assert_eq!(counted(&scene, "unreadable"), 2.0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_of_no_account_changes_nothing() {
    let scene = met().await;
    scene
        .tell(Event::from(News::Disabled).shaped(Shape { entry_id: EntryId::Zero, ..Shape::default() }))
        .await;
    assert_eq!((scene.waba().generation, scene.send(ONE).await.status), (0, 200));
}

#[tokio::test(start_paused = true)]
async fn what_is_said_twice_is_said_once() {
    let scene = met().await;
    scene.disable(Profile::Ban).await;
    let before = scene.waba();
    for _ in 0..3 {
        scene.tell(Event::from(News::Disabled).older_by(Duration::ZERO)).await;
    }
    scene.advance(MINUTE).await;
    scene.tell(Event::from(News::Disabled).older_by(MINUTE)).await;
    assert_eq!((scene.waba().generation, scene.waba().incident), (before.generation, before.incident));
    let incident = scene.waba_incident();
    assert_eq!((incident.transitions.len(), incident.evidence.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_said_is_in_the_incident_with_its_date() {
    let scene = met().await;
    let day = Event::from(News::AccountDeleted).older_by(HOUR * 24);
    scene.tell(day).await;
    scene.advance(SECOND * 30).await;
    scene.tell(News::ReviewRejected).await;
    let incident = scene.waba_incident();
    let said: Vec<_> = incident.evidence.iter().map(|it| (it.text.as_str(), it.stale)).collect();
    assert_eq!(said, [("account_update ACCOUNT_DELETED", false), ("account_review_update REJECTED", false)]);
    assert_eq!(incident.trip.as_ref(), incident.evidence.first());
    assert_eq!(incident.trip.unwrap().dated.unwrap().to_string(), "2026-04-30T10:00:12Z");
}

/// Banned a day ago, reinstated an hour ago: both retried for days.
#[tokio::test(start_paused = true)]
async fn a_ban_that_was_lifted_since_opens_nothing_in_whatever_order_they_come() {
    let old = |news, time| Event::from(news).older_by(time);
    let (ban, lift) = (old(News::Disabled, HOUR * 24), old(News::Reinstated, HOUR));
    let scene = met().await;
    scene.tell(lift.clone()).await;
    scene.tell(ban.clone()).await;
    assert_eq!((scene.waba().state, scene.waba().generation), ("closed", 0), "the later one holds");
    assert_eq!(scene.metric("sendfuse_stale_evidence_total"), 1.0);

    let scene = met().await;
    scene.tell(ban.clone()).await;
    assert_eq!(scene.waba().state, "open", "nothing else is known yet");
    scene.tell(lift.clone()).await;
    scene.until_waba("half_open").await;
    assert_eq!(scene.send(ONE).await.status, 200);
    scene.until_waba("closed").await;
    for event in [&ban, &lift, &ban] {
        scene.tell(event.clone()).await;
        assert_eq!(scene.waba().state, "closed", "{event:?}");
    }
    // A new one is another one.
    scene.advance(MINUTE).await;
    scene.tell(News::Disabled).await;
    assert_eq!(scene.waba().state, "open");
}

#[tokio::test(start_paused = true)]
async fn one_topic_says_nothing_of_another() {
    let scene = met().await;
    scene.tell(Event::from(News::ReviewApproved)).await;
    scene.tell(Event::from(News::AccountReconnected)).await;
    // Older than those, and about something else.
    scene.tell(Event::from(News::Disabled).older_by(MINUTE)).await;
    assert_eq!(scene.waba().state, "open");
}

#[tokio::test(start_paused = true)]
async fn several_events_in_one_post_all_count() {
    let scene = met().await;
    let at = scene.seconds(Duration::ZERO);
    let entry = |id: &str, value| json!({"id": id, "time": at, "changes": [{"field": "account_update", "value": value}]});
    let post = json!({"object": "whatsapp_business_account", "entry": [
        entry("55", json!({"event": "VERIFIED_ACCOUNT"})),
        entry(STRANGE_WABA, json!({"event": "ACCOUNT_DELETED"})),
        entry(WABA, json!({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": ["DISABLE"]}})),
    ]});
    assert_eq!(scene.webhook(&post).await, 200);
    // Open before it was acknowledged.
    assert_eq!((scene.waba().state, scene.waba_of(STRANGE_WABA).state), ("open", "open"));
    for phone in [ONE, STRANGER] {
        assert!(scene.send(phone).await.is_rejection());
    }
    scene.advance(SECOND).await;
}
