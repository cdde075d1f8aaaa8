//! The webhook listener: what Meta posts becomes evidence, and then the app gets it too.
//!
//! The life of a post, in this order and no other:
//!
//! 1. `intake` reads the body: bounded in size, time and total memory.
//! 2. `signature` checks it against the configured app secrets. Bad or missing: 401, and nothing else happens.
//! 3. The [`Listener`] hears it, and comes back when what follows from it is durable.
//! 4. `relay` passes it on to the app, whose answer goes back to Meta (**relay**); or it is answered 200 (**copy**).
//!
//! So a post is never acknowledged before its evidence is safe, and a post that Meta has to repeat has done no harm:
//! hearing the same evidence twice ends in the same state.
//!
//! Beside Meta, forwarders may post: each [`Source`] on a path of its own, signed with a secret of its own. Those posts are
//! evidence as Meta's are, but they are answered here: the app has its own from Meta, or from the forwarder.
//!
//! A handshake (`GET`) waits for none of this: it arrives while the app's own `POST …/subscribed_apps` is still open.

mod handshake;
mod intake;
mod relay;
mod signature;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

pub use self::intake::MAX_BODY;
use self::intake::{Intake, IntakeError};
pub use self::relay::Relay;
use self::signature::Claim;
use crate::breakers::Breakers;
use crate::graph::webhook::Unreadable;
pub use crate::telemetry::labels::WebhookResult;

/// What can be changed while the listener runs.
#[derive(Clone, Default)]
pub struct WebhookSettings {
    /// The path that Meta calls, as it stands in the callback URL. Every other path is 404.
    pub path: String,
    /// A post is taken if one of these signed it. Without one, every post is refused: empty ones do not count.
    pub app_secrets: Vec<SecretString>,
    /// What a handshake must know. Not looked at while `relay_to` is set: then the app knows its own token.
    pub verify_token: Option<SecretString>,
    /// The app's own endpoint, `http` or `https`. Posts and handshakes go on to it once the evidence is in.
    pub relay_to: Option<Url>,
    /// Who else may post.
    pub sources: Vec<Source>,
}

/// A forwarder: who posts what Meta told it, signed with a secret that is not the app's.
#[derive(Clone)]
pub struct Source {
    /// What it is called in logs.
    pub name: String,
    /// The path that it posts to, and nobody else.
    pub path: String,
    /// The header that its signature is in: `sha256=` and the digits, or the digits alone.
    pub header: HeaderName,
    /// What it signs with. The empty one counts for nothing.
    pub secret: SecretString,
}

/// Not the secret.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).field("path", &self.path).finish_non_exhaustive()
    }
}

impl WebhookSettings {
    fn secrets(&self) -> impl Iterator<Item = &[u8]> {
        // Anyone can sign with the empty key.
        self.app_secrets.iter().map(|secret| secret.expose_secret().as_bytes()).filter(|key| !key.is_empty())
    }
}

impl fmt::Debug for WebhookSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `relay_to` may hold a password or a key.
        f.debug_struct("WebhookSettings").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Who takes in what a signed post says.
pub trait Listener: Send + Sync + 'static {
    /// Reads a body whose signature was right. Comes back once everything that follows from it is durable (or could not
    /// be made so in time).
    ///
    /// Dropped before it is done: the post is not acknowledged, and Meta posts it again.
    fn hear(&self, body: &[u8]) -> impl Future<Output = Result<(), Unreadable>> + Send;
}

impl Listener for Breakers {
    async fn hear(&self, body: &[u8]) -> Result<(), Unreadable> {
        let facts = crate::graph::webhook::read(body)?;
        Breakers::hear(self, &facts).await;
        Ok(())
    }
}

/// Counts what became of each request.
pub type Counter = Arc<dyn Fn(WebhookResult) + Send + Sync>;

/// The service behind the webhook listener. Cheap to clone; all clones are one.
pub struct WebhookService<L>(Arc<Inner<L>>);

struct Inner<L> {
    settings: Arc<ArcSwap<WebhookSettings>>,
    listener: L,
    intake: Intake,
    relay: Relay,
    count: Counter,
}

impl<L> Clone for WebhookService<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L> fmt::Debug for WebhookService<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookService")
    }
}

impl<L: Listener> WebhookService<L> {
    /// A service that looks at `settings` anew for each request.
    pub fn new(settings: Arc<ArcSwap<WebhookSettings>>, listener: L, relay: Relay, count: Counter) -> Self {
        if settings.load().secrets().next().is_none() {
            tracing::warn!(
                "webhook.app_secrets is empty: every webhook of Meta's own is refused, and sends that fail later go unseen"
            );
        }
        Self(Arc::new(Inner { settings, listener, intake: Intake::default(), relay, count }))
    }
}

impl<L, B> tower::Service<Request<B>> for WebhookService<L>
where
    L: Listener,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let (result, response) = inner.respond(request).await;
            (inner.count)(result);
            Ok(response)
        })
    }
}

type Outcome = (WebhookResult, Response<Full<Bytes>>);

impl<L: Listener> Inner<L> {
    async fn respond<B>(&self, request: Request<B>) -> Outcome
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Send,
    {
        let settings = self.settings.load_full();
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        if path == settings.path {
            return match parts.method {
                Method::GET => self.handshake(&settings, parts).await,
                Method::POST => self.post(&settings, parts, body).await,
                _ => not_allowed("GET, POST"),
            };
        }
        match settings.sources.iter().find(|source| source.path == path) {
            Some(source) if parts.method == Method::POST => self.forwarded(source, &parts, body).await,
            // Whoever signs with a secret of its own has no need of a handshake.
            Some(_) => not_allowed("POST"),
            None => (WebhookResult::Misdirected, text(StatusCode::NOT_FOUND, "not found")),
        }
    }

