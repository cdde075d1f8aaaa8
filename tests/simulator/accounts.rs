//! WABAs: their phones, and locks that take all of these.

use sendfuse::simulator::{AccountLock, Reason, SHIPPED, Timeline};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const FIRST: &str = "206540352240000";
const SIBLING: &str = "206540352240001";
const STRANGER: &str = "206540352240003";

/// Three phones in a WABA, and three in another.
fn two_wabas(scene: &Scene) -> (String, String) {
    let phones = (0..6).map(|n| format!("20654035224000{n}"));
    let [one, other] = scene.meta.add_wabas(phones, 3).try_into().unwrap();
    assert_eq!((&*one, &*other), ("806540352240000", "806540352240003"));
    (one, other)
}

async fn send(meta: &Simulator, phone: &str) -> (u16, i64) {
    code(&call(meta, post(&format!("/{phone}/messages"), TEXT)).await)
}

/// The ids on a page of `phone_numbers`, and its paging.
async fn page(meta: &Simulator, target: &str) -> (Vec<String>, Value) {
    let (status, answer) = call(meta, get(target)).await;
    assert_eq!(status, 200, "{answer}");
    let ids = answer["data"].as_array().unwrap().iter().map(|phone| phone["id"].as_str().unwrap().into());
    (ids.collect(), answer["paging"].clone())
}

#[tokio::test(start_paused = true)]
async fn a_thousand_wabas_have_ten_phones_each() {
    let scene = scene(|_| {});
    let phones = (0..10_000).map(|n| format!("2065403522{n:05}"));
    let wabas = scene.meta.add_wabas(phones, 10);
    assert_eq!(wabas.len(), 1000);
    assert_eq!((&*wabas[0], &*wabas[999]), ("806540352200000", "806540352209990"));
    assert_eq!(scene.meta.waba_of("206540352209999").as_deref(), Some("806540352209990"));
    assert_eq!(scene.meta.waba_of("none"), None);
    let (ids, _) = page(&scene.meta, "/806540352200420/phone_numbers").await;
    let expected: Vec<String> = (420..430).map(|n| format!("2065403522{n:05}")).collect();
    assert_eq!(ids, expected);
    assert_eq!(scene.meta.counts().phones.len(), 1, "what nobody has named is not counted");
    let health = health(&scene.meta, "206540352200429").await;
    assert_eq!(health["entities"][1]["id"], "806540352200420");
}

#[tokio::test(start_paused = true)]
async fn the_phones_of_a_waba_come_page_by_page() {
    let scene = scene(|_| {});
    let (waba, _) = two_wabas(&scene);
    let list = format!("/v23.0/{waba}/phone_numbers");
    let (ids, paging) = page(&scene.meta, &list).await;
    assert_eq!(ids, [FIRST, SIBLING, "206540352240002"]);
    assert!(paging["cursors"]["before"].is_string() && paging.get("next").is_none(), "{paging}");

    let (ids, paging) = page(&scene.meta, &format!("{list}?limit=2&fields=id,status")).await;
    assert_eq!(ids, [FIRST, SIBLING]);
    assert!(paging.get("previous").is_none(), "{paging}");
    let next = paging["next"].as_str().unwrap().strip_prefix("http://graph.facebook.com").unwrap();
    assert!(!next.contains("EAA"), "{next}");
    let (ids, paging) = page(&scene.meta, next).await;
    assert_eq!(ids, ["206540352240002"]);
    assert!(paging.get("next").is_none(), "{paging}");
    let before = paging["cursors"]["before"].as_str().unwrap();
    let (ids, _) = page(&scene.meta, &format!("{list}?limit=1&before={before}")).await;
    assert_eq!(ids, [SIBLING]);
    let after = paging["cursors"]["after"].as_str().unwrap();
    let beyond = call(&scene.meta, get(&format!("{list}?after={after}"))).await;
    assert_eq!(beyond, (StatusCode::OK, json!({"data": []})));
}

