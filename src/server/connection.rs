//! One connection, from its handshake to its end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::Options;
use super::activity::{Activity, Due, Watched};
use super::answer::Counted;
use crate::error::BoxError;

/// Open requests on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;
/// A request's fields over HTTP/2; a query of 64 KiB fits, as it does over HTTP/1.1.
const MAX_HEADER_LIST: u32 = 256 * 1024;

/// Answers an accepted socket's requests, over TLS if there are certificates.
pub(super) async fn serve_socket<S, B>(
    stream: TcpStream,
    service: S,
    options: &Options,
    stop: &CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    // An answer's head and body are often two writes; waiting for the peer's ACK between them helps nobody.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "connection is gone already");
        return;
    }
    let Some(certs) = &options.tls else {
        return serve_connection(stream, service, options, stop).await;
    };
    let handshake = TlsAcceptor::from(certs.config()).accept(stream);
    let handshake = tokio::select! {
        handshake = timeout(options.header_timeout, handshake) => handshake,
        () = stop.cancelled() => return,
    };
    match handshake {
        Ok(Ok(stream)) => serve_connection(stream, service, options, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
}

/// Answers requests on any connection until it ends, it is quiet for too long, or `stop` and the last answer is given.
/// `max_connections`, `drain_timeout` and `tls` of the options are not looked at.
///
/// Cancel safety: dropping the future cuts the connection.
pub async fn serve_connection<I, S, B>(io: I, service: S, options: &Options, stop: &CancellationToken)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let activity = Arc::new(Activity::new());
    let http = http();
    let io = TokioIo::new(Watched::new(io, Arc::clone(&activity)));
    let mut connection = pin!(http.serve_connection(io, Counted::new(service, Arc::clone(&activity))));
    let mut timer = pin!(sleep(options.header_timeout));
    // A token of its own: looking at one costs a lock, which all connections would share.
    let stop = stop.child_token();
    let mut leaving = false;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            () = stop.cancelled(), if !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            () = timer.as_mut() => match activity.due(options.header_timeout, options.idle_timeout) {
                Due::At(time) => timer.as_mut().reset(time),
                Due::Leave if !leaving => {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                    timer.as_mut().reset(Instant::now() + options.header_timeout);
                }
                Due::Leave | Due::Close => return,
            },
        }
    }
}

/// How HTTP is spoken to apps.
fn http() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .auto_date_header(false)
        .half_close(false)
        .header_read_timeout(None)
        .preserve_header_case(true);
    http.http2()
        .auto_date_header(false)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST);
    http
}
