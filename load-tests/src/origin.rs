//! The upstream that every proxy is measured in front of: answers each request, once read, with a send's answer of
//! 350 bytes. Plain and TLS 1.3 at the same time, HTTP/1.1, keep-alive without limit.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::Result;

/// What Meta answers to an accepted text message, padded by a long wamid to the size that is common in the wild.
pub(crate) const ANSWER: &str = concat!(
    r#"{"messaging_product":"whatsapp","contacts":[{"input":"+16505551234","wa_id":"16505551234"}],"#,
    r#""messages":[{"id":"wamid."#,
    "HBgLMTY1MDU1NTEyMzQVAgARGBI1RjQyNUE3NEYxMzAzMzQ5MkEAHBgLMTY1MDU1NTEyMzQVAgARGBI1RjQyNUE3NEYxMzAzMzQ5MkEA",
    "HBgLMTY1MDU1NTEyMzQVAgARGBI1RjQyNUE3NEYxMzAzMzQ5MkEAHBgLMTY1MDU1NTEyMzQVAgARGBI1RjQyNUE3NEYxMzAzM",
    r#"","message_status":"accepted"}]}"#
);

/// How the origin is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// HTTP over TCP.
    Plain,
    /// HTTP over TLS 1.3, as the real upstream.
    Tls,
}

/// Both listeners, bound and not yet served.
pub(crate) struct Origin {
    plain: TcpListener,
    tls: TcpListener,
    addresses: (SocketAddr, SocketAddr),
    acceptor: TlsAcceptor,
    ca_pem: String,
    delay: Duration,
}

impl Origin {
    /// Binds two free loopback ports and makes a certificate for `localhost` and `127.0.0.1`.
    pub(crate) async fn bind(delay: Duration) -> Result<Self> {
        let plain = TcpListener::bind("127.0.0.1:0").await?;
        let tls = TcpListener::bind("127.0.0.1:0").await?;
        let addresses = (plain.local_addr()?, tls.local_addr()?);
        let (acceptor, ca_pem) = certificate()?;
        Ok(Self { plain, tls, addresses, acceptor, ca_pem, delay })
    }

    /// Where plain HTTP is served.
    pub(crate) fn plain_address(&self) -> SocketAddr {
        self.addresses.0
    }

    /// Where TLS is served.
    pub(crate) fn tls_address(&self) -> SocketAddr {
        self.addresses.1
    }

    /// The certificate authority that clients of the TLS listener have to trust.
    pub(crate) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Serves until a listener breaks.
    pub(crate) async fn serve(self) -> Result<()> {
        let delay = self.delay;
        loop {
            tokio::select! {
                accepted = self.plain.accept() => {
                    let (stream, _) = accepted?;
                    stream.set_nodelay(true)?;
                    tokio::spawn(serve_connection(stream, delay));
                }
                accepted = self.tls.accept() => {
                    let (stream, _) = accepted?;
                    stream.set_nodelay(true)?;
                    tokio::spawn(serve_tls(self.acceptor.clone(), stream, delay));
                }
            }
        }
    }
}

async fn serve_tls(acceptor: TlsAcceptor, stream: TcpStream, delay: Duration) {
    // A failed handshake is the peer's error, and is counted there.
    if let Ok(stream) = acceptor.accept(stream).await {
        serve_connection(stream, delay).await;
    }
}

async fn serve_connection<S>(stream: S, delay: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(move |request| answer(request, delay));
    // A connection that ends badly is counted by the load as failed requests.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    delay: Duration,
) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
    // As Meta, the answer comes after the whole request; a request cut short has no one left to answer to.
    let _ = request.into_body().collect().await;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    Ok(response)
}

/// A certificate signed by an authority of its own: a proxy that verifies has the same work as with Meta.
fn certificate() -> Result<(TlsAcceptor, String)> {
    let mut authority = CertificateParams::new(Vec::<String>::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // By default both have the same name, which OpenSSL takes for one certificate that has signed itself.
    authority.distinguished_name.push(DnType::CommonName, "load-tests authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let leaf = CertificateParams::new(names)?.signed_by(&key, &authority)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der())?)?;
    Ok((TlsAcceptor::from(Arc::new(config)), authority.pem()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_has_the_size_that_the_report_speaks_of() {
        assert_eq!(ANSWER.len(), 350);
    }
}
