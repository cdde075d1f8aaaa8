//! The breaker on the send path: reject, or admit and watch the answer.
//!
//! Calls that are no sends pass as they come and are never buffered; only those that may carry a PIN are looked into, by
//! [`pin`](super::pin). A send of a closed phone passes without a look at its
//! body. Its answer, which is small, is read to its end before it is released, for three reasons: a 131031 in it must have
//! opened the breaker before the app sees the last byte; an answer that breaks off becomes a whole 502 (a cut body hangs one
//! SDK for ever); and the verdict is reached even if the app has hung up. An answer beyond [`observe::CAP`] is no Graph answer
//! to a send; it streams on unobserved.
//!
//! What an app asks Meta about its phones passes too, and is learned from: see [`numbers`].
//!
//! A POST on a node path may be a batch with sends in it: see [`batch`]. On a phone's own path it may carry a PIN instead, and is looked
//! into for that first.

pub(super) mod batch;
pub(super) mod decode;
pub(super) mod drain;
pub(super) mod hangup;
mod numbers;
pub(super) mod observe;
mod send;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, HeaderValue, Request, Response, Uri, header};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tower::{Layer, Service};

use self::drain::Ahead;
use self::hangup::Detaching;
use super::identify::Identified;
use super::own::RequestIds;
use super::pin;
use crate::body::{RequestBody, ResponseBody};
use crate::breakers::Breakers;
use crate::error::ProxyError;
use crate::graph::batch::may_be;
use crate::graph::ids::{PhoneNumberId, TokenId};
use crate::graph::route::{Question, Route, is_post_on_node};
use crate::prober::Tokens;
use crate::telemetry::Telemetry;

/// What the gate works with; one for all connections.
pub(super) struct Parts {
    pub(super) breakers: Breakers,
    pub(super) tokens: Arc<Tokens>,
    pub(super) telemetry: Telemetry,
    /// How rejections look; see [`Rejecting`].
    pub(super) rejecting: arc_swap::ArcSwap<Rejecting>,
    pub(super) ids: Arc<RequestIds>,
    /// Sends whose app has hung up, on their way to their verdict; and answers that are learned from.
    pub(super) tasks: TaskTracker,
    /// How many of these there may be.
    pub(super) places: Arc<Semaphore>,
}

impl Parts {
    /// What goes on to its end even if the app hangs up.
    pub(super) fn detaching(
        &self,
        sending: impl Future<Output = Result<Response<ResponseBody>, ProxyError>> + Send + 'static,
    ) -> Detaching {
        Detaching::new(sending, self.tasks.clone(), Arc::clone(&self.places))
    }
}

/// How rejections look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejecting {
    /// The HTTP status, a 4xx.
    pub status: http::StatusCode,
    /// Whether to add `retry-after`.
    pub retry_after: bool,
}

/// Puts a gate before a service.
#[derive(Clone)]
pub(super) struct GateLayer(pub(super) Arc<Parts>);

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { parts: Arc::clone(&self.0), inner }
    }
}

/// The gate. See the module.
#[derive(Clone)]
pub(super) struct Gate<S> {
    parts: Arc<Parts>,
    inner: S,
}

/// What the gate stands before.
pub(super) trait Forward:
    Service<
        Request<RequestBody>,
        Response = Response<ResponseBody>,
        Error = ProxyError,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static
{
}

impl<S> Forward for S where
    S: Service<
            Request<RequestBody>,
            Response = Response<ResponseBody>,
            Error = ProxyError,
            Future: Send + 'static,
        > + Clone
        + Send
        + 'static
{
}

impl<S: Forward> Gate<S> {
    /// The service that `poll_ready` was asked about. The clone that stays must be asked anew.
    fn ready(&mut self) -> S {
        let clone = self.inner.clone();
        std::mem::replace(&mut self.inner, clone)
    }

    /// As it comes. `on`: the node that the call is on, and what it asks it, if that can teach.
    fn pass(
        &mut self,
        on: Option<(PhoneNumberId, Option<Question>)>,
        request: Request<Incoming>,
    ) -> GateFuture<S::Future> {
        let learning = on.map(|(node, question)| Learning {
            parts: Arc::clone(&self.parts),
            credentials: Credentials::of(node, &request),
            question,
        });
        GateFuture::Pass { inner: self.inner.call(request.map(RequestBody::from)), learning }
    }
}

/// Whether there may be sends in it, by all but its body.
pub(super) fn may_be_batch(request: &Request<Incoming>) -> bool {
    let content_type = || request.headers().get(header::CONTENT_TYPE)?.to_str().ok();
    is_post_on_node(request.method(), request.uri().path())
        && (content_types(request.headers()) > 1 || may_be(request.uri().query(), content_type()))
}