#[tokio::test(start_paused = true)]
async fn a_list_of_phones_tells_the_fields_that_are_asked_for() {
    let scene = scene(|_| {});
    let list = format!("/{WABA}/phone_numbers");
    let (_, answer) = call(&scene.meta, get(&list)).await;
    let mut names: Vec<&String> = answer["data"][0].as_object().unwrap().keys().collect();
    names.sort();
    let expected = [
        "code_verification_status",
        "display_phone_number",
        "id",
        "last_onboarded_time",
        "platform_type",
        "quality_rating",
        "throughput",
        "verified_name",
    ];
    assert_eq!(names, expected);
    let (_, answer) = call(&scene.meta, get(&format!("{list}?fields=health_status"))).await;
    assert_eq!(answer["data"][0]["id"], PHONE);
    assert_eq!(answer["data"][0]["health_status"]["entities"][1]["id"], WABA);
    for bad in ["fields=colour", "limit=0", "limit=many", "after=!"] {
        assert_eq!(code(&call(&scene.meta, get(&format!("{list}?{bad}"))).await), (400, 100), "{bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_health_of_a_waba_speaks_of_no_phone() {
    let scene = scene(|_| {});
    let (waba, other) = two_wabas(&scene);
    let kinds = |health: Value| {
        let entities = health["entities"].as_array().unwrap().clone();
        let kinds = entities.iter().map(|entity| {
            format!("{} {}", entity["entity_type"].as_str().unwrap(), entity["id"].as_str().unwrap())
        });
        kinds.collect::<Vec<String>>()
    };
    let of_waba = kinds(health(&scene.meta, &waba).await);
    assert_eq!(of_waba[0], format!("WABA {waba}"));
    assert!(of_waba[1].starts_with("BUSINESS ") && of_waba[2].starts_with("APP ") && of_waba.len() == 3);
    assert_eq!(
        kinds(health(&scene.meta, FIRST).await)[..2],
        [format!("PHONE_NUMBER {FIRST}"), format!("WABA {waba}")]
    );

    scene.meta.set_health(&waba, Some(Health::PaymentBlocked));
    scene.meta.set_health(SIBLING, Some(Health::Available));
    let unpaid = ("BLOCKED".to_owned(), vec!["WABA BLOCKED 141006".to_owned()]);
    assert_eq!(verdict(&health(&scene.meta, &waba).await), unpaid);
    assert_eq!(verdict(&health(&scene.meta, FIRST).await), unpaid);
    assert_eq!(verdict(&health(&scene.meta, SIBLING).await).0, "AVAILABLE", "its own comes first");
    assert_eq!(verdict(&health(&scene.meta, &other).await).0, "AVAILABLE");
    assert_eq!(send(&scene.meta, FIRST).await.0, 200, "health is only what it says");
}

#[tokio::test(start_paused = true)]
async fn a_locked_waba_takes_all_its_phones_and_no_other() {
    let mut scene = scene(|_| {});
    let (waba, other) = two_wabas(&scene);
    scene.meta.lock_waba(&waba, Reason::Deleted.with(Profile::Sync403));
    assert_eq!(send(&scene.meta, FIRST).await, (403, 131_031));
    assert_eq!(send(&scene.meta, SIBLING).await, (403, 131_031));
    assert_eq!(send(&scene.meta, STRANGER).await, (200, 0));
    assert_eq!(verdict(&health(&scene.meta, FIRST).await).0, "AVAILABLE", "health stays clear all the while");
    assert_eq!(scene.meta.phone_counts(SIBLING).arrived_after_lock, 1);
    assert_eq!(scene.meta.phone_counts(SIBLING).refused, 1);
    assert_eq!(scene.meta.phone_counts(STRANGER).arrived_after_lock, 0);
    assert_eq!(scene.status().await["status"], "sent");
    assert_eq!(scene.status().await["status"], "delivered");

    let disabled = || Reason::Disabled.with(Profile::Async).showing(Health::Banned);
    scene.meta.lock_waba(&waba, disabled());
    scene.meta.unlock_waba(&other);
    assert_eq!(send(&scene.meta, FIRST).await, (403, 131_031), "both locks stand, the older one first");
    scene.meta.unlock_waba(&waba);
    scene.meta.lock_waba(&waba, disabled());
    assert_eq!(send(&scene.meta, SIBLING).await, (200, 0));
    assert!(locked_status(&scene.status().await));
    for node in [FIRST, &waba] {
        let expected = ("BLOCKED".to_owned(), vec!["WABA BLOCKED 141014".to_owned()]);
        assert_eq!(verdict(&health(&scene.meta, node).await), expected, "{node}");
    }
    let fields = call(&scene.meta, get(&format!("/{waba}?fields=status,account_review_status"))).await.1;
    assert_eq!(fields, json!({"id": waba, "status": "DISABLED", "account_review_status": "REJECTED"}));
    let fields = call(&scene.meta, get(&format!("/{FIRST}?fields=status"))).await.1;
    assert_eq!(fields["status"], "BANNED");

    scene.meta.unlock_waba(&waba);
    assert_eq!(send(&scene.meta, FIRST).await, (200, 0));
    assert_eq!(verdict(&health(&scene.meta, FIRST).await).0, "AVAILABLE");
}

#[tokio::test(start_paused = true)]
async fn phones_that_come_later_are_locked_too() {
    let scene = scene(|_| {});
    scene.meta.lock_waba("806540352240000", Reason::Offboarded.with(Profile::Sync400));
    assert_eq!(send(&scene.meta, FIRST).await, (400, 131_031), "never named before");
    scene.meta.add_wabas([FIRST, SIBLING], 2);
    assert_eq!(send(&scene.meta, SIBLING).await, (400, 131_031));
    scene.meta.unlock(SIBLING);
    assert_eq!(send(&scene.meta, SIBLING).await, (400, 131_031), "a phone's unlock does not end it");
}

#[tokio::test(start_paused = true)]
async fn a_restriction_holds_a_class() {
    let mut scene = scene(|_| {});
    let marketing = || template(PHONE, "marketing_messages");
    let restrict = |reason: Reason| scene.meta.lock_waba(WABA, reason.with(Profile::Sync403));
    let answers = async |meta: &Simulator| {
        let mut codes = Vec::new();
        for request in [template(PHONE, "messages"), marketing(), text()] {
            codes.push(code(&call(meta, request).await).1);
        }
        codes
    };
    restrict(Reason::RestrictedBusinessInitiated);
    assert_eq!(answers(&scene.meta).await, [131_031, 131_031, 0]);
    assert_eq!(scene.counts().arrived_after_lock, 2, "only what it holds");
    restrict(Reason::RestrictedCustomerInitiated);
    assert_eq!(answers(&scene.meta).await, [131_031; 3], "they add up");
    scene.meta.unlock_waba(WABA);
    restrict(Reason::RestrictedCustomerInitiated);
    assert_eq!(answers(&scene.meta).await, [0, 0, 131_031]);
    scene.meta.unlock_waba(WABA);
    restrict(Reason::Restricted);
    assert_eq!(answers(&scene.meta).await, [131_031; 3]);
    scene.meta.unlock_waba(WABA);

    while timeout(DELAY * 3, scene.webhooks.recv()).await.is_ok() {}
    scene.meta.lock_waba(WABA, Reason::RestrictedBusinessInitiated.with(Profile::Async));
    wamid(&call(&scene.meta, marketing()).await);
    assert!(locked_status(&scene.status().await));
    wamid(&call(&scene.meta, text()).await);
    assert_eq!(scene.status().await["status"], "sent");
    let waba = call(&scene.meta, get(&format!("/{WABA}?fields=status,account_review_status"))).await.1;
    assert_eq!((&waba["status"], &waba["account_review_status"]), (&json!("ACTIVE"), &json!("APPROVED")));
}

#[tokio::test(start_paused = true)]
async fn a_restriction_runs_out_in_silence() {
    let mut scene = scene(|_| {});
    let lock = Profile::Sync403.lock().expiring_after(SECOND * 60);
    scene.meta.lock_waba(WABA, Reason::Restricted.with(lock).showing(Health::Banned));
    tokio::time::sleep(SECOND * 59).await;
    assert_eq!(code(&call(&scene.meta, text()).await), (403, 131_031));
    assert_eq!(verdict(&health(&scene.meta, WABA).await).0, "BLOCKED");
    tokio::time::sleep(SECOND).await;
    assert_eq!(verdict(&health(&scene.meta, WABA).await).0, "AVAILABLE");
    assert!(scene.silence().await);
    assert_eq!(code(&call(&scene.meta, text()).await).0, 200);
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_lock_follows_on_every_phone() {
    let mut scene = scene(|_| {});
    let (waba, _) = two_wabas(&scene);
    let repeated = Profile::LateDuplicates { after: SECOND * 100 };
    scene.meta.lock_waba(&waba, Reason::Disabled.with(repeated));
    for phone in [FIRST, SIBLING] {
        send(&scene.meta, phone).await;
        assert!(locked_status(&scene.status().await));
    }
    scene.meta.unlock_waba(&waba);
    let again = [scene.status().await, scene.status().await];
    assert!(again.iter().all(locked_status), "{again:?}");
    assert!(scene.silence().await);
}

#[tokio::test(start_paused = true)]
async fn the_review_of_a_waba_can_be_rejected() {
    let scene = scene(|_| {});
    scene.meta.lock_waba(WABA, Reason::ReviewRejected.with(Profile::Sync403));
    let waba = call(&scene.meta, get(&format!("/{WABA}?fields=status,account_review_status"))).await.1;
    assert_eq!(waba, json!({"id": WABA, "status": "ACTIVE", "account_review_status": "REJECTED"}));
}

#[tokio::test(start_paused = true)]
async fn the_switches_know_them() {
    let scene = scene(|_| {});
    let made = json!({"phones": format!("{FIRST}..206540352240005"), "each": 3});
    let made = call(&scene.meta, switch("wabas", &made)).await;
    assert_eq!(made, (StatusCode::OK, json!({"wabas": ["806540352240000", "806540352240003"]})));
    for bad in [json!({"phones": "9..1", "each": 1}), json!({"phones": FIRST})] {
        assert_eq!(call(&scene.meta, switch("wabas", &bad)).await.0, 400, "{bad}");
    }
    let lock = json!({"waba": "806540352240000", "reason": "restricted_business_initiated", "profile": "sync403",
        "expires_after": "10m", "health": "banned"});
    let read: AccountLock = serde_json::from_value(lock.clone()).unwrap();
    let expected = Profile::Sync403.lock().expiring_after(SECOND * 600);
    assert_eq!(read, Reason::RestrictedBusinessInitiated.with(expected).showing(Health::Banned));
    assert_eq!(call(&scene.meta, switch("lock_waba", &lock)).await.0, 200);
    assert_eq!(code(&call(&scene.meta, template(SIBLING, "messages")).await), (403, 131_031));
    assert_eq!(send(&scene.meta, SIBLING).await, (200, 0));
    assert_eq!(call(&scene.meta, switch("unlock_waba", &json!({"waba": "806540352240000"}))).await.0, 200);
    assert_eq!(code(&call(&scene.meta, template(SIBLING, "messages")).await), (200, 0));
}

#[tokio::test(start_paused = true)]
async fn timelines_know_them() {
    let scene = scene(|_| {});
    let text = "phones all_of_them = 206540352200000..206540352209999
        at 0s wabas all_of_them 10
        at 1s lock_waba 206540352200423 disabled sync403   # by a phone
        at 1s lock_waba 806540352200430 deleted sync400    # by its id
        at 2s unlock_waba 806540352200420";
    let playing = tokio::spawn(scene.meta.play(Timeline::parse(text).unwrap()));
    tokio::time::sleep(SECOND * 3 / 2).await;
    assert_eq!(send(&scene.meta, "206540352200429").await, (403, 131_031));
    assert_eq!(send(&scene.meta, "206540352200430").await, (400, 131_031));
    assert_eq!(send(&scene.meta, "206540352200440").await, (200, 0));
    playing.await.unwrap();
    assert_eq!(send(&scene.meta, "206540352200429").await, (200, 0));
}

fn shipped(name: &str) -> Timeline {
    let (_, text) = SHIPPED.into_iter().find(|(shipped, _)| *shipped == name).unwrap();
    Timeline::parse(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_shipped_ban_takes_the_whole_waba() {
    let mut scene = scene(|_| {});
    let (waba, _) = two_wabas(&scene);
    let mut moments = shipped("waba_ban").with_phones("locked", [FIRST]).unwrap().moments();
    scene.meta.play(moments.next().unwrap()).await;
    let event = scene.webhook().await.1;
    assert_eq!(event["entry"][0]["id"], *waba);
    assert_eq!(event["entry"][0]["changes"][0]["value"]["ban_info"]["waba_ban_state"], "DISABLE");
    send(&scene.meta, SIBLING).await;
    assert!(locked_status(&scene.status().await));
    assert_eq!(verdict(&health(&scene.meta, SIBLING).await).0, "BLOCKED");
    scene.meta.play(moments.next().unwrap()).await;
    let event = scene.webhook().await.1;
    assert_eq!(event["entry"][0]["changes"][0]["value"]["ban_info"]["waba_ban_state"], "REINSTATE");
    send(&scene.meta, SIBLING).await;
    assert_eq!(scene.status().await["status"], "sent");
}

#[tokio::test(start_paused = true)]
async fn the_shipped_restriction_lets_replies_flow() {
    let mut scene = scene(|_| {});
    scene.meta.play(shipped("business_initiated")).await;
    let event = scene.webhook().await.1;
    let restriction = &event["entry"][0]["changes"][0]["value"]["restriction_info"][0];
    assert_eq!(restriction["restriction_type"], "RESTRICTED_BIZ_INITIATED_MESSAGING");
    assert_eq!(restriction["expiration"], NOON + 605);
    call(&scene.meta, template(PHONE, "messages")).await;
    assert!(locked_status(&scene.status().await));
    call(&scene.meta, text()).await;
    assert_eq!(scene.status().await["status"], "sent");
    assert_eq!(scene.status().await["status"], "delivered");
    tokio::time::sleep(SECOND * 600).await;
    call(&scene.meta, template(PHONE, "messages")).await;
    assert_eq!(scene.status().await["status"], "sent", "it has run out");
}
