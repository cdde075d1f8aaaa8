//! The transport's manners: time limits, faults of upstream, certificates, stopping.

pub(crate) mod rig;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use rig::{Authority, origin, pass, proxy, raw, read_until, upstream_at, upstream_options};
use sendfuse::body::{RequestBody, ResponseBody};
use sendfuse::error::ErrorKind;
use sendfuse::server::{self, ConnectionInfo, Options, Pair, TlsCerts};
use sendfuse::upstream::{HttpVersion, Upstream, UpstreamOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tower::service_fn;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn request() -> Request<RequestBody> {
    Request::post("/v23.0/1/messages").body(RequestBody::from(Bytes::from("{}"))).unwrap()
}

// ── virtual time: pipes in place of sockets ──────────────────────────────────────────────────────────────────────────

/// An upstream whose connections come out of the receiver.
fn piped() -> (Upstream, mpsc::UnboundedReceiver<DuplexStream>) {
    let (connections, receiver) = mpsc::unbounded_channel();
    let connect = move || {
        let (ours, theirs) = duplex(16 * 1024);
        connections.send(theirs).map_err(io::Error::other)?;
        Ok(Box::new(ours) as _)
    };
    (Upstream::in_memory(&upstream_options("http://graph.test"), connect).unwrap(), receiver)
}

/// The app's end of a connection to a pass-through proxy, and a task that ends with it.
fn connected(upstream: Upstream, stop: &CancellationToken) -> (DuplexStream, tokio::task::JoinHandle<()>) {
    let (app, ours) = duplex(16 * 1024);
    let addr = ([127, 0, 0, 1], 8080).into();
    let info = ConnectionInfo { local: addr, peer: addr, tls: false };
    let service = service_fn(move |request| pass(upstream.clone(), info, request));
    let stop = stop.clone();
    let task = tokio::spawn(async move {
        server::serve_connection(ours, service, &Options::default(), &stop).await;
    });
    (app, task)
}

async fn answer_all(mut connections: mpsc::UnboundedReceiver<DuplexStream>) {
    while let Some(mut connection) = connections.recv().await {
        tokio::spawn(async move {
            let mut seen = [0; 4096];
            while connection.read(&mut seen).await.is_ok_and(|read| read > 0) {
                connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_closed_after_header_timeout() {
    let (upstream, _connections) = piped();
    let (mut app, task) = connected(upstream, &CancellationToken::new());
    let start = Instant::now();
    assert_eq!(app.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(start.elapsed().as_secs(), 10);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_head_in_drops_is_closed_after_header_timeout() {
    let (upstream, _connections) = piped();
    let (mut app, task) = connected(upstream, &CancellationToken::new());
    let start = Instant::now();
    for byte in GET.iter().cycle() {
        if app.write_all(std::slice::from_ref(byte)).await.is_err() || task.is_finished() {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    assert!((10..=11).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_later_head_in_drops_is_closed_too() {
    let (upstream, connections) = piped();
    tokio::spawn(answer_all(connections));
    let (mut app, task) = connected(upstream, &CancellationToken::new());
    app.write_all(GET).await.unwrap();
    read_until(&mut app, "{}").await;
    sleep(Duration::from_secs(30)).await;
    let start = Instant::now();
    app.write_all(b"G").await.unwrap();
    assert_eq!(app.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(start.elapsed().as_secs(), 10);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_outlives_header_timeout_but_not_idle_timeout() {
    let (upstream, connections) = piped();
    tokio::spawn(answer_all(connections));
    let (mut app, task) = connected(upstream, &CancellationToken::new());
    for _ in 0..3 {
        app.write_all(GET).await.unwrap();
        read_until(&mut app, "{}").await;
        sleep(Duration::from_secs(70)).await;
    }
    let start = Instant::now();
    assert_eq!(app.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(start.elapsed().as_secs(), 5);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn stop_closes_an_idle_connection_and_lets_an_open_request_end() {
    let (upstream, mut connections) = piped();
    let stop = CancellationToken::new();
    let (mut app, task) = connected(upstream.clone(), &stop);
    let (mut idle, idle_task) = connected(upstream, &stop);
    app.write_all(GET).await.unwrap();
    let mut connection = connections.recv().await.unwrap();
    read_until(&mut connection, "\r\n\r\n").await;
    idle.write_all(GET).await.unwrap();
    let mut other = connections.recv().await.unwrap();
    other.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
    read_until(&mut idle, "{}").await;

    stop.cancel();
    assert_eq!(idle.read(&mut [0; 8]).await.unwrap(), 0);
    idle_task.await.unwrap();
    assert!(!task.is_finished());
    connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
    let answer = read_until(&mut app, "{}").await;
    assert!(answer.contains("connection: close"), "{answer}");
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stall_before_the_head_is_a_time_out() {
    let (upstream, mut connections) = piped();
    let start = Instant::now();
    let error = upstream.send(request()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::UpstreamTimeout);
    assert_eq!(start.elapsed().as_secs(), 30);
    assert!(connections.try_recv().is_ok() && connections.try_recv().is_err(), "one connection, no retry");
}

#[tokio::test(start_paused = true)]
async fn a_stall_in_the_answer_is_a_time_out_and_a_slow_reader_is_not() {
    let (upstream, mut connections) = piped();
    let sending = tokio::spawn(upstream.send(request()));
    let mut connection = connections.recv().await.unwrap();
    connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").await.unwrap();
    let mut body = sending.await.unwrap().unwrap().into_body();
    sleep(Duration::from_secs(300)).await;
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
    sleep(Duration::from_secs(300)).await;
    let start = Instant::now();
    assert_eq!(body.frame().await.unwrap().unwrap_err().kind, ErrorKind::UpstreamTimeout);
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn an_answer_cut_short_is_a_reset() {
    let (upstream, mut connections) = piped();
    let sending = tokio::spawn(upstream.send(request()));
    let mut connection = connections.recv().await.unwrap();
    connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").await.unwrap();
    drop(connection);
    let mut body = sending.await.unwrap().unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
    assert_eq!(body.frame().await.unwrap().unwrap_err().kind, ErrorKind::UpstreamReset);
}

#[tokio::test(start_paused = true)]
async fn a_slow_upload_is_no_stall_but_a_stopped_one_is() {
    let (upstream, mut connections) = piped();
    let (mut app, _task) = connected(upstream, &CancellationToken::new());
    app.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n").await.unwrap();
    let mut connection = connections.recv().await.unwrap();
    for _ in 0..10 {
        sleep(Duration::from_secs(20)).await;
        app.write_all(b"x").await.unwrap();
    }
    assert!(read_until(&mut connection, "xxxxxxxxxx").await.starts_with("POST / "));
    let start = Instant::now();
    let answer = read_until(&mut app, "failed").await;
    assert!(answer.starts_with("HTTP/1.1 504 ") && answer.contains("upstream_timeout"), "{answer}");
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_request_outlives_the_app_that_hung_up_if_it_is_detached() {
    let (upstream, mut connections) = piped();
    let sending = tokio::spawn(upstream.send(request()));
    drop(upstream);
    let mut connection = connections.recv().await.unwrap();
    read_until(&mut connection, "{}").await;
    connection.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
    assert_eq!(sending.await.unwrap().unwrap().status(), 403);
}

#[tokio::test(start_paused = true)]
async fn many_calls_share_several_http2_connections() {
    let (connections, mut receiver) = mpsc::unbounded_channel();
    let connect = move || {
        let (ours, theirs) = duplex(64 * 1024);
        connections.send(theirs).map_err(io::Error::other)?;
        Ok(Box::new(ours) as _)
    };
    let options = UpstreamOptions { http: HttpVersion::Http2, ..upstream_options("http://graph.test") };
    let upstream = Upstream::in_memory(&options, connect).unwrap();
    let opened = Arc::new(AtomicUsize::new(0));
    let (counted, together) = (Arc::clone(&opened), Arc::new(tokio::sync::Barrier::new(300)));
    tokio::spawn(async move {
        while let Some(io) = receiver.recv().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let together = Arc::clone(&together);
            let service = service_fn(move |_| {
                let together = Arc::clone(&together);
                async move {
                    // Answers only when all 300 are here: none may wait for another's stream.
                    together.wait().await;
                    Ok::<_, std::convert::Infallible>(Response::new(ResponseBody::full("{}")))
                }
            });
            tokio::spawn(async move {
                server::serve_connection(io, service, &Options::default(), &CancellationToken::new()).await;
            });
        }
    });
    let calls: Vec<_> = (0..300).map(|_| tokio::spawn(upstream.send(request()))).collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status(), 200);
    }
    assert_eq!(opened.load(Ordering::SeqCst), 5, "64 calls to a connection");
}

// ── real sockets ─────────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_taken_port_is_named_with_its_cause() {
    let taken = server::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let error = server::bind(taken.local_addr()).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot listen on {}: ", taken.local_addr())), "{error}");
    assert!(error.contains("in use"), "{error}");
}

#[tokio::test]
async fn nobody_listens_there() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = upstream_at(closed).send(request()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::UpstreamUnreachable);
    let nowhere = Upstream::new(&upstream_options("http://sendfuse.invalid")).unwrap();
    assert_eq!(nowhere.send(request()).await.unwrap_err().kind, ErrorKind::UpstreamUnreachable);
}

#[tokio::test]
async fn a_peer_that_never_shakes_hands_is_a_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let options = UpstreamOptions {
        connect_timeout: Duration::from_millis(200),
        ..upstream_options(&format!("https://localhost:{}", addr.port()))
    };
    let error = Upstream::new(&options).unwrap().send(request()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::UpstreamTimeout);
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_or_not_its_own_is_refused() {
    let authority = Authority::new();
    let answer = |_| async { Response::new(ResponseBody::full("{}")) };
    let right = origin(authority.options("localhost"), answer).await;
    let public_roots = upstream_options(&format!("https://localhost:{}", right.addr.port()));
    let error = Upstream::new(&public_roots).unwrap().send(request()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::UpstreamTls);

    let wrong = origin(authority.options("elsewhere"), answer).await;
    let options = authority.upstream(wrong.addr, HttpVersion::Auto);
    let error = Upstream::new(&options).unwrap().send(request()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::UpstreamTls);

    let plain = origin(Options::default(), answer).await;
    let options = authority.upstream(plain.addr, HttpVersion::Auto);
    let error = Upstream::new(&options).unwrap().send(request()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::UpstreamTls);
}

#[tokio::test]
async fn a_ca_file_without_a_certificate_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let options =
        UpstreamOptions { ca_file: Some(file.path().into()), ..upstream_options("https://localhost") };
    let error = Upstream::new(&options).unwrap_err().to_string();
    assert!(error.contains(&*file.path().to_string_lossy()) && error.contains("no certificate"), "{error}");
}

#[test]
fn an_upstream_url_needs_scheme_and_host_and_is_not_repeated() {
    for url in ["/path", "graph.facebook.com", "ftp://graph.test", "https://user:secret@graph.test"] {
        let error = Upstream::new(&upstream_options(url)).unwrap_err().to_string();
        assert!(error.contains("url") && !error.contains("secret"), "{url}: {error}");
    }
}

#[tokio::test]
async fn a_written_post_is_never_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let arrived = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&arrived);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // The first request of a connection is answered, the second read and dropped.
            read_until(&mut stream, "{}").await;
            counted.fetch_add(1, Ordering::SeqCst);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
            read_until(&mut stream, "{}").await;
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let upstream = upstream_at(addr);
    let answer = upstream.send(request()).await.unwrap();
    answer.into_body().collect().await.unwrap();
    let error = upstream.send(request()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::UpstreamReset);
    assert_eq!(arrived.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_pooled_connection_that_upstream_closed_is_not_used() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let closed = Arc::new(Notify::new());
    let closing = Arc::clone(&closed);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_until(&mut stream, "{}").await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
            stream.shutdown().await.unwrap();
            // Read to the end: the other side has closed too.
            let _ = stream.read_to_end(&mut Vec::new()).await;
            closing.notify_one();
        }
    });
    let upstream = upstream_at(addr);
    for _ in 0..3 {
        let answer = upstream.send(request()).await.unwrap();
        answer.into_body().collect().await.unwrap();
        closed.notified().await;
    }
}

#[tokio::test]
async fn a_body_that_two_readers_could_frame_in_two_ways_is_refused() {
    let origin = origin(Options::default(), |_| async { Response::new(ResponseBody::full("{}")) }).await;
    let proxy = proxy(upstream_at(origin.addr), Options::default()).await;
    for (codings, status) in [
        ("Transfer-Encoding: Chunked", 200),
        ("Transfer-Encoding: gzip, chunked", 400),
        ("Transfer-Encoding: chunked, chunked", 400),
        ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: x\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", 400),
        ("Transfer-Encoding: chunked, identity", 400),
    ] {
        let head = format!("POST /1/media HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{codings}\r\n\r\n");
        let answer = raw(proxy.addr, format!("{head}3\r\nabc\r\n0\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{codings}: {answer}");
    }
}

#[tokio::test]
async fn it_is_no_open_proxy() {
    let origin = origin(Options::default(), |_| async { Response::new(ResponseBody::full("{}")) }).await;
    let proxy = proxy(upstream_at(origin.addr), Options::default()).await;
    for head in ["CONNECT example.com:443", "CONNECT 127.0.0.1:1", "GET http://example.com/"] {
        let request = format!("{head} HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n");
        let answer = raw(proxy.addr, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 421 ") && answer.contains("misdirected"), "{head}: {answer}");
    }
}

#[tokio::test]
async fn new_connections_see_new_certificates_and_a_bad_pair_changes_nothing() {
    let authority = Authority::new();
    let (cert, key) = authority.issue("localhost");
    let certs = Arc::new(TlsCerts::load(&cert, &key).unwrap());
    let options = Options { tls: Some(Arc::clone(&certs)), ..Options::default() };
    let running = origin(options, |_| async { Response::new(ResponseBody::full("{}")) }).await;
    // A new client each time: a new connection.
    let ask = || async {
        let upstream = Upstream::new(&authority.upstream(running.addr, HttpVersion::Auto)).unwrap();
        upstream.send(request()).await.map(|answer| answer.status().as_u16()).map_err(|error| error.kind)
    };
    assert_eq!(ask().await, Ok(200));

    authority.issue("elsewhere");
    certs.replace(Pair::read(&cert, &key).unwrap());
    assert_eq!(ask().await, Err(ErrorKind::UpstreamTls));

    authority.issue("localhost");
    certs.replace(Pair::read(&cert, &key).unwrap());
    std::fs::write(&key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let error = Pair::read(&cert, &key).unwrap_err().to_string();
    assert!(error.contains("cert.pem") && error.contains("key.pem"), "{error}");
    std::fs::write(&cert, "nothing").unwrap();
    let error = Pair::read(&cert, &key).unwrap_err().to_string();
    assert!(error.contains("cert.pem") && error.contains("no certificate"), "{error}");
    assert_eq!(ask().await, Ok(200));
}

#[tokio::test]
async fn draining_ends_what_is_open_and_takes_nothing_new() {
    let (started, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begun, wait) = (Arc::clone(&started), Arc::clone(&finish));
    let mut running = origin(Options::default(), move |_| {
        let (begun, wait) = (Arc::clone(&begun), Arc::clone(&wait));
        async move {
            begun.notify_one();
            wait.notified().await;
            Response::new(ResponseBody::full("{}"))
        }
    })
    .await;
    let mut app = TcpStream::connect(running.addr).await.unwrap();
    app.write_all(GET).await.unwrap();
    started.notified().await;
    running.stop.cancel();
    while TcpStream::connect(running.addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!running.task.is_finished());
    finish.notify_one();
    read_until(&mut app, "{}").await;
    (&mut running.task).await.unwrap();
}

#[tokio::test]
async fn draining_ends_even_if_a_request_does_not() {
    let started = Arc::new(Notify::new());
    let begun = Arc::clone(&started);
    let options = Options { drain_timeout: Duration::from_millis(50), ..Options::default() };
    let mut running = origin(options, move |_| {
        begun.notify_one();
        std::future::pending()
    })
    .await;
    let mut app = TcpStream::connect(running.addr).await.unwrap();
    app.write_all(GET).await.unwrap();
    started.notified().await;
    running.stop.cancel();
    (&mut running.task).await.unwrap();
    assert_eq!(app.read(&mut [0; 8]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_connection_too_many_waits_for_its_turn() {
    let options = Options { max_connections: 1, ..Options::default() };
    let running = origin(options, |_| async { Response::new(ResponseBody::full("{}")) }).await;
    let mut first = TcpStream::connect(running.addr).await.unwrap();
    first.write_all(GET).await.unwrap();
    read_until(&mut first, "{}").await;
    let mut second = TcpStream::connect(running.addr).await.unwrap();
    second.write_all(GET).await.unwrap();
    // The first is served again while the second waits.
    first.write_all(GET).await.unwrap();
    read_until(&mut first, "{}").await;
    assert_eq!(second.try_read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(first);
    read_until(&mut second, "{}").await;
}
