//! Failures that are no 131031, and what health says of them.

use sendfuse::simulator::Entity;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn text_to(number: &str) -> Request<Full<Bytes>> {
    let body = json!({"messaging_product": "whatsapp", "to": number, "type": "text", "text": {"body": "hi"}});
    post(&format!("/{PHONE}/messages"), &body.to_string())
}

fn failed_by(status: &Value) -> &Value {
    assert_eq!(status["status"], "failed", "{status}");
    &status["errors"][0]["code"]
}

#[tokio::test(start_paused = true)]
async fn spam_holds_what_the_business_begins_for_a_time() {
    let mut scene = scene(|_| {});
    let spam = |profile: Profile| {
        profile.lock().code(131_048).only(Class::BusinessInitiated).expiring_after(SECOND * 60)
    };
    scene.meta.lock(PHONE, spam(Profile::Sync400));
    let refused = call(&scene.meta, template(PHONE, "messages")).await;
    assert_eq!(code(&refused), (400, 131_048));
    assert_eq!(refused.1["error"]["message"], "(#131048) Spam rate limit hit");
    wamid(&call(&scene.meta, text()).await);
    assert_eq!(
        scene.counts(),
        PhoneCounts { arrived: 2, arrived_after_lock: 1, refused: 1, accepted: 1, ..PhoneCounts::default() }
    );
    tokio::time::sleep(SECOND * 60).await;
    wamid(&call(&scene.meta, template(PHONE, "marketing_messages")).await);
    for _ in 0..4 {
        assert_ne!(scene.status().await["status"], "failed");
    }

    scene.meta.lock(PHONE, spam(Profile::Async));
    wamid(&call(&scene.meta, template(PHONE, "messages")).await);
    let status = scene.status().await;
    assert_eq!(failed_by(&status), 131_048);
    assert_eq!(status["errors"][0]["title"], "Spam rate limit hit");
    assert_eq!(verdict(&health(&scene.meta, PHONE).await).0, "AVAILABLE");
}

#[tokio::test(start_paused = true)]
async fn a_country_is_held_by_how_its_numbers_begin() {
    let mut scene = scene(|_| {});
    let country = |profile: Profile| profile.lock().code(130_497).calling_code("55");
    scene.meta.lock(PHONE, country(Profile::Sync403));
    assert_eq!(code(&call(&scene.meta, text_to("+55 11 98765 4321")).await), (403, 130_497));
    assert_eq!(code(&call(&scene.meta, text_to("1 655 000 1234")).await), (200, 0));
    assert_eq!((scene.counts().arrived_after_lock, scene.counts().refused), (1, 1));
    assert_eq!(scene.status().await["status"], "sent");
    assert_eq!(scene.status().await["status"], "delivered");
    scene.meta.lock(PHONE, country(Profile::Async));
    wamid(&call(&scene.meta, text_to("5511987654321")).await);
    assert_eq!(failed_by(&scene.status().await), 130_497);

    scene.meta.lock(PHONE, Profile::Sync403);
    assert_eq!(code(&call(&scene.meta, text()).await), (403, 131_031), "beside it");
    scene.meta.unlock(PHONE);
    assert_eq!(code(&call(&scene.meta, text_to("5511987654321")).await), (200, 0), "all are ended");
}

