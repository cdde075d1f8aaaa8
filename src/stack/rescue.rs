//! The only place where an error becomes a response: whole, in Graph's shape, with a code that is none of Meta's.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::CatchUnwind;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::own::{JSON, RequestIds};
use crate::body::ResponseBody;
use crate::error::{ErrorKind, ProxyError, in_words};
use crate::graph::reply::Reply;

const ERROR: HeaderName = HeaderName::from_static("x-sendfuse-error");

/// Codes of our own are this and the status.
const OWN_CODES: i64 = 999_000;

/// Turns errors and panics of the service within into responses.
#[derive(Clone)]
pub(super) struct RescueLayer(pub(super) Arc<Rescuer>);

/// What all rescues share.
pub(super) struct Rescuer {
    ids: Arc<RequestIds>,
    began: Instant,
    /// The last second in which an error was logged, counted from `began`; and how many were not, since.
    told: AtomicU64,
    untold: AtomicU64,
}

impl Rescuer {
    pub(super) fn new(ids: Arc<RequestIds>) -> Self {
        Self { ids, began: Instant::now(), told: AtomicU64::new(0), untold: AtomicU64::new(0) }
    }

    /// Logs an error; at most one each second, for when upstream is down every request has one.
    fn tell(&self, error: &ProxyError) {
        let second = self.began.elapsed().as_secs() + 1;
        if self.told.swap(second, Ordering::Relaxed) == second {
            self.untold.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let before = self.untold.swap(0, Ordering::Relaxed);
        let source = error.source.as_ref().map(|source| in_words(&**source)).unwrap_or_default();
        tracing::warn!(error = error.kind.name(), source, before, "a request got an answer of our own");
    }
}

impl<S> Layer<S> for RescueLayer {
    type Service = Rescue<S>;

    fn layer(&self, inner: S) -> Rescue<S> {
        Rescue { rescuer: Arc::clone(&self.0), inner }
    }
}

/// See [`RescueLayer`].
#[derive(Clone)]
pub(super) struct Rescue<S> {
    rescuer: Arc<Rescuer>,
    inner: S,
}

impl<S> Service<Request<Incoming>> for Rescue<S>
where
    S: Service<Request<Incoming>, Response = Response<ResponseBody>, Error = ProxyError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = RescueFuture<S::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Everything within is always ready; what is not would answer with its error.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let rescuer = Arc::clone(&self.rescuer);
        RescueFuture { rescuer, inner: AssertUnwindSafe(self.inner.call(request)).catch_unwind() }
    }
}

pin_project! {
    /// A call on its way, that cannot fail any more.
    pub(super) struct RescueFuture<F> {
        rescuer: Arc<Rescuer>,
        #[pin]
        inner: CatchUnwind<AssertUnwindSafe<F>>,
    }
}

impl<F> Future for RescueFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody>, ProxyError>>,
{
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let error = match ready!(this.inner.poll(cx)) {
            Ok(Ok(response)) => return Poll::Ready(Ok(response)),
            Ok(Err(error)) => error,
            Err(panic) => panicked(&*panic),
        };
        this.rescuer.tell(&error);
        Poll::Ready(Ok(answer(error.kind, &this.rescuer.ids.next())))
    }
}

fn panicked(panic: &(dyn Any + Send)) -> ProxyError {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    ProxyError::new(ErrorKind::Internal, format!("panic: {text}"))
}

/// An answer of sendfuse's own about an error.
pub(super) fn answer(kind: ErrorKind, request_id: &str) -> Response<ResponseBody> {
    let code = OWN_CODES + i64::from(kind.status());
    let reply = Reply {
        message: &format!("(#{code}) {}", kind.name()),
        r#type: "SendfuseException",
        code,
        details: kind.sentence(),
        is_transient: kind.status() >= 500,
        request_id,
    };
    let body = reply.body();
    let mut response = Response::new(ResponseBody::full(body));
    *response.status_mut() = StatusCode::from_u16(kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response.headers_mut().insert(ERROR, HeaderValue::from_static(kind.name()));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn every_error_is_whole_and_in_graphs_shape() {
        use ErrorKind::{
            BadRequest, Internal, Misdirected, UpstreamReset, UpstreamTimeout, UpstreamTls,
            UpstreamUnreachable,
        };
        for kind in [
            UpstreamUnreachable,
            UpstreamTimeout,
            UpstreamReset,
            UpstreamTls,
            BadRequest,
            Misdirected,
            Internal,
        ] {
            let response = answer(kind, "7");
            assert_eq!(response.status().as_u16(), kind.status());
            assert_eq!(response.headers()["x-sendfuse-error"], kind.name());
            assert_eq!(response.headers()["content-type"], "application/json; charset=UTF-8");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["error"]["code"], 999_000 + i64::from(kind.status()));
            assert_eq!(body["error"]["type"], "SendfuseException");
            assert!(body["error"]["error_data"].is_object());
        }
    }
}
