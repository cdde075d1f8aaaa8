//! Answers that say whose a phone is, over real sockets: they pass byte for byte, and are learned from.

use std::convert::Infallible;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Response;
use http_body::Frame;
use http_body_util::StreamBody;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sendfuse::app::{Tasks, Wired};
use sendfuse::clock::Clock;
use sendfuse::config::Config;
use sendfuse::graph::ids::PhoneNumberId;
use sendfuse::server::{self, Options};
use sendfuse::store::memory::Memory;
use sendfuse::telemetry::Telemetry;
use sendfuse::upstream::{HttpVersion, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::server::rig::{PATIENCE, raw, read_until, upstream_at, upstream_options};

const WABA: &str = "102290129340398";
const PHONE: &str = "106540352242922";
const NUMBERS: &str = r#"{"data":[{"id":"106540352242922"},{"id":"7"}],"paging":{"cursors":{"after":"A"}}}"#;
const HEALTH: &str = r#"{"health_status":{"entities":[{"entity_type":"PHONE_NUMBER","id":"106540352242922","can_send_message":"BLOCKED"},
    {"entity_type":"WABA","id":"102290129340398","can_send_message":"BLOCKED"}]},"id":"106540352242922"}"#;

/// The program between an app and a Meta that writes what it is told to write, once on each connection.
struct House {
    proxy: std::net::SocketAddr,
    wired: Wired,
    answers: mpsc::UnboundedSender<Vec<u8>>,
    task: JoinHandle<()>,
    _tasks: Tasks,
}

impl Drop for House {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl House {
    async fn new() -> Self {
        let meta = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = upstream_at(meta.local_addr().unwrap());
        let (house, mut says) = Self::before(upstream).await;
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = meta.accept().await {
                read_until(&mut socket, "\r\n\r\n").await;
                while let Ok(Some(part)) = tokio::time::timeout(PATIENCE, says.recv()).await {
                    if part.is_empty() {
                        break;
                    }
                    socket.write_all(&part).await.unwrap();
                }
            }
        });
        house
    }

    /// Before another Meta, to which the receiver is of no use.
    async fn before(upstream: Upstream) -> (Self, mpsc::UnboundedReceiver<Vec<u8>>) {
        let (answers, says) = mpsc::unbounded_channel();
        let made = Wired::new(Config::default(), upstream, Arc::new(Memory), Telemetry::new(), Clock::System);
        let (wired, _tasks) = made.unwrap();
        let listener = server::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let proxy = listener.local_addr();
        let path = wired.send_path.clone();
        let task = tokio::spawn(async move {
            let stop = CancellationToken::new();
            server::serve(listener, Options::default(), |info| path.service(info), stop).await;
        });
        (Self { proxy, wired, answers, task, _tasks }, says)
    }

    /// Meta writes this next; nothing: it hangs up.
    fn meta_writes(&self, part: impl Into<Vec<u8>>) {
        self.answers.send(part.into()).unwrap();
    }

    /// Asks with a connection of its own, which Meta answers with these bytes and a hang-up.
    async fn ask(&self, request_line: &str, answer: impl Into<Vec<u8>>) -> String {
        self.meta_writes(answer);
        self.meta_writes("");
        let request = format!("{request_line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        raw(self.proxy, request.as_bytes()).await
    }

    fn waba_of(&self, phone: &str) -> Option<String> {
        let view = self.wired.breakers.view(PhoneNumberId::parse(phone).unwrap());
        view.waba_id.map(|waba| waba.to_string())
    }

    /// What was learned of both phones, once all that passed has been read.
    async fn learned(self) -> [Option<String>; 2] {
        tokio::time::timeout(PATIENCE, self.wired.send_path.finish()).await.expect("it is read");
        [PHONE, "7"].map(|phone| self.waba_of(phone))
    }
}

