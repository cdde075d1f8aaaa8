//! Apps that hang up: what Meta answers still counts, and nothing stays taken.

use std::time::Duration;

use sendfuse::simulator::{Fault, FaultRule, Profile};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::harness::{PHONE, Scene};

const SLOW: Duration = Duration::from_secs(5);

fn slow(scene: &Scene) {
    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Delay { delay: SLOW }).times(1));
}

/// Sends, and hangs up as soon as Meta has the request.
async fn send_and_hang_up(scene: &Scene) {
    let sends = scene.arrived(PHONE);
    let app = scene.start_send(PHONE);
    scene.until_arrived(PHONE, sends + 1).await;
    app.abort();
    scene.settle().await;
}

/// Writes a part of a send, then hangs up.
async fn half_a_send(scene: &Scene, length: usize, written: usize) {
    let mut pipe = scene.connect();
    let head = format!(
        "POST /v23.0/{PHONE}/messages HTTP/1.1\r\nhost: a\r\nauthorization: Bearer EAAx\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    pipe.write_all(head.as_bytes()).await.unwrap();
    pipe.write_all(&vec![b' '; written]).await.unwrap();
    scene.settle().await;
    drop(pipe);
    scene.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_lock_in_an_answer_that_nobody_waits_for_still_opens() {
    let scene = Scene::new();
    scene.lock(PHONE, Profile::Sync403);
    slow(&scene);
    send_and_hang_up(&scene).await;
    assert_eq!(scene.state(PHONE), "closed", "Meta has not answered yet");
    scene.advance(SLOW).await;
    assert_eq!(scene.state(PHONE), "open");
    assert!(scene.send(PHONE).await.is_rejection());
    assert_eq!(scene.arrived(PHONE), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_nobody_waits_for_is_remembered() {
    let scene = Scene::set(|stage| stage.meta.status_delay = Duration::from_secs(60));
    scene.lock(PHONE, Profile::Async);
    slow(&scene);
    send_and_hang_up(&scene).await;
    scene.advance(Duration::from_secs(61)).await;
    assert_eq!((scene.state(PHONE), scene.breaker(PHONE).leaked), ("open", 1));
}

#[tokio::test(start_paused = true)]
async fn stopping_waits_for_their_verdicts() {
    let scene = Scene::new();
    scene.lock(PHONE, Profile::Sync403);
    slow(&scene);
    let began = Instant::now();
    send_and_hang_up(&scene).await;
    scene.wired.send_path.finish().await;
    assert_eq!(began.elapsed(), SLOW);
    assert_eq!(scene.state(PHONE), "open");
}

#[tokio::test(start_paused = true)]
async fn a_trial_whose_app_hung_up_proves_what_it_proves() {
    let scene = Scene::new();
    scene.half_open(PHONE).await;
    slow(&scene);
    send_and_hang_up(&scene).await;
    assert!(scene.send(PHONE).await.is_rejection(), "the trial is out");
    scene.advance(SLOW).await;
    assert_eq!(scene.state(PHONE), "closed", "its delivery came");
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_was_never_whole_gives_its_permit_back() {
    let scene = Scene::new();
    scene.half_open(PHONE).await;
    // Small: hung up before the gate knew that it is a send. Large: on its way to Meta already.
    for (length, written) in [(1000, 10), (3_000_000, 2_000_000)] {
        let trials = scene.breaker(PHONE).trials;
        half_a_send(&scene, length, written).await;
        assert_eq!(scene.state(PHONE), "half_open", "{length}");
        assert_eq!(scene.breaker(PHONE).trials - trials, u64::from(length > 1000), "{length}");
    }
    assert_eq!(scene.metric("sendfuse_trials_total{outcome=\"abandoned\"}"), 1.0);
    assert_eq!(scene.send(PHONE).await.status, 200, "the next send is the trial");
    scene.until_state(PHONE, "closed").await;
}

#[tokio::test(start_paused = true)]
async fn half_a_send_of_a_healthy_phone_changes_nothing() {
    let scene = Scene::new();
    half_a_send(&scene, 1000, 10).await;
    half_a_send(&scene, 3_000_000, 2_000_000).await;
    assert_eq!((scene.state(PHONE), scene.arrived(PHONE)), ("closed", 0));
    assert_eq!(scene.meta.counts().broken_requests, 2);
    assert_eq!(scene.send(PHONE).await.status, 200);
}
