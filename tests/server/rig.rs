//! What the tests of the transport stand on: a proxy that only passes through, raw peers, certificates.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use sendfuse::body::{RequestBody, ResponseBody};
use sendfuse::error::{ErrorKind, ProxyError};
use sendfuse::server::{self, ConnectionInfo, Options, TlsCerts};
use sendfuse::upstream::{HttpVersion, Upstream, UpstreamOptions};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::service_fn;

/// A failing test shows what it has after this long, rather than hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) fn upstream_options(url: &str) -> UpstreamOptions {
    UpstreamOptions {
        url: url.parse::<Uri>().unwrap(),
        ca_file: None,
        connect_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(30),
        http: HttpVersion::Auto,
    }
}

pub(crate) fn upstream_at(addr: SocketAddr) -> Upstream {
    Upstream::new(&upstream_options(&format!("http://{addr}"))).unwrap()
}

/// Forwards, or tells the error as a status and `x-sendfuse-error`.
pub(crate) async fn pass(
    upstream: Upstream,
    info: ConnectionInfo,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    if server::misdirected(&request, &info, upstream.authority()) {
        return Ok(tell(&ErrorKind::Misdirected.into()));
    }
    Ok(upstream.send(request.map(RequestBody::from)).await.unwrap_or_else(|error| tell(&error)))
}

fn tell(error: &ProxyError) -> Response<ResponseBody> {
    Response::builder()
        .status(error.kind.status())
        .header("x-sendfuse-error", error.kind.name())
        .body(ResponseBody::full("failed"))
        .unwrap()
}

/// A listener with something behind it. Dropped: cut.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A pass-through proxy in front of `upstream`.
pub(crate) async fn proxy(upstream: Upstream, options: Options) -> Running {
    let listener = server::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let addr = listener.local_addr();
    let stop = CancellationToken::new();
    let make_service = move |info| {
        let upstream = upstream.clone();
        service_fn(move |request| pass(upstream.clone(), info, request))
    };
    let task = tokio::spawn(server::serve(listener, options, make_service, stop.clone()));
    Running { addr, stop, task }
}

/// An origin of the library's own kind: `answer` for each request.
pub(crate) async fn origin<F, A>(options: Options, answer: F) -> Running
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let listener = server::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let addr = listener.local_addr();
    let stop = CancellationToken::new();
    let make_service = move |_| {
        let answer = answer.clone();
        service_fn(move |request| {
            let answer = answer(request);
            async move { Ok::<_, Infallible>(answer.await) }
        })
    };
    let task = tokio::spawn(server::serve(listener, options, make_service, stop.clone()));
    Running { addr, stop, task }
}

/// Sends raw bytes and reads until the other side closes.
pub(crate) async fn raw(addr: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closes").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads until `marker` has come, and returns all of it.
pub(crate) async fn read_until(stream: &mut (impl AsyncRead + Unpin), marker: &str) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(marker) {
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut seen)).await;
        match read {
            Ok(Ok(0)) | Err(_) => panic!("no {marker:?} in {:?}", String::from_utf8_lossy(&seen)),
            Ok(read) => read.unwrap(),
        };
    }
    String::from_utf8_lossy(&seen).into_owned()
}

/// A private authority, and certificates from it.
pub(crate) struct Authority {
    pub(crate) dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        std::fs::write(dir.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { dir, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Writes a certificate for `name`, in place of the last one.
    pub(crate) fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        let (cert, key) = (self.dir.path().join("cert.pem"), self.dir.path().join("key.pem"));
        let pair = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        std::fs::write(&cert, params.signed_by(&pair, &self.issuer).unwrap().pem()).unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        (cert, key)
    }

    /// Listener options with a certificate for `name`.
    pub(crate) fn options(&self, name: &str) -> Options {
        let (cert, key) = self.issue(name);
        Options { tls: Some(Arc::new(TlsCerts::load(&cert, &key).unwrap())), ..Options::default() }
    }

    /// Options for upstream at `localhost` that trust this authority.
    pub(crate) fn upstream(&self, addr: SocketAddr, http: HttpVersion) -> UpstreamOptions {
        let url = format!("https://localhost:{}", addr.port());
        UpstreamOptions { ca_file: Some(self.file()), http, ..upstream_options(&url) }
    }
}
