//! The answer to a send: read to its end, judged, and only then released.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, response};
use http_body::Frame;
use http_body_util::BodyExt;

use super::decode::decoded;
use super::{Credentials, Parts};
use crate::body::ResponseBody;
use crate::breakers::{Permit, Settling};
use crate::error::ProxyError;
use crate::graph::answer::{self, Answer};
use crate::graph::error::is_lock;
use crate::graph::route::Endpoint;
use crate::telemetry::events::GraphErrorEvent;

/// The most bytes of an answer that are read before it is released. Meta's answers to sends have some hundred.
pub(super) const CAP: usize = 256 * 1024;

/// An answer's body, as far as it was read.
pub(super) enum Collected {
    /// To its end.
    Whole(Bytes, Option<HeaderMap>),
    /// Beyond the cap: what was read, and the rest.
    Long(VecDeque<Frame<Bytes>>, ResponseBody),
}

/// Reads an answer up to [`CAP`]. Fails if upstream breaks off or stalls before; then nothing of the answer is released.
pub(super) async fn collect(mut body: ResponseBody) -> Result<Collected, ProxyError> {
    let (mut frames, mut size, mut trailers) = (VecDeque::new(), 0, None);
    while let Some(frame) = body.frame().await.transpose()? {
        match frame.into_data() {
            Ok(data) => {
                size += data.len();
                frames.push_back(data);
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
        if size > CAP {
            return Ok(Collected::Long(frames.into_iter().map(Frame::data).collect(), body));
        }
    }
    let data = match frames.len() {
        0 | 1 => frames.pop_front().unwrap_or_default(),
        _ => {
            let mut joined = BytesMut::with_capacity(size);
            frames.iter().for_each(|data| joined.extend_from_slice(data));
            joined.freeze()
        }
    };
    Ok(Collected::Whole(data, trailers))
}

/// Judges an answer, waits for what follows from it to be durable, and gives it back as it came.
pub(super) async fn observe(
    parts: &Parts,
    head: response::Parts,
    collected: Collected,
    endpoint: Endpoint,
    permit: Permit,
    credentials: &Credentials,
) -> Response<ResponseBody> {
    let (body, settling) = match collected {
        Collected::Whole(data, trailers) => {
            let settling = {
                let plain = decoded(&head.headers, &data).await;
                let answer = answer::read(&plain).unwrap_or_default();
                judge(parts, &head, &answer, endpoint, permit, credentials)
            };
            (ResponseBody::collected(data, trailers), settling)
        }
        Collected::Long(first, rest) => (ResponseBody::resumed(first, rest), permit.other()),
    };
    settling.await;
    Response::from_parts(head, body)
}

fn judge(
    parts: &Parts,
    head: &response::Parts,
    answer: &Answer<'_>,
    endpoint: Endpoint,
    permit: Permit,
    credentials: &Credentials,
) -> Settling {
    let Some(error) = &answer.error else {
        if !head.status.is_success() {
            return permit.other();
        }
        credentials.learned(parts);
        if answer.wamids.is_empty() && endpoint == Endpoint::Messages {
            // `{"success":true}`: a read receipt. A trial was looked at before, and is none.
            permit.no_send();
            return Settling::default();
        }
        return permit.accepted(answer.wamids.iter().map(AsRef::as_ref));
    };
    parts.telemetry.emit(GraphErrorEvent(error.code));
    if !is_lock(error.code) {
        return permit.other();
    }
    // Meta let the token pass, and refused the account.
    credentials.learned(parts);
    // `(#131031) Business Account locked`: the number is said already.
    let title = error.message.split_once(") ").map_or(&*error.message, |(_, title)| title);
    let text = title.to_owned();
    permit.locked(error.code, text, error.fbtrace_id.as_deref().map(str::to_owned))
}
