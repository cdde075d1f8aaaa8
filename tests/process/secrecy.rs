//! Promise 8: secrets stay secret, also at the highest log level and with everything else that is linked in talking.
//!
//! Each secret holds a mark of its own; after a whole scene all that sendfuse has written anywhere is searched for them. A message
//! id encodes its recipient: it stands in incidents, where an appeal needs it, and nowhere else.

use std::path::Path;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use sendfuse::simulator::{PHONE, Profile, Protocols};
use serde_json::json;

use super::rig::{Connection, HEALTHY, Scene, Sendfuse, call, loopback};

const APP_SECRET: &str = "mark-app-secret";
const ADMIN_TOKEN: &str = "mark-admin-token";
/// Whose numbers and words are whose is no matter: none may be found.
const MARKS: [&str; 16] = [
    APP_SECRET,
    ADMIN_TOKEN,
    "mark-read-token",
    "mark-verify-token",
    "mark-bearer",
    "mark-query-token",
    "mark-proof",
    "mark-body",
    "mark-callback-data",
    "mark-probe-token",
    "mark-query",
    "mark-wrong-admin-token",
    "mark-handshake",
    "mark-wrong-signature",
    "915551234987",
    "482913",
];

/// A send with a mark wherever an app can put a secret.
fn marked(phone: &str, query: &str) -> Request<Full<Bytes>> {
    let body = json!({
        "messaging_product": "whatsapp", "to": "+915551234987", "type": "text", "text": {"body": "mark-body"},
        "biz_opaque_callback_data": "mark-callback-data",
    });
    Request::builder()
        .method(Method::POST)
        .uri(format!("http://graph.test/v23.0/{phone}/messages?{query}"))
        .header("authorization", "Bearer EAAmark-bearer")
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()))
        .unwrap()
}

const QUERY: &str = "access_token=EAAmark-query-token&appsecret_proof=mark-proof&x=mark-query";

