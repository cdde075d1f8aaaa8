//! The load: text messages of 1,000 phone numbers over keep-alive connections, closed loop or at a fixed rate.
//!
//! At a fixed rate a latency runs from the time at which the request was *due*, not from when a connection was free
//! to carry it: a stall counts against every request that it kept waiting (no coordinated omission).

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio_rustls::TlsConnector;

use crate::Result;
use crate::measure::Snapshot;
use crate::origin::ANSWER;

/// How many business phone numbers the sends are spread over.
const PHONES: u64 = 1_000;
/// The first of them; 15 digits, as Meta's are.
const FIRST_PHONE: u64 = 106_540_352_242_000;
/// What a send's body looks like: 250 bytes.
pub(crate) const BODY: &str = concat!(
    r#"{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"text","#,
    r#""text":{"preview_url":false,"body":"Your parcel has left our warehouse and will be with you tomorrow "#,
    r#"between 9 and 12. Reply STOP to end these messages"}}"#
);
/// Of the length of a system user's token.
pub(crate) const TOKEN: &str = concat!(
    "Bearer EAAJBload0tests0token0000000000000000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
);
/// An answer that takes longer is an error.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// Where the load goes.
#[derive(Clone)]
pub(crate) struct Target {
    /// The proxy, or the origin itself.
    pub(crate) address: SocketAddr,
    /// Set where TLS has to be spoken.
    pub(crate) tls: Option<TlsConnector>,
}

/// How requests follow one another.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// Each connection sends as soon as it has its answer.
    Closed,
    /// So many requests a second are due, whatever the answers take.
    Open { per_second: u32 },
}

/// One measurement.
pub(crate) struct Load {
    /// Where it goes.
    pub(crate) target: Target,
    /// Keep-alive connections.
    pub(crate) connections: usize,
    /// Closed or open loop.
    pub(crate) shape: Shape,
    /// Not recorded.
    pub(crate) warm_up: Duration,
    /// Recorded.
    pub(crate) window: Duration,
}

/// What came of it.
pub(crate) struct Outcome {
    /// Latencies in µs of the requests of the window.
    pub(crate) latencies: Histogram<u64>,
    /// Requests at any time, warm-up included, that brought no complete 200.
    pub(crate) errors: u64,
    /// What the processes and the machine had used when the window began.
    pub(crate) before: Snapshot,
    /// And when it ended.
    pub(crate) after: Snapshot,
}

/// Runs one measurement; `probe` is called at the two ends of the window.
pub(crate) async fn run(load: Load, probe: impl Fn() -> Result<Snapshot>) -> Result<Outcome> {
    let now = Instant::now();
    let begin = now + load.warm_up;
    let window = Window { begin, end: begin + load.window };
    let due = match load.shape {
        Shape::Closed => None,
        Shape::Open { per_second } => Some(ticker(per_second, now, window.end)),
    };
    let workers: Vec<_> = (0..load.connections)
        .map(|index| {
            let client = Client::new(load.target.clone(), index);
            match &due {
                None => tokio::spawn(closed(client, window)),
                Some(due) => tokio::spawn(open(client, window, Arc::clone(due))),
            }
        })
        .collect();
    tokio::time::sleep_until(window.begin.into()).await;
    let before = probe()?;
    tokio::time::sleep_until(window.end.into()).await;
    let after = probe()?;
    let mut latencies = histogram()?;
    let mut errors = 0;
    for worker in workers {
        let tally = worker.await??;
        latencies.add(&tally.latencies)?;
        errors += tally.errors;
    }
    Ok(Outcome { latencies, errors, before, after })
}

/// What is recorded.
#[derive(Clone, Copy)]
struct Window {
    begin: Instant,
    end: Instant,
}

impl Window {
    fn holds(&self, at: Instant) -> bool {
        self.begin <= at && at < self.end
    }
}

/// One worker's share of an [`Outcome`].
struct Tally {
    latencies: Histogram<u64>,
    errors: u64,
}

impl Tally {
    fn new() -> Result<Self> {
        Ok(Self { latencies: histogram()?, errors: 0 })
    }

