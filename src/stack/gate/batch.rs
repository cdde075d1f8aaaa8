//! One batch, from the gate to the verdicts on its sends.
//!
//! While no phone has a breaker a call on a node path goes on at once, and a copy of it is kept as it passes, so that the results can be
//! told apart. Else it is read first: operations that are held are answered in their place, and the others go on.

mod decide;

use std::sync::Arc;

use http::{HeaderValue, Request, Response, Uri, header, request};
use url::form_urlencoded::byte_serialize;

use super::super::own::JSON;
use super::decode::decoded;
use super::drain::Ahead;
use super::observe::{self, End, Judged};
use super::{Credentials, Forward, Parts, content_types};
use crate::body::{Passed, RequestBody, ResponseBody};
use crate::breakers::{Permit, Quiet, Settling};
use crate::error::{ErrorKind, ProxyError};
use crate::graph::answer;
use crate::graph::batch::{self, Batch, Changed, NoBatch, Operation, Results};
use crate::graph::error::is_lock;
use crate::graph::ids::PhoneNumberId;
use crate::graph::route::{self, Endpoint};
use crate::telemetry::events::UnreadBatchEvent;
use decide::{Decided, decide};

/// The most bytes of a call on a node path that are looked into. Fifty templates have some hundred thousand.
const MOST: usize = 4 * 1024 * 1024;

/// The most bytes of a batch's answer that are read before it is released.
const MOST_ANSWER: usize = 8 * 1024 * 1024;

/// What the parts of a call are read by.
struct Told {
    uri: Uri,
    content_type: Option<HeaderValue>,
    authorization: Option<HeaderValue>,
    /// Whether Graph undoes a coding, and which of several content types it takes, is not known. What is readable by what the call says first
    /// is looked into; if nothing is, it may be a batch all the same.
    is_unclear: bool,
}

/// Forwards a POST on a node path; if it is a batch, without the operations that are held, and watches the answers of its sends.
/// `credentials`: those of the node, if it is a phone's. `ahead`: its body, of which some may have been read.
///
/// Not cancel safe in itself, as [`super::send::send`].
pub(in crate::stack) async fn batch<S: Forward>(
    parts: Arc<Parts>,
    mut upstream: S,
    credentials: Option<Credentials>,
    head: request::Parts,
    ahead: Ahead,
) -> Result<Response<ResponseBody>, ProxyError> {
    let told = Told::of(&head);
    if ahead.at_least() > MOST as u64 {
        parts.telemetry.emit(UnreadBatchEvent);
        return pass(&parts, upstream, credentials, head, ahead.replay()).await;
    }
    if let Some(quiet) = parts.breakers.quiet() {
        let (body, copied) = ahead.replay().copied(MOST);
        let answer = upstream.call(Request::from_parts(head, body)).await;
        let awaited = match copied.now() {
            Some(Passed::Whole(body)) => {
                told.batch(&parts, &body).map(|batch| told.forwarded(&batch, &quiet))
            }
            Some(Passed::Long) => {
                parts.telemetry.emit(UnreadBatchEvent);
                None
            }
            None => None,
        };
        let answer = answer?;
        return match awaited {
            Some(awaited) => watch(&parts, answer, awaited, None).await,
            None => Ok(passed(&parts, credentials, answer)),
        };
    }
    let ahead = ahead.read(MOST).await?;
    if ahead.whole().is_none() {
        parts.telemetry.emit(UnreadBatchEvent);
    }
    let batch = ahead.whole().and_then(|body| told.batch(&parts, body));
    let Some(batch) = batch else {
        return pass(&parts, upstream, credentials, head, ahead.replay()).await;
    };
    let Decided { awaited, entries, held } = decide(&parts, &told, &batch);
    if !held.contains(&true) {
        drop(batch);
        let answer = upstream.call(Request::from_parts(head, ahead.replay())).await?;
        return watch(&parts, answer, awaited, None).await;
    }
    if !held.contains(&false) {
        let mut response = Response::new(ResponseBody::full(batch::all(&entries)));
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
        return Ok(response);
    }
    let changed = batch.without(&held);
    drop(batch);
    let request = without_held(head, ahead, changed)?;
    let answer = upstream.call(request).await?;
    watch(&parts, answer, awaited, Some(entries)).await
}

