//! Health checks while a breaker is open: when they come, with which token, and what their answers do.

use std::time::Duration;

use sendfuse::breakers::ProbeOrder;
use sendfuse::config::Secret;
use sendfuse::graph::health::Health as Found;
use sendfuse::graph::ids::WabaId;
use sendfuse::simulator::{Fault, FaultRule, Health, PHONE as ID, Profile, WABA};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::harness::{PHONE, Scene, changes, failed, id, json_request, request, text};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Opens by webhook alone: nobody has shown a token yet.
async fn trip_by_webhook(scene: &Scene) {
    let now = scene.seconds(Duration::ZERO);
    scene.webhook(&changes(PHONE, [json!({"statuses": [failed("wamid.x", 131_031, now)]})])).await;
    assert_eq!(scene.state(PHONE), "open");
    scene.settle().await;
}

fn has(scene: &Scene, condition: &str) -> bool {
    scene.breaker(PHONE).conditions.iter().any(|found| found.name == condition)
}

/// The times from each probe to the next.
async fn waits(scene: &Scene, count: u64) -> Vec<Duration> {
    let first = scene.probes(PHONE);
    let (mut last, mut waits) = (Instant::now(), Vec::new());
    for n in 1..=count {
        let enough = |counts: &sendfuse::simulator::Counts| counts.phones[PHONE].probes >= first + n;
        timeout(HOUR * 24, scene.meta.until(enough)).await.expect("a probe");
        waits.push(last.elapsed());
        last = Instant::now();
    }
    waits
}

