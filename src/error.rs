//! What can go wrong on the way of a request, and on which side.
//!
//! These errors speak to two audiences: `kind` decides what the app is told (`stack::rescue` is the only place that turns
//! one into a response), `source` goes to the log.

use std::fmt;

/// Any error below us.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the app is told. The names are the values of `x-sendfuse-error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Upstream's name does not resolve, or nobody listens there. Nothing was sent.
    UpstreamUnreachable,
    /// Upstream stayed silent for longer than its time-outs. If the request was written, its outcome is unknown.
    UpstreamTimeout,
    /// The connection to upstream broke before the answer was whole. The outcome is unknown.
    UpstreamReset,
    /// Upstream's certificate was refused, or the handshake failed. Nothing was sent.
    UpstreamTls,
    /// The request is for another host, or for a tunnel: sendfuse is no open proxy.
    Misdirected,
    /// The app broke its request off, stalled in the middle of it, or framed it in a way that can be misread.
    BadRequest,
    /// A fault of our own.
    Internal,
}

impl ErrorKind {
    /// The value of `x-sendfuse-error`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamReset => "upstream_reset",
            Self::UpstreamTls => "upstream_tls",
            Self::Misdirected => "misdirected",
            Self::BadRequest => "bad_request",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status of the answer.
    pub const fn status(self) -> u16 {
        match self {
            Self::UpstreamUnreachable | Self::UpstreamReset | Self::UpstreamTls => 502,
            Self::UpstreamTimeout => 504,
            Self::Misdirected => 421,
            Self::BadRequest => 400,
            Self::Internal => 500,
        }
    }

    /// What happened, in a sentence for the app's developer.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::UpstreamUnreachable => "sendfuse could not connect to the Graph API; nothing was sent",
            Self::UpstreamTimeout => {
                "the Graph API did not answer in time; if this was a send, its outcome is unknown"
            }
            Self::UpstreamReset => {
                "the connection to the Graph API broke before its answer was whole; if this was a send, its outcome is unknown"
            }
            Self::UpstreamTls => "sendfuse could not verify the Graph API's certificate; nothing was sent",
            Self::Misdirected => "sendfuse forwards to the Graph API only; it is no proxy for other hosts",
            Self::BadRequest => "the request broke off, stalled, or has transfer codings beside chunked",
            Self::Internal => "a fault inside sendfuse",
        }
    }
}

/// A request that got no answer from upstream.
#[derive(Debug)]
pub struct ProxyError {
    /// What the app is told.
    pub kind: ErrorKind,
    /// What the log is told.
    pub source: Option<BoxError>,
}

impl ProxyError {
    /// An error with its cause.
    pub fn new(kind: ErrorKind, source: impl Into<BoxError>) -> Self {
        Self { kind, source: Some(source.into()) }
    }
}

impl From<ErrorKind> for ProxyError {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.sentence())
    }
}

impl std::error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

/// An error and all that lies beneath it, for the log.
pub fn in_words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}
