//! A request on its way: waits for the answer's head, bounds the silence, names what went wrong.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Error, ResponseFuture};
use tokio::time::{Instant, Sleep, sleep};

use super::connect::ConnectError;
use super::fields;
use crate::body::{InUse, Progress, ResponseBody};
use crate::error::{ErrorKind, ProxyError};

/// The answer to come; see [`Upstream::send`](super::Upstream::send).
#[must_use = "nothing is sent unless this is polled"]
pub struct Sending(State);

enum State {
    Waiting(Waiting),
    /// Never sent, for this reason.
    Failed(ErrorKind),
    Done,
}

struct Waiting {
    answer: ResponseFuture,
    timeout: Duration,
    /// Boxed once, and handed on to the body.
    timer: Pin<Box<Sleep>>,
    progress: Option<Arc<Progress>>,
    in_use: Option<InUse>,
}

impl Sending {
    pub(super) fn new(
        answer: ResponseFuture,
        timeout: Duration,
        progress: Option<Arc<Progress>>,
        in_use: Option<InUse>,
    ) -> Self {
        Self(State::Waiting(Waiting { answer, timeout, timer: Box::pin(sleep(timeout)), progress, in_use }))
    }

    pub(super) fn failed(kind: ErrorKind) -> Self {
        Self(State::Failed(kind))
    }
}

impl Future for Sending {
    type Output = Result<Response<ResponseBody>, ProxyError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match &mut self.0 {
            State::Waiting(waiting) => ready!(waiting.poll(cx)),
            State::Failed(kind) => Err((*kind).into()),
            // Polled again after its end: against the rules of futures.
            State::Done => return Poll::Pending,
        };
        let State::Waiting(waiting) = std::mem::replace(&mut self.0, State::Done) else {
            return Poll::Ready(result.and(Err(ErrorKind::Internal.into())));
        };
        Poll::Ready(result.map(|response| waiting.forward(response)))
    }
}

impl Waiting {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<Incoming>, ProxyError>> {
        if let Poll::Ready(result) = Pin::new(&mut self.answer).poll(cx) {
            return Poll::Ready(match result {
                // Nobody asked for another protocol: `Upgrade` is not forwarded.
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    Err(ErrorKind::UpstreamReset.into())
                }
                Ok(response) => Ok(response),
                Err(error) => Err(explain(error)),
            });
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let quiet_since = self.progress.as_ref().map(|progress| progress.last());
            match quiet_since.map(|since| since + self.timeout) {
                Some(deadline) if deadline > Instant::now() => self.timer.as_mut().reset(deadline),
                _ => return Poll::Ready(Err(ErrorKind::UpstreamTimeout.into())),
            }
        }
    }

    fn forward(self, mut response: Response<Incoming>) -> Response<ResponseBody> {
        // A proxy speaks its own version; the server lowers it for an HTTP/1.0 app.
        *response.version_mut() = Version::HTTP_11;
        fields::clean_response(response.headers_mut());
        response.map(|incoming| ResponseBody::streaming(incoming, self.timeout, self.timer, self.in_use))
    }
}

/// Until there was a connection, nothing was sent; afterwards, the outcome is unknown.
fn explain(error: Error) -> ProxyError {
    let source = error.source();
    let kind = match source.and_then(|source| source.downcast_ref::<ConnectError>()) {
        Some(ConnectError::Unreachable(_)) => ErrorKind::UpstreamUnreachable,
        Some(ConnectError::TimedOut) => ErrorKind::UpstreamTimeout,
        Some(ConnectError::Tls(_)) => ErrorKind::UpstreamTls,
        // What hyper calls the user's is the request's body: the app broke it off.
        None if source
            .and_then(|source| source.downcast_ref::<hyper::Error>())
            .is_some_and(hyper::Error::is_user) =>
        {
            ErrorKind::BadRequest
        }
        None => ErrorKind::UpstreamReset,
    };
    ProxyError::new(kind, error)
}
