//! Opens a connection to upstream: name, TCP, TLS, all of it within one time-out.
//!
//! Each step has its own error, so nobody has to guess from an error's text what went wrong.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

/// A connection that is not a socket.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// What a connection is made of.
pub(super) enum Transport {
    /// TCP, with TLS if there is any.
    Network { tcp: HttpConnector, tls: Option<Tls> },
    /// Whatever the function returns.
    Memory(Box<dyn Fn() -> io::Result<Box<dyn Io>> + Send + Sync>),
}

/// How TLS is spoken.
pub(super) struct Tls {
    pub(super) connector: TlsConnector,
    pub(super) name: ServerName<'static>,
    /// Refuse a peer that does not negotiate HTTP/2.
    pub(super) only_http2: bool,
}

/// Why there is no connection. Nothing has been sent.
#[derive(Debug, Error)]
pub(super) enum ConnectError {
    #[error("cannot connect: {0}")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    #[error("timed out while connecting")]
    TimedOut,
    #[error("TLS handshake failed: {0}")]
    Tls(#[source] io::Error),
}

#[derive(Clone)]
pub(super) struct Connector {
    transport: Arc<Transport>,
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(transport: Transport, timeout: Duration) -> Self {
        Self { transport: Arc::new(transport), timeout }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (transport, timeout) = (Arc::clone(&self.transport), self.timeout);
        Box::pin(async move {
            tokio::time::timeout(timeout, transport.connect(uri))
                .await
                .unwrap_or(Err(ConnectError::TimedOut))
                .map(TokioIo::new)
        })
    }
}

impl Transport {
    async fn connect(&self, uri: Uri) -> Result<Stream, ConnectError> {
        match self {
            Self::Memory(connect) => {
                connect().map(Stream::Memory).map_err(|error| ConnectError::Unreachable(error.into()))
            }
            Self::Network { tcp, tls } => {
                let tcp = tcp.clone().call(uri).await.map_err(tcp_error)?.into_inner();
                match tls {
                    Some(tls) => tls.connect(tcp).await.map_err(ConnectError::Tls),
                    None => Ok(Stream::Plain(tcp)),
                }
            }
        }
    }
}

impl Tls {
    async fn connect(&self, tcp: TcpStream) -> io::Result<Stream> {
        let stream = self.connector.connect(self.name.clone(), tcp).await?;
        if self.only_http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::other("upstream does not offer HTTP/2"));
        }
        Ok(Stream::Tls(Box::new(stream)))
    }
}

/// The TCP connector shares its time-out out among a host's addresses and tells it by the innermost error's kind.
fn tcp_error(error: impl Error + Send + Sync + 'static) -> ConnectError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(this) = cause {
        if this.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::TimedOut) {
            return ConnectError::TimedOut;
        }
        cause = this.source();
    }
    ConnectError::Unreachable(error.into())
}

/// A connection.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Memory(Box<dyn Io>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Tls(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            _ => Connected::new(),
        }
    }
}

/// The same call on whatever the connection is made of.
macro_rules! on_stream {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream.get_mut() {
            Self::Plain($inner) => {
                let $inner = Pin::new($inner);
                $call
            }
            Self::Tls($inner) => {
                let $inner = Pin::new($inner);
                $call
            }
            Self::Memory($inner) => {
                let $inner = Pin::new($inner);
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        on_stream!(self, stream => stream.poll_write(cx, data))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_stream!(self, stream => stream.poll_write_vectored(cx, data))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Memory(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => stream.poll_shutdown(cx))
    }
}
