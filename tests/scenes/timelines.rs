//! Every shipped timeline, before the whole program: what Meta does, and what sendfuse makes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use sendfuse::simulator::{SHIPPED, Timeline};
use tokio::time::{Instant, sleep};

use super::harness::{OTHER, PHONE, Scene, send_request};

const SECOND: Duration = Duration::from_secs(1);
/// The app sends so often.
const PACE: Duration = Duration::from_secs(2);
/// After the last step it goes on for so long: longer than the longest pause between two probes.
const AFTER: Duration = Duration::from_secs(17 * 60);

/// What was seen while Meta followed a timeline and an app sent all the time.
struct Story {
    scene: Scene,
    /// The states that the app met, and since when. Each send met the last one.
    states: Vec<(Duration, &'static str)>,
    /// Where the evidence of the first trip came from.
    source: &'static str,
    /// Whether health was clear while sends failed.
    contradicted: bool,
    /// Answers of Meta that came while the phone was locked there.
    reached_locked: u64,
    unlocked: Duration,
}

fn shipped(name: &str) -> Timeline {
    let (_, text) = SHIPPED.into_iter().find(|(shipped, _)| *shipped == name).expect(name);
    Timeline::parse(text).unwrap()
}

impl Story {
    /// Plays a timeline that locks [`PHONE`] and unlocks it with its last step. What holds for all of them is asserted here.
    async fn of(name: &str) -> Self {
        let (scene, timeline) = (Scene::new(), shipped(name));
        assert_eq!(timeline.phones("locked"), [PHONE]);
        let unlocked = timeline.length();
        let mut story = Self {
            states: vec![(Duration::ZERO, "closed")],
            source: "",
            contradicted: false,
            reached_locked: 0,
            unlocked,
            scene: scene.clone(),
        };
        let (mut app, mut forwarded, begin) = (scene.app().await, 0, Instant::now());
        tokio::spawn(scene.meta.play(timeline));
        scene.settle().await;
        for tick in 0_u32.. {
            sleep((PACE * tick).saturating_sub(begin.elapsed())).await;
            if begin.elapsed() > unlocked + AFTER {
                break;
            }
            story.look(begin.elapsed());
            let before = scene.state(PHONE);
            let answer = app.call(send_request(PHONE)).await;
            assert!(before != "open" || answer.is_rejection(), "{name}: sent while open");
            assert!(before != "closed" || !answer.is_rejection(), "{name}: rejected while closed");
            forwarded += u64::from(!answer.is_rejection());
            if begin.elapsed() < unlocked {
                story.reached_locked = scene.meta.phone_counts(PHONE).arrived_after_lock;
            }
            if tick % 10 == 0 {
                assert_eq!(app.call(send_request(OTHER)).await.status, 200, "{name}: another's fault");
            }
            story.look(begin.elapsed());
        }
        assert_eq!(scene.arrived(PHONE), forwarded, "{name}: what the app was told is what happened");
        assert_eq!(story.states.last().unwrap().1, "closed", "{name}: {:?}", story.states);
        assert_eq!(scene.breaker(PHONE).conditions.len(), 0, "{name}");
        story
    }

    fn look(&mut self, at: Duration) {
        let breaker = self.scene.breaker(PHONE);
        if self.states.last().is_some_and(|(_, state)| *state != breaker.state) {
            self.states.push((at, breaker.state));
        }
        self.contradicted |= breaker.conditions.iter().any(|condition| condition.name == "contradiction");
        if self.source.is_empty() {
            self.source = breaker.reason.map(|reason| reason.source).unwrap_or_default();
        }
    }

    /// When it opened first.
    fn tripped(&self) -> Duration {
        self.first("open")
    }

    fn first(&self, state: &str) -> Duration {
        let found = self.states.iter().find(|(_, found)| *found == state);
        found.unwrap_or_else(|| panic!("never {state}: {:?}", self.states)).0
    }

    /// It recovers from the unlock without another failure, and is closed to the end from when this says. A trial that was
    /// under way at the unlock may still fail.
    fn recovered(&self) -> Duration {
        let settled = self.unlocked + SECOND * 10;
        let since = self.states.iter().filter(|(at, _)| *at > settled).map(|(_, state)| *state);
        let since: Vec<&str> = since.collect();
        assert!(["", "closed", "half_open closed"].contains(&&*since.join(" ")), "{:?}", self.states);
        self.states.last().unwrap().0
    }

