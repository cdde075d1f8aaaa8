//! Calls that may carry a two-step PIN: answered here, or forwarded and watched. See [`crate::pin`].
//!
//! Only these calls' bodies are looked into, and only short ones; what has no PIN in it goes on as it came, and its answer
//! streams. The answer to a PIN is read whole, like a send's, and released as it came.

mod answer;
mod held;

use std::sync::Arc;

use http::{Request, Response, header};
use http_body::Body;
use hyper::body::Incoming;

use super::gate::drain::{Ahead, KEPT};
use super::gate::hangup::Detaching;
use super::gate::{Credentials, Forward, Parts, observe};
use crate::body::{RequestBody, ResponseBody};
use crate::breakers::{PinGate, PinTry};
use crate::error::ProxyError;
use crate::graph::ids::PhoneNumberId;
use crate::graph::pin::{self, Pin};
use crate::graph::route::PinCall;

/// Forwards a call, unless it carries a PIN that must not go out.
///
/// Dropped before it goes out, it never does. Afterwards it runs on to Meta's answer: a PIN that was refused is refused, even if
/// the app has hung up.
pub(super) async fn forward<S: Forward>(
    parts: Arc<Parts>,
    mut upstream: S,
    phone: PhoneNumberId,
    call: PinCall,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, ProxyError> {
    let credentials = Credentials::of(phone, &request);
    let (request, pin) = look(request).await?;
    let Some(pin) = pin else {
        let answer = upstream.call(request).await?;
        if answer.status().is_success() {
            credentials.learned(&parts);
        }
        return Ok(answer);
    };
    let tried = match parts.breakers.admit_pin(phone, call, &pin).await {
        PinGate::Forward(tried) => tried,
        PinGate::Hold(held) => return Ok(held::response(&held, &parts.ids.next())),
    };
    let (tasks, places) = (parts.tasks.clone(), Arc::clone(&parts.places));
    Detaching::new(watch(parts, upstream, request, pin, tried, credentials), tasks, places).await
}

/// Finds the PIN in a request, if its body is short enough to have one.
async fn look(request: Request<Incoming>) -> Result<(Request<RequestBody>, Option<Pin>), ProxyError> {
    if request.body().size_hint().lower() >= KEPT as u64 {
        return Ok((request.map(RequestBody::from), None));
    }
    let (head, body) = request.into_parts();
    let ahead = Ahead::read(body).await?;
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let pin = ahead.whole().and_then(|body| pin::read(content_type, head.uri.query(), body));
    Ok((Request::from_parts(head, ahead.replay()), pin))
}

/// Forwards a PIN, and takes in what Meta says to it before the app is told.
async fn watch<S: Forward>(
    parts: Arc<Parts>,
    mut upstream: S,
    request: Request<RequestBody>,
    pin: Pin,
    tried: PinTry,
    credentials: Credentials,
) -> Result<Response<ResponseBody>, ProxyError> {
    let (head, body) = upstream.call(request).await?.into_parts();
    let collected = observe::collect(body).await;
    if let Some((data, is_whole)) = collected.all() {
        let (verdict, error) = answer::judge(&head, data, is_whole, &pin, parts.breakers.now()).await;
        tried.answered(verdict, error);
    }
    if head.status.is_success() {
        credentials.learned(&parts);
    }
    collected.release(head)
}
