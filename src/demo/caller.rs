//! The app, and whoever asks the admin API: plain HTTP, as any client would.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Failure;
use crate::app::Addresses;

/// The app's token. It is good at the simulated Meta only; probes borrow it.
const TOKEN: &str = "Bearer EAAdemo";
/// How long any call may take.
const WITHIN: Duration = Duration::from_secs(15);

/// An HTTP client that knows where sendfuse is.
pub(super) struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    at: Addresses,
}

/// What the app got for a send.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The message's id, if the send was accepted.
    pub(super) wamid: Option<String>,
    /// Graph's error, if it was not.
    pub(super) error: Option<GraphError>,
    /// The headers that only sendfuse's own answers have.
    pub(super) own_headers: Vec<String>,
}

/// Graph's error, as far as the demo looks at it.
#[derive(Debug, Deserialize)]
pub(super) struct GraphError {
    pub(super) code: i64,
    pub(super) message: String,
    pub(super) error_data: Option<ErrorData>,
}

/// What belongs to it.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorData {
    pub(super) details: String,
}

/// A breaker, as far as the demo looks at it.
#[derive(Debug, Deserialize)]
pub(super) struct Breaker {
    pub(super) state: String,
    pub(super) reason: Option<Reason>,
    pub(super) generation: u64,
    pub(super) probes: u64,
    pub(super) conditions: Vec<Condition>,
    pub(super) closes_when: String,
    pub(super) held_by: Option<String>,
}

/// Why it is not closed.
#[derive(Debug, Deserialize)]
pub(super) struct Reason {
    pub(super) source: String,
    pub(super) text: String,
}

/// A condition that holds.
#[derive(Debug, Deserialize)]
pub(super) struct Condition {
    pub(super) name: String,
    pub(super) text: String,
}

/// What an ordered probe found.
#[derive(Debug, Deserialize)]
pub(super) struct Probe {
    pub(super) outcome: String,
    pub(super) entities: Vec<Entity>,
}

/// What Meta says about one entity.
#[derive(Debug, Deserialize)]
pub(super) struct Entity {
    pub(super) kind: String,
    pub(super) can_send_message: String,
    pub(super) errors: Vec<EntityError>,
}

/// What is wrong with it.
#[derive(Debug, Deserialize)]
pub(super) struct EntityError {
    pub(super) code: i64,
    pub(super) description: String,
}

impl Answer {
    /// By Meta, with a wamid.
    pub(super) fn is_accepted(&self) -> bool {
        self.status == StatusCode::OK && self.wamid.is_some() && self.own_headers.is_empty()
    }

    /// By Meta.
    pub(super) fn is_refused_by_meta(&self) -> bool {
        self.is_locked() && self.own_headers.is_empty()
    }

    /// By sendfuse.
    pub(super) fn is_rejected_here(&self) -> bool {
        self.is_locked() && self.own_headers.iter().any(|header| header.starts_with("x-sendfuse-state: "))
    }

    /// The sentence for people in an error.
    pub(super) fn details(&self) -> &str {
        let data = self.error.as_ref().and_then(|error| error.error_data.as_ref());
        data.map_or("", |data| &data.details)
    }

    fn is_locked(&self) -> bool {
        self.status == StatusCode::FORBIDDEN && self.error.as_ref().is_some_and(|error| error.code == 131_031)
    }
}

/// In a few words.
impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.status.as_u16())?;
        if let Some(wamid) = &self.wamid {
            // They begin alike, with the recipient.
            let tail = wamid.char_indices().rev().nth(9).and_then(|(at, _)| wamid.get(at..));
            write!(f, ", wamid.…{}", tail.unwrap_or(wamid))?;
        }
        match &self.error {
            Some(error) => write!(f, ", {}", error.message),
            None => Ok(()),
        }
    }
}

impl Caller {
    pub(super) fn new(at: Addresses) -> Self {
        let client =
            Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(HttpConnector::new());
        Self { client, at }
    }

    /// A send, as the app makes it.
    pub(super) async fn send(&self, phone: &str) -> Result<Answer, Failure> {
        let body = json!({"messaging_product": "whatsapp", "to": "+16505551234", "type": "text",
            "text": {"body": "Your order is on its way."}});
        let request = Request::post(format!("http://{}/v23.0/{phone}/messages", self.at.proxy))
            .header(AUTHORIZATION, TOKEN)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body.to_string()));
        let (status, headers, body) = self.call(request).await?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let wamid = body.pointer("/messages/0/id").and_then(Value::as_str);
        Ok(Answer {
            status,
            wamid: wamid.map(str::to_owned),
            error: body.get("error").and_then(|error| GraphError::deserialize(error).ok()),
            own_headers: own_headers(&headers),
        })
    }

    /// The breaker of a number, as the admin API shows it.
    pub(super) async fn breaker(&self, phone: &str) -> Result<Breaker, Failure> {
        self.shown(&format!("breakers/{phone}")).await
    }

    /// The breaker of an account.
    pub(super) async fn account(&self, waba: &str) -> Result<Breaker, Failure> {
        self.shown(&format!("wabas/{waba}")).await
    }

    async fn shown(&self, path: &str) -> Result<Breaker, Failure> {
        let url = format!("http://{}/v1/{path}", self.at.admin);
        read(&self.call(Request::get(url).body(Full::default())).await?.2)
    }

    /// A probe now, as an operator orders it.
    pub(super) async fn probe(&self, phone: &str) -> Result<Probe, Failure> {
        #[derive(Deserialize)]
        struct Probed {
            probe: Probe,
        }
        let url = format!("http://{}/v1/breakers/{phone}/probe", self.at.admin);
        let order = json!({"reason": "demo", "by": "demo"}).to_string();
        let request = Request::post(url).header(CONTENT_TYPE, "application/json").body(Full::from(order));
        read::<Probed>(&self.call(request).await?.2).map(|probed| probed.probe)
    }

    /// One series of `/metrics`; 0 if there is none.
    pub(super) async fn metric(&self, series: &str) -> Result<u64, Failure> {
        let url = format!("http://{}/metrics", self.at.admin);
        let (_, _, body) = self.call(Request::get(url).body(Full::default())).await?;
        let text = String::from_utf8_lossy(&body);
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        Ok(value.unwrap_or(0))
    }

    async fn call(
        &self,
        request: Result<Request<Full<Bytes>>, http::Error>,
    ) -> Result<(StatusCode, HeaderMap, Bytes), Failure> {
        let called = tokio::time::timeout(WITHIN, async {
            let (head, body) =
                self.client.request(request.map_err(cannot)?).await.map_err(cannot)?.into_parts();
            let body = body.collect().await.map_err(cannot)?.to_bytes();
            Ok((head.status, head.headers, body))
        });
        called.await.map_err(|_| Failure::NotAsTold(format!("no answer within {WITHIN:?}")))?
    }
}

fn own_headers(headers: &HeaderMap) -> Vec<String> {
    let own = |name: &str| name.starts_with("x-sendfuse-") || name == "proxy-status";
    let own = headers.iter().filter(|(name, _)| own(name.as_str()));
    let own = own.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or_default()));
    let mut own: Vec<String> = own.collect();
    own.sort_by_key(|header| !header.starts_with("x-"));
    own
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|_| Failure::NotAsTold(format!("the admin API answered: {}", String::from_utf8_lossy(body))))
}

fn cannot(error: impl std::error::Error) -> Failure {
    Failure::NotAsTold(format!("a call failed: {error}"))
}