/// How many content types a request has. Of several only Meta knows which one counts.
fn content_types(headers: &HeaderMap) -> usize {
    headers.get_all(header::CONTENT_TYPE).iter().count()
}

impl<S: Forward> Service<Identified> for Gate<S> {
    type Response = Response<ResponseBody>;
    type Error = ProxyError;
    type Future = GateFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, Identified { route, request }: Identified) -> Self::Future {
        match route {
            Route::Send { phone, endpoint } => {
                let inner = self.ready();
                let sending = send::send(Arc::clone(&self.parts), inner, phone, endpoint, request);
                GateFuture::Send { sending: self.parts.detaching(sending) }
            }
            Route::Pin { phone, call } => {
                let inner = self.ready();
                let calling = pin::forward(Arc::clone(&self.parts), inner, phone, call, request);
                GateFuture::Pin { calling: Box::pin(calling) }
            }
            Route::Node(node) => self.pass(Some((node, None)), request),
            Route::Asks { node, question } => {
                let question = numbers::may_teach(question, &request).then_some(question);
                self.pass(Some((node, question)), request)
            }
            Route::Other if may_be_batch(&request) => {
                let inner = self.ready();
                let (head, body) = request.into_parts();
                let sending = batch::batch(Arc::clone(&self.parts), inner, None, head, Ahead::of(body));
                GateFuture::Send { sending: self.parts.detaching(sending) }
            }
            Route::Other => self.pass(None, request),
        }
    }
}

pin_project! {
    /// A call on its way through the gate.
    #[project = GateProjection]
    pub(super) enum GateFuture<F> {
        /// No send: as it comes.
        Pass { #[pin] inner: F, learning: Option<Learning> },
        /// A send, or what may be a batch: goes on to its verdict even if this future is dropped.
        Send { sending: Detaching },
        /// A call that may carry a PIN, or else be a batch.
        Pin { calling: Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, ProxyError>> + Send>> },
    }
}

impl<F> Future for GateFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody>, ProxyError>>,
{
    type Output = Result<Response<ResponseBody>, ProxyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            GateProjection::Send { sending } => Pin::new(sending).poll(cx),
            GateProjection::Pin { calling } => calling.as_mut().poll(cx),
            GateProjection::Pass { inner, learning } => {
                let answer = ready!(inner.poll(cx));
                Poll::Ready(match learning.take() {
                    Some(learning) => answer.map(|answer| learning.from(answer)),
                    None => answer,
                })
            }
        }
    }
}

/// What a call on a node can teach.
struct Learning {
    parts: Arc<Parts>,
    credentials: Credentials,
    question: Option<Question>,
}

impl Learning {
    fn from(self, answer: Response<ResponseBody>) -> Response<ResponseBody> {
        if !answer.status().is_success() {
            return answer;
        }
        self.credentials.learned(&self.parts);
        match self.question {
            Some(question) => numbers::overhear(&self.parts, self.credentials.node, question, answer),
            None => answer,
        }
    }
}

/// What a call authenticated with, kept until Meta's answer shows that it lets the token pass. Shares the request's bytes.
pub(super) struct Credentials {
    node: PhoneNumberId,
    uri: Uri,
    authorization: Option<HeaderValue>,
}

impl Credentials {
    pub(super) fn of(node: PhoneNumberId, request: &Request<Incoming>) -> Self {
        let authorization = request.headers().get(header::AUTHORIZATION).cloned();
        Self { node, uri: request.uri().clone(), authorization }
    }

    /// Meta let it pass on this node.
    pub(super) fn learned(&self, parts: &Parts) {
        if parts.breakers.holds_others()
            && let Some(token) = self.token(parts)
        {
            parts.breakers.token_passed(self.node, token);
        }
        // Without one to ask with, another probe would find what the last one found.
        if parts.tokens.learn(self.node, &self.uri, self.authorization.as_ref()) {
            parts.breakers.token_learned(self.node);
        }
    }

    /// The name of its token.
    pub(super) fn token(&self, parts: &Parts) -> Option<TokenId> {
        parts.tokens.id_of(&self.uri, self.authorization.as_ref())
    }

    /// Meta refused its token. The name of it, if there is room to hold it: then it is also kept to ask again with.
    pub(super) fn refused(&self, parts: &Parts) -> Option<TokenId> {
        let token = self.token(parts).filter(|token| parts.breakers.token_refused(self.node, *token))?;
        parts.tokens.refuse(self.node, &self.uri, self.authorization.as_ref(), token);
        Some(token)
    }
}
