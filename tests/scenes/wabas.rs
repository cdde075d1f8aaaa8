//! Three phones of one account and one of another, and what scenes ask and say of them.

use std::time::Duration;

use sendfuse::breakers::{BreakerView, Order, OrderKind};
use sendfuse::graph::ids::WabaId;
use sendfuse::incident::Incident;
use sendfuse::simulator::{AccountLock, Event, Health, News, Profile, Reason};
use tokio::time::{Instant, sleep};

use super::harness::{Answer, Scene, Stage};

/// The phones of [`WABA`].
pub(super) const ONE: &str = "206540352240000";
pub(super) const TWO: &str = "206540352240001";
pub(super) const THREE: &str = "206540352240002";
pub(super) const ALL: [&str; 3] = [ONE, TWO, THREE];
/// Their account.
pub(super) const WABA: &str = "806540352240000";
/// A phone of another account.
pub(super) const STRANGER: &str = "206540352240003";
pub(super) const STRANGE_WABA: &str = "806540352240003";

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

impl Scene {
    /// With these phones. Nothing is known of them yet.
    pub(super) fn of_wabas() -> Self {
        Self::of_wabas_set(|_| {})
    }

    /// With these phones, on another stage.
    pub(super) fn of_wabas_set(tweak: impl FnOnce(&mut Stage)) -> Self {
        let scene = Self::set(tweak);
        scene.meta.add_wabas(ALL.into_iter().chain([STRANGER]), 3);
        scene
    }

    /// Each of them has sent, and a status has told whose it is.
    pub(super) async fn meet_all(&self) {
        for phone in [ONE, TWO, THREE, STRANGER] {
            self.meet(phone).await;
        }
    }

    /// A phone sends, and its statuses come.
    pub(super) async fn meet(&self, phone: &str) {
        assert_eq!(self.send(phone).await.status, 200);
        self.advance(SECOND * 3).await;
    }

    /// Meta says something of [`WABA`].
    pub(super) async fn tell(&self, event: impl Into<Event>) {
        self.meta.account_event(WABA, event);
        self.settle().await;
    }

    /// Meta disables [`WABA`] and says so. Health is clear unless it is a [`Profile::Ban`].
    pub(super) async fn disable(&self, profile: Profile) {
        self.meta.lock_waba(WABA, Reason::Disabled.with(profile));
        self.tell(News::Disabled).await;
        assert_eq!(self.waba().state, "open");
    }

    /// As [`Scene::disable`]; then Meta lets it go, and a health check finds it clear.
    pub(super) async fn waba_half_open(&self) {
        self.disable(Profile::Sync403).await;
        self.meta.unlock_waba(WABA);
        self.until_waba("half_open").await;
    }

    /// Meta locks it without a word, and health says who is blocked.
    pub(super) fn block(&self, lock: AccountLock, health: Health) {
        self.meta.lock_waba(WABA, lock.showing(health));
    }

    /// The breaker of [`WABA`].
    pub(super) fn waba(&self) -> BreakerView {
        self.waba_of(WABA)
    }

    pub(super) fn waba_of(&self, id: &str) -> BreakerView {
        self.breakers().view(WabaId::parse(id).unwrap())
    }

    /// Waits until the breaker of [`WABA`] is in this state; says how long that took.
    pub(super) async fn until_waba(&self, state: &str) -> Duration {
        let began = Instant::now();
        while self.waba().state != state {
            assert!(began.elapsed() < HOUR * 24, "never came to pass: {:#?}", self.waba());
            sleep(Duration::from_millis(20)).await;
        }
        began.elapsed()
    }

    /// An operator's order on [`WABA`].
    pub(super) async fn order_waba(&self, kind: OrderKind, hold: Option<Duration>) -> BreakerView {
        let order = Order { kind, reason: "because".into(), by: "ops".into(), hold };
        self.breakers().order(WabaId::parse(WABA).unwrap(), order, None).await.unwrap()
    }

    /// Health checks of the account's own node that reached Meta.
    pub(super) fn waba_probes(&self) -> usize {
        self.asked(&format!("/{WABA}?fields=health_status"))
    }

    /// How many requests reached Meta whose target has this text in it.
    pub(super) fn asked(&self, text: &str) -> usize {
        self.meta.recorded().iter().filter(|request| request.target.contains(text)).count()
    }

    /// The incident of [`WABA`].
    pub(super) fn waba_incident(&self) -> Incident {
        let id = self.waba().last_incident.unwrap();
        self.breakers().incident(&id).unwrap()
    }
}

impl Answer {
    /// `error_data.details`.
    pub(super) fn details(&self) -> &str {
        self.json["error"]["error_data"]["details"].as_str().unwrap()
    }
}