/// Uses everything that handles a secret. Gives the message ids that Meta made: each has its recipient in it.
async fn scene_with_secrets(scene: &Scene, sendfuse: &Sendfuse) -> Vec<String> {
    let mut ids = Vec::new();
    let mut clients = [Connection::http1(sendfuse.proxy).await, Connection::http2(sendfuse.proxy).await];
    for client in &mut clients {
        for (phone, query) in [(PHONE, ""), (HEALTHY, QUERY)] {
            let answer = client.call(marked(phone, query)).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            ids.push(answer.json()["messages"][0]["id"].as_str().unwrap().to_owned());
        }
        let pin = Request::builder()
            .method(Method::POST)
            .uri(format!("http://graph.test/v23.0/{HEALTHY}/register?{QUERY}"))
            .body(Full::from(r#"{"messaging_product":"whatsapp","pin":"482913"}"#));
        client.call(pin.unwrap()).await;
    }
    // Meta's `failed` names the recipient and carries the callback data.
    scene.meta.lock(PHONE, Profile::Async);
    let answer = clients[0].call(marked(PHONE, QUERY)).await;
    ids.push(answer.json()["messages"][0]["id"].as_str().unwrap().to_owned());
    sendfuse.log.line_with(&["transition=\"trip\"", PHONE]).await;
    scene.meta.lock(HEALTHY, Profile::Sync403);
    for client in &mut clients {
        for phone in [PHONE, HEALTHY] {
            assert_eq!(client.call(marked(phone, QUERY)).await.status, 403);
        }
    }

    let get = |url: String| Request::builder().uri(url).body(Full::default()).unwrap();
    for token in ["mark-verify-token", "mark-handshake"] {
        let query = format!("hub.mode=subscribe&hub.challenge=1&hub.verify_token={token}");
        call(sendfuse.webhook, get(format!("http://webhook.test/webhook?{query}"))).await;
    }
    let forged = Request::builder()
        .method(Method::POST)
        .uri("http://webhook.test/webhook")
        .header("x-hub-signature-256", "sha256=mark-wrong-signature")
        .body(Full::from("mark-body"));
    assert_eq!(call(sendfuse.webhook, forged.unwrap()).await.status, 401);
    for token in ["mark-wrong-admin-token", "mark-read-token", ADMIN_TOKEN] {
        *sendfuse.token.lock().unwrap() = Some(token.to_owned());
        sendfuse.admin(Method::GET, "/v1/config", "").await;
    }
    sendfuse.order(PHONE, "probe", json!({"reason": "look"})).await;
    // Reading the configuration again shows it no more than the first time.
    sendfuse.signal("HUP");
    sendfuse.log.line_with(&["configuration is in force"]).await;
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_written_anywhere_over_http2_upstream() {
    write_no_secret("2", "hpack").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_written_anywhere_over_http1_upstream() {
    write_no_secret("1", "TLS13_AES_128_GCM_SHA256").await;
}

/// `library`: what the library that speaks this version says at the highest level.
async fn write_no_secret(http: &str, library: &str) {
    let scene = Scene::new(|options| {
        options.app_secret = APP_SECRET.to_owned();
        options.tokens = Vec::new();
    })
    .await;
    scene.write("ca.pem", scene.meta.ca_pem().unwrap());
    let listening = scene.meta.listen_tls(loopback(), Protocols::Both).await.unwrap();
    let url = format!("https://127.0.0.1:{}", listening.addr.port());
    let scene = scene.behind(listening, url);
    let config = scene.configure(&format!(
        "webhook.app_secrets = [\"{APP_SECRET}\"]\nwebhook.verify_token = \"mark-verify-token\"\n\
         admin.token = \"{ADMIN_TOKEN}\"\nadmin.read_token = \"mark-read-token\"\n\
         probe.tokens.\"{PHONE}\" = \"EAAmark-probe-token\"\nupstream.http = \"{http}\"\n\
         upstream.ca_file = \"{}\"",
        scene.file("ca.pem").display()
    ));
    let sendfuse = scene.run_with(&[("RUST_LOG", "trace")]).await;
    let ids = scene_with_secrets(&scene, &sendfuse).await;

    let mut written: Vec<(String, Vec<u8>)> = Vec::new();
    // What the incidents tell the read token is in the search, what they tell the operate token is not: see below.
    let incident = sendfuse.breaker(PHONE).await["incident"].as_str().unwrap().to_owned();
    let incident = format!("/v1/incidents/{incident}");
    let whole = sendfuse.admin(Method::GET, &incident, "").await.json();
    *sendfuse.token.lock().unwrap() = Some("mark-read-token".to_owned());
    for path in [
        "/metrics",
        "/v1/config",
        "/v1/breakers",
        "/v1/incidents",
        &incident,
        "/v1/report",
        &format!("/v1/breakers/{PHONE}"),
        &format!("/v1/breakers/{HEALTHY}"),
    ] {
        let answer = sendfuse.admin(Method::GET, path, "").await;
        assert_eq!(answer.status, 200, "{path}");
        written.push((path.to_owned(), answer.body.to_vec()));
    }
    let url = format!("http://{}", sendfuse.admin);
    let environment =
        [("SENDFUSE_ADMIN_URL", &*url), ("SENDFUSE_ADMIN_TOKEN", ADMIN_TOKEN), ("RUST_LOG", "trace")];
    for line in [vec!["status"], vec!["explain", PHONE], vec!["check", "--config", config.to_str().unwrap()]]
    {
        let ended = scene.sendfuse(&line, &environment).await;
        written.push((line.join(" "), (ended.out + &ended.err).into_bytes()));
    }
    sendfuse.signal("TERM");
    let (_, log) = sendfuse.ended().await;
    // It did speak, and so did the libraries.
    for word in [PHONE, "TRACE", "stopping", "idle connection", library] {
        assert!(log.contains(word), "no {word} in the log");
    }
    assert!(log.lines().count() > 200, "{log}");
    written.push(("the log".to_owned(), log.into_bytes()));
    let before = written.len();
    read_all(&scene.file("data"), &mut written);
    assert!(written.len() > before, "saw no stored file");
    written.push(("the incident, to who may operate".to_owned(), whole.to_string().into_bytes()));

    // A message id without what all of them begin with.
    let ids = ids.iter().map(|id| id.trim_start_matches("wamid.HBg").trim_end_matches('='));
    for mark in MARKS.into_iter().chain(ids.clone()) {
        // Of a leak, its message id and what the app attached to it are kept: an appeal needs the one, the app the other.
        let of_a_leak = mark == "mark-callback-data" || ids.clone().any(|id| id == mark);
        for (n, (place, bytes)) in written.iter().enumerate() {
            if of_a_leak && n >= before {
                continue;
            }
            if let Some(at) = memchr::memmem::find(bytes, mark.as_bytes()) {
                let around = &bytes[at.saturating_sub(300)..(at + 100).min(bytes.len())];
                panic!("{mark} in {place}: …{}…", String::from_utf8_lossy(around));
            }
        }
    }
}

fn read_all(dir: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        into.push((path.display().to_string(), std::fs::read(&path).unwrap()));
    }
}
