//! A listener's certificates: read from PEM files, and read again without closing anything.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;

use crate::error::BoxError;

/// What the TLS listener shows: new connections get the pair that was last given.
pub struct TlsCerts {
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

/// A certificate chain and its key, which belong together.
pub struct Pair(CertifiedKey);

/// Why a pair cannot be used; one line, for the operator.
#[derive(Debug, Error)]
pub enum CertsError {
    /// A file cannot be read, or is not the PEM that it should be.
    #[error("cannot use {}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        cause: BoxError,
    },
    /// Certificate and key do not belong together, or the TLS library does not take them.
    #[error("cannot use certificate {} with key {}: {cause}", cert.display(), key.display())]
    Pair {
        /// The chain's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong with them.
        #[source]
        cause: rustls::Error,
    },
}

impl TlsCerts {
    /// Begins with the pair in these files.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, CertsError> {
        let Pair(first) = Pair::read(cert, key)?;
        let current = Arc::new(Current(ArcSwap::from_pointee(first)));
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|cause| CertsError::Pair { cert: cert.into(), key: key.into(), cause })?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Current>::clone(&current));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { current, config: Arc::new(config) })
    }

    /// Shows another pair from now on. Open connections stay.
    pub fn replace(&self, Pair(pair): Pair) {
        self.current.0.store(Arc::new(pair));
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

impl Pair {
    /// Reads a chain and its key.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, CertsError> {
        let file = |path: &Path, cause: BoxError| CertsError::File { path: path.into(), cause };
        let chain = CertificateDer::pem_file_iter(cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|cause| file(cert, cause.into()))?;
        if chain.is_empty() {
            return Err(file(cert, "no certificate in it".into()));
        }
        let private = PrivateKeyDer::from_pem_file(key).map_err(|cause| file(key, cause.into()))?;
        CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider())
            .map(Self)
            .map_err(|cause| CertsError::Pair { cert: cert.into(), key: key.into(), cause })
    }
}

impl fmt::Debug for TlsCerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsCerts")
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair")
    }
}

/// Hands out the pair of the moment.
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}
