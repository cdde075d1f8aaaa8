//! Half-open: recovery is shown by a trial's delivery, not assumed.

use std::time::Duration;

use sendfuse::config::NoWebhooks;
use sendfuse::simulator::{Fault, FaultRule, Profile};
use serde_json::json;

use super::harness::{PHONE, Scene, changes, failed, status};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn trials(scene: &Scene, outcome: &str) -> f64 {
    scene.metric(&format!("sendfuse_trials_total{{outcome=\"{outcome}\"}}"))
}

/// Statuses have come once, and from now on none does.
async fn half_open_and_then_deaf() -> Scene {
    let scene = Scene::new();
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.advance(SECOND * 5).await;
    scene.half_open(PHONE).await;
    scene.meta.set_webhook_url(None);
    scene
}

#[tokio::test(start_paused = true)]
async fn the_next_send_is_the_trial_and_the_others_are_rejected() {
    let scene = Scene::new();
    scene.half_open(PHONE).await;
    let arrived = scene.arrived(PHONE);
    let sends: Vec<_> = (0..20).map(|_| scene.start_send(PHONE)).collect();
    let mut rejected = 0;
    for send in sends {
        let answer = send.await.unwrap();
        if answer.is_rejection() {
            rejected += 1;
            assert_eq!((answer.status, answer.code()), (403, 131_031));
            assert_eq!(answer.header("x-sendfuse-state"), Some("half_open"));
            let next: u64 = answer.header("x-sendfuse-next-check").unwrap().parse().unwrap();
            assert!((1..=120).contains(&next), "{next} s");
        } else {
            assert_eq!(answer.status, 200);
        }
    }
    assert_eq!((rejected, scene.arrived(PHONE) - arrived), (19, 1));
    assert_eq!(scene.state(PHONE), "half_open", "accepted is not delivered");
    scene.until_state(PHONE, "closed").await;
    assert_eq!((scene.breaker(PHONE).generation, trials(&scene, "confirmed")), (3, 1.0));
    assert_eq!(scene.send(PHONE).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn each_of_its_good_statuses_proves_it() {
    for word in ["sent", "delivered", "read"] {
        let scene = half_open_and_then_deaf().await;
        let wamid = scene.send(PHONE).await.wamid();
        let now = scene.seconds(Duration::ZERO);
        let other = changes(PHONE, [json!({"statuses": [status("wamid.other", word, now)]})]);
        scene.webhook(&other).await;
        assert_eq!(scene.state(PHONE), "half_open", "only the trial's own {word}");
        scene.webhook(&changes(PHONE, [json!({"statuses": [status(&wamid, word, now)]})])).await;
        assert_eq!(scene.state(PHONE), "closed", "{word}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_may_overtake_the_trials_answer() {
    let scene = Scene::new();
    scene.half_open(PHONE).await;
    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Delay { delay: SECOND * 5 }).times(1));
    let trial = scene.start_send(PHONE);
    scene.advance(SECOND * 4).await;
    assert_eq!(scene.state(PHONE), "half_open", "nobody knows yet whose status it was");
    assert_eq!(trial.await.unwrap().status, 200);
    assert_eq!(scene.state(PHONE), "closed");
}

#[tokio::test(start_paused = true)]
async fn clear_health_and_failing_sends_contradict_each_other() {
    let scene = Scene::new();
    scene.lock(PHONE, Profile::Async);
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.until_state(PHONE, "open").await;
    let mut opens = Vec::new();
    for round in 1..=8 {
        opens.push(scene.until_state(PHONE, "half_open").await);
        assert_eq!(scene.send(PHONE).await.status, 200, "Meta accepts the trial");
        scene.until_state(PHONE, "open").await;
        let breaker = scene.breaker(PHONE);
        let found = breaker.conditions.iter().find(|condition| condition.name == "contradiction").unwrap();
        assert_eq!((found.count, breaker.trials), (round, round));
        assert!(scene.send(PHONE).await.is_rejection());
    }
    println!("open before each trial of an async lock: {opens:?}");
    for (wait, seconds) in opens.iter().zip([60_u64, 60, 120, 240, 480, 900, 900, 900]) {
        let longest = Duration::from_secs(seconds) + SECOND * 2;
        assert!(*wait <= longest && *wait >= longest * 7 / 10, "{wait:?} of {seconds} s: {opens:?}");
    }
    assert_eq!((scene.arrived(PHONE), scene.metric("sendfuse_contradictions")), (9, 1.0));
    assert_eq!(trials(&scene, "locked"), 8.0);
    scene.meta.unlock(PHONE);
    scene.until_state(PHONE, "half_open").await;
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.until_state(PHONE, "closed").await;
    assert_eq!(scene.metric("sendfuse_contradictions"), 0.0, "it goes when its cause goes");
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_is_refused_at_once_reopens() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    scene.until_state(PHONE, "half_open").await;
    let trial = scene.send(PHONE).await;
    assert!(!trial.is_rejection() && trial.code() == 131_031, "the trial gets Meta's own word");
    assert_eq!((scene.state(PHONE), scene.breaker(PHONE).generation), ("open", 3));
    assert_eq!(scene.breaker(PHONE).incident.unwrap(), format!("{PHONE}-1-1777629600"), "one incident");
}

#[tokio::test(start_paused = true)]
async fn another_code_frees_the_permit_and_proves_nothing() {
    let scene = Scene::new();
    scene.half_open(PHONE).await;
    for (n, code) in [131_026, 131_047, 100, 131_056].into_iter().enumerate() {
        scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Error { status: 400, code }).times(1));
        assert_eq!(scene.send(PHONE).await.code(), code);
        let breaker = scene.breaker(PHONE);
        assert_eq!((breaker.state, breaker.trials), ("half_open", n as u64 + 1));
    }
    assert_eq!(trials(&scene, "other_error"), 4.0);
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.until_state(PHONE, "closed").await;
}

