//! The webhook listener over real sockets: the bytes that Meta writes, and the bytes that the app reads.

mod forwarders;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use hmac::{Hmac, KeyInit, Mac};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use sendfuse::graph::webhook::Unreadable;
use sendfuse::webhook::{Listener, MAX_BODY, Relay, Source, WebhookResult, WebhookService, WebhookSettings};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, mpsc};
use url::Url;

const BODY: &str = r#"{"entry":[{"id":"1","text":"\u00fc \/ ok"}]}"#;

/// Hears everything, if it is let; what is not JSON is unreadable.
#[derive(Clone)]
struct Ear {
    heard: mpsc::UnboundedSender<String>,
    may_finish: Arc<Semaphore>,
}

impl Listener for Ear {
    async fn hear(&self, body: &[u8]) -> Result<(), Unreadable> {
        self.heard.send(String::from_utf8_lossy(body).into_owned()).unwrap();
        self.may_finish.acquire().await.unwrap().forget();
        serde_json::from_slice::<serde::de::IgnoredAny>(body).map(drop).map_err(|_| Unreadable)
    }
}

/// A listener on a real socket.
struct House {
    address: SocketAddr,
    settings: Arc<ArcSwap<WebhookSettings>>,
    ear: Ear,
    heard: mpsc::UnboundedReceiver<String>,
    results: Arc<Mutex<Vec<WebhookResult>>>,
    counted: Arc<Notify>,
}

impl House {
    async fn new(relay_to: Option<Url>) -> Self {
        Self::with(relay_to, Relay::new(None).unwrap()).await
    }

    async fn with(relay_to: Option<Url>, relay: Relay) -> Self {
        let settings = Arc::new(ArcSwap::from_pointee(WebhookSettings {
            path: "/webhook".to_owned(),
            app_secrets: vec!["".into(), "first".into(), "second".into()],
            verify_token: Some("vibecoding".into()),
            relay_to,
            sources: vec![forwarder()],
        }));
        let (sender, heard) = mpsc::unbounded_channel();
        let ear = Ear { heard: sender, may_finish: Arc::new(Semaphore::new(1000)) };
        let results = Arc::<Mutex<Vec<_>>>::default();
        let counted = Arc::<Notify>::default();
        let (list, bell) = (Arc::clone(&results), Arc::clone(&counted));
        let service = WebhookService::new(
            Arc::clone(&settings),
            ear.clone(),
            relay,
            Arc::new(move |result| {
                list.lock().unwrap().push(result);
                bell.notify_one();
            }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = TowerToHyperService::new(service.clone());
                let connection = hyper::server::conn::http1::Builder::new()
                    .preserve_header_case(true)
                    .serve_connection(TokioIo::new(socket), service);
                tokio::spawn(connection);
            }
        });
        Self { address, settings, ear, heard, results, counted }
    }

    fn results(&self) -> Vec<WebhookResult> {
        self.results.lock().unwrap().clone()
    }

    /// Nothing was heard; these were the results.
    fn assert_deaf_to(&mut self, results: &[WebhookResult]) {
        assert!(self.heard.try_recv().is_err(), "something was heard");
        assert_eq!(self.results(), results);
    }

    async fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(request.as_ref()).await.unwrap();
        Answer::from(&mut socket).await
    }

    async fn get(&self, target: &str) -> Answer {
        self.ask(format!("GET {target} HTTP/1.1\r\nHost: hooks\r\nConnection: close\r\n\r\n")).await
    }
}

#[derive(Debug)]
struct Answer {
    head: String,
    body: String,
}

impl Answer {
    async fn from(socket: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A reset after the answer is no matter here; without an answer the test fails below.
        let _ = socket.read_to_end(&mut bytes).await;
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        Self { head: head.to_owned(), body: body.to_owned() }
    }

    fn status(&self) -> u16 {
        self.head[9..12].parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)))
            .map(|(_, v)| v)
    }

    #[track_caller]
    fn is_our_own(&self, status: u16) {
        assert_eq!(self.status(), status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(self.header("content-length"), Some(self.body.len().to_string().as_str()));
    }
}

fn forwarder() -> Source {
    Source {
        name: "dualhook".to_owned(),
        path: "/webhook/dualhook".to_owned(),
        header: "X-Dualhook-Signature".parse().unwrap(),
        secret: "theirs".into(),
    }
}

/// A post as a forwarder makes it.
fn forwarded(signature: &str, body: &str) -> String {
    post_to("/webhook/dualhook", signature, body).replace("X-Hub-Signature-256", "x-dualhook-signature")
}

