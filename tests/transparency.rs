//! What is forwarded is forwarded as it came: raw bytes in, raw bytes out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sendfuse::body::{RequestBody, ResponseBody};
use sendfuse::server::Options;
use sendfuse::upstream::{HttpVersion, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::server::rig::{
    Authority, PATIENCE, origin, proxy, raw, read_until, upstream_at, upstream_options,
};

struct Case {
    name: &'static str,
    /// What the app writes; `HOST` stands for upstream's host.
    request: &'static [u8],
    /// What upstream must read.
    forwarded: &'static [u8],
    /// What upstream writes.
    answer: &'static [u8],
    /// What the app must read.
    returned: &'static [u8],
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

const TABLE: &[Case] = &[
    Case {
        name: "odd case, duplicates in order, empty values, bytes beyond ASCII",
        request: b"POST /v23.0/1/messages HTTP/1.1\r\nhOST: app\r\nX-oDD: 1\r\nx-Odd: 2\r\nX-ODD: 1\r\nX-Empty:\r\nX-Latin: caf\xe9\r\n\
            Authorization: Bearer x\r\nCONTENT-length: 2\r\n\r\n{}",
        forwarded: b"POST /v23.0/1/messages HTTP/1.1\r\nhOST: HOST\r\nX-oDD: 1\r\nx-Odd: 2\r\nX-ODD: 1\r\nX-Empty:\r\nX-Latin: caf\xe9\r\n\
            Authorization: Bearer x\r\nCONTENT-length: 2\r\n\r\n{}",
        answer: b"HTTP/1.1 200 OK\r\nwww-AUTHENTICATE: a\r\nWWW-Authenticate: b\r\nX-Fb-Trace-ID: \xff\r\nfacebook-API-version: v23.0\r\n\
            cOntent-Length: 2\r\n\r\n{}",
        returned: b"HTTP/1.1 200 OK\r\nwww-AUTHENTICATE: a\r\nWWW-Authenticate: b\r\nX-Fb-Trace-ID: \xff\r\nfacebook-API-version: v23.0\r\n\
            cOntent-Length: 2\r\n\r\n{}",
    },
    Case {
        name: "percent-encoding, dots, doubled slashes, odd characters",
        request: b"GET /v23.0/%31%2F%2f/../a//b;c={\"d\":[1]}|/upload:MTp%3D=?sig=%2B+%00&x={a:[1]}|^~`\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
        forwarded: b"GET /v23.0/%31%2F%2f/../a//b;c={\"d\":[1]}|/upload:MTp%3D=?sig=%2B+%00&x={a:[1]}|^~`\xc3\xa9 HTTP/1.1\r\nHost: HOST\r\n\r\n",
        answer: OK,
        returned: OK,
    },
    Case {
        name: "an empty query keeps its question mark",
        request: b"GET //a? HTTP/1.1\r\nHost: a\r\n\r\n",
        forwarded: b"GET //a? HTTP/1.1\r\nHost: HOST\r\n\r\n",
        answer: OK,
        returned: OK,
    },
    Case {
        name: "the root, and a query right behind it",
        request: b"GET /?a=b? HTTP/1.1\r\nHost: a\r\n\r\n",
        forwarded: b"GET /?a=b? HTTP/1.1\r\nHost: HOST\r\n\r\n",
        answer: OK,
        returned: OK,
    },
    Case {
        name: "OPTIONS *",
        request: b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        forwarded: b"OPTIONS * HTTP/1.1\r\nHost: HOST\r\n\r\n",
        answer: OK,
        returned: OK,
    },
    Case {
        name: "absolute form for upstream itself",
        request: b"GET http://127.0.0.1/v23.0/me?x HTTP/1.1\r\nHost: a\r\n\r\n",
        forwarded: b"GET /v23.0/me?x HTTP/1.1\r\nHost: HOST\r\n\r\n",
        answer: OK,
        returned: OK,
    },
    Case {
        name: "fields of one hop go, both ways",
        request: b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\n\r\n",
        forwarded: b"GET / HTTP/1.1\r\nHost: HOST\r\n\r\n",
        answer: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
            Alt-Svc: h3=\":443\"\r\n\r\n{}",
        returned: OK,
    },
    Case {
        name: "chunks and trailers, both ways",
        request: b"POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n\
            5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n",
        forwarded: b"POST / HTTP/1.1\r\nHost: HOST\r\nTE: trailers\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n\
            5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n",
        answer: b"HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 9\r\n\r\n",
        returned: b"HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 9\r\n\r\n",
    },
    Case {
        name: "a GET with a body",
        request: b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na=b",
        forwarded: b"GET / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 3\r\n\r\na=b",
        answer: OK,
        returned: OK,
    },
    Case {
        name: "a GET with a chunked body",
        request: b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\n",
        forwarded: b"GET / HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\n",
        answer: OK,
        returned: OK,
    },
    Case {
        name: "a POST without a body, and one that says so",
        request: b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        forwarded: b"POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0\r\n\r\n",
        answer: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: 1\r\n\r\n",
        returned: b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n",
    },
    Case {
        name: "a method of nobody's, nothing added",
        request: b"PURGE / HTTP/1.1\r\nHost: a\r\n\r\n",
        forwarded: b"PURGE / HTTP/1.1\r\nHost: HOST\r\n\r\n",
        answer: b"HTTP/1.1 418 Short And Stout\r\nContent-Length: 1\r\n\r\nx",
        returned: b"HTTP/1.1 418 Short And Stout\r\nContent-Length: 1\r\n\r\nx",
    },
    Case {
        name: "HEAD keeps the length of what it leaves out",
        request: b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        forwarded: b"HEAD / HTTP/1.1\r\nHost: HOST\r\n\r\n",
        answer: b"HTTP/1.1 200 OK\r\nContent-Length: 123456\r\n\r\n",
        returned: b"HTTP/1.1 200 OK\r\nContent-Length: 123456\r\n\r\n",
    },
    Case {
        name: "HEAD without a length gets none",
        request: b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        forwarded: b"HEAD / HTTP/1.1\r\nHost: HOST\r\n\r\n",
        answer: b"HTTP/1.1 200 OK\r\nETag: \"1\"\r\n\r\n",
        returned: b"HTTP/1.1 200 OK\r\nETag: \"1\"\r\n\r\n",
    },
    Case {
        name: "204",
        request: b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n",
        forwarded: b"DELETE / HTTP/1.1\r\nHost: HOST\r\n\r\n",
        answer: b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
        returned: b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
    },
    Case {
        name: "304 keeps the length of what it leaves out",
        request: b"GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"1\"\r\n\r\n",
        forwarded: b"GET / HTTP/1.1\r\nHost: HOST\r\nIf-None-Match: \"1\"\r\n\r\n",
        answer: b"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 4096\r\n\r\n",
        returned: b"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 4096\r\n\r\n",
    },
    Case {
        name: "the version is each hop's own",
        request: b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        forwarded: b"GET / HTTP/1.1\r\nHost: HOST\r\n\r\n",
        answer: b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        returned: OK,
    },
    Case {
        name: "compressed bytes are bytes; informational answers end here",
        request: b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip, br\r\n\r\n",
        forwarded: b"GET / HTTP/1.1\r\nHost: HOST\r\nAccept-Encoding: gzip, br\r\n\r\n",
        answer: b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
        returned: b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
    },
];

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Reads as many bytes as are expected, then whatever else is there already.
async fn read_expected(stream: &mut TcpStream, expected: usize) -> Vec<u8> {
    const LONG: Duration = Duration::from_secs(3);
    let mut seen = Vec::new();
    let enough = async {
        while seen.len() < expected {
            if stream.read_buf(&mut seen).await.unwrap() == 0 {
                break;
            }
        }
    };
    // On a time-out the comparison that follows shows what is missing.
    let _ = tokio::time::timeout(LONG, enough).await;
    seen
}

#[tokio::test]
async fn every_byte_of_the_table_arrives() {
    for case in TABLE {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap();
        let forwarded = show(case.forwarded).replace("HOST", &host.to_string());
        let expected = case.forwarded.len() - 4 + host.to_string().len();
        let (listening, answer) = (listener, case.answer);
        let upstream = tokio::spawn(async move {
            let (mut stream, _) = listening.accept().await.unwrap();
            let mut seen = read_expected(&mut stream, expected).await;
            stream.write_all(answer).await.unwrap();
            // Until the app has its answer and the proxy is gone: nothing more may come.
            stream.read_to_end(&mut seen).await.unwrap();
            seen
        });
        let proxy = proxy(upstream_at(host), Options::default()).await;
        let mut app = TcpStream::connect(proxy.addr).await.unwrap();
        app.write_all(case.request).await.unwrap();
        let mut returned = read_expected(&mut app, case.returned.len()).await;
        app.shutdown().await.unwrap();
        app.read_to_end(&mut returned).await.unwrap();
        // The pool closes its connection with the last handle on it.
        drop((app, proxy));
        let seen = tokio::time::timeout(PATIENCE, upstream)
            .await
            .unwrap_or_else(|_| panic!("pool did not close: {}, {}", case.name, show(&returned)))
            .unwrap();
        assert_eq!(show(&seen), forwarded, "forwarded: {}", case.name);
        assert_eq!(show(&returned), show(case.returned), "returned: {}", case.name);
    }
}

#[tokio::test]
async fn a_query_of_sixty_kilobytes_passes() {
    let echo = origin(Options::default(), |request| async move {
        Response::new(ResponseBody::full(request.uri().to_string().len().to_string()))
    })
    .await;
    let proxy = proxy(upstream_at(echo.addr), Options::default()).await;
    let target = format!("/?q={}", "x".repeat(60_000));
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(raw(proxy.addr, request.as_bytes()).await.ends_with("\r\n\r\n60004"));

    let app = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Empty<Bytes>>();
    let answer = app.get(format!("http://{}{target}", proxy.addr).parse().unwrap()).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "60004");
}

#[tokio::test]
async fn an_old_app_gets_its_own_version_and_a_closed_connection() {
    let origin = origin(Options::default(), |_| async { Response::new(ResponseBody::full("{}")) }).await;
    let proxy = proxy(upstream_at(origin.addr), Options::default()).await;
    let answer = raw(proxy.addr, b"GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(answer, "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}");
}

#[tokio::test]
async fn continue_is_said_before_the_body_and_not_where_nobody_listens() {
    let origin = origin(Options::default(), |request| async move {
        assert_eq!(request.headers()["expect"], "100-continue");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(ResponseBody::full(body))
    })
    .await;
    let running = proxy(upstream_at(origin.addr), Options::default()).await;
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 5\r\n\r\n";
    let mut app = TcpStream::connect(running.addr).await.unwrap();
    app.write_all(head).await.unwrap();
    assert_eq!(read_until(&mut app, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    app.write_all(b"hello").await.unwrap();
    let answer = read_until(&mut app, "hello").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let running = proxy(upstream_at(closed), Options::default()).await;
    let answer = raw(running.addr, head).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

/// Tells what it got, and answers with trailers.
async fn describe(request: Request<hyper::body::Incoming>) -> Response<ResponseBody> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    let mut names: Vec<_> = head.headers.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    names.sort();
    let text = format!(
        "{:?} {} {} {names:?} {:?} {trailers:?}",
        head.version,
        head.method,
        head.uri.path_and_query().unwrap(),
        body.to_bytes(),
    );
    let mut sum = HeaderMap::new();
    sum.insert("x-sum", "9".parse().unwrap());
    Response::builder()
        .header("trailer", "x-sum")
        .header("x-twice", "1")
        .header("x-twice", "2")
        .body(ResponseBody::collected(text.into(), Some(sum)))
        .unwrap()
}

#[tokio::test]
async fn versions_mix() {
    let origin = origin(Options::default(), describe).await;
    for (http, version) in [(HttpVersion::Http1, "HTTP/1.1"), (HttpVersion::Http2, "HTTP/2.0")] {
        let mut options = upstream_options(&format!("http://{}", origin.addr));
        options.http = http;
        let proxy = proxy(Upstream::new(&options).unwrap(), Options::default()).await;
        for http2 in [false, true] {
            let app = Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", "7".parse().unwrap());
            let frames = [Ok(Frame::data(Bytes::from("hello"))), Err(trailers)];
            let frames = frames.map(|frame| Ok::<_, std::io::Error>(frame.unwrap_or_else(Frame::trailers)));
            let request = Request::get(format!("http://{}/a%20b?", proxy.addr))
                .header("x-a", "1")
                .header("x-a", "2")
                .header("te", "trailers")
                .header("trailer", "x-sum")
                // hyper's client leaves out a GET's body unless told.
                .header("transfer-encoding", "chunked")
                .body(StreamBody::new(futures_util::stream::iter(frames)))
                .unwrap();
            let answer = app.request(request).await.unwrap();
            let expected = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
            assert_eq!(answer.version(), expected);
            assert_eq!(answer.headers().get_all("x-twice").iter().collect::<Vec<_>>(), ["1", "2"]);
            assert!(!answer.headers().contains_key("date"));
            assert!(!answer.headers().contains_key("content-length"));
            let body = answer.into_body().collect().await.unwrap();
            assert_eq!(body.trailers().unwrap()["x-sum"], "9");
            let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
            let host = match http {
                HttpVersion::Http1 => format!("\"host=\\\"{}\\\"\", ", origin.addr),
                _ => String::new(),
            };
            let coding = match http {
                HttpVersion::Http1 => "\"transfer-encoding=\\\"chunked\\\"\", ",
                _ => "",
            };
            assert_eq!(
                text,
                format!(
                    "{version} GET /a%20b? [{host}\"te=\\\"trailers\\\"\", \"trailer=\\\"x-sum\\\"\", {coding}\
                     \"x-a=\\\"1\\\"\", \"x-a=\\\"2\\\"\"] b\"hello\" {{\"x-sum\": \"7\"}}"
                ),
                "h2 in: {http2}"
            );
        }
    }
}

#[tokio::test]
async fn a_304_and_a_head_pass_over_http2() {
    let origin = origin(Options::default(), |request| async move {
        let status = if request.method() == http::Method::HEAD { 200 } else { 304 };
        Response::builder()
            .status(status)
            .header("content-length", "4096")
            .body(ResponseBody::collected(Bytes::new(), None))
            .unwrap()
    })
    .await;
    for http in [HttpVersion::Http1, HttpVersion::Http2] {
        let mut options = upstream_options(&format!("http://{}", origin.addr));
        options.http = http;
        let proxy = proxy(Upstream::new(&options).unwrap(), Options::default()).await;
        for (method, status) in [("HEAD", 200), ("GET", 304)] {
            for http2 in [false, true] {
                let app = Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
                let request = Request::builder()
                    .method(method)
                    .uri(format!("http://{}/", proxy.addr))
                    .body(Empty::<Bytes>::new())
                    .unwrap();
                let answer = app.request(request).await.unwrap();
                assert_eq!(answer.status(), status);
                assert_eq!(answer.headers()["content-length"], "4096", "{method} {http:?} {http2}");
                assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
            }
        }
    }
}

/// Bytes that one side has written and the other has not read.
#[derive(Default)]
struct InFlight {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl InFlight {
    fn written(&self, bytes: usize) {
        let now = self.now.fetch_add(bytes, Ordering::SeqCst) + bytes;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn read(&self, bytes: usize) {
        self.now.fetch_sub(bytes, Ordering::SeqCst);
    }
}

const CHUNK: usize = 64 * 1024;
const MEDIA: usize = 100 * 1024 * 1024;
/// Socket buffers of three hops and the windows of HTTP/2; a proxy that collects bodies would hold all of `MEDIA`.
const BUFFERS: usize = 32 * 1024 * 1024;

fn media(
    flying: Arc<InFlight>,
) -> impl http_body::Body<Data = Bytes, Error = std::io::Error> + Send + 'static {
    let chunk = Bytes::from(vec![7; CHUNK]);
    StreamBody::new(futures_util::stream::iter((0..MEDIA / CHUNK).map(move |_| {
        flying.written(CHUNK);
        Ok(Frame::data(chunk.clone()))
    })))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_of_a_hundred_megabytes_streams() {
    for http in [HttpVersion::Http1, HttpVersion::Http2] {
        let flying = Arc::new(InFlight::default());
        let counted = Arc::clone(&flying);
        let origin = origin(Options::default(), move |request| {
            let flying = Arc::clone(&counted);
            async move {
                let (mut body, mut total) = (request.into_body(), 0);
                while let Some(frame) = body.frame().await {
                    let read = frame.unwrap().into_data().map_or(0, |data| data.len());
                    flying.read(read);
                    total += read;
                }
                Response::new(ResponseBody::full(total.to_string()))
            }
        })
        .await;
        let mut options = upstream_options(&format!("http://{}", origin.addr));
        options.http = http;
        let proxy = proxy(Upstream::new(&options).unwrap(), Options::default()).await;
        let app = Client::builder(TokioExecutor::new()).http2_only(http == HttpVersion::Http2).build_http();
        let request = Request::post(format!("http://{}/media", proxy.addr));
        let answer = app.request(request.body(Box::pin(media(Arc::clone(&flying)))).unwrap()).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), MEDIA.to_string());
        let most = flying.most.load(Ordering::SeqCst);
        assert!(most < BUFFERS, "{most} bytes were under way at once over {http:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_of_a_hundred_megabytes_streams() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let flying = Arc::new(InFlight::default());
    let counted = Arc::clone(&flying);
    let origin = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper::service::service_fn(move |_| {
            let body = media(Arc::clone(&counted));
            async move { Ok::<_, std::convert::Infallible>(Response::new(body)) }
        });
        let http = hyper::server::conn::http1::Builder::new();
        http.serve_connection(TokioIo::new(stream), service).await.unwrap();
    });
    let proxy = proxy(upstream_at(addr), Options::default()).await;
    let app = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Empty<Bytes>>();
    let mut body = app.get(format!("http://{}/", proxy.addr).parse().unwrap()).await.unwrap().into_body();
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        let read = frame.unwrap().into_data().map_or(0, |data| data.len());
        flying.read(read);
        total += read;
    }
    assert_eq!(total, MEDIA);
    let most = flying.most.load(Ordering::SeqCst);
    assert!(most < BUFFERS, "{most} bytes were under way at once");
    origin.abort();
}

#[tokio::test]
async fn tls_in_and_out_in_both_versions() {
    let authority = Authority::new();
    let origin = origin(authority.options("localhost"), describe).await;
    for (http, version) in
        [(HttpVersion::Auto, "HTTP/2.0"), (HttpVersion::Http1, "HTTP/1.1"), (HttpVersion::Http2, "HTTP/2.0")]
    {
        let upstream = Upstream::new(&authority.upstream(origin.addr, http)).unwrap();
        let proxy = proxy(upstream, authority.options("localhost")).await;
        // Our own client is an app like any other here: it verifies the listener's certificate and negotiates.
        for app in [HttpVersion::Auto, HttpVersion::Http1] {
            let app = Upstream::new(&authority.upstream(proxy.addr, app)).unwrap();
            let request = Request::post("/x").body(RequestBody::from(Bytes::from("{}"))).unwrap();
            let answer = app.send(request).await.unwrap();
            let text = answer.into_body().collect().await.unwrap().to_bytes();
            assert!(text.starts_with(format!("{version} POST /x ").as_bytes()), "{text:?}");
        }
    }
}
