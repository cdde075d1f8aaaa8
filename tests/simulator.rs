//! The simulated Meta does what the facts say: otherwise the tests that trust it prove nothing.

mod accounts;
mod answers;
mod codes;
mod events;
mod locks;
mod sockets;
mod switches;
mod timelines;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use sendfuse::clock::Clock;
use sendfuse::graph::class::Class;
use sendfuse::simulator::{
    Delay, Encoding, Fault, FaultRule, Health, Listening, Options, PHONE, PhoneCounts, Profile, Protocols,
    Simulator, WABA,
};
use sendfuse::time::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout};

const DELAY: Duration = Duration::from_secs(2);
/// Longer than anything takes; passes at once under a paused clock.
const LONG: Duration = Duration::from_secs(30 * 24 * 3600);
/// When a test on real sockets gives up.
const PATIENCE: Duration = Duration::from_secs(20);
const NOON: i64 = 1_777_629_600;
const TEXT: &str =
    r#"{"messaging_product":"whatsapp","to":"+1 650 555 1234","type":"text","text":{"body":"hi"}}"#;

/// A simulator, and a callback in memory that answers `callback_status`, or the challenge.
struct Scene {
    meta: Simulator,
    webhooks: UnboundedReceiver<(Instant, Request<Bytes>)>,
    callback_status: Arc<AtomicU16>,
}

fn scene(change: impl FnOnce(&mut Options)) -> Scene {
    let (heard, webhooks) = unbounded_channel();
    let callback_status = Arc::new(AtomicU16::new(200));
    let status = callback_status.clone();
    let mut options = Options {
        webhook_url: Some("http://app.test/hook?a=1".into()),
        status_delay: DELAY,
        clock: Clock::starting_at(Timestamp::from_seconds(NOON)),
        deliver: Some(Arc::new(move |request: Request<Bytes>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let challenge = url::form_urlencoded::parse(query.as_bytes())
                .find(|(name, _)| name == "hub.challenge")
                .map(|(_, value)| Bytes::from(value.into_owned()));
            let status = StatusCode::from_u16(status.load(Ordering::SeqCst)).unwrap();
            heard.send((Instant::now(), request)).unwrap();
            let mut answer = Response::new(challenge.unwrap_or_default());
            *answer.status_mut() = status;
            Box::pin(async move { Ok(answer) })
        })),
        ..Options::default()
    };
    change(&mut options);
    Scene { meta: Simulator::new(options), webhooks, callback_status }
}

impl Scene {
    /// The next webhook's body, and when it came.
    async fn webhook(&mut self) -> (Instant, Value) {
        let (at, request) = timeout(LONG, self.webhooks.recv()).await.expect("a webhook").unwrap();
        (at, serde_json::from_slice(request.body()).unwrap())
    }

    /// The next webhook's status.
    async fn status(&mut self) -> Value {
        self.webhook().await.1["entry"][0]["changes"][0]["value"]["statuses"][0].clone()
    }

    /// Nothing more is delivered, ever.
    async fn silence(&mut self) -> bool {
        timeout(LONG, self.webhooks.recv()).await.is_err()
    }

    fn counts(&self) -> PhoneCounts {
        self.meta.phone_counts(PHONE)
    }
}

fn request(method: Method, target: &str, body: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(target)
        .header("host", "graph.facebook.com")
        .header("authorization", "Bearer EAAJtest")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap()
}

fn post(target: &str, body: &str) -> Request<Full<Bytes>> {
    request(Method::POST, target, body)
}

fn get(target: &str) -> Request<Full<Bytes>> {
    request(Method::GET, target, "")
}

fn text() -> Request<Full<Bytes>> {
    post(&format!("/v23.0/{PHONE}/messages"), TEXT)
}

/// One request over one HTTP/1.1 connection in memory.
async fn open(meta: &Simulator, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let meta = meta.clone();
    tokio::spawn(async move { meta.serve_connection(theirs).await });
    over_http1(ours, request).await
}

async fn over_http1<IO>(io: IO, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    tokio::spawn(connection);
    sender.send_request(request).await
}