#[tokio::test(start_paused = true)]
async fn a_trial_without_an_answer_frees_the_permit() {
    for (fault, status) in [(Fault::Reset, 502), (Fault::HalfBody, 502), (Fault::Stall, 504)] {
        let scene = Scene::new();
        scene.half_open(PHONE).await;
        scene.meta.fault(FaultRule::sends_of(PHONE, fault.clone()).times(1));
        assert_eq!(scene.send(PHONE).await.status, status, "{fault:?}");
        assert_eq!((scene.state(PHONE), trials(&scene, "abandoned")), ("half_open", 1.0), "{fault:?}");
        assert_eq!(scene.send(PHONE).await.status, 200, "{fault:?}");
        scene.until_state(PHONE, "closed").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_trial_without_a_status_times_out() {
    let scene = half_open_and_then_deaf().await;
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.advance(SECOND * 119).await;
    let rejected = scene.send(PHONE).await;
    assert_eq!(rejected.header("x-sendfuse-next-check"), Some("1"));
    scene.advance(SECOND).await;
    assert_eq!((scene.state(PHONE), trials(&scene, "timed_out")), ("half_open", 1.0));
    assert_eq!(scene.send(PHONE).await.status, 200, "the next trial");
    assert!(scene.send(PHONE).await.is_rejection());
}

#[tokio::test(start_paused = true)]
async fn a_status_that_comes_after_its_trials_lease_still_counts() {
    let scene = half_open_and_then_deaf().await;
    let wamid = scene.send(PHONE).await.wamid();
    scene.advance(MINUTE * 10).await;
    let webhook = changes(PHONE, [json!({"statuses": [status(&wamid, "sent", scene.seconds(MINUTE * 9))]})]);
    scene.webhook(&webhook).await;
    assert_eq!(scene.state(PHONE), "closed", "it is a trial of this half-open");
}

#[tokio::test(start_paused = true)]
async fn where_no_webhook_ever_came_a_quiet_trial_closes() {
    let scene = Scene::set(|stage| stage.meta.webhook_url = None);
    scene.half_open(PHONE).await;
    assert_eq!(scene.send(PHONE).await.status, 200);
    assert!(scene.send(PHONE).await.is_rejection());
    assert!(scene.breaker(PHONE).closes_when.contains("no webhook ever came"), "and it says so");
    let took = scene.until_state(PHONE, "closed").await;
    assert!((60_000..60_100).contains(&took.as_millis()), "trial_grace: {took:?}");
    assert_eq!(trials(&scene, "unheard"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn or_holds_if_it_is_to_hold() {
    let scene = Scene::set(|stage| {
        stage.config.breaker.no_webhooks = NoWebhooks::Hold;
        stage.meta.webhook_url = None;
    });
    scene.half_open(PHONE).await;
    for _ in 0..5 {
        assert_eq!(scene.send(PHONE).await.status, 200);
        assert!(scene.send(PHONE).await.is_rejection());
        scene.advance(MINUTE * 60).await;
        assert_eq!(scene.state(PHONE), "half_open");
    }
    assert_eq!(trials(&scene, "timed_out"), 5.0);
}

#[tokio::test(start_paused = true)]
async fn without_half_open_a_clear_probe_closes() {
    let scene = Scene::with(|config| config.breaker.half_open = false);
    scene.trip(PHONE).await;
    scene.meta.unlock(PHONE);
    let took = scene.until_state(PHONE, "closed").await;
    assert!((60_000..60_100).contains(&took.as_millis()), "{took:?}");
    assert_eq!(scene.send(PHONE).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn as_many_trials_as_are_asked_for() {
    let scene = Scene::with(|config| config.breaker.trials_to_close = 3);
    scene.half_open(PHONE).await;
    for trial in 1..=3 {
        assert_eq!(scene.state(PHONE), "half_open");
        assert_eq!(scene.send(PHONE).await.status, 200);
        assert!(scene.send(PHONE).await.is_rejection());
        scene.advance(SECOND * 5).await;
        assert_eq!(trials(&scene, "confirmed"), f64::from(trial), "sent and delivered count once");
    }
    assert_eq!(scene.state(PHONE), "closed");
}

#[tokio::test(start_paused = true)]
async fn a_message_sent_past_us_after_the_trip_ends_open() {
    let scene = Scene::new();
    scene.lock(PHONE, Profile::Ban);
    scene.send(PHONE).await;
    scene.advance(MINUTE).await;
    let post = async |dated: i64| {
        scene
            .webhook(&changes(PHONE, [json!({"statuses": [status("wamid.past", "delivered", dated)]})]))
            .await;
        scene.state(PHONE)
    };
    assert_eq!(post(scene.seconds(MINUTE * 2)).await, "open", "before the trip");
    assert_eq!(post(scene.seconds(MINUTE - SECOND)).await, "open", "within the skew");
    assert_eq!(post(scene.seconds(SECOND * 30)).await, "half_open");
}

#[tokio::test(start_paused = true)]
async fn failed_and_delivered_for_one_message_means_open_in_either_order() {
    for order in [["failed", "delivered"], ["delivered", "failed"]] {
        let scene = Scene::set(|stage| stage.meta.webhook_url = None);
        let wamid = scene.send(PHONE).await.wamid();
        for word in order {
            let now = scene.seconds(Duration::ZERO);
            let status =
                if word == "failed" { failed(&wamid, 131_031, now) } else { status(&wamid, word, now) };
            scene.webhook(&changes(PHONE, [json!({"statuses": [status]})])).await;
        }
        assert_eq!(scene.state(PHONE), "open", "{order:?}");
    }
}