fn is_coding(value: &HeaderValue) -> bool {
    let coding = value.as_bytes().trim_ascii();
    !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")
}

/// Forwards what is no batch, or cannot be looked into.
async fn pass<S: Forward>(
    parts: &Parts,
    mut upstream: S,
    credentials: Option<Credentials>,
    head: request::Parts,
    body: RequestBody,
) -> Result<Response<ResponseBody>, ProxyError> {
    let answer = upstream.call(Request::from_parts(head, body)).await?;
    Ok(passed(parts, credentials, answer))
}

fn passed(
    parts: &Parts,
    credentials: Option<Credentials>,
    answer: Response<ResponseBody>,
) -> Response<ResponseBody> {
    if let Some(credentials) = credentials.filter(|_| answer.status().is_success()) {
        credentials.learned(parts);
    }
    answer
}

impl Told {
    fn of(head: &request::Parts) -> Self {
        let header = |name| head.headers.get(name).cloned();
        Self {
            uri: head.uri.clone(),
            content_type: header(header::CONTENT_TYPE),
            authorization: header(header::AUTHORIZATION),
            is_unclear: head.headers.get(header::CONTENT_ENCODING).is_some_and(is_coding)
                || content_types(&head.headers) > 1,
        }
    }

    /// The batch that the call is, if it is one that sends. Counts what may hide sends.
    fn batch<'r>(&'r self, parts: &Parts, body: &'r [u8]) -> Option<Batch<'r>> {
        let content_type = self.content_type.as_ref().and_then(|value| value.to_str().ok());
        let read = Batch::read(self.uri.query(), content_type, body);
        let hides = match &read {
            Ok(batch) => batch.may_hide_sends(),
            Err(NoBatch::Other) => self.is_unclear,
            Err(NoBatch::Unreadable) => true,
        };
        if hides {
            parts.telemetry.emit(UnreadBatchEvent);
        }
        read.ok().filter(Batch::sends)
    }

    /// The sends of a batch that went out as it was.
    fn forwarded(&self, batch: &Batch<'_>, quiet: &Quiet) -> Vec<Awaited> {
        let permits = batch.operations.iter().enumerate().map(|(at, operation)| {
            let mut permit = quiet.permit(batch.phone(at)?);
            permit.to(operation.outline.country);
            Some(permit)
        });
        self.awaited(batch, permits)
    }

    /// Those operations of a batch that have a permit, where their results will be. The permits are those of the operations that are
    /// forwarded, in their order, and only of these.
    fn awaited(&self, batch: &Batch<'_>, permits: impl Iterator<Item = Option<Permit>>) -> Vec<Awaited> {
        let awaited =
            batch.operations.iter().enumerate().zip(permits).filter_map(|((place, operation), permit)| {
                let (phone, endpoint) = operation.send?;
                Some(Awaited {
                    place,
                    permit: permit?,
                    endpoint,
                    null_is_success: batch.null_is_success(place),
                    credentials: self.credentials(batch, operation, phone),
                })
            });
        awaited.collect()
    }

    /// What an operation authenticates with, as a call of its own would show it: its own token, else the call's, else the batch's.
    fn credentials(&self, batch: &Batch<'_>, operation: &Operation, node: PhoneNumberId) -> Credentials {
        let (token, proof, authorization) = match &operation.access_token {
            Some(token) => (Some(token), operation.appsecret_proof.as_ref(), None),
            None => (batch.access_token.as_ref(), batch.appsecret_proof.as_ref(), self.authorization.clone()),
        };
        let mut uri = String::new();
        if let Some(version) = operation.version.as_deref().or_else(|| route::version(self.uri.path())) {
            uri.extend(["/", version]);
        }
        uri.extend(["/", node.as_str(), "?"]);
        for (name, value) in [("access_token", token), ("appsecret_proof", proof)] {
            if let Some(value) = value {
                uri.extend([name, "="]);
                uri.extend(byte_serialize(value.as_bytes()));
                uri.push('&');
            }
        }
        Credentials { node, uri: uri.parse().unwrap_or_default(), authorization }
    }
}

