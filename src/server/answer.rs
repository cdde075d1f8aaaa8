//! Between hyper and the service: counts open requests, and keeps what hyper would drop from an answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::CONTENT_LENGTH;
use http::{Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower::Service;
use tower::util::Oneshot;

use super::activity::{Activity, InFlight};

/// A service for one connection.
pub(super) struct Counted<S> {
    service: S,
    activity: Arc<Activity>,
}

impl<S> Counted<S> {
    pub(super) fn new(service: S, activity: Arc<Activity>) -> Self {
        Self { service, activity }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Counted<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone,
{
    type Response = Response<CountedBody<B>>;
    type Error = Infallible;
    type Future = Answering<S>;

    fn call(&self, request: Request<Incoming>) -> Answering<S> {
        let http2 = request.version() == Version::HTTP_2;
        let in_flight = Some(self.activity.begin(http2));
        Answering { answer: Oneshot::new(self.service.clone(), request), http2, in_flight }
    }
}

pin_project! {
    /// An answer to come.
    pub(super) struct Answering<S: Service<Request<Incoming>>> {
        #[pin]
        answer: Oneshot<S, Request<Incoming>>,
        http2: bool,
        in_flight: Option<InFlight>,
    }
}

impl<S, B> Future for Answering<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
{
    type Output = Result<Response<CountedBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.answer.poll(cx))?;
        let declared = if *this.http2 { None } else { declared_length(&response) };
        let mut in_flight = this.in_flight.take();
        in_flight.iter_mut().for_each(InFlight::gave);
        Poll::Ready(Ok(response.map(|body| CountedBody { body, declared, in_flight })))
    }
}

/// A 304 may tell the length of what it does not send. Over HTTP/1.1 hyper drops the field if the body is empty, but keeps it
/// if a body claims that length, and writes no body with this status either way.
fn declared_length<B>(response: &Response<B>) -> Option<u64> {
    if response.status() != StatusCode::NOT_MODIFIED {
        return None;
    }
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

pin_project! {
    /// A body whose end is the end of its request.
    pub(super) struct CountedBody<B> {
        #[pin]
        body: B,
        declared: Option<u64>,
        in_flight: Option<InFlight>,
    }
}

impl<B: Body> Body for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        this.in_flight.iter_mut().for_each(InFlight::asked);
        let frame = ready!(this.body.poll_frame(cx));
        if frame.is_some() {
            this.in_flight.iter_mut().for_each(InFlight::gave);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.declared.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.declared.map_or_else(|| self.body.size_hint(), SizeHint::with_exact)
    }
}
