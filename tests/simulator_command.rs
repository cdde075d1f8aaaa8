//! `sendfuse simulator`: the program, driven as a script would.

use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::mpsc;

const LONGEST: Duration = Duration::from_secs(30);
const PHONE: &str = "206540352242922";

fn simulator(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sendfuse"));
    command.arg("simulator").args(arguments).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// One call with a JSON body, or with none; its status and the JSON of its answer.
async fn call(method: Method, url: &str, body: Option<Value>) -> (u16, Value) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", "Bearer EAAtest")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)));
    let answer = client.request(request.unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap())
}

#[tokio::test]
async fn it_takes_sends_locks_and_reports_by_signed_webhooks() {
    // The app's callback.
    let (heard, mut webhooks) = mpsc::unbounded_channel();
    let callback = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let webhook_url = format!("http://{}/webhook", callback.local_addr().unwrap());
    let hear = |headers: HeaderMap, body: Bytes| async move { drop(heard.send((headers, body))) };
    tokio::spawn(async { axum::serve(callback, Router::new().route("/webhook", post(hear))).await });

    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    let ca_out = ca_file.to_str().unwrap();
    let mut child = simulator(&[
        "--listen",
        "127.0.0.1:0",
        "--tls-listen",
        "127.0.0.1:0",
        "--ca-out",
        ca_out,
        "--webhook-url",
        &webhook_url,
        "--app-secret",
        "hush",
        "--verify-token",
        "hello",
        "--status-delay",
        "1ms",
    ])
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    let url = first.split_once("http://").unwrap().1.split_once(". ").unwrap().0;
    let url = |path: &str| format!("http://{url}{path}");
    let mut said = first.clone();
    while !said.contains("With TLS: https://127.0.0.1:") {
        said += &lines.next_line().await.unwrap().expect(&said);
        said.push('\n');
    }
    assert!(said.contains("/_simulator/lock") && !said.contains("hush"), "{said}");
    assert!(std::fs::read_to_string(&ca_file).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));

    let send =
        json!({"messaging_product": "whatsapp", "to": "16505551234", "type": "text", "text": {"body": "x"}});
    let messages = url(&format!("/v23.0/{PHONE}/messages"));
    let lock = json!({"phone": PHONE, "profile": "async"});
    assert_eq!(call(Method::POST, &url("/_simulator/lock"), Some(lock)).await.0, 200);
    assert_eq!(call(Method::POST, &messages, Some(send.clone())).await.0, 200);
    let (headers, body) = tokio::time::timeout(LONGEST, webhooks.recv()).await.unwrap().unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(b"hush").unwrap();
    mac.update(&body);
    let signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(headers["x-hub-signature-256"], format!("sha256={signature}"));
    let body: Value = serde_json::from_slice(&body).unwrap();
    let status = &body["entry"][0]["changes"][0]["value"]["statuses"][0];
    assert_eq!((&status["status"], &status["errors"][0]["code"]), (&json!("failed"), &json!(131_031)));

    let lock = json!({"phone": PHONE, "profile": "sync403"});
    assert_eq!(call(Method::POST, &url("/_simulator/lock"), Some(lock)).await.0, 200);
    assert_eq!(call(Method::POST, &messages, Some(send.clone())).await.0, 403);
    let unlock = json!({"phone": PHONE});
    assert_eq!(call(Method::POST, &url("/_simulator/unlock"), Some(unlock)).await.0, 200);
    assert_eq!(call(Method::POST, &messages, Some(send)).await.0, 200);
    let (_, counts) = call(Method::GET, &url("/_simulator/counts"), None).await;
    assert_eq!(counts["phones"][PHONE]["arrived"], 3);

    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    let ended = tokio::time::timeout(LONGEST, child.wait_with_output()).await.unwrap().unwrap();
    assert_eq!((ended.status.code(), &*String::from_utf8(ended.stderr).unwrap()), (Some(0), ""));
}

#[tokio::test]
async fn a_timeline_begins_when_it_listens_and_is_read_before() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.timeline");
    let path = file.to_str().unwrap();
    std::fs::write(&file, format!("at 0s lock {PHONE} sync403 # at once\nat 1h unlock {PHONE}\n")).unwrap();
    let mut child = simulator(&["--listen", "127.0.0.1:0", "--timeline", path]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    let url = first.split_once("http://").unwrap().1.split_once(". ").unwrap().0;
    let begins = "The timeline begins now, and takes 1h.";
    while lines.next_line().await.unwrap().expect("it says so") != begins {}
    let url = format!("http://{url}/v23.0/{PHONE}/messages");
    let send = json!({"messaging_product": "whatsapp", "to": "16505551234", "text": {"body": "x"}});
    let locked = async {
        while call(Method::POST, &url, Some(send.clone())).await.0 != 403 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONGEST, locked).await.expect("it locks");

    std::fs::write(&file, "# none\nat noon unlock 1\n").unwrap();
    let ended = simulator(&["--listen", "127.0.0.1:0", "--timeline", path]).output();
    let ended = tokio::time::timeout(LONGEST, ended).await.unwrap().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!((ended.status.code(), ended.stdout.len()), (Some(2), 0), "{said}");
    assert!(said.contains("line 2: `noon`: a time is "), "{said}");
}

#[tokio::test]
async fn what_it_cannot_have_is_one_line() {
    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    for (arguments, named) in [
        (vec!["--listen", &taken], &*taken),
        (vec!["--listen", "127.0.0.1:0", "--tls-listen", &taken, "--ca-out", "/dev/null"], &taken),
        (
            vec!["--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0", "--ca-out", "/nowhere/ca.pem"],
            "/nowhere/ca.pem",
        ),
    ] {
        let ended = tokio::time::timeout(LONGEST, simulator(&arguments).output()).await.unwrap().unwrap();
        let line = String::from_utf8(ended.stderr).unwrap();
        assert_eq!((ended.status.code(), ended.stdout.len()), (Some(1), 0), "{arguments:?}");
        assert!(line.starts_with("sendfuse: ") && line.contains(named), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}
