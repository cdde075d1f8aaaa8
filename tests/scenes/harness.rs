//! A scene: the whole program, a simulated Meta before it, apps behind it, and a clock that jumps.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use sendfuse::app::{Wired, upstream_options};
use sendfuse::breakers::{BreakerView, Breakers, GenerationMismatch, Order, OrderKind};
use sendfuse::clock::Clock;
use sendfuse::config::{Config, Secret};
use sendfuse::graph::ids::PhoneNumberId;
use sendfuse::server::{self, ConnectionInfo};
use sendfuse::simulator::{self, Profile, Simulator};
use sendfuse::store::Store;
use sendfuse::store::memory::Memory;
use sendfuse::telemetry::Telemetry;
use sendfuse::time::Timestamp;
use sendfuse::upstream::{Io, Upstream};
use sendfuse::webhook::WebhookService;
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{DuplexStream, duplex};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(super) use super::messages::{changes, failed, json_request, request, send_request, status, text};
pub(super) use sendfuse::simulator::PHONE;

/// A second phone, of another WABA.
pub(super) const OTHER: &str = "206540352242922";
/// A token that the simulated Meta takes.
pub(super) const TOKEN: &str = "EAAGscene";
/// When every scene begins: 2026-05-01T10:00:00Z.
pub(super) const BEGIN: Timestamp = Timestamp::from_seconds(1_777_629_600);
/// What awaits for longer than this, in virtual time, waits for ever.
const FOR_EVER: Duration = Duration::from_secs(30 * 24 * 3600);
/// How closely [`Scene::until`] looks.
const GLANCE: Duration = Duration::from_millis(20);

/// How a scene is set.
pub(super) struct Stage {
    pub(super) config: Config,
    pub(super) meta: simulator::Options,
    pub(super) store: Arc<dyn Store>,
    /// Webhooks with this text in them reach the program, but Meta never hears its 200, and so tells them again and again.
    pub(super) unacknowledged: Option<&'static str>,
}

/// The program on its stage. Clones are the same scene.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) meta: Simulator,
    pub(super) wired: Wired,
    pub(super) clock: Clock,
    /// Webhooks that Meta got a 200 for, counted before anybody else runs.
    pub(super) acknowledged: Arc<AtomicU64>,
    /// What a restart goes on with.
    config: Config,
    store: Arc<dyn Store>,
    telemetry: Telemetry,
    door: Door,
    _stop: Arc<DropGuard>,
}

/// Where Meta's webhooks go in, while the program runs.
type Door = Arc<Mutex<Option<WebhookService<Breakers>>>>;

/// What an app got.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Null if it is no JSON.
    pub(super) json: Value,
}

/// An app with one connection, which is cut when it is dropped.
pub(super) struct App {
    sender: SendRequest<Full<Bytes>>,
    connection: AbortHandle,
}

impl Scene {
    /// With the default configuration.
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    /// With another configuration.
    pub(super) fn with(tweak: impl FnOnce(&mut Config)) -> Self {
        Self::set(|stage| tweak(&mut stage.config))
    }

    /// With another configuration, another Meta, or another store.
    pub(super) fn set(tweak: impl FnOnce(&mut Stage)) -> Self {
        let clock = Clock::starting_at(BEGIN);
        let meta = simulator::Options {
            clock,
            webhook_url: Some("http://hooks.example/webhook".into()),
            record: 4096,
            ..simulator::Options::default()
        };
        let mut stage =
            Stage { config: Config::default(), meta, store: Arc::new(Memory), unacknowledged: None };
        stage.config.webhook.app_secrets = vec![Secret::new(stage.meta.app_secret.clone())];
        stage.config.upstream.url = "http://graph.facebook.com".parse().unwrap();
        tweak(&mut stage);

        let (door, acknowledged) = (Door::default(), Arc::new(AtomicU64::new(0)));
        let unacknowledged = stage.unacknowledged;
        stage.meta.deliver = Some(deliver(Arc::clone(&door), Arc::clone(&acknowledged), unacknowledged));
        let (meta, telemetry) = (Simulator::new(stage.meta), Telemetry::new());
        let (config, store) = (stage.config, stage.store);
        let (wired, _stop) = start(&meta, config.clone(), Arc::clone(&store), telemetry.clone(), clock);
        *door.lock().unwrap() = Some(wired.webhook.clone());
        Self { meta, wired, clock, acknowledged, config, store, telemetry, door, _stop }
    }

    /// The program ends, and after a while starts again on the same store. Its metrics go on, so that a scene can count.
    pub(super) async fn restart(self, after: Duration) -> Self {
        let Self { meta, clock, acknowledged, config, store, telemetry, door, .. } = self;
        drop((self.wired, self._stop));
        door.lock().unwrap().take();
        sleep(after).await;
        let (wired, _stop) = start(&meta, config.clone(), Arc::clone(&store), telemetry.clone(), clock);
        *door.lock().unwrap() = Some(wired.webhook.clone());
        Self { meta, wired, clock, acknowledged, config, store, telemetry, door, _stop }
    }