fn answer(head: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let head = format!("HTTP/1.1 {head}Content-Length: {}\r\n\r\n", body.as_ref().len());
    [head.as_bytes(), body.as_ref()].concat()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn numbers() -> String {
    format!("GET /v23.0/{WABA}/phone_numbers?fields=id,display_phone_number")
}

fn health() -> String {
    format!("GET /v23.0/{PHONE}?fields=id,health_status")
}

#[tokio::test]
async fn the_phones_of_an_account_are_learned() {
    let both = [Some(WABA.to_owned()), Some(WABA.to_owned())];
    for path in ["/v23.0/{id}/phone_numbers", "/{id}/phone_numbers/?limit=2", "//{id}/%70hone_numbers?a"] {
        let house = House::new().await;
        let line = format!("GET {}", path.replace("{id}", WABA));
        assert!(house.ask(&line, answer("200 OK\r\n", NUMBERS)).await.ends_with(NUMBERS));
        assert_eq!(house.learned().await, both, "{path}");
    }
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        &NUMBERS[..9],
        NUMBERS.len() - 9,
        &NUMBERS[9..]
    );
    for answer in [
        chunked.into_bytes(),
        format!("HTTP/1.0 200 OK\r\n\r\n{NUMBERS}").into_bytes(),
        answer("200 OK\r\nContent-Encoding: gzip\r\n", gzip(NUMBERS)),
    ] {
        let shown = answer.escape_ascii().to_string();
        let house = House::new().await;
        house.ask(&numbers(), answer).await;
        assert_eq!(house.learned().await, both, "{shown}");
    }
}

#[tokio::test]
async fn the_account_of_a_phone_is_learned_from_its_health_and_nothing_more() {
    let house = House::new().await;
    house.ask(&health(), answer("200 OK\r\n", HEALTH)).await;
    assert_eq!(house.wired.breakers.view(PhoneNumberId::parse(PHONE).unwrap()).state, "closed");
    assert_eq!(house.learned().await, [Some(WABA.to_owned()), None]);
    // Not asked for, of another, or on the account's own node.
    for line in [
        format!("GET /{PHONE}"),
        "GET /7?fields=health_status".into(),
        format!("GET /{WABA}?fields=health_status"),
    ] {
        let house = House::new().await;
        house.ask(&line, answer("200 OK\r\n", HEALTH)).await;
        assert_eq!(house.learned().await, [None, None], "{line}");
    }
}

#[tokio::test]
async fn what_is_no_whole_answer_teaches_nothing() {
    let whole = answer("200 OK\r\n", NUMBERS);
    let cut = |answer: &[u8]| answer[..answer.len() - 1].to_vec();
    let error = r#"{"error":{"code":190},"data":[{"id":"106540352242922"}]}"#;
    let long = format!(r#"{{"data":[{{"id":"106540352242922"}}],"x":"{}"}}"#, "x".repeat(256 * 1024));
    for (line, answer) in [
        (numbers(), answer("206 Partial Content\r\nContent-Range: bytes 0-80/81\r\n", NUMBERS)),
        (numbers(), answer("201 Created\r\n", NUMBERS)),
        (numbers(), answer("400 Bad Request\r\n", NUMBERS)),
        (numbers(), answer("503 Service Unavailable\r\n", NUMBERS)),
        (numbers(), answer("200 OK\r\n", error)),
        (numbers(), answer("200 OK\r\n", long)),
        (numbers(), answer("200 OK\r\nContent-Encoding: gzip\r\n", &gzip(NUMBERS)[..30])),
        (numbers(), cut(&whole)),
        // All of the JSON, but not all of the answer.
        (numbers(), cut(&answer("200 OK\r\n", format!("{NUMBERS} ")))),
        (
            numbers(),
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{NUMBERS}\r\n",
                NUMBERS.len()
            )
            .into(),
        ),
        (numbers().replace("GET", "HEAD"), whole[..whole.len() - NUMBERS.len()].to_vec()),
        (numbers().replace("GET", "DELETE"), whole.clone()),
        (numbers().replace("phone_numbers", "phone_numbers/x"), whole.clone()),
        (numbers().replace(WABA, "me"), whole.clone()),
    ] {
        let shown = format!("{line}: {}", answer[..answer.len().min(300)].escape_ascii());
        let house = House::new().await;
        house.ask(&line, answer).await;
        assert_eq!(house.learned().await, [None, None], "{shown}");
    }
}

