//! A timeline happens at its times, to whom it is about.

use sendfuse::simulator::{Timeline, UnknownPhones};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const FIRST: &str = "206540352242000";
const LAST: &str = "206540352242002";

async fn answers(meta: &Simulator, phones: &[&str]) -> Vec<u16> {
    let mut answers = Vec::new();
    for phone in phones {
        answers.push(call(meta, post(&format!("/{phone}/messages"), TEXT)).await.0.as_u16());
    }
    answers
}

#[tokio::test(start_paused = true)]
async fn each_step_happens_at_its_time() {
    let mut scene = scene(|options| options.accept_any_phone = true);
    let text = format!(
        "phones some = {FIRST}..{LAST}
        at 5s lock some sync403      # three at once
        at 5s lock {PHONE} async, failures after 3s
        at 10s health some banned
        at 10s fault {FIRST} error 500 2, on sends, times 1
        at 12s fault all error 401 190, on probes
        at 14s health some as_locked
        at 14s clear_faults all
        at 15s unlock some
        at 15s statuses 9s
        at 20s webhook {WABA} account_update {{\"event\":\"X\"}}"
    );
    let begin = Instant::now();
    let playing = tokio::spawn(scene.meta.play(Timeline::parse(&text).unwrap()));
    let until = |seconds: u32| tokio::time::sleep_until(begin + SECOND * seconds - SECOND / 2);
    until(5).await;
    assert_eq!(answers(&scene.meta, &[FIRST, LAST, PHONE]).await, [200, 200, 200]);
    while timeout(SECOND / 4, scene.webhooks.recv()).await.is_ok() {}
    until(6).await;
    assert_eq!(answers(&scene.meta, &[FIRST, LAST, PHONE]).await, [403, 403, 200]);
    until(11).await;
    assert_eq!(verdict(&health(&scene.meta, LAST).await).0, "BLOCKED");
    assert_eq!(answers(&scene.meta, &[FIRST, FIRST, LAST]).await, [500, 403, 403]);
    until(13).await;
    assert_eq!(call(&scene.meta, get(&format!("/{LAST}?fields=health_status"))).await.0, 401);
    until(15).await;
    assert_eq!(verdict(&health(&scene.meta, LAST).await).0, "AVAILABLE");
    assert_eq!(answers(&scene.meta, &[LAST]).await, [403], "still locked");
    until(16).await;
    assert_eq!(answers(&scene.meta, &[FIRST, LAST]).await, [200, 200]);
    assert!(!playing.is_finished());
    until(21).await;
    assert!(playing.is_finished());

    let mut told = Vec::new();
    while let Ok(Some((at, request))) = timeout(SECOND * 60, scene.webhooks.recv()).await {
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let change = &body["entry"][0]["changes"][0];
        let what = change["value"]["statuses"][0]["status"].as_str().or(change["field"].as_str()).unwrap();
        told.push(format!("{} {what}", (at - begin).as_millis() / 500));
    }
    // In half seconds. The first three messages were delivered after 2 s each; what came until then was dropped above.
    let late = ["17 failed", "40 account_update", "49 sent", "49 sent", "67 delivered", "67 delivered"];
    assert_eq!(told[told.len() - 6..], late, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn other_phones_can_be_put_in_place() {
    let scene = scene(|_| {});
    let timeline = Timeline::parse(&format!("phones locked = {PHONE}\nat 1s lock locked sync403")).unwrap();
    assert_eq!(timeline.clone().with_phones("lock", [FIRST]), Err(UnknownPhones("lock".into())));
    scene.meta.play(timeline.with_phones("locked", [FIRST, LAST]).unwrap()).await;
    assert_eq!(answers(&scene.meta, &[FIRST, LAST, PHONE]).await, [403, 403, 200]);
}

#[tokio::test(start_paused = true)]
async fn it_can_be_gone_through_step_by_step() {
    let scene = scene(|_| {});
    let text = format!("at 1h lock {PHONE} sync403\nat 1h lock {FIRST} sync400\nat 2h unlock {PHONE}");
    let mut moments = Timeline::parse(&text).unwrap().moments();
    let begin = Instant::now();
    scene.meta.play(moments.next().unwrap()).await;
    assert_eq!(answers(&scene.meta, &[PHONE, FIRST]).await, [403, 400]);
    scene.meta.play(moments.next().unwrap()).await;
    assert_eq!(answers(&scene.meta, &[PHONE, FIRST]).await, [200, 400]);
    assert!(moments.next().is_none() && begin.elapsed() < SECOND, "at once");
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_simulator() {
    let scene = scene(|_| {});
    let playing =
        tokio::spawn(scene.meta.play(Timeline::parse("at 10s statuses 1s\nat 99d statuses 2s").unwrap()));
    drop(scene);
    let begin = Instant::now();
    playing.await.unwrap();
    assert_eq!(begin.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_switch_takes_one_as_text() {
    let scene = scene(|_| {});
    let play = |text: &str| post("/_simulator/timeline", text);
    let taken = call(&scene.meta, play(&format!("at 0s lock {PHONE} sync400\nat 9s unlock {PHONE}"))).await;
    assert_eq!(taken, (StatusCode::OK, json!({"success": true})));
    tokio::time::sleep(SECOND).await;
    assert_eq!(answers(&scene.meta, &[PHONE]).await, [400]);
    tokio::time::sleep(SECOND * 9).await;
    assert_eq!(answers(&scene.meta, &[PHONE]).await, [200]);
    let refused = call(&scene.meta, play("# bad\nat 0s luck 1 async")).await;
    assert_eq!(refused.0, StatusCode::BAD_REQUEST);
    assert!(refused.1["error"].as_str().unwrap().starts_with("line 2: `luck`: a step is "), "{}", refused.1);
}