    /// A bare connection to the send path.
    pub(super) fn connect(&self) -> DuplexStream {
        let (near, far) = duplex(64 * 1024);
        let local = ([127, 0, 0, 1], 8080).into();
        let info = ConnectionInfo { local, peer: ([127, 0, 0, 1], 40_000).into(), tls: false };
        let service = self.wired.send_path.service(info);
        tokio::spawn(async move {
            server::serve_connection(far, service, &server::Options::default(), &CancellationToken::new())
                .await;
        });
        near
    }

    /// An app with a connection of its own.
    pub(super) async fn app(&self) -> App {
        let (sender, connection) = http1::handshake(TokioIo::new(self.connect())).await.unwrap();
        App { sender, connection: tokio::spawn(connection).abort_handle() }
    }

    /// A call on a connection of its own.
    pub(super) async fn call(&self, request: Request<Full<Bytes>>) -> Answer {
        self.app().await.call(request).await
    }

    /// One text message.
    pub(super) async fn send(&self, phone: &str) -> Answer {
        self.call(send_request(phone)).await
    }

    /// A send that goes on beside the scene.
    pub(super) fn start_send(&self, phone: &str) -> JoinHandle<Answer> {
        let (scene, request) = (self.clone(), send_request(phone));
        tokio::spawn(async move { scene.call(request).await })
    }

    /// Locks a phone at Meta.
    pub(super) fn lock(&self, phone: &str, profile: Profile) {
        self.meta.lock(phone, profile);
    }

    /// A breaker as operators see it.
    pub(super) fn breaker(&self, phone: &str) -> BreakerView {
        self.breakers().view(id(phone))
    }

    pub(super) fn state(&self, phone: &str) -> &'static str {
        self.breaker(phone).state
    }

    pub(super) fn breakers(&self) -> &Breakers {
        &self.wired.breakers
    }

    /// Lets time go by. What is due on the way happens in its order.
    pub(super) async fn advance(&self, time: Duration) {
        sleep(time).await;
        self.settle().await;
    }

    /// Lets everything happen that can happen now. (The clock moves only when nobody has anything to do.)
    pub(super) async fn settle(&self) {
        sleep(Duration::from_millis(1)).await;
    }

    /// Waits until a breaker is as asked; says how long that took.
    pub(super) async fn until(&self, phone: &str, enough: impl Fn(&BreakerView) -> bool) -> Duration {
        let began = Instant::now();
        loop {
            let breaker = self.breaker(phone);
            if enough(&breaker) {
                return began.elapsed();
            }
            assert!(began.elapsed() < FOR_EVER, "never came to pass: {breaker:#?}");
            // Far away from where it began, a coarse look will do.
            sleep(GLANCE.max(began.elapsed() / 1000)).await;
        }
    }

    pub(super) async fn until_state(&self, phone: &str, state: &str) -> Duration {
        self.until(phone, |breaker| breaker.state == state).await
    }

    /// Waits until so many sends of a phone have reached Meta.
    pub(super) async fn until_arrived(&self, phone: &str, sends: u64) {
        let enough =
            |counts: &simulator::Counts| counts.phones.get(phone).is_some_and(|phone| phone.arrived >= sends);
        timeout(FOR_EVER, self.meta.until(enough)).await.expect("the sends never arrived");
    }

    /// Sends of a phone that reached Meta.
    pub(super) fn arrived(&self, phone: &str) -> u64 {
        self.meta.phone_counts(phone).arrived
    }

    /// Health checks of a phone that reached Meta.
    pub(super) fn probes(&self, phone: &str) -> u64 {
        self.meta.phone_counts(phone).probes
    }

    /// Meta locks the phone and tells the next send so; the breaker opens. Health stays clear unless the profile says else.
    pub(super) async fn trip(&self, phone: &str) {
        self.lock(phone, Profile::Sync403);
        assert_eq!(self.send(phone).await.code(), 131_031);
        assert_eq!(self.state(phone), "open");
    }

    /// As [`Scene::trip`]; then Meta lets the phone go, and health says so.
    pub(super) async fn half_open(&self, phone: &str) {
        self.trip(phone).await;
        self.meta.unlock(phone);
        self.until_state(phone, "half_open").await;
    }

    /// As [`Scene::half_open`]; then a trial is delivered.
    pub(super) async fn recover(&self, phone: &str) {
        self.half_open(phone).await;
        assert_eq!(self.send(phone).await.status, 200);
        self.until_state(phone, "closed").await;
    }

    /// Posts a webhook as Meta does, signed.
    pub(super) async fn webhook(&self, body: &Value) -> StatusCode {
        self.webhook_signed_with(b"simulated-app-secret", body).await
    }

    /// Posts a webhook that somebody has signed.
    pub(super) async fn webhook_signed_with(&self, secret: &[u8], body: &Value) -> StatusCode {
        self.post("/webhook", "x-hub-signature-256", secret, body).await
    }

    /// Posts a webhook as Dualhook does: its secret is `theirs`.
    pub(super) async fn forwarded(&self, body: &Value) -> StatusCode {
        self.post("/webhook/dualhook", "x-dualhook-signature", b"theirs", body).await
    }

    async fn post(&self, path: &str, header: &str, secret: &[u8], body: &Value) -> StatusCode {
        let body = Bytes::from(body.to_string());
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        mac.update(&body);
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let request = Request::post(path).header(header, format!("sha256={hex}")).body(body).unwrap();
        post(self.wired.webhook.clone(), request).await.unwrap().status()
    }

    /// Seconds since the epoch, so long from now as Meta writes them.
    pub(super) fn seconds(&self, ago: Duration) -> i64 {
        (self.clock.now().millis() - i64::try_from(ago.as_millis()).unwrap()) / 1000
    }

    /// An operator's order.
    pub(super) async fn order(&self, phone: &str, kind: OrderKind, hold: Option<Duration>) -> BreakerView {
        self.order_if(phone, kind, hold, None).await.unwrap()
    }

    /// An operator's order, if the breaker is at this generation.
    pub(super) async fn order_if(
        &self,
        phone: &str,
        kind: OrderKind,
        hold: Option<Duration>,
        generation: Option<u64>,
    ) -> Result<BreakerView, GenerationMismatch> {
        let order = Order { kind, reason: "because".into(), by: "ops".into(), hold };
        self.breakers().order(id(phone), order, generation.map(sendfuse::breaker::Generation)).await
    }

    /// The value of a metric's line; 0 if it is not there.
    pub(super) fn metric(&self, line: &str) -> f64 {
        let text = self.wired.metrics();
        let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }
}

