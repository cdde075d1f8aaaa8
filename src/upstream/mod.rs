//! The way to upstream: one pooled client, cheap to clone.
//!
//! What is forwarded is forwarded as it came. What changes on the way out, and nothing else:
//! - the target's scheme and authority become upstream's, `Host` with them; path and query are not touched;
//! - fields of one hop go (see `fields`).
//!
//! What the HTTP library cannot carry:
//! - targets with raw `<`, `>`, a backtick in the path, a `"` in the query, or bytes that are no UTF-8 are answered 400, and
//!   those beyond 65,534 bytes 414, both by the server before they get here (percent-encoded, all pass); a fragment
//!   (`#…`, not legal in a request) is cut off;
//! - the place of a repeated field among *other* names: values of one name keep their order, and stand together;
//! - informational answers (1xx): `100 Continue` is given to the app by our own server when upstream's connection begins to
//!   read the body, others end here;
//! - transfer codings beside `chunked`: the server undoes only that one, and a peer that reads the list in another way would
//!   take the body for the next request; they are answered 400;
//! - over HTTP/1.1, trailers that no `Trailer` field announces, or that the app did not ask for by `TE: trailers`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use http::uri::{Authority, Parts, Scheme};
use http::{Request, Uri, Version};
use http_body::Body;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::body::{InUse, Progress, RequestBody};
use crate::error::{ErrorKind, ProxyError};

mod connect;
mod fields;
mod sending;
mod tls;

pub use connect::Io;
use connect::{Connector, Transport};
pub(crate) use fields::{clean_request, clean_response};
pub use sending::Sending;
pub use tls::SetupError;
pub(crate) use tls::tls_client;

/// An idle connection is not used again after this. Meta's own limit is not known; a POST that meets a connection which
/// is being closed is lost (it is never repeated), so this is short.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// A dead HTTP/2 connection is found by pings while requests are open on it; else each of them would wait for its own
/// time-out and the next ones would follow them.
const PING_EVERY: Duration = Duration::from_secs(15);
const PING_WAIT: Duration = Duration::from_secs(10);

/// HTTP/2 puts all calls to a host on one connection, and servers commonly allow 100 streams on it: the 101st call would
/// wait. So there are several clients ("lanes"), each with a connection of its own. A lane is filled up to
/// `COMFORTABLE` calls before the next one is opened: light traffic keeps one warm connection, 16 × 64 calls fly at once
/// before anybody shares more closely.
const LANES: usize = 16;
const COMFORTABLE: usize = 64;

/// Answer heads up to this size; hyper's default of 16 KiB for HTTP/2 is less than it takes over HTTP/1.1.
const MAX_HEADER_LIST: u32 = 256 * 1024;

/// Which HTTP version upstream is spoken to in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// What TLS negotiates (HTTP/2 preferred); HTTP/1.1 without TLS.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only; without TLS with prior knowledge.
    Http2,
}

/// Where upstream is and how long to wait for it.
#[derive(Clone, Debug)]
pub struct UpstreamOptions {
    /// Scheme (`http` or `https`) and authority; the path is not looked at.
    pub url: Uri,
    /// PEM file with the authorities to trust *instead of* the public ones: who names a private authority wants no other.
    pub ca_file: Option<PathBuf>,
    /// Bounds name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// The longest time in which no byte moves in either direction. A slow upload is not cut off.
    pub response_timeout: Duration,
    /// HTTP version.
    pub http: HttpVersion,
}

/// A handle on upstream; clones share the connections.
#[derive(Clone)]
pub struct Upstream {
    shared: Arc<Shared>,
}

struct Shared {
    scheme: Scheme,
    authority: Authority,
    host: HeaderValue,
    response_timeout: Duration,
    lanes: Vec<Lane>,
}

struct Lane {
    client: Client<Connector, RequestBody>,
    in_use: Arc<AtomicUsize>,
}

impl Upstream {
    /// Prepares a client; connects to nothing yet. Fails if the URL has no http(s) scheme or host, or `ca_file` cannot be
    /// read or holds no certificate.
    pub fn new(options: &UpstreamOptions) -> Result<Self, SetupError> {
        let transport = tls::transport(options)?;
        Self::build(options, transport)
    }

    /// A client whose connections come from `connect` in place of the network, without TLS: for tests in virtual time.
    pub fn in_memory(
        options: &UpstreamOptions,
        connect: impl Fn() -> std::io::Result<Box<dyn Io>> + Send + Sync + 'static,
    ) -> Result<Self, SetupError> {
        Self::build(options, Transport::Memory(Box::new(connect)))
    }