    fn record(&mut self, from: Instant) {
        let micros = u64::try_from(from.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.latencies.saturating_record(micros.max(1));
    }
}

fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

async fn closed(mut client: Client, window: Window) -> Result<Tally> {
    let mut tally = Tally::new()?;
    loop {
        let started = Instant::now();
        if started >= window.end {
            return Ok(tally);
        }
        match client.send().await {
            Ok(()) if window.holds(Instant::now()) => tally.record(started),
            Ok(()) => {}
            Err(_) => tally.failed().await,
        }
    }
}

async fn open(mut client: Client, window: Window, due: Due) -> Result<Tally> {
    let mut tally = Tally::new()?;
    loop {
        // The lock is held while waiting: the connections take turns.
        let next = due.lock().await.recv().await;
        let Some(scheduled) = next else { return Ok(tally) };
        match client.send().await {
            Ok(()) if window.holds(scheduled) => tally.record(scheduled),
            Ok(()) => {}
            Err(_) => tally.failed().await,
        }
    }
}

impl Tally {
    /// Counts an error, and keeps a peer that refuses everything from being asked in a spin.
    async fn failed(&mut self) {
        self.errors += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The times at which requests are due, shared by all connections.
type Due = Arc<Mutex<mpsc::UnboundedReceiver<Instant>>>;

/// A thread of its own, since the runtime's timer has steps of a millisecond.
fn ticker(per_second: u32, begin: Instant, end: Instant) -> Due {
    let (sender, receiver) = mpsc::unbounded_channel();
    let step = Duration::from_secs(1) / per_second.max(1);
    std::thread::spawn(move || {
        let mut next = begin;
        while next < end {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            if sender.send(next).is_err() {
                return;
            }
            next += step;
        }
    });
    Arc::new(Mutex::new(receiver))
}

/// One keep-alive connection, made again when it breaks.
struct Client {
    target: Target,
    connection: Option<SendRequest<Full<Bytes>>>,
    /// Whose turn it is; each connection starts elsewhere in the list.
    turn: u64,
}

impl Client {
    fn new(target: Target, index: usize) -> Self {
        Self { target, connection: None, turn: index as u64 * 17 }
    }

    /// One send, to a complete 200 with the origin's whole answer.
    async fn send(&mut self) -> Result<()> {
        let sent = tokio::time::timeout(DEADLINE, self.exchange()).await;
        // Whatever went wrong, the next one gets a new connection.
        let broken = !matches!(sent, Ok(Ok(())));
        if broken {
            self.connection = None;
        }
        sent?
    }

    async fn exchange(&mut self) -> Result<()> {
        let phone = FIRST_PHONE + self.turn % PHONES;
        self.turn += 1;
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connect(&self.target).await?),
        };
        connection.ready().await?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(Uri::try_from(format!("/v23.0/{phone}/messages"))?)
            .header(HOST, "graph.facebook.com")
            .header(AUTHORIZATION, TOKEN)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, "load-tests")
            .body(Full::new(Bytes::from_static(BODY.as_bytes())))?;
        let response = connection.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status != StatusCode::OK || body.len() != ANSWER.len() {
            return Err(format!("answer {status} of {} bytes", body.len()).into());
        }
        Ok(())
    }
}

async fn connect(target: &Target) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    match &target.tls {
        None => start(stream).await,
        Some(tls) => start(tls.connect(ServerName::try_from("localhost")?, stream).await?).await,
    }
}

async fn start<S>(stream: S) -> Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Its end is seen by the next request on it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// A TLS client that trusts the authority in `ca_file` alone.
pub(crate) fn trusting(ca_file: &Path) -> Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::{Origin, Scheme};

    #[test]
    fn the_body_has_the_size_that_the_report_speaks_of() {
        assert_eq!(BODY.len(), 250);
    }

    async fn short_run(scheme: Scheme, shape: Shape, delay: Duration) -> Outcome {
        let origin = Origin::bind(delay).await.expect("bind");
        let directory = tempfile::tempdir().expect("directory");
        let ca_file = directory.path().join("ca.pem");
        std::fs::write(&ca_file, origin.ca_pem()).expect("write");
        let target = match scheme {
            Scheme::Plain => Target { address: origin.plain_address(), tls: None },
            Scheme::Tls => {
                Target { address: origin.tls_address(), tls: Some(trusting(&ca_file).expect("authority")) }
            }
        };
        tokio::spawn(origin.serve());
        let load = Load {
            target,
            connections: 4,
            shape,
            warm_up: Duration::from_millis(50),
            window: Duration::from_millis(400),
        };
        run(load, || Snapshot::take(None, &[std::process::id()])).await.expect("run")
    }

    #[tokio::test]
    async fn closed_loop_over_plain_and_tls_has_no_errors() {
        for scheme in [Scheme::Plain, Scheme::Tls] {
            let outcome = short_run(scheme, Shape::Closed, Duration::ZERO).await;
            assert_eq!(outcome.errors, 0, "{scheme:?}");
            assert!(!outcome.latencies.is_empty(), "{scheme:?}");
        }
    }

    #[tokio::test]
    async fn an_open_loop_counts_the_wait_for_a_free_connection() {
        // 4 connections carry 40 a second; 200 are due in each: the later ones are late by far more than one delay.
        let shape = Shape::Open { per_second: 200 };
        let outcome = short_run(Scheme::Plain, shape, Duration::from_millis(100)).await;
        assert_eq!(outcome.errors, 0);
        assert_eq!(outcome.latencies.len(), 80, "every request that was due is recorded");
        assert!(outcome.latencies.max() > 1_000_000, "max {} µs", outcome.latencies.max());
    }

    #[tokio::test]
    async fn a_target_that_refuses_is_counted_as_errors() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        drop(listener);
        let load = Load {
            target: Target { address, tls: None },
            connections: 2,
            shape: Shape::Closed,
            warm_up: Duration::ZERO,
            window: Duration::from_millis(50),
        };
        let outcome = run(load, || Snapshot::take(None, &[])).await.expect("run");
        assert!(outcome.errors > 0);
        assert!(outcome.latencies.is_empty());
    }
}