    fn stale(&self) -> f64 {
        self.scene.metric("sendfuse_stale_evidence_total")
    }
}

#[tokio::test(start_paused = true)]
async fn failures_that_come_later_with_healthy_health() {
    let story = Story::of("async").await;
    // Locked at 5 s; the send of 6 s fails at 8 s.
    assert_eq!((story.source, story.tripped().as_secs()), ("webhook", 8));
    assert!(story.contradicted, "health never said so");
    // Accepted before the first failure came: that of 6 s. All others were trials.
    assert!((2..=4).contains(&story.reached_locked), "{}", story.reached_locked);
    assert!(story.recovered() < story.unlocked + SECOND * 240, "{:?}", story.states);
    assert_eq!(story.stale(), 0.0);
}

#[tokio::test(start_paused = true)]
async fn refusals_of_either_status() {
    for name in ["sync403", "sync400"] {
        let story = Story::of(name).await;
        assert_eq!((story.source, story.tripped().as_secs()), ("response", 6), "{name}");
        assert!(story.contradicted, "{name}: health never said so");
        // The one that was refused; all others were trials.
        assert!((2..=4).contains(&story.reached_locked), "{name}: {}", story.reached_locked);
        assert_eq!(story.scene.breaker(PHONE).leaked, 0, "{name}: refused is not leaked");
        assert!(story.recovered() < story.unlocked + SECOND * 240, "{name}: {:?}", story.states);
    }
}

#[tokio::test(start_paused = true)]
async fn a_ban_that_health_knows_of() {
    let story = Story::of("ban").await;
    assert_eq!((story.source, story.tripped().as_secs()), ("response", 6));
    assert_eq!(story.reached_locked, 1, "health says BLOCKED: no trial is wasted");
    assert!(!story.contradicted);
    assert!(story.first("half_open") > story.unlocked);
    assert!(story.recovered() > story.unlocked);
    assert!(story.scene.probes(PHONE) >= 5);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_lets_some_through() {
    let story = Story::of("intermittent").await;
    assert_eq!(story.source, "webhook");
    // A trial that gets through closes; the next failure opens again. Between, sends flow for as long as news takes.
    let opens = story.states.iter().filter(|(at, state)| *state == "open" && *at < story.unlocked).count();
    let all = story.unlocked.as_secs() / PACE.as_secs();
    assert!(opens >= 2, "{:?}", story.states);
    assert!(story.reached_locked <= all / 4, "{} of {all}: {:?}", story.reached_locked, story.states);
    let end = story.states.last().unwrap();
    assert!(end.0 < story.unlocked + AFTER - SECOND * 60, "{:?}", story.states);
}

#[tokio::test(start_paused = true)]
async fn failures_that_come_again_after_the_unlock() {
    let story = Story::of("late_duplicates").await;
    assert_eq!(story.source, "webhook");
    let recovered = story.recovered();
    assert!(recovered < story.unlocked + SECOND * 600, "before they came again: {recovered:?}");
    let failures = u32::try_from(story.reached_locked).unwrap();
    assert!(failures >= 2);
    assert_eq!(story.stale(), f64::from(failures), "they came, and were late news");
}

#[tokio::test(start_paused = true)]
async fn a_new_number_under_review() {
    let story = Story::of("review_pending").await;
    assert_eq!((story.source, story.tripped().as_secs()), ("webhook", 4));
    assert!(story.contradicted, "LIMITED blocks nothing");
    // Two before the first failure came; all others were trials, ever more rarely.
    assert!((3..=8).contains(&story.reached_locked), "{}", story.reached_locked);
    story.recovered();
}

#[tokio::test(start_paused = true)]
async fn windows_that_closed_meanwhile_are_no_lock() {
    let story = Story::of("reengagement_wave").await;
    assert_eq!(story.source, "webhook");
    // It never opens again, however many of its messages fail. Which of them do is chance; with the wave, that ends.
    let recovered = story.recovered();
    assert!(recovered < story.unlocked + SECOND * 60 * (12 + 4), "{:?}", story.states);
    assert!(story.scene.meta.phone_counts(PHONE).windows_closed >= 1);
}

#[tokio::test(start_paused = true)]
async fn not_one_of_a_wave_opens() {
    let scene = Scene::new();
    let wave = "at 0s lock 106540352242922 reengagement_wave, lasting 1h, failed 100%";
    let wave = Timeline::parse(&format!("{wave}\nat 0s unlock 106540352242922")).unwrap();
    scene.meta.play(wave.clone()).await;
    for failed in 1..=20 {
        assert_eq!(scene.send(PHONE).await.status, 200);
        scene.advance(SECOND).await;
        assert_eq!(scene.meta.phone_counts(PHONE).windows_closed, failed);
    }
    assert_eq!((scene.state(PHONE), scene.breaker(PHONE).generation), ("closed", 0));
    scene.half_open(PHONE).await;
    scene.meta.play(wave).await;
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.advance(SECOND).await;
    assert_eq!(scene.meta.phone_counts(PHONE).windows_closed, 21);
    assert_eq!(scene.state(PHONE), "half_open", "a trial that fails so proves nothing");
}

#[tokio::test(start_paused = true)]
async fn ten_numbers_of_many_with_slow_webhooks() {
    let (scene, timeline) = (Scene::new(), shipped("some_of_many"));
    let (locked, unlocked) = (timeline.phones("locked").to_vec(), timeline.length());
    let healthy = (0..3).map(|n| format!("30654035224200{n}"));
    let phones: Vec<String> = locked.iter().cloned().chain(healthy).collect();
    assert_eq!((locked.len(), phones.len()), (10, 13));
    let (mut app, begin) = (scene.app().await, Instant::now());
    let mut tripped: BTreeMap<&str, Duration> = BTreeMap::new();
    tokio::spawn(scene.meta.play(timeline));
    scene.settle().await;
    for tick in 0_u32.. {
        sleep((SECOND * 10 * tick).saturating_sub(begin.elapsed())).await;
        if begin.elapsed() > unlocked + AFTER {
            break;
        }
        for phone in &phones {
            let before = scene.state(phone);
            let answer = app.call(send_request(phone)).await;
            assert!(before != "open" || answer.is_rejection(), "{phone}: sent while open");
            let is_locked = locked.contains(phone);
            assert!(is_locked || answer.status == 200, "{phone}: another's fault");
            if is_locked && before == "open" {
                tripped.entry(phone).or_insert(begin.elapsed());
            }
        }
    }
    assert_eq!(tripped.len(), 10);
    let slowest = tripped.values().max().unwrap();
    // The first send after the lock is that of 10 s; its webhook takes up to 30 s, and the app looks each 10 s.
    assert!(*slowest <= SECOND * 50, "as soon as the first webhook came: {tripped:?}");
    for phone in &phones {
        assert_eq!(scene.state(phone), "closed", "{phone}");
    }
}

#[tokio::test(start_paused = true)]
async fn that_of_the_demo_with_default_settings() {
    let (scene, timeline) = (Scene::new(), shipped("demo"));
    let phones = ["a", "a2", "b"].map(|name| timeline.phones(name)[0].clone());
    let end = timeline.length() + AFTER;
    let begin = Instant::now();
    let mut met: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
    tokio::spawn(scene.meta.play(timeline));
    let mut app = scene.app().await;
    while begin.elapsed() < end {
        for phone in phones.iter().map(String::as_str) {
            let flowed = scene.breaker(phone).held_by.is_none();
            let answer = app.call(send_request(phone)).await;
            // What was held and met the lock all the same was a trial.
            let met_it = flowed && answer.code() != 0 && !answer.is_rejection();
            *refused.entry(phone).or_default() += u64::from(met_it);
            scene.settle().await;
            let states = met.entry(phone).or_default();
            let breaker = scene.breaker(phone);
            states.push(if breaker.held_by.is_some() { "held" } else { breaker.state });
            states.dedup();
        }
        sleep(SECOND * 5).await;
    }
    let ends = |phone: &str| {
        let states = &met[phone];
        (states[0], states[1], *states.last().unwrap())
    };
    let [a, a2, b] = phones.each_ref().map(String::as_str);
    assert_eq!((ends(a), ends(a2)), (("closed", "held", "closed"), ("closed", "held", "closed")), "{met:?}");
    assert_eq!(ends(b), ("closed", "open", "closed"), "{met:?}");
    assert!(refused[a] >= 1 && refused[b] == 0, "b fails by webhook only: {refused:?}");
    assert_eq!(refused[a2], 0, "held before it met the lock: {refused:?}");
}