impl App {
    /// A call over the app's connection.
    pub(super) async fn call(&mut self, request: Request<Full<Bytes>>) -> Answer {
        self.try_call(request).await.unwrap()
    }

    /// A call that may find the connection broken.
    pub(super) async fn try_call(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
        let call = async {
            self.sender.ready().await?;
            let (head, body) = self.sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            let json = serde_json::from_slice(&body).unwrap_or_default();
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body, json })
        };
        timeout(FOR_EVER, call).await.expect("an answer")
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Answer {
    /// Graph's error code; 0 if it is no error.
    pub(super) fn code(&self) -> i64 {
        self.json["error"]["code"].as_i64().unwrap_or_default()
    }

    /// Whether it is sendfuse that said no, and not Meta.
    pub(super) fn is_rejection(&self) -> bool {
        self.headers.contains_key("x-sendfuse-state")
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The message that Meta accepted.
    pub(super) fn wamid(&self) -> String {
        self.json["messages"][0]["id"].as_str().unwrap().to_owned()
    }
}

pub(super) fn id(phone: &str) -> PhoneNumberId {
    PhoneNumberId::parse(phone).unwrap()
}

/// Starts the program before this Meta. It runs until the guard is dropped.
fn start(
    meta: &Simulator,
    config: Config,
    store: Arc<dyn Store>,
    telemetry: Telemetry,
    clock: Clock,
) -> (Wired, Arc<DropGuard>) {
    let origin = meta.clone();
    let connect = move || {
        let (near, far) = duplex(64 * 1024);
        let origin = origin.clone();
        tokio::spawn(async move { origin.serve_connection(far).await });
        Ok(Box::new(near) as Box<dyn Io>)
    };
    let upstream = Upstream::in_memory(&upstream_options(&config), connect).unwrap();
    let (wired, tasks) = Wired::new(config, upstream, store, telemetry, clock).unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(tasks.run(stop.clone()));
    (wired, Arc::new(stop.drop_guard()))
}

/// Meta's way to the webhook listener.
fn deliver(
    door: Door,
    acknowledged: Arc<AtomicU64>,
    unacknowledged: Option<&'static str>,
) -> simulator::Deliver {
    Arc::new(move |request| {
        let (door, acknowledged) = (Arc::clone(&door), Arc::clone(&acknowledged));
        let lost = unacknowledged.is_some_and(|text| String::from_utf8_lossy(request.body()).contains(text));
        Box::pin(async move {
            let service = door.lock().unwrap().clone();
            let answer = post(service.ok_or("it is down")?, request).await?;
            if lost {
                return Err("the answer was lost".into());
            }
            if answer.status() == StatusCode::OK {
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            Ok(answer)
        })
    })
}

/// One request to the webhook listener, over a connection of its own.
async fn post(
    service: WebhookService<Breakers>,
    mut request: Request<Bytes>,
) -> hyper::Result<Response<Bytes>> {
    let (near, far) = duplex(64 * 1024);
    tokio::spawn(async move {
        server::serve_connection(far, service, &server::Options::default(), &CancellationToken::new()).await;
    });
    let (mut sender, connection) = http1::handshake(TokioIo::new(near)).await?;
    tokio::spawn(connection);
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).parse().unwrap();
    *request.uri_mut() = target;
    request.headers_mut().insert(header::HOST, header::HeaderValue::from_static("hooks.example"));
    let (head, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
    Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
}
