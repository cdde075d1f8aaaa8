//! A week of one sender with four phones, in virtual time: locks, recoveries, restarts, an operator's resets, and behind all of
//! it a Meta that tells every failure again for seven days, since it never hears that it was taken in.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sendfuse::breakers::OrderKind;
use sendfuse::config::Secret;
use sendfuse::simulator::{Health, Profile};

use super::harness::{BEGIN, OTHER, PHONE, Scene, TOKEN};
use super::kept::Kept;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Is locked on day 5, while health says so.
const THIRD: &str = "306540352242922";
/// Is never locked, as [`OTHER`].
const FOURTH: &str = "406540352242922";
const PHONES: [&str; 4] = [PHONE, OTHER, THIRD, FOURTH];

/// The week so far.
struct Week {
    scene: Scene,
    /// Phones that Meta has locked, or that have not recovered since.
    troubled: BTreeSet<&'static str>,
}

impl Week {
    fn begin() -> Self {
        let scene = Scene::set(|stage| {
            stage.store = Arc::new(Kept::default());
            stage.unacknowledged = Some("131031");
            (stage.meta.duplicate_percent, stage.meta.reorder_percent, stage.meta.read_percent) =
                (20, 20, 20);
            for phone in PHONES {
                stage.config.probe.tokens.insert(phone.into(), Secret::new(TOKEN));
            }
        });
        Self { scene, troubled: BTreeSet::new() }
    }

    /// The sender's traffic until then: each phone once an hour. No send of a healthy phone is rejected.
    async fn goes_on(&mut self, until: Duration) {
        while self.at() < until {
            for phone in PHONES {
                let answer = self.scene.send(phone).await;
                let healthy = answer.status == 200;
                assert!(
                    healthy || self.troubled.contains(phone),
                    "{phone} after {:?}: {answer:?}",
                    self.at()
                );
            }
            let next = Duration::from_secs((self.at().as_secs() / 3600 + 1) * 3600);
            self.scene.advance(next.min(until).saturating_sub(self.at())).await;
        }
    }

    /// How long the week has lasted.
    fn at(&self) -> Duration {
        self.scene.clock.now().since(BEGIN)
    }

    fn locks(&mut self, phone: &'static str, profile: Profile, health: Option<Health>) {
        self.troubled.insert(phone);
        self.scene.lock(phone, profile);
        self.scene.meta.set_health(phone, health);
    }

    /// Meta lets a phone go; the sender's next trial that is delivered closes.
    async fn unlocks(&mut self, phone: &'static str) {
        self.scene.meta.unlock(phone);
        self.scene.meta.set_health(phone, None);
        for _ in 0..60 {
            self.scene.send(phone).await;
            self.scene.advance(MINUTE).await;
            if self.scene.state(phone) == "closed" {
                assert!(self.troubled.remove(phone));
                return;
            }
        }
        panic!("an hour after the unlock: {:#?}", self.scene.breaker(phone));
    }

    async fn restarts(self) -> Self {
        let before = PHONES.map(|phone| self.stands(phone));
        let Self { scene, troubled } = self;
        let week = Self { scene: scene.restart(SECOND * 20).await, troubled };
        assert_eq!(PHONES.map(|phone| week.stands(phone)), before, "a restart moves nothing");
        week
    }

    fn stands(&self, phone: &str) -> (&'static str, u64) {
        let breaker = self.scene.breaker(phone);
        (breaker.state, breaker.generation)
    }

    fn transitions(&self, transition: &str) -> f64 {
        let of = |source| {
            let labels = format!("scope=\"phone\",source=\"{source}\",transition=\"{transition}\"");
            self.scene.metric(&format!("sendfuse_transitions_total{{{labels}}}"))
        };
        ["response", "webhook", "probe", "operator", "timer"].into_iter().map(of).sum()
    }

    fn stale(&self) -> f64 {
        self.scene.metric("sendfuse_stale_evidence_total")
    }
}