/// A send in a batch that is on its way.
struct Awaited {
    /// Where its result will be.
    place: usize,
    permit: Permit,
    endpoint: Endpoint,
    null_is_success: bool,
    credentials: Credentials,
}

/// The call without the operations that are held.
fn without_held(
    mut head: request::Parts,
    ahead: Ahead,
    changed: Changed,
) -> Result<Request<RequestBody>, ProxyError> {
    let body = match changed {
        Changed::Query(query) => {
            let query = String::from_utf8_lossy(&query);
            let target = format!("{}?{query}", head.uri.path());
            let mut uri = head.uri.into_parts();
            // Made of what was one before.
            let target = target.parse().map_err(|error| ProxyError::new(ErrorKind::Internal, error))?;
            uri.path_and_query = Some(target);
            head.uri = Uri::from_parts(uri).map_err(|error| ProxyError::new(ErrorKind::Internal, error))?;
            ahead.replay()
        }
        Changed::Body(body) => {
            if let Some(length) = head.headers.get_mut(header::CONTENT_LENGTH) {
                *length = body.len().into();
            }
            ahead.replaced(body)
        }
    };
    Ok(Request::from_parts(head, body))
}

/// Reads a batch's answer to its end, judges each of its sends, waits for what follows from it to be durable, and gives it back: as it
/// came, or with our `entries` in their places.
async fn watch(
    parts: &Parts,
    answer: Response<ResponseBody>,
    awaited: Vec<Awaited>,
    entries: Option<Vec<Option<String>>>,
) -> Result<Response<ResponseBody>, ProxyError> {
    let (mut head, body) = answer.into_parts();
    let collected = observe::collect(body, MOST_ANSWER).await;
    let plain = decoded(&head.headers, &collected.data, MOST_ANSWER as u64).await;
    // What is not what its Content-Encoding says may be plain.
    let results = Results::read(&plain).or_else(|| Results::read(&collected.data));
    let broken = matches!(collected.end, End::Broken(_));
    let refused = !head.status.is_success();
    let settlings: Vec<Settling> =
        awaited.into_iter().map(|awaited| awaited.judge(parts, results.as_ref(), broken, refused)).collect();
    for settling in settlings {
        settling.await;
    }
    let (entries, results) = match (entries, results) {
        (Some(entries), Some(results)) if !broken && !refused => (entries, results),
        // Nothing was held, or Meta did not carry out the batch at all: then its word is for all of it.
        _ => return collected.release(head),
    };
    if !results.is_whole() {
        let reason = "the results of a batch are too long or not whole, and cannot be put in their places";
        return Err(ProxyError::new(ErrorKind::UpstreamReset, reason));
    }
    head.headers.remove(header::CONTENT_ENCODING);
    head.headers.remove(header::CONTENT_LENGTH);
    Ok(Response::from_parts(head, ResponseBody::full(results.merged(&entries))))
}

impl Awaited {
    fn judge(self, parts: &Parts, results: Option<&Results<'_>>, broken: bool, refused: bool) -> Settling {
        let Self { place, permit, endpoint, null_is_success, credentials } = self;
        let Some(results) = results else {
            return match (broken, refused) {
                (true, _) => abandoned(permit),
                (false, true) => permit.failed(),
                (false, false) => permit.other(),
            };
        };
        let Some(outcome) = results.outcome(place) else {
            if results.is_null(place) && null_is_success {
                return permit.accepted(&[], None);
            }
            // What became of it is unknown.
            return abandoned(permit);
        };
        let plain = outcome.body.as_bytes();
        let answer = answer::read(plain);
        let locked =
            answer.as_ref().and_then(|answer| answer.error.as_ref()).is_some_and(|error| is_lock(error.code));
        if broken && !locked {
            return abandoned(permit);
        }
        let judged = Judged {
            success: outcome.code.is_some_and(|code| (200..300).contains(&code)),
            fbtrace_id: outcome.fbtrace_id.as_deref(),
            plain,
            answer,
        };
        judged.verdict(parts, endpoint, permit, &credentials)
    }
}

/// Nothing is known of it.
fn abandoned(permit: Permit) -> Settling {
    drop(permit);
    Settling::default()
}
