//! Makes the network transport: TCP settings, whom TLS trusts, what it negotiates. Certificates are always verified.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio_rustls::TlsConnector;

use super::connect::{Tls, Transport};
use super::{HttpVersion, UpstreamOptions};
use crate::error::BoxError;

/// A peer that vanished without a word is noticed on idle connections by TCP.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// Why there can be no client for upstream. One line, for the operator.
#[derive(Debug, Error)]
pub enum SetupError {
    /// Not `http://host` or `https://host`. The URL itself is not repeated: it may hold a password.
    #[error("the upstream url needs http:// or https://, a host, and no user")]
    Url,
    /// The file of authorities cannot be read, or holds no certificate that could be one.
    #[error("cannot use ca_file {}: {cause}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        cause: BoxError,
    },
    /// The TLS library refuses our settings.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// TCP, and TLS if the URL says https.
pub(super) fn transport(options: &UpstreamOptions) -> Result<Transport, SetupError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(TCP_KEEPALIVE));
    // Shared out among a host's addresses, so that a dead first one leaves time for the others.
    tcp.set_connect_timeout(Some(options.connect_timeout));
    let url = &options.url;
    let tls = match url.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => None,
        Some(scheme) if *scheme == Scheme::HTTPS => Some(tls(options)?),
        _ => return Err(SetupError::Url),
    };
    Ok(Transport::Network { tcp, tls })
}

fn tls(options: &UpstreamOptions) -> Result<Tls, SetupError> {
    let url = &options.url;
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).map_err(|_| SetupError::Url)?;
    let mut config = tls_client(options.ca_file.as_deref())?;
    config.alpn_protocols = match options.http {
        HttpVersion::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        HttpVersion::Http1 => vec![b"http/1.1".to_vec()],
        HttpVersion::Http2 => vec![b"h2".to_vec()],
    };
    Ok(Tls {
        connector: TlsConnector::from(Arc::new(config)),
        name,
        only_http2: options.http == HttpVersion::Http2,
    })
}

/// A client that trusts the public authorities, or only those in the PEM file. Negotiates no protocol yet.
pub(crate) fn tls_client(ca_file: Option<&Path>) -> Result<ClientConfig, SetupError> {
    let roots = match ca_file {
        Some(path) => {
            authorities(path).map_err(|cause| SetupError::CaFile { path: path.to_owned(), cause })?
        }
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    // The provider is named, because a process-wide default is not ours to set.
    Ok(ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn authorities(path: &Path) -> Result<RootCertStore, BoxError> {
    let pem = std::fs::read(path)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no certificate in it").into());
    }
    Ok(roots)
}
