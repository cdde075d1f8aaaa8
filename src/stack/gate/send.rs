//! One send, from the gate to its verdict.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::super::own::{NEXT_CHECK, PROXY_STATUS, REASON};
use super::drain::{Ahead, KEPT};
use super::{Credentials, Forward, Parts, observe};
use crate::body::{Passed, RequestBody, ResponseBody};
use crate::breaker::Rejection;
use crate::breakers::{Gate, Permit, Traits};
use crate::error::ProxyError;
use crate::graph::ids::PhoneNumberId;
use crate::graph::message;
use crate::graph::route::{Endpoint, is_read_receipt};
use crate::telemetry::events::OverheadEvent;

/// Rejects, or forwards and watches the answer.
///
/// Not cancel safe in itself: the caller lets it run to its end (see [`super::hangup`]), and a permit that is dropped all the
/// same counts as abandoned.
pub(super) async fn send<S: Forward>(
    parts: Arc<Parts>,
    mut upstream: S,
    phone: PhoneNumberId,
    endpoint: Endpoint,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, ProxyError> {
    let came = Instant::now();
    let mut recipient = None;
    let (request, mut permit, credentials) = match parts.breakers.admit_closed(phone) {
        Some(permit) => {
            let credentials = Credentials::of(phone, &request);
            let (head, mut body) = request.map(RequestBody::from).into_parts();
            // Only an error says whether anybody wants to know.
            if parts.breakers.has_country_rules() {
                let content_type = head.headers.get(header::CONTENT_TYPE).cloned();
                let (copying, copied) = body.copied(KEPT);
                body = copying;
                recipient = Some((content_type, copied));
            }
            (Request::from_parts(head, body), permit, credentials)
        }
        None => match look_closer(&parts, phone, endpoint, request).await? {
            Looked::Forward(request, permit, credentials) => (request, permit, credentials),
            Looked::Pass(request, credentials) => {
                let answer = upstream.call(request).await?;
                if answer.status().is_success() {
                    credentials.learned(&parts);
                }
                return Ok(answer);
            }
            Looked::Rejected(response) => return Ok(response),
        },
    };
    let before = came.elapsed();
    let answer = upstream.call(request).await?;
    let (head, body) = answer.into_parts();
    if let (false, Some((content_type, copied))) = (head.status.is_success(), recipient)
        && let Some(Passed::Whole(body)) = copied.now()
    {
        let content_type = content_type.as_ref().and_then(|value| value.to_str().ok());
        permit.to(message::outline(endpoint, content_type, credentials.uri.query(), &body).country);
    }
    let collected = observe::collect(body, observe::CAP).await;
    let after = Instant::now();
    let answer = observe::observe(&parts, head, collected, endpoint, permit, &credentials).await;
    parts.telemetry.emit(OverheadEvent(before + after.elapsed()));
    answer
}

enum Looked {
    Forward(Request<RequestBody>, Permit, Credentials),
    Pass(Request<RequestBody>, Credentials),
    Rejected(Response<ResponseBody>),
}

/// The phone is not closed: now the body is looked into. Only a send may be rejected, or take the trial's permit.
async fn look_closer(
    parts: &Parts,
    phone: PhoneNumberId,
    endpoint: Endpoint,
    request: Request<Incoming>,
) -> Result<Looked, ProxyError> {
    let credentials = Credentials::of(phone, &request);
    let (head, body) = request.into_parts();
    let ahead = Ahead::of(body).read(KEPT).await?;
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if endpoint == Endpoint::Messages && ahead.whole().is_some_and(|body| is_read_receipt(content_type, body))
    {
        return Ok(Looked::Pass(Request::from_parts(head, ahead.replay()), credentials));
    }
    // One that is too long to look into is of an unknown class.
    let outline = |body| message::outline(endpoint, content_type, head.uri.query(), body);
    let outline = ahead.whole().map(outline).unwrap_or_default();
    let token = parts.breakers.holds_others().then(|| credentials.token(parts)).flatten();
    let traits = Traits { class: outline.class, country: outline.country, token };
    Ok(match parts.breakers.admit(phone, traits) {
        Gate::Forward(permit) => {
            Looked::Forward(Request::from_parts(head, ahead.replay()), permit, credentials)
        }
        Gate::Reject(rejection) => {
            ahead.drain().await;
            Looked::Rejected(reject(parts, &rejection))
        }
    })
}

const STATE: HeaderName = HeaderName::from_static("x-sendfuse-state");
const INCIDENT: HeaderName = HeaderName::from_static("x-sendfuse-incident");

fn reject(parts: &Parts, rejection: &Rejection) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(rejection.body(&parts.ids.next())));
    (*response.status_mut(), *response.headers_mut()) = rejection_head(parts, rejection);
    response
}

/// The status and the headers of a rejection.
pub(super) fn rejection_head(parts: &Parts, rejection: &Rejection) -> (StatusCode, HeaderMap) {
    let rejecting = parts.rejecting.load();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, super::super::own::JSON);
    headers.insert(STATE, HeaderValue::from_static(rejection.state.name()));
    headers.insert(PROXY_STATUS, HeaderValue::from_static("sendfuse; error=destination_unavailable"));
    let mut insert = |name, text: &str| {
        // Digits, dashes and our own words: always a header value.
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    insert(REASON, &rejection.reason);
    if let Some(incident) = &rejection.incident {
        insert(INCIDENT, incident);
    }
    if let Some(seconds) = rejection.next_check {
        insert(NEXT_CHECK, &seconds.to_string());
        if rejecting.retry_after {
            insert(header::RETRY_AFTER, &seconds.to_string());
        }
    }
    (rejecting.status, headers)
}
