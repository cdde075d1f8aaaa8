//! Locks whose failures take their time, numbers under review, and what follows a lock.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// The next status, and how long after `begin` it came.
async fn status_since(scene: &mut Scene, begin: Instant) -> (Duration, Value) {
    let (at, webhook) = scene.webhook().await;
    (at - begin, webhook["entry"][0]["changes"][0]["value"]["statuses"][0].clone())
}

#[tokio::test(start_paused = true)]
async fn a_lock_may_have_a_delay_of_its_own() {
    let mut scene = scene(|_| {});
    scene.meta.lock(PHONE, Profile::Async.failing_after(SECOND * 7));
    call(&scene.meta, text()).await;
    let (took, status) = status_since(&mut scene, Instant::now()).await;
    assert!(locked_status(&status), "{status}");
    assert_eq!(took, SECOND * 7);
    scene.meta.unlock(PHONE);
    call(&scene.meta, text()).await;
    let (took, status) = status_since(&mut scene, Instant::now()).await;
    assert_eq!((took, &status["status"]), (DELAY, &json!("sent")), "others have the usual one");
}

#[tokio::test(start_paused = true)]
async fn each_message_draws_its_own_delay_from_a_range() {
    let mut scene = scene(|_| {});
    scene.meta.lock(PHONE, Profile::Async.failing_after("200ms..30s".parse::<Delay>().unwrap()));
    let begin = Instant::now();
    for _ in 0..200 {
        call(&scene.meta, text()).await;
    }
    let mut took = Vec::new();
    for _ in 0..200 {
        took.push(status_since(&mut scene, begin).await.0);
    }
    assert!(took[0] >= SECOND / 5 && took[199] <= SECOND * 30, "{took:?}");
    let early = took.iter().filter(|took| **took < SECOND * 15).count();
    assert!((60..140).contains(&early), "{early} of 200 in the first half");

    scene.meta.unlock(PHONE);
    scene.meta.set_status_delay(Delay::between(SECOND, SECOND * 9));
    let mut took = Vec::new();
    for _ in 0..50 {
        let begin = Instant::now();
        call(&scene.meta, text()).await;
        let (sent, delivered) =
            (status_since(&mut scene, begin).await, status_since(&mut scene, begin).await);
        assert_eq!((&sent.1["status"], &delivered.1["status"]), (&json!("sent"), &json!("delivered")));
        took.extend([sent.0, delivered.0 - sent.0]);
    }
    assert!(took.iter().all(|took| (SECOND..=SECOND * 9).contains(took)), "{took:?}");
    assert!(took.iter().max() > took.iter().min(), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_number_under_review_fails_until_it_is_unlocked() {
    let mut scene = scene(|_| {});
    scene.meta.lock(PHONE, Profile::ReviewPending);
    let phone_fields = "status,quality_rating,name_status,is_on_biz_app";
    let waba_fields = "account_review_status,business_verification_status";
    for _ in 0..3 {
        wamid(&call(&scene.meta, text()).await);
        let status = scene.status().await;
        assert!(locked_status(&status), "{status}");
        tokio::time::sleep(SECOND * 86_400).await;
    }
    for verdict in [verdict(&health(&scene.meta, PHONE).await), verdict(&health(&scene.meta, WABA).await)] {
        assert_eq!(verdict, ("LIMITED".into(), vec!["BUSINESS LIMITED 141010".into()]));
    }
    let phone = call(&scene.meta, get(&format!("/{PHONE}?fields={phone_fields}"))).await.1;
    let expected = json!({"id": PHONE, "status": "CONNECTED", "quality_rating": "UNKNOWN",
        "name_status": "PENDING_REVIEW", "is_on_biz_app": true});
    assert_eq!(phone, expected);
    let waba = call(&scene.meta, get(&format!("/{WABA}?fields={waba_fields}"))).await.1;
    let expected = json!({"id": WABA, "account_review_status": "PENDING",
        "business_verification_status": "not_verified"});
    assert_eq!(waba, expected);

    scene.meta.unlock(PHONE);
    assert_eq!(verdict(&health(&scene.meta, PHONE).await), ("AVAILABLE".into(), vec![]));
    let waba = call(&scene.meta, get(&format!("/{WABA}?fields={waba_fields}"))).await.1;
    assert_eq!(waba["account_review_status"], "APPROVED");
    call(&scene.meta, text()).await;
    assert_eq!(scene.status().await["status"], "sent");
}

#[tokio::test(start_paused = true)]
async fn after_the_unlock_windows_are_closed_for_a_while() {
    let mut scene = scene(|_| {});
    let wave = Profile::ReengagementWave { lasting: SECOND * 600, failed_percent: 100 };
    scene.meta.lock(PHONE, wave.clone());
    call(&scene.meta, text()).await;
    assert!(locked_status(&scene.status().await));
    scene.meta.unlock(PHONE);
    wamid(&call(&scene.meta, text()).await);
    let status = scene.status().await;
    assert_eq!((&status["status"], &status["errors"][0]["code"]), (&json!("failed"), &json!(131_047)));
    wamid(&call(&scene.meta, template(PHONE, "messages")).await);
    assert_eq!(scene.status().await["status"], "sent", "a template needs no window");
    assert_eq!(scene.status().await["status"], "delivered");
    tokio::time::sleep(SECOND * 600).await;
    call(&scene.meta, text()).await;
    assert_eq!(scene.status().await["status"], "sent", "it is over");
    assert_eq!(scene.status().await["status"], "delivered");

    scene.meta.lock(PHONE, wave);
    scene.meta.unlock(PHONE);
    scene.meta.lock(PHONE, Profile::Async);
    scene.meta.unlock(PHONE);
    call(&scene.meta, text()).await;
    assert_eq!(scene.status().await["status"], "sent", "the next lock has ended it");
}

#[tokio::test(start_paused = true)]
async fn a_wave_leaves_some_windows_open() {
    let mut scene = scene(|_| {});
    scene.meta.lock(PHONE, Profile::ReengagementWave { lasting: SECOND * 86_400, failed_percent: 80 });
    scene.meta.unlock(PHONE);
    let mut failed = 0;
    for _ in 0..100 {
        call(&scene.meta, text()).await;
        let status = scene.status().await;
        if status["status"] == "failed" {
            assert_eq!(status["errors"][0]["code"], 131_047);
            failed += 1;
        } else {
            assert_eq!(scene.status().await["status"], "delivered");
        }
    }
    assert!((65..95).contains(&failed), "{failed} of 100");
}

#[tokio::test(start_paused = true)]
async fn an_accepted_send_can_be_traced() {
    let scene = scene(|_| {});
    let mut seen = Vec::new();
    for _ in 0..2 {
        let answer = open(&scene.meta, text()).await.unwrap();
        assert_eq!(answer.status(), 200);
        for name in ["x-fb-request-id", "x-fb-trace-id"] {
            seen.push(answer.headers()[name].to_str().unwrap().to_owned());
        }
    }
    assert!(seen.iter().all(|id| id.len() >= 11), "{seen:?}");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 4, "each is its own");
}

#[tokio::test(start_paused = true)]
async fn the_switches_know_them() {
    let mut scene = scene(|_| {});
    for lock in [
        json!({"profile": "async", "failures_after": "1s..3s"}),
        json!({"profile": "review_pending"}),
        json!({"profile": "reengagement_wave", "lasting": "10m", "failed_percent": 80}),
    ] {
        let mut body = lock.clone();
        body["phone"] = json!(PHONE);
        assert_eq!(call(&scene.meta, switch("lock", &body)).await.0, 200, "{lock}");
        call(&scene.meta, text()).await;
        assert!(locked_status(&scene.status().await), "{lock}");
    }
    let bad = json!({"phone": PHONE, "profile": "async", "failures_after": "3s..1s"});
    assert_eq!(call(&scene.meta, switch("lock", &bad)).await.0, 400);
    scene.meta.lock(PHONE, Profile::Async);
    assert_eq!(call(&scene.meta, switch("statuses", &json!({"delay": "5s"}))).await.0, 200);
    call(&scene.meta, text()).await;
    assert_eq!(status_since(&mut scene, Instant::now()).await.0, SECOND * 5);
}