#[tokio::test(start_paused = true)]
async fn a_week_with_two_locks_of_one_phone_and_every_failure_told_for_seven_days() {
    let mut week = Week::begin();

    // Day 0: a lock that only webhooks tell of, and of which health knows nothing.
    week.goes_on(HOUR).await;
    week.locks(PHONE, Profile::Async, None);
    for _ in 0..5 {
        assert_eq!(week.scene.send(PHONE).await.status, 200, "Meta accepts");
    }
    week.scene.until_state(PHONE, "open").await;
    week.goes_on(HOUR * 3).await;
    week = week.restarts().await;
    week.goes_on(HOUR * 6).await;
    week.unlocks(PHONE).await;
    let recovered = week.stands(PHONE);
    assert_eq!(recovered.0, "closed");
    let (failures, reopens) = (week.scene.breaker(PHONE), week.transitions("reopen"));
    assert!(reopens > 0.0 && failures.conditions.is_empty(), "{reopens} {failures:?}");

    // Days 1 and 2: the failures of day 0 are told again and again, to this process and to the next ones.
    let late = week.stale();
    week.goes_on(DAY).await;
    assert!(week.stale() > late);
    week = week.restarts().await;
    week.goes_on(DAY * 2).await;
    week = week.restarts().await;
    week.goes_on(DAY * 3).await;
    assert_eq!(week.stands(PHONE), recovered, "late news moved it");

    // Day 3: the same phone again. That is news, whatever was told of it before.
    week.locks(PHONE, Profile::Sync403, Some(Health::NotLinked));
    let refused = week.scene.send(PHONE).await;
    assert!(refused.code() == 131_031 && !refused.is_rejection());
    assert_eq!(week.stands(PHONE), ("open", recovered.1 + 1));
    week = week.restarts().await;
    week.goes_on(DAY * 3 + HOUR * 2).await;
    assert_eq!(week.stands(PHONE), ("open", recovered.1 + 1), "blocked, whatever old news comes");
    // An operator is sure that it is over. It is not.
    assert_eq!(week.scene.order(PHONE, OrderKind::Reset, None).await.state, "closed");
    assert_eq!(week.scene.send(PHONE).await.code(), 131_031);
    assert_eq!(week.stands(PHONE), ("open", recovered.1 + 3));
    week.goes_on(DAY * 3 + HOUR * 5).await;
    week = week.restarts().await;
    week.unlocks(PHONE).await;
    let recovered = (recovered.0, recovered.1 + 5);
    assert_eq!(week.stands(PHONE), recovered);

    // Day 5: another phone, while the first two locks are still being told.
    week.goes_on(DAY * 5).await;
    week.locks(THIRD, Profile::Async, Some(Health::NotLinked));
    assert_eq!(week.scene.send(THIRD).await.status, 200);
    week.scene.until_state(THIRD, "open").await;
    week.goes_on(DAY * 5 + HOUR * 2).await;
    week = week.restarts().await;
    // This time the operator is right, and does not wait for a trial.
    week.scene.meta.unlock(THIRD);
    week.scene.meta.set_health(THIRD, None);
    assert_eq!(week.scene.order(THIRD, OrderKind::Reset, None).await.state, "closed");
    week.troubled.remove(THIRD);

    // To the end, and until Meta gives up on the last of it.
    week.goes_on(DAY * 7).await;
    let late = week.stale();
    week.goes_on(DAY * 7 + HOUR * 12).await;
    assert!(late > 900.0 && week.stale() > late, "late news came all the time: {late}");
    assert_eq!(week.transitions("reopen"), reopens);
    assert_eq!(week.stands(PHONE), recovered);
    assert_eq!(week.stands(THIRD), ("closed", 2), "trip, reset");
    for phone in [OTHER, FOURTH] {
        assert_eq!(week.stands(phone), ("closed", 0), "{phone} was never anything but closed");
    }
    // Four trips: day 0, day 3, after the reset, day 5. Each trial that failed on day 0 reopened.
    let counted = ["trip", "half_open", "reopen", "close", "reset"].map(|name| week.transitions(name));
    assert_eq!(counted, [4.0, 2.0 + reopens, reopens, 2.0, 2.0]);
    assert_eq!(week.scene.metric("sendfuse_trials_total{outcome=\"locked\"}"), reopens);
    assert_eq!(counted.iter().sum::<f64>(), (recovered.1 + 2) as f64, "and nobody else made a transition");
    assert!(week.troubled.is_empty());
}
