//! Calls that may carry a two-step PIN: answered here, or forwarded and watched. See [`crate::pin`].
//!
//! Only these calls' bodies are looked into, and only short ones; what has no PIN in it goes on as it came, and its answer
//! streams, unless it may be a batch: then [`batch`](super::gate::batch) has it. A batch carries no PIN, whatever stands beside its
//! operations. The answer to a PIN is read whole, like a send's, and released as it came.

mod answer;
mod held;

use std::sync::Arc;

use http::{Request, Response, header, request};
use hyper::body::Incoming;

use super::gate::batch::batch;
use super::gate::drain::{Ahead, KEPT};
use super::gate::{Credentials, Forward, Parts, may_be_batch, observe};
use crate::body::{RequestBody, ResponseBody};
use crate::breakers::{PinGate, PinTry};
use crate::error::ProxyError;
use crate::graph::batch::{Batch, NoBatch};
use crate::graph::ids::PhoneNumberId;
use crate::graph::pin::{self, Pin};
use crate::graph::route::PinCall;
use crate::telemetry::events::UnreadBatchEvent;

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
    let may_be_batch = may_be_batch(&request);
    let (head, body) = request.into_parts();
    let mut ahead = Ahead::of(body);
    // A longer one has none.
    if ahead.at_least() < KEPT as u64 {
        ahead = ahead.read(KEPT).await?;
    }
    let Some(pin) = ahead.whole().and_then(|body| find(&parts, &head, body, may_be_batch)) else {
        if may_be_batch {
            let batch = batch(Arc::clone(&parts), upstream, Some(credentials), head, ahead);
            return parts.detaching(batch).await;
        }
        let answer = upstream.call(Request::from_parts(head, ahead.replay())).await?;
        if answer.status().is_success() {
            credentials.learned(&parts);
        }
        return Ok(answer);
    };
    let tried = match parts.breakers.admit_pin(phone, call, &pin).await {
        PinGate::Forward(tried) => tried,
        PinGate::Hold(held) => return Ok(held::response(&held, phone, &parts.ids.next())),
    };
    let request = Request::from_parts(head, ahead.replay());
    let watching = watch(Arc::clone(&parts), upstream, request, pin, tried, credentials);
    parts.detaching(watching).await
}

/// The PIN in a request. `body`: all of it.
fn find(parts: &Parts, head: &request::Parts, body: &[u8], may_be_batch: bool) -> Option<Pin> {
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let query = head.uri.query();
    let pin = pin::read(content_type, query, body)?;
    if may_be_batch {
        match Batch::read(query, content_type, body) {
            Ok(_) => return None,
            Err(NoBatch::Unreadable) => parts.telemetry.emit(UnreadBatchEvent),
            Err(NoBatch::Other) => {}
        }
    }
    Some(pin)
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
    let collected = observe::collect(body, observe::CAP).await;
    if let Some((data, is_whole)) = collected.all() {
        let (verdict, error) = answer::judge(&head, data, is_whole, &pin, parts.breakers.now()).await;
        tried.answered(verdict, error);
    }
    if head.status.is_success() {
        credentials.learned(&parts);
    }
    collected.release(head)
}