    /// A post of a forwarder's: heard, and answered here.
    async fn forwarded<B>(&self, source: &Source, parts: &Parts, body: B) -> Outcome
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Send,
    {
        let received = match self.intake.read(body).await {
            Ok(received) => received,
            Err(refusal) => return refused(refusal),
        };
        let claim = signature::forwarders(&parts.headers, &source.header);
        let secrets = [source.secret.expose_secret().as_bytes()].into_iter().filter(|key| !key.is_empty());
        if let Some(outcome) = unauthorized(claim, &source.header, secrets, &received.bytes) {
            tracing::debug!(
                source = source.name,
                result = outcome.0.name(),
                "a forwarded webhook is refused"
            );
            return outcome;
        }
        acknowledged(self.listener.hear(&received.bytes).await.is_ok())
    }

    /// With `relay_to` the app is asked, because it is the app that chose the token; otherwise we answer ourselves.
    async fn handshake(&self, settings: &WebhookSettings, mut parts: Parts) -> Outcome {
        let refused = || (WebhookResult::HandshakeRefused, text(StatusCode::FORBIDDEN, "wrong verify token"));
        let Some(handshake) = handshake::read(parts.uri.query().unwrap_or_default()) else {
            return refused();
        };
        if let Some(app) = &settings.relay_to {
            parts.headers.remove(CONTENT_LENGTH);
            return match self.relay.pass_on(app, parts, Bytes::new()).await {
                Some(answer) if answer.status().is_success() => (WebhookResult::Handshake, answer),
                Some(answer) => (WebhookResult::HandshakeRefused, answer),
                None => app_silent(),
            };
        }
        match &settings.verify_token {
            Some(token) if handshake.knows(token) => {
                (WebhookResult::Handshake, text(StatusCode::OK, handshake.challenge))
            }
            _ => refused(),
        }
    }

    async fn post<B>(&self, settings: &WebhookSettings, parts: Parts, body: B) -> Outcome
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Send,
    {
        let received = match self.intake.read(body).await {
            Ok(received) => received,
            Err(refusal) => return refused(refusal),
        };
        let claim = signature::metas(&parts.headers);
        if let Some(outcome) = unauthorized(claim, &signature::META, settings.secrets(), &received.bytes) {
            return outcome;
        }

        let readable = self.listener.hear(&received.bytes).await.is_ok();

        let Some(app) = &settings.relay_to else { return acknowledged(readable) };
        match self.relay.pass_on(app, parts, received.bytes.clone()).await {
            Some(answer) if !readable => (WebhookResult::Unreadable, answer),
            Some(answer) if answer.status().is_success() => (WebhookResult::Relayed, answer),
            Some(answer) => (WebhookResult::AppRefused, answer),
            None => app_silent(),
        }
    }
}

/// What a post without a good signature is told; `None`: its signature is good.
fn unauthorized<'a>(
    claim: Option<Claim>,
    header: &HeaderName,
    secrets: impl Iterator<Item = &'a [u8]>,
    body: &[u8],
) -> Option<Outcome> {
    let (result, what) = match claim {
        None => (WebhookResult::Unsigned, "is missing or malformed"),
        Some(claim) if claim.made_by_any(secrets, body) => return None,
        Some(_) => (WebhookResult::Forged, "does not fit the body"),
    };
    Some((result, text(StatusCode::UNAUTHORIZED, format!("{header} {what}"))))
}

fn acknowledged(readable: bool) -> Outcome {
    let result = if readable { WebhookResult::Accepted } else { WebhookResult::Unreadable };
    (result, text(StatusCode::OK, "ok"))
}

fn not_allowed(allowed: &'static str) -> Outcome {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, allowed);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    (WebhookResult::Misdirected, response)
}

fn refused(refusal: IntakeError) -> Outcome {
    match refusal {
        IntakeError::TooLarge => {
            (WebhookResult::TooLarge, text(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 3 MiB"))
        }
        IntakeError::TimedOut => {
            (WebhookResult::TimedOut, text(StatusCode::REQUEST_TIMEOUT, "the body came too slowly"))
        }
        IntakeError::Broken => {
            (WebhookResult::Broken, text(StatusCode::BAD_REQUEST, "the body could not be read"))
        }
        IntakeError::Busy => {
            (WebhookResult::Busy, text(StatusCode::SERVICE_UNAVAILABLE, "too many webhooks at once"))
        }
    }
}

/// Anything but 200 makes Meta post again: later, for days.
fn app_silent() -> Outcome {
    (WebhookResult::RelayFailed, text(StatusCode::BAD_GATEWAY, "the app did not answer"))
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let body = body.into();
    let length = body.len();
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // A challenge is a stranger's text: no browser is to make a page of it.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_print_no_secret() {
        let settings = WebhookSettings {
            path: "/webhook".to_owned(),
            app_secrets: vec!["s3cret".into()],
            verify_token: Some("t0ken".into()),
            relay_to: Some(Url::parse("https://user:pa55@app.example/hook?key=k3y").unwrap()),
            sources: vec![Source {
                name: "forwarder".to_owned(),
                path: "/forwarder".to_owned(),
                header: HeaderName::from_static("x-forwarder"),
                secret: "0ther".into(),
            }],
        };
        let printed = format!("{settings:?} {:?}", settings.sources);
        for secret in ["s3cret", "t0ken", "pa55", "k3y", "0ther"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}