#[tokio::test(start_paused = true)]
async fn the_other_code_of_a_lock_is_like_it() {
    let mut scene = scene(|_| {});
    scene.meta.lock(PHONE, Profile::Sync403.lock().code(368));
    assert_eq!(code(&call(&scene.meta, text()).await), (403, 368));
    scene.meta.unlock(PHONE);
    scene.meta.lock(PHONE, Profile::Async.lock().code(368));
    wamid(&call(&scene.meta, text()).await);
    assert_eq!(failed_by(&scene.status().await), 368);
    assert_eq!((scene.counts().refused, scene.counts().failed), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_is_no_good_for_anything() {
    let scene = scene(|_| {});
    scene.meta.revoke_token("EAAJtest");
    let batch = json!([
        {"method": "GET", "relative_url": PHONE},
        {"method": "GET", "relative_url": format!("{PHONE}?access_token=EAAother")},
    ]);
    for request in
        [text(), get(&format!("/{PHONE}?fields=health_status")), get(&format!("/{WABA}/phone_numbers"))]
    {
        let refused = call(&scene.meta, request).await;
        assert_eq!(code(&refused), (401, 190));
        assert_eq!(refused.1["error"]["error_subcode"], 460);
    }
    let answers = call(&scene.meta, post("/", &json!({"batch": batch}).to_string())).await.1;
    assert_eq!((&answers[0]["code"], &answers[1]["code"]), (&json!(401), &json!(200)));
    let mut other = text();
    other.headers_mut().insert("authorization", "Bearer EAAother".parse().unwrap());
    wamid(&call(&scene.meta, other).await);
    assert_eq!(scene.counts().refused, 0, "the phone is not to blame");
    scene.meta.restore_token("EAAJtest");
    wamid(&call(&scene.meta, text()).await);
}

#[tokio::test(start_paused = true)]
async fn health_has_an_answer_for_each_hazard() {
    let scene = scene(|_| {});
    let unknown = |entity| Health::Blocked { entity, code: 141_099 };
    for (set, overall, blamed) in [
        (Health::AppSipBlocked, "BLOCKED", vec!["APP AVAILABLE 138025 138026"]),
        (Health::SipBlocked, "BLOCKED", vec!["PHONE_NUMBER AVAILABLE 138024"]),
        (Health::PaymentBlocked, "BLOCKED", vec!["WABA BLOCKED 141006"]),
        (Health::BannedUnpaid, "BLOCKED", vec!["WABA BLOCKED 141014 141006"]),
        (unknown(Entity::PhoneNumber), "BLOCKED", vec!["PHONE_NUMBER BLOCKED 141099"]),
        (unknown(Entity::Waba), "BLOCKED", vec!["WABA BLOCKED 141099"]),
        (unknown(Entity::Business), "BLOCKED", vec!["BUSINESS BLOCKED 141099"]),
        (unknown(Entity::App), "BLOCKED", vec!["APP BLOCKED 141099"]),
    ] {
        scene.meta.set_health(PHONE, Some(set.clone()));
        let health = health(&scene.meta, PHONE).await;
        let blamed: Vec<String> = blamed.into_iter().map(str::to_owned).collect();
        assert_eq!(verdict(&health), (overall.to_owned(), blamed), "{set:?}");
        let errors =
            health["entities"].as_array().unwrap().iter().flat_map(|entity| entity["errors"].as_array());
        for error in errors.flatten() {
            let solution = error["possible_solution"].as_str().unwrap();
            assert!(solution.len() > 10, "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn unpaid_stops_what_the_business_begins() {
    let scene = scene(|_| {});
    scene.meta.set_health(WABA, Some(Health::PaymentBlocked));
    scene.meta.lock(PHONE, Profile::Sync400.lock().code(131_042).only(Class::BusinessInitiated));
    assert_eq!(code(&call(&scene.meta, template(PHONE, "messages")).await), (400, 131_042));
    assert_eq!(code(&call(&scene.meta, text()).await), (200, 0));
    assert_eq!(verdict(&health(&scene.meta, PHONE).await).1, ["WABA BLOCKED 141006"]);
}

#[tokio::test(start_paused = true)]
async fn the_switches_know_them() {
    let scene = scene(|_| {});
    let lock = json!({"phone": PHONE, "profile": "sync400", "code": 131_048, "class": "business_initiated",
        "expires_after": "1m"});
    assert_eq!(call(&scene.meta, switch("lock", &lock)).await.0, 200);
    assert_eq!(code(&call(&scene.meta, template(PHONE, "messages")).await), (400, 131_048));
    assert_eq!(code(&call(&scene.meta, text()).await), (200, 0));
    let lock = json!({"phone": PHONE, "profile": "sync403", "code": 130_497, "calling_code": "1650"});
    assert_eq!(call(&scene.meta, switch("lock", &lock)).await.0, 200);
    assert_eq!(code(&call(&scene.meta, text()).await), (403, 130_497));
    let blocked = json!({"phone": PHONE, "health": {"blocked": {"entity": "PHONE_NUMBER", "code": 141_000}}});
    assert_eq!(call(&scene.meta, switch("health", &blocked)).await.0, 200);
    assert_eq!(verdict(&health(&scene.meta, PHONE).await).1, ["PHONE_NUMBER BLOCKED 141000"]);
    let token = json!({"token": "EAAJtest"});
    assert_eq!(call(&scene.meta, switch("revoke_token", &token)).await.0, 200);
    assert_eq!(code(&call(&scene.meta, text()).await), (401, 190));
    assert_eq!(call(&scene.meta, switch("restore_token", &token)).await.0, 200);
    assert_eq!(code(&call(&scene.meta, text()).await), (403, 130_497));
}
