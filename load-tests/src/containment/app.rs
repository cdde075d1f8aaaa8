//! The app of a run. It sends at its rate whatever the answers, as apps do; and it has a webhook endpoint of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::journal::{Answer, Journal, Sent};
use super::plan::Plan;
use crate::Result;
use crate::load::{BODY, DEADLINE, TOKEN};

/// Every answer of Meta's has it, and none of a proxy's own.
const METAS: &str = "x-fb-request-id";

/// The app's sends, from now on.
pub(super) struct App {
    stop: watch::Sender<bool>,
    phones: JoinSet<()>,
}

impl App {
    /// Begins to send to `target`, all phones evenly spread over time.
    pub(super) fn start(plan: &Plan, target: SocketAddr, journal: &Arc<Journal>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        let step = Duration::from_secs(1) / plan.per_second.max(1);
        let ids = plan.ids();
        let count = u32::try_from(ids.len()).unwrap_or(u32::MAX).max(1);
        let mut phones = JoinSet::new();
        for (phone, id) in ids.iter().enumerate() {
            let first = Instant::now() + step * u32::try_from(phone).unwrap_or_default() / count;
            let sender = Sender {
                client: client.clone(),
                url: format!("http://{target}/v23.0/{id}/messages"),
                phone,
                journal: Arc::clone(journal),
            };
            phones.spawn(keep_sending(sender, first, step, stopped.clone()));
        }
        Self { stop, phones }
    }

    /// Begins no further send, and waits for the answers of those that were begun.
    pub(super) async fn stop(mut self) {
        // Without a receiver they have all ended.
        let _ = self.stop.send(true);
        while self.phones.join_next().await.is_some() {}
    }
}

/// Open loop: each send is a task of its own, and none waits for another.
async fn keep_sending(sender: Sender, first: Instant, step: Duration, mut stopped: watch::Receiver<bool>) {
    let mut due = interval_at(first, step);
    // After a stall it is on time again, and does not catch up in a burst that no app would make.
    due.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let sender = Arc::new(sender);
    let mut sends = JoinSet::new();
    loop {
        tokio::select! {
            _ = due.tick() => {
                let sender = Arc::clone(&sender);
                sends.spawn(async move { sender.send().await });
            }
            Some(_) = sends.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    while sends.join_next().await.is_some() {}
}

/// The sends of one phone.
struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    phone: usize,
    journal: Arc<Journal>,
}

impl Sender {
    async fn send(&self) {
        let begun = self.journal.now();
        let answer = match timeout(DEADLINE, self.exchange()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Answer::Nothing,
        };
        self.journal.sent(Sent { phone: self.phone, begun, answered: self.journal.now(), answer });
    }

    async fn exchange(&self) -> Result<Answer> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.url)
            .header(HOST, "graph.facebook.com")
            .header(AUTHORIZATION, TOKEN)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, "load-tests")
            .body(Full::new(Bytes::from_static(BODY.as_bytes())))?;
        let (head, body) = self.client.request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(answer(head.status, &head.headers, &body))
    }
}

fn answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Answer {
    let is_lock = || {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        body["error"]["code"] == 131_031
    };
    match (headers.contains_key(METAS), status) {
        (true, StatusCode::OK) => Answer::Accepted,
        (true, _) if is_lock() => Answer::Locked,
        (true, _) => Answer::OtherError,
        (false, _) if status.is_client_error() && is_lock() => Answer::HeldBack,
        (false, _) => Answer::Nothing,
    }
}

/// The app's own webhook endpoint, for the setup without a proxy: says 200 to everything until it is dropped.
pub(super) struct Endpoint {
    /// Where it listens.
    pub(super) address: SocketAddr,
    _accepting: JoinSet<()>,
}

impl Endpoint {
    /// Binds a free port.
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let served = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(acknowledge));
                tokio::spawn(async move { drop(served.await) });
            }
        });
        Ok(Self { address, _accepting: accepting })
    }
}

async fn acknowledge(request: Request<Incoming>) -> std::result::Result<Response<Empty<Bytes>>, Infallible> {
    // Cut short or whole, it is not looked at.
    let _ = request.into_body().collect().await;
    Ok(Response::new(Empty::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_answered_is_told_by_metas_header() {
        let metas = HeaderMap::from_iter([(METAS.parse().expect("name"), "A1".parse().expect("value"))]);
        let ours = HeaderMap::new();
        let lock = br#"{"error":{"code":131031}}"#;
        let other = br#"{"error":{"code":131047}}"#;
        for (status, headers, body, expected) in [
            (200, &metas, &b"{}"[..], Answer::Accepted),
            (403, &metas, lock, Answer::Locked),
            (400, &metas, lock, Answer::Locked),
            (400, &metas, other, Answer::OtherError),
            (403, &ours, lock, Answer::HeldBack),
            (502, &ours, lock, Answer::Nothing),
            (403, &ours, other, Answer::Nothing),
            (200, &ours, b"{}", Answer::Nothing),
        ] {
            let status = StatusCode::from_u16(status).expect("status");
            assert_eq!(answer(status, headers, body), expected, "{status} {body:?}");
        }
    }
}