fn sign(secret: &str, body: impl AsRef<[u8]>) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(body).finalize();
    let hex: String = mac.into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

fn post_to(target: &str, signature: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {target} HTTP/1.1\r\nHost: hooks\r\nConnection: close\r\nContent-Type: application/json\r\n\
         X-Hub-Signature-256: {signature}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn post(signature: &str, body: &str) -> String {
    post_to("/webhook", signature, body)
}

/// An app that reads a request to its end, hands its bytes over, writes these bytes, and hangs up; again and again.
async fn app(answer: impl Into<String>) -> (Url, mpsc::UnboundedReceiver<String>) {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/app/hook", listener.local_addr().unwrap())).unwrap();
    let (sender, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            while !is_whole(&bytes) {
                if socket.read_buf(&mut bytes).await.unwrap() == 0 {
                    break;
                }
            }
            sender.send(String::from_utf8(bytes).unwrap()).unwrap();
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, requests)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// A message with its header lines in the order of their names, which no receiver may look at. The order of lines of one
/// name stays.
fn sorted(message: &str) -> String {
    let (head, body) = message.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<&str> = head.lines().collect();
    lines[1..].sort_by_key(|line| line.split(':').next());
    format!("{}\n\n{body}", lines.join("\n"))
}

// Handshakes.

#[tokio::test]
async fn a_handshake_with_our_token_gets_its_challenge_back() {
    let house = House::new(None).await;
    let answer =
        house.get("/webhook?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=vibecoding").await;
    answer.is_our_own(200);
    assert_eq!(answer.body, "1158201444");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(house.results(), [WebhookResult::Handshake]);
}

#[tokio::test]
async fn any_other_handshake_is_refused() {
    let house = House::new(None).await;
    for query in [
        "",
        "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong",
        "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=",
        "?hub.mode=subscribe&hub.challenge=1",
        "?hub.mode=subscribe&hub.verify_token=vibecoding",
        "?hub.mode=other&hub.challenge=1&hub.verify_token=vibecoding",
    ] {
        house.get(&format!("/webhook{query}")).await.is_our_own(403);
    }
    assert_eq!(house.results(), [WebhookResult::HandshakeRefused; 6]);
}

#[tokio::test]
async fn without_a_token_no_handshake_is_right() {
    let house = House::new(None).await;
    let settings = WebhookSettings { path: "/webhook".to_owned(), ..WebhookSettings::default() };
    house.settings.store(Arc::new(settings));
    house.get("/webhook?hub.mode=subscribe&hub.challenge=1&hub.verify_token=").await.is_our_own(403);
}

#[tokio::test]
async fn the_apps_own_handshake_is_relayed() {
    let (url, mut requests) = app("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-App: 1\r\n\r\n42").await;
    let house = House::new(Some(url.clone())).await;
    let query = "hub.mode=subscribe&hub.challenge=42&hub.verify_token=the%20app%27s+own";
    let answer = house.get(&format!("/webhook?{query}")).await;
    assert_eq!((answer.status(), answer.body.as_str(), answer.header("X-App")), (200, "42", Some("1")));
    let request = requests.recv().await.unwrap();
    assert!(request.starts_with(&format!("GET /app/hook?{query} HTTP/1.1\r\n")), "{request}");
    assert!(request.to_lowercase().contains(&format!("host: {}\r\n", url.authority())), "{request}");
    // What is no handshake does not reach the app.
    house.get("/webhook?x=1").await.is_our_own(403);
    assert!(requests.try_recv().is_err());
    assert_eq!(house.results(), [WebhookResult::Handshake, WebhookResult::HandshakeRefused]);
}

#[tokio::test]
async fn a_handshake_that_the_app_refuses_is_refused() {
    let (url, _requests) = app("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let house = House::new(Some(url)).await;
    // Our own token counts for nothing while there is an app to ask.
    let answer = house.get("/webhook?hub.mode=subscribe&hub.challenge=42&hub.verify_token=vibecoding").await;
    assert_eq!((answer.status(), answer.body.as_str()), (403, "no"));
    assert_eq!(house.results(), [WebhookResult::HandshakeRefused]);
}

#[tokio::test]
async fn a_handshake_waits_for_no_post() {
    let mut house = House::new(None).await;
    house.ear.may_finish.forget_permits(1000);
    let mut slow = TcpStream::connect(house.address).await.unwrap();
    slow.write_all(post(&sign("first", BODY), BODY).as_bytes()).await.unwrap();
    house.heard.recv().await.unwrap();
    house
        .get("/webhook?hub.mode=subscribe&hub.challenge=1&hub.verify_token=vibecoding")
        .await
        .is_our_own(200);
    house.ear.may_finish.add_permits(1);
    Answer::from(&mut slow).await.is_our_own(200);
}

// Signatures.

#[tokio::test]
async fn any_of_the_secrets_will_do() {
    let mut house = House::new(None).await;
    for signature in [sign("first", BODY), sign("second", BODY).to_uppercase().replacen("SHA", "sha", 1)] {
        house.ask(post(&signature, BODY)).await.is_our_own(200);
        assert_eq!(house.heard.recv().await.unwrap(), BODY);
    }
    assert_eq!(house.results(), [WebhookResult::Accepted; 2]);
}

#[tokio::test]
async fn a_forged_post_has_no_effect() {
    let (url, mut requests) = app("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let mut house = House::new(Some(url)).await;
    let shorter = &BODY[..BODY.len() - 1];
    for request in [
        post(&sign("third", BODY), BODY),
        // The empty secret in the settings is nobody's.
        post(&sign("", BODY), BODY),
        // Truncated on the way, but well-formed HTTP.
        post(&sign("first", BODY), shorter),
        post(&sign("first", BODY), &format!("{BODY} ")),
    ] {
        house.ask(request).await.is_our_own(401);
    }
    assert!(requests.try_recv().is_err(), "it reached the app");
    house.assert_deaf_to(&[WebhookResult::Forged; 4]);
}

#[tokio::test]
async fn an_unsigned_post_has_no_effect() {
    let mut house = House::new(None).await;
    let (good, other) = (sign("first", BODY), sign("second", BODY));
    for request in [
        post("sha256=", BODY),
        post(&good.replace("sha256", "sha1"), BODY),
        post(&good, BODY).replace("X-Hub-Signature-256", "X-Hub-Signature"),
        post(&format!("{good}\r\nX-Hub-Signature-256: {other}"), BODY),
    ] {
        house.ask(request).await.is_our_own(401);
    }
    house.assert_deaf_to(&[WebhookResult::Unsigned; 4]);
}

#[tokio::test]
async fn without_a_secret_every_post_is_refused_until_one_comes() {
    let mut house = House::new(None).await;
    let with = |secrets: &[&str]| WebhookSettings {
        path: "/webhook".to_owned(),
        app_secrets: secrets.iter().map(|secret| (*secret).into()).collect(),
        ..WebhookSettings::default()
    };
    for secrets in [[].as_slice(), &[""]] {
        house.settings.store(Arc::new(with(secrets)));
        house.ask(post(&sign("", BODY), BODY)).await.is_our_own(401);
    }
    house.assert_deaf_to(&[WebhookResult::Forged; 2]);
    house.settings.store(Arc::new(with(&["new"])));
    house.ask(post(&sign("new", BODY), BODY)).await.is_our_own(200);
}

// Bodies.

#[tokio::test]
async fn three_mebibytes_are_taken() {
    let mut house = House::new(None).await;
    let body = format!("\"{}\"", "x".repeat(MAX_BODY - 2));
    house.ask(post(&sign("first", &body), &body)).await.is_our_own(200);
    assert_eq!(house.heard.recv().await.unwrap().len(), MAX_BODY);
}

#[tokio::test]
async fn a_declared_length_beyond_that_is_refused_before_the_body_comes() {
    let mut house = House::new(None).await;
    let request =
        format!("POST /webhook HTTP/1.1\r\nHost: hooks\r\nContent-Length: {}\r\n\r\n", MAX_BODY + 1);
    let mut socket = TcpStream::connect(house.address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    socket.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    house.assert_deaf_to(&[WebhookResult::TooLarge]);
}

#[tokio::test]
async fn one_that_writes_it_all_before_it_reads_sees_the_refusal() {
    let mut house = House::new(None).await;
    let body = "x".repeat(4 * MAX_BODY);
    house.ask(post(&sign("first", &body), &body)).await.is_our_own(413);
    house.assert_deaf_to(&[WebhookResult::TooLarge]);
}

#[tokio::test]
async fn a_stream_beyond_that_is_refused_too() {
    let mut house = House::new(None).await;
    let body = "x".repeat(MAX_BODY + 1);
    let signature = sign("first", &body);
    let half = MAX_BODY / 2;
    let (one, two) = body.split_at(half);
    let request = format!(
        "POST /webhook HTTP/1.1\r\nHost: hooks\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
         X-Hub-Signature-256: {signature}\r\n\r\n{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
        one.len(),
        two.len()
    );
    house.ask(request).await.is_our_own(413);
    house.assert_deaf_to(&[WebhookResult::TooLarge]);
}

#[tokio::test]
async fn one_that_hangs_up_in_the_middle_has_no_effect() {
    let mut house = House::new(None).await;
    let request = post(&sign("first", BODY), BODY);
    let mut socket = TcpStream::connect(house.address).await.unwrap();
    socket.write_all(&request.as_bytes()[..request.len() - 1]).await.unwrap();
    socket.shutdown().await.unwrap();
    house.counted.notified().await;
    house.assert_deaf_to(&[WebhookResult::Broken]);
}

#[tokio::test]
async fn signed_but_unreadable_is_metas_right() {
    let house = House::new(None).await;
    for body in ["", "no json", "\u{0}\u{1}"] {
        house.ask(post(&sign("first", body), body)).await.is_our_own(200);
    }
    assert_eq!(house.results(), [WebhookResult::Unreadable; 3]);

    let (url, mut requests) = app("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let house = House::new(Some(url)).await;
    assert_eq!(house.ask(post(&sign("first", "no json"), "no json")).await.status(), 200);
    assert!(requests.recv().await.unwrap().ends_with("\r\n\r\nno json"));
    assert_eq!(house.results(), [WebhookResult::Unreadable]);
}

// Where it goes.

#[tokio::test]
async fn other_paths_and_methods_are_named_as_such() {
    let mut house = House::new(None).await;
    for path in ["/", "/webhook/", "/webhook/x", "/WEBHOOK", "/%77ebhook"] {
        house.ask(post_to(path, &sign("first", BODY), BODY)).await.is_our_own(404);
    }
    let request = post(&sign("first", BODY), BODY).replacen("POST", "PUT", 1);
    let answer = house.ask(request).await;
    answer.is_our_own(405);
    assert_eq!(answer.header("allow"), Some("GET, POST"));
    house.assert_deaf_to(&[WebhookResult::Misdirected; 6]);
}

#[tokio::test]
async fn the_app_gets_the_bytes_and_headers_that_meta_sent() {
    let (url, mut requests) = app("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let mut house = House::new(Some(url.clone())).await;
    let signature = sign("second", BODY);
    let headers = |connection: &str, host: &str| {
        format!(
            "{connection}Accept: */*\r\nUser-Agent: facebookexternalua\r\nX-Hub-Signature: sha1=0123\r\n\
             X-Hub-Signature-256: {signature}\r\nContent-Type: application/json\r\nX-Twice: 1\r\nX-Twice: 2\r\n\
             Content-Length: {}\r\n{host}\r\n{BODY}",
            BODY.len()
        )
    };
    let connection =
        "Host: hooks.example\r\nConnection: close, X-Private\r\nX-Private: 1\r\nTE: trailers\r\n";
    let request = format!("POST /webhook?a=%2F&b HTTP/1.1\r\n{}", headers(connection, ""));
    assert_eq!(house.ask(request).await.status(), 200);

    assert_eq!(house.heard.recv().await.unwrap(), BODY);
    let expected = format!(
        "POST /app/hook?a=%2F&b HTTP/1.1\r\n{}",
        headers("", &format!("Host: {}\r\n", url.authority()))
    );
    assert_eq!(sorted(&requests.recv().await.unwrap()), sorted(&expected));
    assert_eq!(house.results(), [WebhookResult::Relayed]);
}

#[tokio::test]
async fn a_chunked_post_reaches_the_app_with_a_length() {
    let (url, mut requests) = app("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let house = House::new(Some(url)).await;
    let request = format!(
        "POST /webhook HTTP/1.1\r\nHost: hooks\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
         X-Hub-Signature-256: {}\r\n\r\n{:x}\r\n{BODY}\r\n0\r\n\r\n",
        sign("first", BODY),
        BODY.len()
    );
    assert_eq!(house.ask(request).await.status(), 200);
    let request = requests.recv().await.unwrap().to_lowercase();
    assert!(request.contains(&format!("content-length: {}\r\n", BODY.len())), "{request}");
    assert!(!request.contains("transfer-encoding"), "{request}");
}

#[tokio::test]
async fn the_apps_answer_goes_back_as_it_is() {
    for (status, result) in [
        ("200 Fine By Me", WebhookResult::Relayed),
        ("202 Accepted", WebhookResult::Relayed),
        ("301 Moved Permanently", WebhookResult::AppRefused),
        ("400 Bad Request", WebhookResult::AppRefused),
        ("401 Unauthorized", WebhookResult::AppRefused),
        ("403 Forbidden", WebhookResult::AppRefused),
        ("500 Internal Server Error", WebhookResult::AppRefused),
    ] {
        let (url, mut requests) = app(format!(
            "HTTP/1.1 {status}\r\nX-App: a\r\nX-App: b\r\nLocation: /elsewhere\r\nConnection: close, X-Gone\r\n\
             X-Gone: 1\r\nKeep-Alive: timeout=5\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\n<b>\u{fc}"
        ))
        .await;
        let house = House::new(Some(url)).await;
        let answer = house.ask(post(&sign("first", BODY), BODY)).await;
        assert!(answer.head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer:?}");
        assert!(answer.head.contains("X-App: a\r\nX-App: b\r\n"), "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("text/html"));
        assert_eq!(answer.header("content-length"), Some("5"));
        assert_eq!(answer.header("location"), Some("/elsewhere"));
        assert_eq!((answer.header("x-gone"), answer.header("keep-alive")), (None, None));
        assert_eq!(answer.body, "<b>\u{fc}");
        assert_eq!(house.results(), [result]);
        requests.recv().await.unwrap();
        assert!(requests.try_recv().is_err(), "a redirect was followed, or the post repeated");
    }
}

#[tokio::test]
async fn an_app_behind_tls_has_to_be_the_one_that_was_named() {
    let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, key.cert.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], key.signing_key.serialize_der().try_into().unwrap())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("https://{}/", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // Who does not believe us hangs up.
            let Ok(mut socket) = acceptor.accept(socket).await else { continue };
            let mut bytes = Vec::new();
            while !is_whole(&bytes) && socket.read_buf(&mut bytes).await.unwrap() > 0 {}
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret").await.unwrap();
            socket.shutdown().await.unwrap();
        }
    });

    let house = House::with(Some(url.clone()), Relay::new(Some(&ca_file)).unwrap()).await;
    assert_eq!(house.ask(post(&sign("first", BODY), BODY)).await.body, "secret");
    let stranger = House::new(Some(url)).await;
    stranger.ask(post(&sign("first", BODY), BODY)).await.is_our_own(502);
}

#[tokio::test]
async fn an_app_that_gives_no_answer_makes_meta_post_again() {
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (cut_short, mut requests) = app("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort").await;
    let (no_http, _requests) = app("220 smtp.example ESMTP\r\n\r\n").await;
    let (hangs_up, _requests) = app("").await;
    let (endless, _requests) = app(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(2 * 1024 * 1024))).await;
    let gone = Url::parse(&format!("http://{gone}/")).unwrap();
    for url in [gone, cut_short, no_http, hangs_up, endless] {
        let mut house = House::new(Some(url)).await;
        house.ask(post(&sign("first", BODY), BODY)).await.is_our_own(502);
        // The evidence is in all the same.
        assert_eq!(house.heard.recv().await.unwrap(), BODY);
        house.get("/webhook?hub.mode=subscribe&hub.challenge=1&hub.verify_token=x").await.is_our_own(502);
        assert_eq!(house.results(), [WebhookResult::RelayFailed; 2]);
    }
    requests.recv().await.unwrap();
    requests.recv().await.unwrap();
    assert!(requests.try_recv().is_err(), "the post was repeated");
}

#[tokio::test]
async fn nothing_is_told_before_the_evidence_is_in() {
    for relayed in [false, true] {
        let (url, mut requests) = app("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        let mut house = House::new(relayed.then_some(url)).await;
        house.ear.may_finish.forget_permits(1000);
        let mut socket = TcpStream::connect(house.address).await.unwrap();
        socket.write_all(post(&sign("first", BODY), BODY).as_bytes()).await.unwrap();
        house.heard.recv().await.unwrap();

        // The evidence is not in yet. Another request goes all the way round, so there was time to go wrong.
        house.get("/elsewhere").await.is_our_own(404);
        assert!(requests.try_recv().is_err(), "the app knows already");
        let mut answer = [0; 1];
        assert!(socket.try_read(&mut answer).is_err(), "Meta knows already");

        house.ear.may_finish.add_permits(1);
        assert_eq!(Answer::from(&mut socket).await.status(), 200);
        assert_eq!(requests.try_recv().is_ok(), relayed);
    }
}
