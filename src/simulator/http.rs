//! One request: read it, record it, hand it on, and answer with the faults that are set.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header, request};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::answer::{Answer, Failure, LOCKED, hex, trace_id};
use super::carry::{Carried, carry_out, carry_out_one};
use super::encoding::Encoding;
use super::faults::Fault;
use super::nodes::Target;
use super::params::Params;
use super::record::Recorded;
use super::wire::Cut;
use super::{Simulator, batch, control, media};

/// The body of an answer.
pub(super) type Payload = UnsyncBoxBody<Bytes, io::Error>;

/// A request that has arrived whole.
pub(super) struct Arrived {
    pub(super) head: request::Parts,
    pub(super) target: Target,
    /// Empty for uploads: their bytes are counted only.
    pub(super) body: Bytes,
    pub(super) body_bytes: u64,
    pub(super) scheme: &'static str,
}

/// Bodies beyond this are refused; uploads are not.
const MAX_KEPT_BODY: u64 = 16 << 20;

/// After the first half of a body, so that it is on the wire before the connection ends.
const BEFORE_BREAKING: Duration = Duration::from_millis(5);

/// Serves one request. An error makes hyper close the connection.
pub(super) async fn serve(
    simulator: Simulator,
    request: Request<Incoming>,
    cut: Cut,
    scheme: &'static str,
) -> io::Result<Response<Payload>> {
    let (head, body) = request.into_parts();
    let target = Target::parse(head.uri.path());
    let keep = !media::is_upload(&head, &target);
    if target.is_control() {
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        return Ok(control::answer(&simulator, &head.method, &target, &body));
    }
    let (body, body_bytes) = read(&simulator, &head, body, keep).await?;
    let request = Arrived { head, target, body, body_bytes, scheme };
    let params = request.params();
    let carried = match &params {
        Ok(params) if batch::is_batch(&request, params) => {
            carry_out(&simulator, &request, Some(params), batch::answer(&simulator, &request, params)).await
        }
        _ => carry_out_one(&simulator, &request).await,
    };
    match carried {
        Carried::Out(outcome, faults) => respond(&simulator, &request, outcome, &faults).await,
        Carried::Stalled => std::future::pending().await,
        Carried::Reset => {
            cut.cut();
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
}

impl Arrived {
    /// Where the client has found the simulator: addresses that are handed out begin so.
    pub(super) fn origin(&self) -> String {
        let host = self.head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let authority =
            self.head.uri.authority().map(http::uri::Authority::as_str).or(host).unwrap_or("localhost");
        format!("{}://{authority}", self.scheme)
    }

    pub(super) fn params(&self) -> Result<Params, Failure> {
        let content_type = self.head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Params::read(content_type.unwrap_or_default(), self.head.uri.query(), &self.body)
    }
}

/// Reads a body to its end, and records the request. Errors: it broke off, or is too large to be kept.
async fn read(
    simulator: &Simulator,
    head: &request::Parts,
    mut body: Incoming,
    keep: bool,
) -> io::Result<(Bytes, u64)> {
    let record = simulator.inner.options.record;
    let (mut kept, mut length, mut hash) = (Vec::new(), 0_u64, Sha256::new());
    let ended = loop {
        match body.frame().await {
            None => break Ok(()),
            Some(Err(error)) => break Err(io::Error::other(error)),
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                length = length.saturating_add(data.len() as u64);
                if record > 0 {
                    hash.update(&data);
                }
                if keep && length > MAX_KEPT_BODY {
                    break Err(io::Error::other("body too large"));
                }
                if keep {
                    kept.extend_from_slice(&data);
                }
            }
        }
    };
    let complete = ended.is_ok();
    {
        let mut state = simulator.state();
        if complete {
            state.totals.requests += 1;
        } else {
            state.totals.broken_requests += 1;
        }
        state.totals.body_bytes = state.totals.body_bytes.saturating_add(length);
        if record > 0 {
            if state.recorded.len() >= record {
                state.recorded.pop_front();
            }
            state.recorded.push_back(recorded(head, length, hash.finalize().into(), complete));
        }
    }
    simulator.inner.changed.notify_waiters();
    ended.map(|()| (kept.into(), length))
}

fn recorded(head: &request::Parts, body_bytes: u64, body_sha256: [u8; 32], complete: bool) -> Recorded {
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let headers =
        head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
    Recorded {
        method: head.method.clone(),
        target: target.to_owned(),
        version: head.version,
        authority: head.uri.authority().map(ToString::to_string),
        headers: headers.collect(),
        body_bytes,
        body_sha256,
        complete,
    }
}

/// The status and the body of an error.
pub(super) fn failed(simulator: &Simulator, failure: &Failure, faults: &[Fault]) -> (u16, Bytes) {
    let status = faults.iter().find_map(|fault| match fault {
        Fault::Status { status } if failure.code == LOCKED => Some(*status),
        _ => None,
    });
    let body = failure.body(simulator, faults.contains(&Fault::CodeAsString));
    (status.unwrap_or(failure.status), body)
}

/// The answer with its headers, and what the faults make of it.
async fn respond(
    simulator: &Simulator,
    request: &Arrived,
    outcome: Result<Answer, Failure>,
    faults: &[Fault],
) -> io::Result<Response<Payload>> {
    let mut headers = usual_headers(simulator, request);
    let (status, body) = match outcome {
        Ok(Answer::Generated { bytes, mime }) => {
            set(&mut headers, header::CONTENT_TYPE, &mime);
            set(&mut headers, header::CONTENT_LENGTH, &bytes.to_string());
            return Ok(response(StatusCode::OK, headers, media::generated(bytes)));
        }
        Ok(Answer::Json(value)) => (200, Bytes::from(value.to_string())),
        Err(failure) => {
            if let Some(challenge) = failure.challenge() {
                set(&mut headers, header::WWW_AUTHENTICATE, &challenge);
            }
            failed(simulator, &failure, faults)
        }
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if request.head.method == http::Method::GET {
        let digest: [u8; 32] = Sha256::digest(&body).into();
        set(&mut headers, header::ETAG, &format!("\"{}\"", hex(digest.get(..20).unwrap_or_default())));
    }
    let forced = faults.iter().find_map(|fault| match fault {
        Fault::Encoding { encoding } => Some(*encoding),
        _ => None,
    });
    let accepted = || Encoding::negotiate(&request.head.headers).filter(|_| simulator.inner.options.compress);
    let body = match forced.or_else(accepted) {
        Some(encoding) => {
            set(&mut headers, header::CONTENT_ENCODING, encoding.name());
            encoding.encode(&body).await?
        }
        None => body,
    };
    let pieces = faults.iter().find_map(|fault| match fault {
        Fault::Chunked { sizes } => Some(sizes.clone()),
        _ => None,
    });
    let payload = if faults.contains(&Fault::HalfBody) {
        set(&mut headers, header::CONTENT_LENGTH, &body.len().to_string());
        half(body)
    } else if let Some(sizes) = pieces {
        chunked(body, sizes)
    } else {
        full(body)
    };
    Ok(response(status, headers, payload))
}

fn usual_headers(simulator: &Simulator, request: &Arrived) -> HeaderMap {
    let version = request.target.version.as_deref().unwrap_or("v23.0");
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "application/json; charset=UTF-8"),
        ("facebook-api-version", version),
        ("vary", "Origin, Accept-Encoding"),
        ("strict-transport-security", "max-age=15552000; preload"),
        ("x-app-usage", r#"{"call_count":0,"total_cputime":0,"total_time":0}"#),
        ("x-fb-request-id", &trace_id(simulator)),
        ("x-fb-trace-id", trace_id(simulator).get(..11).unwrap_or_default()),
        ("x-fb-rev", "1019544279"),
        ("x-fb-rlafr", "0"),
        ("access-control-allow-origin", "*"),
        ("cache-control", "private, no-cache, no-store, must-revalidate"),
        ("pragma", "no-cache"),
        ("expires", "Sat, 01 Jan 2000 00:00:00 GMT"),
        ("alt-svc", r#"h3=":443"; ma=86400"#),
    ] {
        set(&mut headers, HeaderName::from_static(name), value);
    }
    headers
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

pub(super) fn response(status: StatusCode, headers: HeaderMap, body: Payload) -> Response<Payload> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

pub(super) fn full(body: Bytes) -> Payload {
    if body.is_empty() {
        return boxed(Empty::new());
    }
    boxed(Full::new(body))
}

fn boxed(body: impl Body<Data = Bytes, Error = Infallible> + Send + 'static) -> Payload {
    body.map_err(|never| match never {}).boxed_unsync()
}

/// Half of the body, then an error, which ends the connection.
fn half(body: Bytes) -> Payload {
    let first = body.slice(..body.len() / 2);
    let frames = stream::unfold(Some(first), |first| async move {
        match first {
            Some(first) => Some((Ok(Frame::data(first)), None)),
            None => {
                sleep(BEFORE_BREAKING).await;
                Some((Err(io::ErrorKind::ConnectionAborted.into()), None))
            }
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

/// The body in pieces, each of them written on its own.
fn chunked(body: Bytes, sizes: Vec<usize>) -> Payload {
    let frames = stream::unfold((body, sizes, 0_usize), |(mut rest, sizes, n)| async move {
        if rest.is_empty() {
            return None;
        }
        if n > 0 {
            tokio::task::yield_now().await;
        }
        let size = sizes.get(n % sizes.len().max(1)).copied().unwrap_or(1).clamp(1, rest.len());
        let piece = rest.split_to(size);
        Some((Ok(Frame::data(piece)), (rest, sizes, n.wrapping_add(1))))
    });
    StreamBody::new(frames).boxed_unsync()
}