#[tokio::test]
async fn an_answer_is_neither_changed_nor_held_back() {
    let house = House::new().await;
    let mut app = TcpStream::connect(house.proxy).await.unwrap();
    app.write_all(format!("{} HTTP/1.1\r\nHost: a\r\n\r\n", numbers()).as_bytes()).await.unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\nX-oDD: 1\r\nx-Odd: 2\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        gzip(NUMBERS).len()
    );
    let body = gzip(NUMBERS);
    let mut seen = Vec::new();
    // Each part is at the app before Meta writes the next one.
    for part in [head.as_bytes(), &body[..10], &body[10..11], &body[11..]] {
        house.meta_writes(part);
        let enough = seen.len() + part.len();
        while seen.len() < enough {
            let read = tokio::time::timeout(PATIENCE, app.read_buf(&mut seen)).await;
            assert!(read.expect("is held back").unwrap() > 0, "{}", seen.escape_ascii());
        }
    }
    assert_eq!(seen.escape_ascii().to_string(), [head.as_bytes(), &body].concat().escape_ascii().to_string());
    assert_eq!(house.learned().await, [Some(WABA.to_owned()), Some(WABA.to_owned())]);
}

#[tokio::test]
async fn one_whose_app_hangs_up_teaches_nothing_and_nothing_waits_for_it() {
    let house = House::new().await;
    let mut app = TcpStream::connect(house.proxy).await.unwrap();
    app.write_all(format!("{} HTTP/1.1\r\nHost: a\r\n\r\n", numbers()).as_bytes()).await.unwrap();
    house.meta_writes(&answer("200 OK\r\n", NUMBERS)[..60]);
    read_until(&mut app, "{\"data\"").await;
    drop(app);
    assert_eq!(house.learned().await, [None, None]);
}

#[tokio::test]
async fn a_long_answer_passes_whole() {
    let house = House::new().await;
    let long = format!(r#"{{"data":[{{"id":"106540352242922"}}],"x":"{}"}}"#, "x".repeat(3 * 1024 * 1024));
    assert!(house.ask(&numbers(), answer("200 OK\r\n", &long)).await.ends_with(&long));
    assert_eq!(house.learned().await, [None, None]);
}

#[tokio::test]
async fn over_http2_the_end_may_come_after_the_last_byte() {
    for length in [true, false] {
        let meta = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut options = upstream_options(&format!("http://{}", meta.local_addr().unwrap()));
        options.http = HttpVersion::Http2;
        tokio::spawn(async move {
            let (socket, _) = meta.accept().await.unwrap();
            let answer = hyper::service::service_fn(move |_| async move {
                // A stream does not know its end: that goes in a frame of its own.
                let frame = Ok::<_, Infallible>(Frame::data(Bytes::from(NUMBERS)));
                let mut answer = Response::new(StreamBody::new(futures_util::stream::iter([frame])));
                if length {
                    answer.headers_mut().insert("content-length", NUMBERS.len().into());
                }
                Ok::<_, Infallible>(answer)
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            server.serve_connection(TokioIo::new(socket), answer).await
        });
        let (house, _) = House::before(Upstream::new(&options).unwrap()).await;
        let request = format!("{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", numbers());
        assert!(raw(house.proxy, request.as_bytes()).await.contains(NUMBERS));
        assert_eq!(house.learned().await, [Some(WABA.to_owned()), Some(WABA.to_owned())], "length: {length}");
    }
}
