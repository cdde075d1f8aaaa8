//! Watching: health checks of phones that are closed, to open before the first send fails.

use std::time::Duration;

use sendfuse::breaker::Scope;
use sendfuse::breakers::{BreakerView, Order, OrderKind, ProbeOrder};
use sendfuse::config::Secret;
use sendfuse::graph::health::Health as Found;
use sendfuse::graph::ids::WabaId;
use sendfuse::simulator::{Fault, FaultRule, Health, Profile, WABA};
use serde_json::json;

use super::harness::{BEGIN, OTHER, PHONE, Scene, changes, id, status};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Every phone that sends is looked at every ten minutes.
fn watching() -> Scene {
    Scene::with(|config| config.probe.watch = Some(MINUTE * 10))
}

/// The breaker of the account that [`PHONE`] belongs to.
fn account(scene: &Scene) -> BreakerView {
    scene.breakers().view(WabaId::parse(WABA).unwrap())
}

/// What can block, by its health: the phone, or the account for all its phones. And whose breaker that opens.
type Blocks = [(&'static str, Health, fn(&Scene) -> BreakerView); 2];
const BLOCKS: Blocks =
    [(PHONE, Health::NotLinked, |scene| scene.breaker(PHONE)), (WABA, Health::Banned, account)];

fn is_deaf(scene: &Scene) -> Option<String> {
    let conditions = scene.breaker(PHONE).conditions;
    conditions.into_iter().find(|condition| condition.name == "deaf").map(|condition| condition.text)
}

fn webhooks_go_nowhere(scene: &Scene) {
    scene.meta.set_webhook_url(None);
}

/// Sends every `pause` for so long; all must be accepted.
async fn sends_for(scene: &Scene, phone: &str, time: Duration, pause: Duration) {
    for _ in 0..time.as_secs() / pause.as_secs() {
        assert_eq!(scene.send(phone).await.status, 200);
        scene.advance(pause).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_ban_opens_before_the_first_send_fails() {
    let scene = watching();
    sends_for(&scene, PHONE, HOUR * 2, MINUTE * 20).await;
    let arrived = scene.arrived(PHONE);
    scene.lock(PHONE, Profile::Ban);
    let took = scene.until(PHONE, |breaker| breaker.held_by.is_some()).await;
    assert!(took <= MINUTE * 10 + SECOND * 15, "{took:?}");
    // It is the account that is banned, so it is the account's breaker that holds.
    assert_eq!((scene.state(PHONE), scene.breaker(PHONE).generation), ("closed", 0));
    let (breaker, probes) = (account(&scene), scene.probes(PHONE));
    assert_eq!(breaker.state, "open");
    let reason = breaker.reason.expect("a reason");
    assert_eq!((reason.code, reason.source), (Some(141_014), "probe"));
    assert!(reason.text.contains("BLOCKED"), "{reason:?}");
    for _ in 0..3 {
        let answer = scene.send(PHONE).await;
        assert!(answer.is_rejection());
        assert_eq!(answer.header("x-sendfuse-reason"), Some("141014; source=probe"));
        scene.advance(MINUTE * 20).await;
    }
    assert_eq!(scene.arrived(PHONE), arrived, "no send met the ban");
    assert!(account(&scene).probes > breaker.probes, "the account is asked about");
    assert_eq!(scene.probes(PHONE), probes, "what is held is not watched beside");
    // And from there on it is as any other lock.
    scene.meta.unlock(PHONE);
    scene.until(PHONE, |_| account(&scene).state == "half_open").await;
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.until(PHONE, |breaker| breaker.held_by.is_none()).await;
    assert_eq!(account(&scene).state, "closed");
}

#[tokio::test(start_paused = true)]
async fn without_it_the_ban_costs_a_send() {
    let scene = Scene::new();
    sends_for(&scene, PHONE, HOUR, MINUTE * 20).await;
    scene.lock(PHONE, Profile::Ban);
    scene.advance(HOUR).await;
    assert_eq!((scene.state(PHONE), scene.probes(PHONE)), ("closed", 0));
    assert_eq!(scene.send(PHONE).await.code(), 131_031);
}

#[tokio::test(start_paused = true)]
async fn what_is_clear_or_unknown_changes_nothing() {
    let scene = watching();
    sends_for(&scene, PHONE, HOUR * 24, MINUTE * 30).await;
    let probes = scene.probes(PHONE);
    assert!((140..=145).contains(&probes), "every ten minutes of a day: {probes}");
    let error = |status, code| Fault::Error { status, code };
    for fault in
        [error(400, 80_007), error(500, 1), error(403, 10), Fault::Stall, Fault::Reset, Fault::HalfBody]
    {
        scene.meta.fault(FaultRule::probes_of(PHONE, fault));
        sends_for(&scene, PHONE, HOUR, MINUTE * 30).await;
        scene.meta.clear_faults(None);
    }
    for health in [Health::SipBlocked, Health::PaymentBlocked, Health::LimitedWithErrors] {
        scene.meta.set_health(PHONE, Some(health));
        sends_for(&scene, PHONE, HOUR, MINUTE * 30).await;
    }
    assert!(scene.probes(PHONE) >= probes + 50, "{}", scene.probes(PHONE));
    let breaker = scene.breaker(PHONE);
    assert_eq!((breaker.state, breaker.generation, breaker.conditions.len()), ("closed", 0, 0));
    assert_eq!(scene.metric("sendfuse_breakers{state=\"closed\"}"), 0.0, "it was never made");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_send_is_not_looked_at() {
    let scene = watching();
    // Another call shows a token and makes no phone active, nor does a status.
    let seen = status("wamid.past_us", "sent", scene.seconds(Duration::ZERO));
    scene.webhook(&changes(OTHER, [json!({"statuses": [seen]})])).await;
    assert_eq!(
        scene.call(super::harness::request("GET", &format!("/v23.0/{OTHER}"), "text/plain", "")).await.status,
        200
    );
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.advance(HOUR * 24).await;
    assert_eq!(scene.probes(OTHER), 0);
    let probes = scene.probes(PHONE);
    assert!((5..=7).contains(&probes), "for an hour: {probes}");
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.advance(MINUTE).await;
    assert_eq!(scene.probes(PHONE), probes + 1, "and it is first in line when it sends again");
}

#[tokio::test(start_paused = true)]
async fn who_has_no_token_is_left_alone() {
    let scene = Scene::with(|config| {
        config.probe.watch = Some(MINUTE * 10);
        config.probe.borrow_token = false;
        config.probe.tokens.insert(OTHER.into(), Secret::new("EAAGconfigured"));
    });
    for _ in 0..6 {
        assert_eq!(scene.send(PHONE).await.status, 200);
        sends_for(&scene, OTHER, MINUTE * 10, MINUTE * 10).await;
    }
    assert_eq!(scene.probes(PHONE), 0);
    assert!(scene.probes(OTHER) >= 6, "{}", scene.probes(OTHER));
    assert!(scene.breaker(PHONE).conditions.is_empty());
    assert_eq!(scene.metric("sendfuse_probes_total{outcome=\"unknown_no_token\"}"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_phones_take_turns_within_half_of_the_budget() {
    let scene = Scene::with(|config| config.probe.watch = Some(HOUR * 6));
    let phones: Vec<String> = (0..1000).map(|n| format!("3065403522{n:05}")).collect();
    let (locked, watched) = phones.split_first().unwrap();
    let mut totals = Vec::new();
    for step in 0..12 * 11 {
        if step % 60 == 0 {
            for phone in watched {
                assert_eq!(scene.send(phone).await.status, 200);
            }
        }
        // In the midst of it there is a real lock: all of its probes are affordable.
        if step == 30 {
            scene.lock(locked, Profile::Ban);
            assert_eq!(scene.send(locked).await.code(), 131_031);
        }
        if step == 30 + 12 {
            assert!((6..=10).contains(&scene.breaker(locked).probes), "{:?}", scene.breaker(locked));
            scene.meta.unlock(locked);
        }
        if step == 30 + 12 + 4 {
            assert_eq!(scene.state(locked), "half_open");
        }
        scene.advance(MINUTE * 5).await;
        totals.push(watched.iter().map(|phone| scene.probes(phone)).sum::<u64>());
    }
    let an_hour = totals.windows(13).map(|sums| sums[12] - sums[0]);
    let (most, least) = (an_hour.clone().max().unwrap(), an_hour.min().unwrap());
    assert!(most <= 100 && least >= 97, "{least} to {most} in an hour");
    assert_eq!(scene.metric("sendfuse_probes_total{outcome=\"unknown_over_budget\"}"), 0.0);
    for phone in watched {
        assert!((1..=2).contains(&scene.probes(phone)), "{phone}: {}", scene.probes(phone));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deaf_phone_is_watched_until_it_hears_again() {
    let scene = Scene::new();
    webhooks_go_nowhere(&scene);
    sends_for(&scene, PHONE, MINUTE * 9, MINUTE).await;
    assert_eq!((scene.probes(PHONE), is_deaf(&scene)), (0, None));
    sends_for(&scene, PHONE, HOUR, MINUTE).await;
    let probes = scene.probes(PHONE);
    assert!(is_deaf(&scene).is_some());
    assert!((5..=7).contains(&probes), "every ten minutes: {probes}");
    let seen = status("wamid.late", "delivered", scene.seconds(Duration::ZERO));
    scene.webhook(&changes(PHONE, [json!({"statuses": [seen]})])).await;
    scene.meta.set_webhook_url(Some("http://hooks.example/webhook".into()));
    sends_for(&scene, PHONE, HOUR * 2, MINUTE).await;
    assert_eq!((scene.probes(PHONE), is_deaf(&scene)), (probes, None));

    webhooks_go_nowhere(&scene);
    sends_for(&scene, PHONE, MINUTE * 12, MINUTE).await;
    let arrived = scene.arrived(PHONE);
    // Accepted, and nobody would tell that they fail.
    scene.lock(PHONE, Profile::Async);
    scene.meta.set_health(PHONE, Some(Health::NotLinked));
    scene.until_state(PHONE, "open").await;
    assert!(scene.send(PHONE).await.is_rejection());
    assert_eq!(scene.arrived(PHONE), arrived);
}

#[tokio::test(start_paused = true)]
async fn a_deaf_phone_without_a_token_says_so() {
    let scene = Scene::with(|config| config.probe.borrow_token = false);
    webhooks_go_nowhere(&scene);
    sends_for(&scene, PHONE, MINUTE * 30, MINUTE).await;
    let text = is_deaf(&scene).expect("deaf");
    assert!(text.contains("no valid token"), "{text}");
    assert_eq!(scene.probes(PHONE), 0);
}

#[tokio::test(start_paused = true)]
async fn a_look_from_before_a_trip_and_a_reset_is_late_news() {
    let scene = watching();
    scene.meta.set_health(PHONE, Some(Health::Banned));
    scene.meta.fault(FaultRule::probes_of(PHONE, Fault::Delay { delay: SECOND * 8 }).times(1));
    assert_eq!(scene.send(PHONE).await.status, 200);
    while scene.probes(PHONE) == 0 {
        scene.advance(SECOND).await;
    }
    // Health is clear when the breaker opens and is reset, so a block would be news.
    scene.meta.set_health(PHONE, Some(Health::Available));
    scene.trip(PHONE).await;
    scene.meta.unlock(PHONE);
    let breaker = scene.order(PHONE, OrderKind::Reset, None).await;
    assert_eq!((breaker.state, breaker.generation), ("closed", 2));
    scene.advance(SECOND * 10).await;
    assert_eq!((scene.state(PHONE), scene.breaker(PHONE).generation), ("closed", 2));
}

#[tokio::test(start_paused = true)]
async fn a_word_that_an_operator_has_overruled_opens_nothing_more() {
    for (whose, blocked, breaker) in BLOCKS {
        let scene = watching();
        // Health says blocked, and messages are delivered all the same.
        scene.meta.set_health(whose, Some(blocked.clone()));
        assert_eq!(scene.send(PHONE).await.status, 200);
        scene.until(PHONE, |_| breaker(&scene).state == "open").await;
        let order = Order { kind: OrderKind::Reset, reason: "because".into(), by: "ops".into(), hold: None };
        let scope = Scope::parse(breaker(&scene).scope, whose).unwrap();
        scene.breakers().order(scope, order, None).await.unwrap();
        let probes = scene.probes(PHONE);
        sends_for(&scene, PHONE, HOUR * 6, MINUTE * 30).await;
        assert!(scene.probes(PHONE) >= probes + 30, "it is looked at still");
        assert_eq!((breaker(&scene).state, breaker(&scene).generation), ("closed", 2), "{whose}");
        // Once health has been clear, a block is news again.
        scene.meta.set_health(whose, None);
        sends_for(&scene, PHONE, HOUR, MINUTE * 30).await;
        scene.meta.set_health(whose, Some(blocked));
        scene.until(PHONE, |_| breaker(&scene).state == "open").await;
        assert!(scene.clock.now().since(BEGIN) < HOUR * 8);
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_who_asks_gets_an_answer_of_their_own() {
    for (whose, blocked, breaker) in BLOCKS {
        let scene = watching();
        scene.meta.fault(FaultRule::probes_of(PHONE, Fault::Delay { delay: SECOND * 5 }).times(1));
        assert_eq!(scene.send(PHONE).await.status, 200);
        while scene.probes(PHONE) == 0 {
            scene.advance(SECOND).await;
        }
        scene.meta.fault(FaultRule::probes_of(PHONE, Fault::Delay { delay: SECOND * 7 }).times(1));
        scene.meta.set_health(whose, Some(blocked));
        let order = ProbeOrder { reason: "because".into(), by: "ops".into() };
        let (health, shown) = scene.breakers().probe(id(PHONE), order, None).await.unwrap();
        assert!(matches!(health, Found::Blocked(_)), "{health:?}");
        assert_eq!(breaker(&scene).state, "open");
        let held_by = (whose == WABA).then(|| format!("waba/{WABA}"));
        assert_eq!((shown.state == "open", shown.held_by), (whose == PHONE, held_by), "and says so");
    }
}

#[tokio::test(start_paused = true)]
async fn it_can_be_turned_on_and_off_while_it_runs() {
    let scene = Scene::new();
    sends_for(&scene, PHONE, HOUR, MINUTE * 10).await;
    assert_eq!(scene.probes(PHONE), 0);
    for (watch, expected) in [(Some(MINUTE * 10), 5..=7), (None, 0..=0), (Some(MINUTE * 5), 11..=13)] {
        let mut settings = (*scene.breakers().settings()).clone();
        settings.watching.interval = watch;
        scene.breakers().reload(settings);
        let before = scene.probes(PHONE);
        sends_for(&scene, PHONE, HOUR, MINUTE * 10).await;
        let looks = scene.probes(PHONE) - before;
        assert!(expected.contains(&looks), "{watch:?}: {looks}");
    }
}