async fn call(meta: &Simulator, request: Request<Full<Bytes>>) -> (StatusCode, Value) {
    let answer = open(meta, request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

fn code(answer: &(StatusCode, Value)) -> (u16, i64) {
    (answer.0.as_u16(), answer.1["error"]["code"].as_i64().unwrap_or_default())
}

fn wamid(answer: &(StatusCode, Value)) -> String {
    assert_eq!(answer.0, 200, "{}", answer.1);
    answer.1["messages"][0]["id"].as_str().unwrap().to_owned()
}

async fn health(meta: &Simulator, phone: &str) -> Value {
    call(meta, get(&format!("/v23.0/{phone}?fields=health_status"))).await.1["health_status"].clone()
}

/// `can_send_message` of the whole, and of each entity that is not AVAILABLE with its error codes.
fn verdict(health: &Value) -> (String, Vec<String>) {
    let blamed = health["entities"].as_array().unwrap().iter().filter_map(|entity| {
        let codes: Vec<String> =
            entity["errors"].as_array().into_iter().flatten().map(|e| e["error_code"].to_string()).collect();
        let (kind, can) = (entity["entity_type"].as_str()?, entity["can_send_message"].as_str()?);
        (can != "AVAILABLE" || !codes.is_empty()).then(|| format!("{kind} {can} {}", codes.join(" ")))
    });
    (health["can_send_message"].as_str().unwrap().to_owned(), blamed.collect())
}

const TEMPLATE: &str =
    r#"{"messaging_product":"whatsapp","to":"16505551234","type":"template","template":{"name":"x"}}"#;

/// A send of a class on one of a phone's edges.
fn template(phone: &str, edge: &str) -> Request<Full<Bytes>> {
    post(&format!("/v23.0/{phone}/{edge}"), TEMPLATE)
}

/// A switch over HTTP.
fn switch(name: &str, body: &Value) -> Request<Full<Bytes>> {
    post(&format!("/_simulator/{name}"), &body.to_string())
}

fn locked_status(status: &Value) -> bool {
    status["status"] == "failed"
        && status["errors"][0]["code"] == 131_031
        && status["errors"][0]["title"] == "Business Account locked"
        && status["errors"][0]["error_data"]["details"] == "Business account has been locked."
}

#[tokio::test(start_paused = true)]
async fn an_accepted_message_is_followed_by_its_statuses() {
    let mut scene = scene(|options| options.read_percent = 100);
    let begin = Instant::now();
    let answer = call(&scene.meta, text()).await;
    let wamid = wamid(&answer);
    assert_eq!(answer.1["contacts"], json!([{"input": "+1 650 555 1234", "wa_id": "16505551234"}]));
    for (n, expected) in [(1, "sent"), (2, "delivered"), (3, "read")] {
        let (at, webhook) = scene.webhook().await;
        assert_eq!(at - begin, DELAY * n);
        assert_eq!(webhook["object"], "whatsapp_business_account");
        assert_eq!(webhook["entry"][0]["id"], WABA);
        let change = &webhook["entry"][0]["changes"][0];
        assert_eq!(change["field"], "messages");
        assert_eq!(change["value"]["metadata"]["phone_number_id"], PHONE);
        let status = &change["value"]["statuses"][0];
        assert_eq!((status["status"].as_str(), status["id"].as_str()), (Some(expected), Some(&*wamid)));
        assert_eq!(status["timestamp"], (NOON + 2 * i64::from(n)).to_string());
        assert_eq!(status["recipient_id"], "16505551234");
    }
    assert!(scene.silence().await);
    assert_eq!(scene.counts(), PhoneCounts { arrived: 1, accepted: 1, ..PhoneCounts::default() });
}

#[tokio::test(start_paused = true)]
async fn webhooks_are_signed_over_the_escaped_bytes() {
    let mut scene = scene(|_| {});
    let body = TEXT.replace(r#""type""#, r#""biz_opaque_callback_data":"ä/😀","type""#);
    wamid(&call(&scene.meta, post(&format!("/{PHONE}/messages"), &body)).await);
    let (_, webhook) = timeout(LONG, scene.webhooks.recv()).await.unwrap().unwrap();
    let raw = std::str::from_utf8(webhook.body()).unwrap();
    assert!(raw.is_ascii() && raw.contains(r#""\u00e4\/\ud83d\ude00""#), "{raw}");
    let mut mac = Hmac::<Sha256>::new_from_slice(b"simulated-app-secret").unwrap();
    mac.update(raw.as_bytes());
    let expected: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(webhook.headers()["x-hub-signature-256"], format!("sha256={expected}").as_str());
    assert_eq!(webhook.headers()["content-type"], "application/json");
}

#[tokio::test(start_paused = true)]
async fn a_webhook_is_retried_at_once_then_more_and_more_slowly() {
    let mut scene = scene(|_| {});
    scene.callback_status.store(204, Ordering::SeqCst);
    scene.meta.webhook(WABA, "account_update", json!({"event": "ACCOUNT_DELETED"}));
    let (first, body) = scene.webhook().await;
    assert_eq!(body["entry"][0]["changes"][0]["value"]["event"], "ACCOUNT_DELETED");
    assert_eq!(body["entry"][0]["time"], NOON);
    for seconds in [0, 1, 3, 7] {
        let (at, again) = scene.webhook().await;
        assert_eq!((at - first, &again), (Duration::from_secs(seconds), &body));
    }
    scene.callback_status.store(200, Ordering::SeqCst);
    scene.webhook().await;
    assert!(scene.silence().await);
    let counts = scene.meta.counts();
    assert_eq!((counts.webhooks, counts.webhooks_acknowledged), (6, 1));
}

#[tokio::test(start_paused = true)]
async fn webhooks_can_come_twice_and_in_the_wrong_order() {
    let mut scene = scene(|options| (options.duplicate_percent, options.reorder_percent) = (100, 100));
    call(&scene.meta, text()).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(scene.status().await["status"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, ["delivered", "delivered", "sent", "sent"]);
}

#[tokio::test(start_paused = true)]
async fn an_async_lock_accepts_and_fails_later_with_healthy_health() {
    let mut scene = scene(|_| {});
    scene.meta.lock(PHONE, Profile::Async);
    let wamid = wamid(&call(&scene.meta, text()).await);
    let status = scene.status().await;
    assert!(locked_status(&status), "{status}");
    assert_eq!(status["id"], wamid);
    assert_eq!(verdict(&health(&scene.meta, PHONE).await), ("AVAILABLE".into(), vec![]));
    scene.meta.unlock(PHONE);
    call(&scene.meta, text()).await;
    assert_eq!(scene.status().await["status"], "sent");
    assert_eq!(scene.status().await["status"], "delivered");
    assert!(scene.silence().await);
    let expected = PhoneCounts {
        arrived: 2,
        arrived_after_lock: 1,
        accepted: 2,
        failed: 1,
        probes: 1,
        ..PhoneCounts::default()
    };
    assert_eq!(scene.counts(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_sync_lock_answers_with_its_status_on_one_phone_only() {
    for (profile, status) in [(Profile::Sync403, 403), (Profile::Sync400, 400)] {
        let mut scene = scene(|_| {});
        scene.meta.lock(PHONE, profile);
        let answer = open(&scene.meta, text()).await.unwrap();
        assert_eq!(answer.status(), status);
        let challenge =
            r##"OAuth "Facebook Platform" "invalid_request" "(#131031) Business Account locked""##;
        assert_eq!(answer.headers()["www-authenticate"], challenge);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let error = serde_json::from_slice::<Value>(&body).unwrap()["error"].clone();
        assert_eq!(error["message"], "(#131031) Business Account locked");
        assert_eq!((&error["type"], &error["code"]), (&json!("OAuthException"), &json!(131_031)));
        assert_eq!(error["error_data"]["messaging_product"], "whatsapp");
        assert!(error["fbtrace_id"].is_string() && error.get("error_subcode").is_none());
        assert_eq!((scene.counts().refused, scene.counts().accepted), (1, 0));
        let read = r#"{"messaging_product":"whatsapp","status":"read","message_id":"wamid.x"}"#;
        let receipt = call(&scene.meta, post(&format!("/{PHONE}/messages"), read)).await;
        assert_eq!(receipt, (StatusCode::OK, json!({"success": true})));
        assert_eq!((scene.counts().arrived, scene.counts().read_receipts), (1, 1));
        assert!(scene.silence().await);
        wamid(&call(&scene.meta, post("/v23.0/106540352242923/messages", TEXT)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_ban_takes_the_waba_and_ends_its_webhooks() {
    let sibling = "106540352242999";
    let mut scene = scene(|options| options.phones.push((sibling.into(), WABA.into())));
    wamid(&call(&scene.meta, text()).await);
    scene.meta.lock(PHONE, Profile::Ban);
    for phone in [PHONE, sibling] {
        assert_eq!(code(&call(&scene.meta, post(&format!("/{phone}/messages"), TEXT)).await), (403, 131_031));
        let verdict = verdict(&health(&scene.meta, phone).await);
        assert_eq!(verdict, ("BLOCKED".into(), vec!["WABA BLOCKED 141014".into()]));
        let fields = call(&scene.meta, get(&format!("/{phone}?fields=status"))).await.1;
        assert_eq!(fields, json!({"id": phone, "status": "BANNED"}));
    }
    assert!(scene.silence().await, "the message accepted before the ban has no status either");
    let waba =
        call(&scene.meta, get(&format!("/v23.0/{WABA}?fields=account_review_status,health_status"))).await.1;
    assert_eq!(waba["account_review_status"], "REJECTED");
    assert_eq!(waba["health_status"]["entities"].as_array().unwrap().len(), 3);
    scene.meta.unlock(sibling);
    wamid(&call(&scene.meta, text()).await);
    assert_eq!(scene.status().await["status"], "sent");
}

#[tokio::test(start_paused = true)]
async fn an_intermittent_lock_lets_some_through() {
    let mut scene = scene(|_| {});
    scene.meta.lock(PHONE, Profile::Intermittent { delivered_percent: 30 });
    let mut failed = 0;
    for _ in 0..200 {
        call(&scene.meta, text()).await;
        failed += usize::from(scene.status().await["status"] == "failed");
        while scene.webhooks.try_recv().is_ok() {}
        tokio::time::sleep(2 * DELAY).await;
        while scene.webhooks.try_recv().is_ok() {}
    }
    assert!((120..160).contains(&failed), "{failed} of 200");
}

#[tokio::test(start_paused = true)]
async fn late_duplicates_come_after_the_unlock_as_they_were() {
    let mut scene = scene(|_| {});
    let after = Duration::from_secs(3600);
    scene.meta.lock(PHONE, Profile::LateDuplicates { after });
    call(&scene.meta, text()).await;
    let (_, first) = scene.webhook().await;
    assert!(locked_status(&first["entry"][0]["changes"][0]["value"]["statuses"][0]));
    let unlocked = Instant::now();
    scene.meta.unlock(PHONE);
    let (at, second) = scene.webhook().await;
    assert_eq!((at - unlocked, second), (after, first));
    assert!(scene.silence().await);
}

#[tokio::test(start_paused = true)]
async fn health_can_be_set_with_its_quirks() {
    let scene = scene(|_| {});
    for (set, overall, blamed) in [
        (Health::SipBlocked, "BLOCKED", "PHONE_NUMBER AVAILABLE 138024"),
        (Health::PaymentBlocked, "BLOCKED", "WABA BLOCKED 141006"),
        (Health::LimitedWithErrors, "LIMITED", "BUSINESS LIMITED 141010"),
        (Health::Banned, "BLOCKED", "WABA BLOCKED 141014"),
        (Health::NotLinked, "BLOCKED", "PHONE_NUMBER BLOCKED 141000"),
    ] {
        scene.meta.set_health(PHONE, Some(set));
        let health = health(&scene.meta, PHONE).await;
        assert_eq!(verdict(&health), (overall.to_owned(), vec![blamed.to_owned()]));
        let kinds: Vec<&str> = health["entities"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["entity_type"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["PHONE_NUMBER", "WABA", "BUSINESS", "APP"]);
    }
    scene.meta.set_health(PHONE, Some(Health::Custom(json!({"can_send_message": "NEW"}))));
    assert_eq!(health(&scene.meta, PHONE).await, json!({"can_send_message": "NEW"}));
    scene.meta.set_health(PHONE, None);
    assert_eq!(verdict(&health(&scene.meta, PHONE).await).0, "AVAILABLE");
    assert_eq!(scene.counts().probes, 7);
    wamid(&call(&scene.meta, text()).await);
}

#[tokio::test(start_paused = true)]
async fn wrong_pins_are_told_then_refused_for_an_hour() {
    let scene = scene(|_| {});
    let meta = &scene.meta;
    let register = async |pin: &str| {
        let body = format!(r#"{{"messaging_product":"whatsapp","pin":"{pin}"}}"#);
        code(&call(meta, post(&format!("/v23.0/{PHONE}/register"), &body)).await)
    };
    let wait = async |seconds| tokio::time::sleep(Duration::from_secs(seconds)).await;
    assert_eq!(register("12345").await, (400, 131_009));
    assert_eq!(register("212834").await, (200, 0), "the first PIN sets it");
    assert_eq!(register("111111").await, (400, 133_005));
    assert_eq!(register("212834").await, (400, 133_009), "too fast");
    wait(5).await;
    assert_eq!(register("111111").await, (400, 133_005));
    wait(5).await;
    assert_eq!(register("111111").await, (400, 133_005));
    wait(3599).await;
    assert_eq!(register("212834").await, (400, 133_008));
    wait(1).await;
    assert_eq!(register("212834").await, (200, 0));
    assert_eq!(call(meta, post(&format!("/{PHONE}"), r#"{"pin":"150954"}"#)).await.0, 200);
    assert_eq!(register("150954").await, (200, 0));
    assert_eq!(scene.counts().registrations, 8);
    assert_eq!(call(meta, post(&format!("/{PHONE}/deregister"), "{}")).await.0, 200);
    assert_eq!(code(&call(meta, text()).await), (400, 133_010));
}

#[tokio::test]
async fn a_subscription_waits_for_the_handshake() {
    let mut scene = scene(|_| {});
    let path = format!("/v23.0/{WABA}/subscribed_apps");
    let own = r#"{"override_callback_uri":"http://own.test/cb?x=1","verify_token":"s3cret"}"#;
    for (body, uri, token) in [("{}", "/hook?a=1&", "vibecoding"), (own, "/cb?x=1&", "s3cret")] {
        assert_eq!(call(&scene.meta, post(&path, body)).await.1, json!({"success": true}));
        let (_, handshake) = scene.webhooks.try_recv().expect("it came while the POST was open");
        assert_eq!(handshake.method(), Method::GET);
        let target = handshake.uri().path_and_query().unwrap().as_str();
        assert!(target.starts_with(&format!("{uri}hub.mode=subscribe&hub.challenge=")), "{target}");
        assert!(target.ends_with(&format!("&hub.verify_token={token}")), "{target}");
    }
    let fields = call(&scene.meta, get(&format!("/{PHONE}?fields=webhook_configuration"))).await.1;
    assert_eq!(
        fields["webhook_configuration"],
        json!({"application": "http://app.test/hook?a=1", "whatsapp_business_account": "http://own.test/cb?x=1"})
    );
    let phone =
        r#"{"webhook_configuration":{"override_callback_uri":"http://phone.test/","verify_token":"t"}}"#;
    assert_eq!(call(&scene.meta, post(&format!("/{PHONE}"), phone)).await.0, 200);
    scene.webhooks.try_recv().unwrap();
    call(&scene.meta, text()).await;
    tokio::time::pause();
    assert_eq!(
        timeout(LONG, scene.webhooks.recv()).await.unwrap().unwrap().1.uri().host(),
        Some("phone.test")
    );
    scene.callback_status.store(403, Ordering::SeqCst);
    assert_eq!(code(&call(&scene.meta, post(&path, own)).await), (400, 2200));
}

#[tokio::test]
async fn webhooks_go_out_over_real_sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let meta = Simulator::new(Options {
        webhook_url: Some(url),
        status_delay: Duration::ZERO,
        ..Options::default()
    });
    meta.lock(PHONE, Profile::Async);
    wamid(&call(&meta, text()).await);
    let (mut stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("131031") {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0);
    }
    let read = String::from_utf8(read).unwrap();
    assert!(read.starts_with("POST /hook HTTP/1.1\r\n") && read.contains("x-hub-signature-256: sha256="));
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    timeout(PATIENCE, meta.until(|counts| counts.webhooks_acknowledged == 1)).await.unwrap();
}

#[tokio::test]
async fn media_is_counted_and_made_up() {
    let scene = scene(|_| {});
    let mut upload = post(&format!("/v23.0/{PHONE}/media"), "");
    upload.headers_mut().insert("content-type", "multipart/form-data; boundary=x".parse().unwrap());
    *upload.body_mut() = Full::from(vec![7_u8; 3_000_000]);
    let id = call(&scene.meta, upload).await.1["id"].as_str().unwrap().to_owned();
    let media = call(&scene.meta, get(&format!("/v23.0/{id}"))).await.1;
    assert_eq!(media["file_size"], "3000000");
    let url: http::Uri = media["url"].as_str().unwrap().parse().unwrap();
    assert_eq!(url.authority().unwrap(), "graph.facebook.com");
    let download = open(&scene.meta, get(url.path_and_query().unwrap().as_str())).await.unwrap();
    assert_eq!(download.headers()["content-length"], "3000000");
    let bytes = download.into_body().collect().await.unwrap().to_bytes();
    assert!(bytes.iter().enumerate().all(|(n, byte)| usize::from(*byte) == n % 251));
    assert_eq!(scene.meta.counts().body_bytes, 3_000_000);
    assert_eq!(scene.counts().arrived, 0);
    assert_eq!(call(&scene.meta, request(Method::DELETE, &format!("/{id}"), "")).await.0, 200);
}

#[tokio::test]
async fn requests_are_recorded_as_they_came() {
    let scene = scene(|options| options.record = 2);
    call(&scene.meta, get(&format!("/{PHONE}"))).await;
    let mut request = post(&format!("//v23.0/{PHONE}/%6Dessages/?x=%20&x=2"), TEXT);
    for value in [&b"caf\xe9"[..], b"2"] {
        request.headers_mut().append("x-Odd", http::HeaderValue::from_bytes(value).unwrap());
    }
    wamid(&call(&scene.meta, request).await);
    call(&scene.meta, text()).await;
    let recorded = scene.meta.recorded();
    assert_eq!(recorded.len(), 2, "the first is forgotten");
    let send = &recorded[0];
    assert_eq!((&send.method, send.version, send.complete), (&Method::POST, Version::HTTP_11, true));
    assert_eq!(send.target, format!("//v23.0/{PHONE}/%6Dessages/?x=%20&x=2"));
    assert_eq!(send.header("x-odd").collect::<Vec<_>>(), [&b"caf\xe9"[..], b"2"]);
    assert_eq!(send.body_bytes, TEXT.len() as u64);
    assert_eq!(send.body_sha256, <[u8; 32]>::from(Sha256::digest(TEXT)));
}

#[tokio::test(start_paused = true)]
async fn everything_can_be_switched_over_http() {
    let mut scene = scene(|_| {});
    let order = async |meta: &Simulator, what: &str, body: Value| {
        call(meta, post(&format!("/_simulator/{what}"), &body.to_string())).await.0.as_u16()
    };
    let meta = scene.meta.clone();
    assert_eq!(order(&meta, "lock", json!({"phone": PHONE, "profile": "sync403"})).await, 200);
    assert_eq!(code(&call(&meta, text()).await), (403, 131_031));
    assert_eq!(order(&meta, "unlock", json!({"phone": PHONE})).await, 200);
    let fault =
        json!({"phone": PHONE, "on": "sends", "times": 1, "fault": "error", "status": 503, "code": 2});
    assert_eq!(order(&meta, "fault", fault).await, 200);
    assert_eq!(code(&call(&meta, text()).await), (503, 2));
    assert_eq!(order(&meta, "health", json!({"phone": PHONE, "health": "sip_blocked"})).await, 200);
    assert_eq!(verdict(&health(&meta, PHONE).await).0, "BLOCKED");
    assert_eq!(order(&meta, "fault", json!({"fault": "stall"})).await, 200);
    assert_eq!(order(&meta, "clear_faults", json!({})).await, 200);
    let intermittent = json!({"phone": PHONE, "profile": "intermittent", "delivered_percent": 0});
    assert_eq!(order(&meta, "lock", intermittent).await, 200);
    wamid(&call(&meta, text()).await);
    assert!(locked_status(&scene.status().await));
    let late = json!({"phone": PHONE, "profile": "late_duplicates", "after": "30s"});
    assert_eq!(order(&meta, "lock", late).await, 200);
    let event = json!({"waba": WABA, "field": "account_update", "value": {"event": "ACCOUNT_DELETED"}});
    assert_eq!(order(&meta, "webhook", event).await, 200);
    assert_eq!(scene.webhook().await.1["entry"][0]["changes"][0]["field"], "account_update");
    let counts = call(&meta, get("/_simulator/counts")).await.1;
    assert_eq!(counts["phones"][PHONE]["arrived"], 3);
    assert_eq!(counts["requests"], 4);
    assert_eq!(order(&meta, "lock", json!({"phone": PHONE, "profile": "gravity"})).await, 400);
    assert_eq!(order(&meta, "gravity", json!({})).await, 404);
}
