//! The door: one accept loop for the proxy, the webhook and the admin listener.
//!
//! HTTP/1.1 and HTTP/2 with prior knowledge on plain TCP, both by ALPN over TLS.
//!
//! How long a connection may be quiet (see `activity`):
//! - `header_timeout` until the first request's head is there, from the connection's beginning (for the TLS handshake
//!   likewise), and for every later head over HTTP/1.1 from its first byte;
//! - [`Options::idle_timeout`] between requests, 75 s as in nginx: longer than the clients' pools keep a connection, so
//!   that it is they who close it. A request that meets a closing connection is lost, and a POST is not repeated. Then
//!   the connection is shut down gracefully: HTTP/2 says GOAWAY, a request that arrives at that moment is answered.
//! - the same for an answer that the app does not read on.
//!
//! *Half-close*: an app that shuts down its sending side before it has the answer counts as gone, as in nginx. This is how
//! a hung-up app is noticed at all while upstream is silent; no HTTP client does it and waits.
//!
//! Nothing is added to an answer: no `Date`, and a 304 keeps its `Content-Length`. Over HTTP/1.1 hyper drops a
//! `Content-Length` of a 204 (RFC 9110 §8.6 forbids it).

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::error::BoxError;

mod activity;
mod answer;
mod connection;
pub mod descriptors;
mod target;
mod tls;

pub use connection::serve_connection;
pub use target::misdirected;
pub use tls::{CertsError, Pair, TlsCerts};

/// Between two attempts to accept when the machine is out of descriptors or memory.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(500);

/// A port that is ours.
#[derive(Debug)]
pub struct Listener {
    inner: TcpListener,
    local: SocketAddr,
}

impl Listener {
    /// The address, with the real port where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

/// A port that is not ours; one line, for the operator.
#[derive(Debug, Error)]
#[error("cannot listen on {addr}: {cause}")]
pub struct BindError {
    /// What was asked for.
    pub addr: SocketAddr,
    /// What the system says.
    #[source]
    pub cause: io::Error,
}

/// Takes a port. From here on the system queues connections; [`serve`] answers them.
pub async fn bind(addr: SocketAddr) -> Result<Listener, BindError> {
    let listen = async {
        let inner = TcpListener::bind(addr).await?;
        let local = inner.local_addr()?;
        Ok(Listener { inner, local })
    };
    listen.await.map_err(|cause| BindError { addr, cause })
}

/// How a listener behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Certificates; without them the listener is plain.
    pub tls: Option<Arc<TlsCerts>>,
    /// The longest time for a TLS handshake or a request's head.
    pub header_timeout: Duration,
    /// The longest time without a request on an open connection.
    pub idle_timeout: Duration,
    /// Beyond this many, connections wait in the system's queue.
    pub max_connections: usize,
    /// After stop: how long open requests may go on.
    pub drain_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls: None,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            max_connections: 10_000,
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// Between whom a connection is.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionInfo {
    /// Our side.
    pub local: SocketAddr,
    /// The caller's.
    pub peer: SocketAddr,
    /// Whether it is encrypted.
    pub tls: bool,
}

/// Accepts connections and answers their requests with a service made for each connection, until `stop`. Then: no further
/// connection, idle ones close, open requests go on for at most `drain_timeout`; returns when all connections are closed.
///
/// Cancel safety: dropping the future closes the port and cuts all connections.
pub async fn serve<M, S, B>(listener: Listener, options: Options, make_service: M, stop: CancellationToken)
where
    M: Fn(ConnectionInfo) -> S,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let options = Arc::new(options);
    let slots = Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            // A closed semaphore cannot be: nobody closes it.
            let slot = Arc::clone(&slots).acquire_owned().await.ok();
            (slot, accept(&listener.inner).await)
        };
        let (slot, (stream, peer)) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            accepted = accepted => accepted,
        };
        let info = ConnectionInfo { local: listener.local_of(&stream), peer, tls: options.tls.is_some() };
        let service = make_service(info);
        let (options, stop) = (Arc::clone(&options), stop.clone());
        connections.spawn(async move {
            connection::serve_socket(stream, service, &options, &stop).await;
            drop(slot);
        });
    }
    drop(listener);
    let drained = tokio::time::timeout(options.drain_timeout, async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    });
    if drained.await.is_err() {
        tracing::warn!(connections = connections.len(), "drain time is over; cutting connections");
        connections.shutdown().await;
    }
}

impl Listener {
    /// Our address on this connection: the one that the peer used, where we listen on all.
    fn local_of(&self, stream: &TcpStream) -> SocketAddr {
        stream.local_addr().unwrap_or(self.local)
    }
}

/// The next connection. A connection that broke before it was accepted is its peer's trouble; anything else (no
/// descriptors left) lasts a while, so trying at once would spin.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a connection ended in a panic");
    }
}
