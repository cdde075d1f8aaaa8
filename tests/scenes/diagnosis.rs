//! What the first health check says: who blocks, why, and what Meta suggests. It decides how wide the lock is, and everybody is told.

use sendfuse::simulator::{APP, BUSINESS, Entity, Health, News, Profile, Reason};
use serde_json::json;

use super::harness::Scene;
use super::wabas::{ALL, HOUR, MINUTE, ONE, SECOND, STRANGER, TWO, WABA};

async fn met() -> Scene {
    let scene = Scene::of_wabas();
    scene.meet_all().await;
    scene
}

/// ONE meets a lock while health says this of it.
async fn one_is_locked(health: Health) -> Scene {
    let scene = met().await;
    scene.meta.set_health(ONE, Some(health));
    scene.trip(ONE).await;
    scene.settle().await;
    scene
}

#[tokio::test(start_paused = true)]
async fn an_entity_that_phones_share_opens_their_account() {
    let (entities, code) =
        ([(Entity::Waba, WABA), (Entity::Business, BUSINESS), (Entity::App, APP)], 149_999);
    for (entity, id) in entities {
        let scene = one_is_locked(Health::Blocked { entity, code }).await;
        let breaker = scene.waba();
        assert_eq!((breaker.state, breaker.reason.unwrap().source), ("open", "probe"), "{entity:?}");
        for phone in ALL {
            let (answer, arrived) = (scene.send(phone).await, scene.arrived(phone));
            assert!(answer.is_rejection(), "{entity:?}");
            assert!(answer.details().contains(id), "{entity:?}: {}", answer.details());
            assert_eq!(arrived, 1 + u64::from(phone == ONE), "{entity:?}");
        }
        assert_eq!(scene.send(STRANGER).await.status, 200, "{entity:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_phone_alone_opens_nothing_else() {
    for health in [Health::NotLinked, Health::Blocked { entity: Entity::PhoneNumber, code: 149_999 }] {
        let scene = one_is_locked(health.clone()).await;
        scene.advance(HOUR).await;
        assert_eq!((scene.state(ONE), scene.waba().generation), ("open", 0), "{health:?}");
        assert_eq!(scene.send(TWO).await.status, 200, "{health:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn payment_and_calls_neither_open_nor_hold() {
    let no_locks =
        [Health::SipBlocked, Health::AppSipBlocked, Health::PaymentBlocked, Health::LimitedWithErrors];
    for health in no_locks {
        let scene = met().await;
        // It is asked after a warning, and finds nothing.
        scene.meta.set_health(WABA, Some(health.clone()));
        scene.meta.set_health(ONE, Some(health.clone()));
        scene.tell(News::AccountViolation).await;
        assert_eq!((scene.waba_probes(), scene.waba().generation), (1, 0), "{health:?}");
        // Nor does it widen a phone's lock, nor hold one that is over.
        scene.trip(ONE).await;
        scene.meta.unlock(ONE);
        scene.until_state(ONE, "half_open").await;
        assert_eq!(scene.waba().generation, 0, "{health:?}");
        // Nor an account's.
        scene.disable(Profile::Sync403).await;
        let waited = scene.until_waba("half_open").await;
        assert!(waited < MINUTE * 3, "{health:?}: {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_lock_is_shown_all_the_same() {
    let scene = met().await;
    scene.meta.set_health(WABA, Some(Health::PaymentBlocked));
    scene.disable(Profile::Sync403).await;
    let diagnosis = scene.waba().diagnosis.unwrap();
    let waba = diagnosis.entities.iter().find(|entity| entity.kind == "WABA").unwrap();
    assert_eq!(
        (waba.blocks, waba.can_send_message.as_str(), waba.errors[0].code),
        (false, "BLOCKED", 141_006)
    );
}

#[tokio::test(start_paused = true)]
async fn a_ban_beside_an_unpaid_bill_and_a_code_that_nobody_knows_hold() {
    let holds = [
        Health::Banned,
        Health::BannedUnpaid,
        Health::Blocked { entity: Entity::Waba, code: 149_999 },
        // Blocked, and not a word why.
        Health::Custom(json!({"can_send_message": "AVAILABLE",
            "entities": [{"entity_type": "WABA", "id": WABA, "can_send_message": "BLOCKED"}]})),
    ];
    for health in holds {
        let scene = met().await;
        scene.disable(Profile::Sync403).await;
        scene.meta.set_health(WABA, Some(health.clone()));
        scene.advance(HOUR * 3).await;
        assert_eq!(scene.waba().state, "open", "{health:?}");
        assert!(scene.waba().probes > 5, "{health:?}");
        scene.meta.set_health(WABA, None);
        scene.until_waba("half_open").await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_overall_word_is_not_believed() {
    let entity = |says| json!({"entity_type": "WABA", "id": WABA, "can_send_message": says});
    for (overall, says, state) in [("BLOCKED", "AVAILABLE", "half_open"), ("AVAILABLE", "BLOCKED", "open")] {
        let scene = met().await;
        let status = json!({"can_send_message": overall, "entities": [entity(says)]});
        scene.meta.set_health(WABA, Some(Health::Custom(status)));
        scene.disable(Profile::Sync403).await;
        scene.advance(MINUTE * 10).await;
        assert_eq!(scene.waba().state, state, "{overall}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_in_the_view_the_incident_and_the_rejection() {
    let scene = met().await;
    scene.meta.lock_waba(WABA, Reason::Disabled.with(Profile::Ban).showing(Health::BannedUnpaid));
    scene.tell(News::Disabled).await;
    let diagnosis = scene.waba().diagnosis.unwrap();
    assert!(diagnosis.text.starts_with(&format!("WABA {WABA} is BLOCKED (141014: ")), "{}", diagnosis.text);
    let [entity, ..] = &diagnosis.entities[..] else { panic!("{diagnosis:?}") };
    assert_eq!((entity.kind.as_str(), entity.id.as_deref(), entity.blocks), ("WABA", Some(WABA), true));
    let codes: Vec<i64> = entity.errors.iter().map(|error| error.code).collect();
    assert_eq!(codes, [141_014, 141_006]);
    let appeal = entity.errors[0].possible_solution.clone().unwrap();
    assert!(appeal.contains("Business Support Home"));

    let probe = scene.waba_incident().probes.remove(0);
    let kept = probe.entities.iter().find(|entity| entity.kind == "WABA").unwrap();
    assert_eq!((kept.errors[0].code, kept.errors[0].possible_solution.as_ref()), (141_014, Some(&appeal)));

    let answer = scene.send(TWO).await;
    let details = answer.details();
    for told in [&appeal, &format!("WABA {WABA} is BLOCKED"), "141014", "141006"] {
        assert!(details.contains(told), "{told:?} is not in {details:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_the_first_answer_and_not_the_last() {
    let scene = met().await;
    scene.meta.set_health(WABA, Some(Health::Banned));
    scene.disable(Profile::Sync403).await;
    scene.meta.set_health(WABA, Some(Health::Blocked { entity: Entity::Business, code: 149_999 }));
    scene.advance(HOUR).await;
    assert_eq!(scene.waba().diagnosis.unwrap().entities[0].errors[0].code, 141_014);
    let last = scene.waba_incident().probes.pop().unwrap();
    let business = last.entities.iter().find(|entity| entity.kind == "BUSINESS").unwrap();
    assert_eq!((business.blocks, business.errors[0].code), (true, 149_999));
    // The next incident has its own.
    scene.meta.set_health(WABA, None);
    scene.meta.unlock_waba(WABA);
    scene.until_waba("half_open").await;
    assert_eq!(scene.send(ONE).await.status, 200);
    scene.until_waba("closed").await;
    assert!(scene.waba().diagnosis.is_none());
    scene.advance(SECOND * 10).await;
    scene.disable(Profile::Sync403).await;
    assert!(scene.waba().diagnosis.unwrap().entities.iter().all(|entity| !entity.blocks));
}