/// What the probes showed Meta, oldest first.
fn shown(scene: &Scene) -> Vec<(String, String)> {
    let probes = scene.meta.recorded().into_iter().filter(|request| request.target.contains("health_status"));
    probes
        .map(|request| {
            let token = request.header("authorization").next().unwrap_or_default().to_vec();
            (request.target.clone(), String::from_utf8(token).unwrap())
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_comes_at_the_trip_and_diagnoses() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    scene.settle().await;
    assert_eq!((scene.probes(PHONE), scene.breaker(PHONE).probes), (1, 1));
    assert_eq!(shown(&scene), [(format!("/v23.0/{ID}?fields=health_status"), "Bearer EAAGscene".to_owned())]);
    assert_eq!(scene.breaker(PHONE).waba_id.as_deref(), Some(WABA), "and says whose it is");
    assert_eq!(scene.state(PHONE), "open", "min_open holds, however clear");
}

#[tokio::test(start_paused = true)]
async fn the_next_ones_back_off_with_jitter_up_to_the_longest() {
    let scene = Scene::new();
    scene.lock(PHONE, Profile::Ban);
    scene.send(PHONE).await;
    scene.settle().await;
    let waits = waits(&scene, 8).await;
    println!("waits between probes of a ban: {waits:?}");
    for (wait, seconds) in waits.iter().zip([30, 60, 120, 240, 480, 900, 900, 900]) {
        let longest = Duration::from_secs(seconds);
        let bounds = longest * 8 / 10 - Duration::from_millis(10)..=longest + Duration::from_millis(10);
        assert!(bounds.contains(wait), "{wait:?} of {seconds} s: {waits:?}");
    }
    let shortened = |(wait, seconds): (&Duration, u64)| *wait < Duration::from_secs(seconds) * 97 / 100;
    assert!(waits.iter().zip([30, 60, 120, 240, 480, 900, 900, 900]).any(shortened), "no jitter: {waits:?}");
    assert_eq!(scene.state(PHONE), "open");
}

#[tokio::test(start_paused = true)]
async fn recovery_needs_no_traffic() {
    let scene = Scene::new();
    scene.lock(PHONE, Profile::Ban);
    scene.send(PHONE).await;
    scene.advance(HOUR).await;
    scene.meta.unlock(PHONE);
    let took = scene.until_state(PHONE, "half_open").await;
    assert!(took <= MINUTE * 15, "{took:?}");
    assert_eq!(scene.arrived(PHONE), 1);
}

#[tokio::test(start_paused = true)]
async fn clear_health_ends_open_but_not_before_its_time() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    let took = scene.until_state(PHONE, "half_open").await;
    assert!((60_000..60_100).contains(&took.as_millis()), "min_open: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_blocks_and_what_does_not() {
    let custom =
        |entities: Value| Health::Custom(json!({"can_send_message": "BLOCKED", "entities": entities}));
    for (health, state) in [
        (Health::Available, "half_open"),
        (Health::SipBlocked, "half_open"),
        (Health::PaymentBlocked, "half_open"),
        (Health::LimitedWithErrors, "half_open"),
        (Health::Banned, "open"),
        (Health::NotLinked, "open"),
        (custom(json!([{"entity_type": "BUSINESS", "id": "1", "can_send_message": "BLOCKED"}])), "open"),
        (
            custom(json!([{"entity_type": "APP", "id": "1", "can_send_message": "BLOCKED",
            "errors": [{"error_code": 141_006}, {"error_code": 141_014}]}])),
            "open",
        ),
        (custom(json!([])), "open"),
        (Health::Custom(json!("BLOCKED")), "open"),
    ] {
        let scene = Scene::new();
        scene.meta.set_health(PHONE, Some(health.clone()));
        scene.trip(PHONE).await;
        scene.advance(MINUTE * 10).await;
        assert_eq!(scene.state(PHONE), state, "{health:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_is_never_clear() {
    let error = |status, code| Fault::Error { status, code };
    for fault in [
        error(401, 190),
        error(403, 10),
        error(400, 4),
        error(400, 80_007),
        error(500, 1),
        error(503, 2),
        error(200, 131_031),
        Fault::Stall,
        Fault::Reset,
        Fault::HalfBody,
    ] {
        let scene = Scene::with(|config| {
            config.probe.tokens.insert(PHONE.into(), Secret::new("EAAGconfigured"));
        });
        scene.meta.fault(FaultRule::probes_of(PHONE, fault.clone()));
        scene.trip(PHONE).await;
        scene.advance(HOUR * 3).await;
        assert_eq!(scene.state(PHONE), "open", "{fault:?}");
        assert!(scene.probes(PHONE) >= 10, "{fault:?}: {} probes", scene.probes(PHONE));
        assert!(scene.send(PHONE).await.is_rejection(), "{fault:?}");
        scene.meta.clear_faults(None);
        let took = scene.until_state(PHONE, "half_open").await;
        assert!(took <= MINUTE * 15 + Duration::from_secs(20), "{fault:?}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_at_a_time() {
    let scene = Scene::new();
    scene.meta.fault(FaultRule::probes_of(PHONE, Fault::Stall));
    scene.trip(PHONE).await;
    let waits = waits(&scene, 3).await;
    assert!(waits.iter().all(|wait| *wait >= Duration::from_secs(10)), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_budget_bounds_them_and_what_was_not_asked_is_no_answer() {
    let scene = Scene::with(|config| {
        config.probe.budget_per_hour = 5;
        config.probe.interval = Duration::from_secs(10);
        config.probe.max_interval = Duration::from_secs(10);
    });
    let account = || scene.breakers().view(WabaId::parse(WABA).unwrap());
    scene.lock(PHONE, Profile::Ban);
    scene.send(PHONE).await;
    let asked = |what: &str| {
        let requests = scene.meta.recorded().into_iter();
        requests.filter(|request| request.method == "GET" && request.target.contains(what)).count()
    };
    for hour in 1..=4 {
        scene.advance(HOUR - Duration::from_secs(1)).await;
        // Those of the account, and the question for its phones, are of the same budget.
        assert!(asked("") <= 5 * hour, "{} in {hour} h", asked(""));
    }
    assert!(asked("") >= 18, "and it is used: {}", asked(""));
    let (of_phone, of_account) = (asked(PHONE), asked(WABA));
    assert!(of_phone >= 6 && of_account >= 6, "both take turns: {of_phone}, {of_account}");
    assert_eq!((scene.state(PHONE), account().state), ("open", "open"));
    assert!(scene.metric("sendfuse_probes_total{outcome=\"unknown_over_budget\"}") > 0.0);
    scene.meta.unlock(PHONE);
    // One of the two may have to wait until the budget of the next hour, not longer.
    scene.advance(HOUR).await;
    assert_eq!((scene.state(PHONE), account().state), ("half_open", "half_open"));
}

#[tokio::test(start_paused = true)]
async fn without_a_token_it_says_so_until_another_call_shows_one() {
    let targets = [
        format!("/v24.0/{PHONE}"),
        format!("/{PHONE}/whatsapp_business_profile"),
        format!("/v24.0/{PHONE}?access_token=EAAGquery"),
    ];
    for target in targets {
        let scene = Scene::new();
        trip_by_webhook(&scene).await;
        assert!(has(&scene, "no_token"), "{:?}", scene.breaker(PHONE));
        assert!(
            scene.breaker(PHONE).closes_when.contains("no token"),
            "{}",
            scene.breaker(PHONE).closes_when
        );
        scene.advance(HOUR * 2).await;
        assert_eq!((scene.state(PHONE), scene.probes(PHONE)), ("open", 0));
        let mut call = request("GET", &target, "application/json", "");
        if target.contains("access_token") {
            call.headers_mut().remove("authorization");
        }
        assert_eq!(scene.call(call).await.status, 200);
        scene.settle().await;
        assert_eq!((scene.state(PHONE), scene.probes(PHONE)), ("half_open", 1), "{target}: at once");
        let (asked, token) = shown(&scene).remove(0);
        let version = if target.starts_with("/v24.0") { "v24.0" } else { "v23.0" };
        assert_eq!(asked, format!("/{version}/{PHONE}?fields=health_status"));
        let expected = if target.contains("access_token") { "Bearer EAAGquery" } else { "Bearer EAAGscene" };
        assert_eq!(token, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_meta_did_not_let_pass_on_that_phone_is_none() {
    let scene = Scene::new();
    trip_by_webhook(&scene).await;
    let refused = |target: &str, token: &str| {
        let mut call = json_request("GET", target, &Value::Null);
        call.headers_mut().insert("authorization", token.parse().unwrap());
        call
    };
    for call in [
        refused(&format!("/v23.0/{PHONE}"), "Bearer stolen"),
        refused(&format!("/v23.0/{PHONE}?fields=nonsense"), "Bearer EAAGgood"),
        refused(&format!("/v23.0/{WABA}"), "Bearer EAAGgood"),
        refused("/v23.0/206540352242922", "Bearer EAAGgood"),
        json_request("POST", &format!("/v23.0/{PHONE}/messages"), &text()),
    ] {
        scene.call(call).await;
    }
    scene.advance(HOUR).await;
    assert!(has(&scene, "no_token"));
    assert_eq!(scene.probes(PHONE), 0);
}

#[tokio::test(start_paused = true)]
async fn a_borrowed_token_is_forgotten_when_meta_calls_it_invalid() {
    let scene = Scene::new();
    scene.meta.fault(FaultRule::probes_of(PHONE, Fault::Error { status: 401, code: 190 }).times(1));
    scene.trip(PHONE).await;
    scene.advance(HOUR * 2).await;
    assert!(has(&scene, "no_token"));
    assert_eq!((scene.state(PHONE), scene.probes(PHONE)), ("open", 1), "it is not shown again");
    assert_eq!(scene.call(json_request("GET", &format!("/v23.0/{PHONE}"), &Value::Null)).await.status, 200);
    scene.settle().await;
    assert_eq!(scene.state(PHONE), "half_open");
    assert!(!has(&scene, "no_token"));
}

#[tokio::test(start_paused = true)]
async fn tokens_may_be_configured_and_borrowing_be_off() {
    for owner in [PHONE, WABA] {
        let scene = Scene::with(|config| {
            config.probe.tokens.insert(owner.into(), Secret::new("EAAGconfigured"));
        });
        trip_by_webhook(&scene).await;
        scene.until_state(PHONE, "half_open").await;
        assert_eq!(shown(&scene)[0].1, "Bearer EAAGconfigured", "{owner}");
    }
    let scene = Scene::with(|config| config.probe.borrow_token = false);
    scene.trip(PHONE).await;
    scene.advance(HOUR).await;
    assert!(has(&scene, "no_token"));
    assert_eq!(scene.probes(PHONE), 0);
}

#[tokio::test(start_paused = true)]
async fn an_operator_has_it_probed_now() {
    let scene = Scene::new();
    scene.lock(PHONE, Profile::Ban);
    scene.send(PHONE).await;
    scene.advance(HOUR).await;
    let probes = scene.probes(PHONE);
    let order = || ProbeOrder { reason: "because".into(), by: "ops".into() };
    let (health, breaker) = scene.breakers().probe(id(PHONE), order(), None).await.unwrap();
    assert!(matches!(health, Found::Blocked(_)), "{health:?}");
    assert_eq!((breaker.state, scene.probes(PHONE)), ("open", probes + 1));
    scene.meta.unlock(PHONE);
    let (health, breaker) = scene.breakers().probe(id(PHONE), order(), None).await.unwrap();
    assert!(matches!(health, Found::Clear(_)), "{health:?}");
    assert_eq!(breaker.state, "half_open");
}
