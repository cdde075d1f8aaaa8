//! Real sockets: plain TCP and TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::wire::Wire;
use super::{Simulator, http};

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocols {
    /// HTTP/1.1 and h2.
    Both,
    /// HTTP/1.1 only.
    Http1,
    /// h2 only.
    Http2,
}

/// An open listener. Dropped: it closes, and its connections are cut.
pub struct Listening {
    /// Where it listens.
    pub addr: SocketAddr,
    _stop: DropGuard,
}

impl Simulator {
    /// Listens without TLS. Errors: the address cannot be bound.
    pub async fn listen(&self, addr: SocketAddr) -> io::Result<Listening> {
        self.accept(addr, None, Protocols::Both).await
    }

    /// Listens with TLS; clients need [`Simulator::ca_pem`]. Errors: the address cannot be bound, or no certificate
    /// could be made.
    pub async fn listen_tls(&self, addr: SocketAddr, protocols: Protocols) -> io::Result<Listening> {
        let config = self.authority()?.server_config(protocols)?;
        self.accept(addr, Some(TlsAcceptor::from(Arc::new(config))), protocols).await
    }

    async fn accept(
        &self,
        addr: SocketAddr,
        tls: Option<TlsAcceptor>,
        protocols: Protocols,
    ) -> io::Result<Listening> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let stop = CancellationToken::new();
        let accepting = accept_all(self.clone(), listener, tls, protocols, stop.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(accepting));
        Ok(Listening { addr, _stop: stop.drop_guard() })
    }

    /// Serves one connection until either side ends it. How it ends is of no interest.
    pub(super) async fn serve<IO>(&self, io: Wire<IO>, protocols: Protocols, scheme: &'static str)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let cut = io.cut();
        let service = service_fn(move |request| http::serve(self.clone(), request, cut.clone(), scheme));
        let mut server = auto::Builder::new(TokioExecutor::new());
        server.http1().timer(TokioTimer::new());
        server.http2().timer(TokioTimer::new());
        let server = match protocols {
            Protocols::Both => server,
            Protocols::Http1 => server.http1_only(),
            Protocols::Http2 => server.http2_only(),
        };
        let _ended = server.serve_connection(TokioIo::new(io), service).await;
    }
}

async fn accept_all(
    simulator: Simulator,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    protocols: Protocols,
    stop: CancellationToken,
) {
    loop {
        // An error is about the connection that was not accepted, or files have run out: others may end meanwhile.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let connection = connection(simulator.clone(), stream, tls.clone(), protocols);
        tokio::spawn(stop.clone().run_until_cancelled_owned(connection));
    }
}

async fn connection(simulator: Simulator, stream: TcpStream, tls: Option<TlsAcceptor>, protocols: Protocols) {
    let _slower_without = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return simulator.serve(Wire::new(stream, abort_tcp), protocols, "http").await;
    };
    // A failed TLS handshake is the client's to tell.
    if let Ok(stream) = tls.accept(stream).await {
        simulator.serve(Wire::new(stream, abort_tls), protocols, "https").await;
    }
}

fn abort_tcp(stream: &TcpStream) {
    let _still_closed = stream.set_zero_linger();
}

fn abort_tls(stream: &TlsStream<TcpStream>) {
    abort_tcp(stream.get_ref().0);
}