    fn build(options: &UpstreamOptions, transport: Transport) -> Result<Self, SetupError> {
        let (Some(scheme), Some(authority)) = (options.url.scheme(), options.url.authority()) else {
            return Err(SetupError::Url);
        };
        if authority.as_str().contains('@') {
            return Err(SetupError::Url);
        }
        let host =
            HeaderValue::from_str(default_port_cut_off(scheme, authority)).map_err(|_| SetupError::Url)?;
        let connector = Connector::new(transport, options.connect_timeout);
        let lanes = if may_be_http2(options) { LANES } else { 1 };
        let lanes = (0..lanes).map(|_| Lane::new(connector.clone(), options)).collect();
        Ok(Self {
            shared: Arc::new(Shared {
                scheme: scheme.clone(),
                authority: authority.clone(),
                host,
                response_timeout: options.response_timeout,
                lanes,
            }),
        })
    }

    /// Upstream's host and port.
    pub fn authority(&self) -> &Authority {
        &self.shared.authority
    }

    /// Sends a request. The future owns all that it needs: it may be moved to a task of its own when the app hangs up.
    /// Dropping it gives the request up; whether upstream has acted on it is then unknown.
    ///
    /// A request is sent again only if a pooled connection turned out to be closed before a byte of it was written.
    pub fn send(&self, mut request: Request<RequestBody>) -> Sending {
        let Some(uri) = self.target(request.uri()) else {
            return Sending::failed(ErrorKind::Misdirected);
        };
        if !fields::is_plainly_framed(request.headers()) {
            return Sending::failed(ErrorKind::BadRequest);
        }
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_11;
        fields::clean_request(request.headers_mut());
        let (lane, in_use) = self.lane();
        if in_use.is_none() {
            request.headers_mut().insert(HOST, self.shared.host.clone());
        } else {
            // Over HTTP/2 the target itself tells the host; the client adds `Host` where it finds HTTP/1.1.
            request.headers_mut().remove(HOST);
        }
        let body = request.body();
        if body.is_end_stream() {
            return Sending::new(lane.client.request(request), self.shared.response_timeout, None, in_use);
        }
        if body.size_hint().exact().is_none() && !request.headers().contains_key(CONTENT_LENGTH) {
            // hyper leaves out the body of a GET unless told how it is framed.
            let chunked = HeaderValue::from_static("chunked");
            request.headers_mut().entry(TRANSFER_ENCODING).or_insert(chunked);
        }
        let progress = Arc::new(Progress::new());
        request.body_mut().track(Arc::clone(&progress));
        Sending::new(lane.client.request(request), self.shared.response_timeout, Some(progress), in_use)
    }

    /// The same path and query at upstream; `None` for a target without a path (CONNECT).
    fn target(&self, uri: &Uri) -> Option<Uri> {
        let mut parts = Parts::default();
        parts.scheme = Some(self.shared.scheme.clone());
        parts.authority = Some(self.shared.authority.clone());
        parts.path_and_query = Some(uri.path_and_query()?.clone());
        Uri::from_parts(parts).ok()
    }

    /// The first lane with room, or the least used one. Only lanes that may be HTTP/2 are counted.
    fn lane(&self) -> (&Lane, Option<InUse>) {
        let mut best = &self.shared.lanes[0];
        if self.shared.lanes.len() == 1 {
            return (best, None);
        }
        let mut least = usize::MAX;
        for lane in &self.shared.lanes {
            let used = lane.in_use.load(Ordering::Relaxed);
            if used < least {
                (best, least) = (lane, used);
            }
            if used < COMFORTABLE {
                best = lane;
                break;
            }
        }
        (best, Some(InUse::count(&best.in_use)))
    }
}

impl Lane {
    fn new(connector: Connector, options: &UpstreamOptions) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .set_host(may_be_http2(options))
            .http1_preserve_header_case(true)
            .http2_only(options.http == HttpVersion::Http2)
            .http2_max_header_list_size(MAX_HEADER_LIST)
            .http2_keep_alive_interval(PING_EVERY)
            .http2_keep_alive_timeout(PING_WAIT)
            .build(connector);
        Self { client, in_use: Arc::default() }
    }
}

/// Whether a connection can turn out to be HTTP/2.
fn may_be_http2(options: &UpstreamOptions) -> bool {
    match options.http {
        HttpVersion::Auto => options.url.scheme() == Some(&Scheme::HTTPS),
        HttpVersion::Http1 => false,
        HttpVersion::Http2 => true,
    }
}

/// `Host` as browsers write it.
fn default_port_cut_off<'a>(scheme: &Scheme, authority: &'a Authority) -> &'a str {
    let default = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    if authority.port_u16() == Some(default) { authority.host() } else { authority.as_str() }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Upstream").field(&self.shared.authority).finish()
    }
}

impl tower::Service<Request<RequestBody>> for Upstream {
    type Response = http::Response<crate::body::ResponseBody>;
    type Error = ProxyError;
    type Future = Sending;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Sending {
        self.send(request)
    }
}
