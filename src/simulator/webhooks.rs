//! How webhooks are delivered to the callback: signed, repeated until they are answered 200. Account events, late repetitions.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::answer::hex;
use super::state::Late;
use super::{Inner, Simulator};

/// A delivery under way. Any error counts as not delivered.
pub type Delivery =
    Pin<Box<dyn Future<Output = Result<Response<Bytes>, Box<dyn Error + Send + Sync>>> + Send>>;

/// Takes webhooks and handshakes (absolute URI) to the callback, and brings its answer.
pub type Deliver = Arc<dyn Fn(Request<Bytes>) -> Delivery + Send + Sync>;

/// The callback has so long to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The first retry comes at once, the second after this, each further one after twice the time.
const SECOND_RETRY: Duration = Duration::from_secs(1);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// A webhook is given up this long after the first try.
const GIVE_UP: Duration = Duration::from_secs(7 * 24 * 3600);
/// The most of a callback's answer that is read.
const MAX_ANSWER: usize = 64 << 10;

/// Plain HTTP over real sockets.
pub(super) fn over_http() -> Deliver {
    let client: Client<_, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(HttpConnector::new());
    Arc::new(move |request| {
        let answer = client.request(request.map(Full::new));
        Box::pin(async move {
            let (head, body) = answer.await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok(Response::from_parts(head, body))
        })
    })
}

/// Has failures delivered once more.
pub(super) fn deliver_again(simulator: &Simulator, late: Option<Late>) {
    let (Some(late), Ok(runtime)) = (late, Handle::try_current()) else { return };
    let inner = Arc::downgrade(&simulator.inner);
    runtime.spawn(async move {
        sleep(late.after).await;
        for body in late.bodies {
            deliver(inner.clone(), To::CallbackOf(late.phone.clone()), body).await;
        }
    });
}

/// Has an account-level webhook delivered to the app's callback.
pub(super) fn deliver_field(simulator: &Simulator, waba: &str, field: &str, value: Value) {
    let Ok(runtime) = Handle::try_current() else { return };
    let seconds = simulator.inner.options.clock.now().millis() / 1000;
    let body = escaped(&json!({"object": "whatsapp_business_account", "entry": [
        {"id": waba, "time": seconds, "changes": [{"field": field, "value": value}]}]}));
    runtime.spawn(deliver(Arc::downgrade(&simulator.inner), To::App, body));
}

/// Asks a callback to prove itself. Errors: why it could not, as text for people.
pub(super) async fn handshake(simulator: &Simulator, url: &str, verify_token: &str) -> Result<(), String> {
    let challenge = (simulator.draw() % 10_000_000_000).to_string();
    let mut url = url::Url::parse(url).map_err(|_| "not a URL".to_owned())?;
    url.query_pairs_mut()
        .append_pair("hub.mode", "subscribe")
        .append_pair("hub.challenge", &challenge)
        .append_pair("hub.verify_token", verify_token);
    let request = Request::builder().method(Method::GET).uri(url.as_str()).body(Bytes::new());
    let answer = (simulator.inner.deliver)(request.map_err(|_| "not a URL".to_owned())?);
    match timeout(PATIENCE, answer).await {
        Err(_) => Err("no answer in time".into()),
        Ok(Err(_)) => Err("no connection".into()),
        Ok(Ok(answer)) if answer.status() != StatusCode::OK => {
            Err(format!("HTTP Status Code = {}", answer.status().as_u16()))
        }
        Ok(Ok(answer)) if answer.body() != challenge.as_bytes() => Err("the challenge was not echoed".into()),
        Ok(Ok(_)) => Ok(()),
    }
}

impl Simulator {
    /// Where webhooks about a phone go: its own callback, its WABA's, the app's.
    pub(super) fn callback(&self, phone: &str) -> Option<String> {
        let state = self.state();
        let phone = state.known_phone(phone);
        phone
            .and_then(|phone| {
                phone.callback.clone().or_else(|| state.waba_callbacks.get(&phone.waba).cloned())
            })
            .or_else(|| state.webhook_url.clone())
    }
}

pub(super) fn upgrade(inner: &Weak<Inner>) -> Option<Simulator> {
    inner.upgrade().map(|inner| Simulator { inner })
}

/// Whom a webhook is for.
#[derive(Clone)]
pub(super) enum To {
    /// Whoever hears of this phone's messages.
    CallbackOf(String),
    /// The app's callback, whatever phones and WABAs have of their own.
    App,
    Forwarder(Forwarder),
}

/// Somebody between Meta and the callback, such as Dualhook, who signs with a secret of its own in a header of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarder {
    /// The callback.
    pub url: String,
    /// The header of the signature.
    pub header: String,
    /// The key of the signature.
    pub secret: String,
}

/// Tries until the callback answers 200. Holds the simulator during a try only.
pub(super) async fn deliver(inner: Weak<Inner>, to: To, body: Bytes) {
    let (mut waited, mut pause) = (Duration::ZERO, Duration::ZERO);
    loop {
        let Some(simulator) = upgrade(&inner) else { return };
        if attempt(&simulator, &to, &body).await {
            return;
        }
        drop(simulator);
        if waited >= GIVE_UP {
            return;
        }
        sleep(pause).await;
        waited = waited.saturating_add(pause);
        pause = pause.saturating_mul(2).clamp(SECOND_RETRY, LONGEST_PAUSE);
    }
}

async fn attempt(simulator: &Simulator, to: &To, body: &Bytes) -> bool {
    let own = |url: String| signed(&url, "x-hub-signature-256", &simulator.inner.options.app_secret, body);
    let request = match to {
        To::CallbackOf(phone) => simulator.callback(phone).and_then(own),
        To::App => simulator.state().webhook_url.clone().and_then(own),
        To::Forwarder(Forwarder { url, header, secret }) => signed(url, header, secret, body),
    };
    let Some(request) = request else { return false };
    simulator.state().totals.webhooks += 1;
    let answer = timeout(PATIENCE, (simulator.inner.deliver)(request)).await;
    let acknowledged = matches!(answer, Ok(Ok(answer)) if answer.status() == StatusCode::OK);
    simulator.state().totals.webhooks_acknowledged += u64::from(acknowledged);
    simulator.inner.changed.notify_waiters();
    acknowledged
}

fn signed(url: &str, header: &str, secret: &str, body: &Bytes) -> Option<Request<Bytes>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(body);
    let signature = format!("sha256={}", hex(&mac.finalize().into_bytes()));
    Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, "facebookexternalua")
        .header(ACCEPT, "*/*")
        .header(header, signature)
        .body(body.clone())
        .ok()
}

/// JSON as Meta writes it: `/` as `\/`, and all that is not ASCII as `\u` and lower-case hexadecimal.
pub(super) fn escaped(value: &Value) -> Bytes {
    escape(&value.to_string())
}

/// As [`escaped`], of what is JSON already.
pub(super) fn escape(json: &str) -> Bytes {
    let mut text = String::new();
    for c in json.chars() {
        match c {
            '/' => text.push_str("\\/"),
            c if c.is_ascii() => text.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    text.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_escaped_as_meta_does() {
        let value = json!({"a": "ä/😀\\"});
        assert_eq!(escaped(&value), r#"{"a":"\u00e4\/\ud83d\ude00\\"}"#);
        assert_eq!(serde_json::from_slice::<Value>(&escaped(&value)).unwrap(), value);
    }
}
