//! The answer to a send: read to its end, judged, and only then released. A batch's answer has several, each judged alike.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, response};
use http_body::Frame;
use http_body_util::BodyExt;

use super::decode::{self, decoded};
use super::{Credentials, Parts};
use crate::body::ResponseBody;
use crate::breakers::{Permit, Settling};
use crate::error::ProxyError;
use crate::graph::answer::{self, Answer};
use crate::graph::error::is_lock;
use crate::graph::route::Endpoint;
use crate::telemetry::events::GraphErrorEvent;

/// The most bytes of an answer that are read before it is released. Meta's answers to sends have some hundred.
pub(in crate::stack) const CAP: usize = 256 * 1024;

/// An answer's body, as far as it was read.
pub(in crate::stack) struct Collected {
    pub(super) data: Bytes,
    pub(super) end: End,
}

/// Why no more was read.
pub(super) enum End {
    /// It is the whole body.
    Whole(Option<HeaderMap>),
    /// It is beyond the cap; this is the rest.
    Long(ResponseBody),
    /// Upstream broke off or stalled.
    Broken(ProxyError),
}

/// Reads an answer up to `cap` bytes and a frame.
pub(in crate::stack) async fn collect(mut body: ResponseBody, cap: usize) -> Collected {
    let (mut first, mut more, mut trailers) = (Bytes::new(), BytesMut::new(), None);
    let end = loop {
        match body.frame().await {
            None => break End::Whole(trailers),
            Some(Err(error)) => break End::Broken(error),
            Some(Ok(frame)) => match frame.into_data() {
                // Nearly every answer is one frame, and is not copied.
                Ok(data) if first.is_empty() => first = data,
                Ok(data) => more.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
        if first.len() + more.len() > cap {
            break End::Long(body);
        }
    };
    let data = if more.is_empty() { first } else { [first, more.freeze()].concat().into() };
    Collected { data, end }
}

impl Collected {
    /// What was read, if it is all that came; and whether it is the whole body.
    pub(in crate::stack) fn all(&self) -> Option<(&Bytes, bool)> {
        match self.end {
            End::Whole(_) => Some((&self.data, true)),
            End::Broken(_) => Some((&self.data, false)),
            End::Long(_) => None,
        }
    }

    /// The answer as it came. Of one that broke off nothing is released.
    pub(in crate::stack) fn release(
        self,
        head: response::Parts,
    ) -> Result<Response<ResponseBody>, ProxyError> {
        let body = match self.end {
            End::Whole(trailers) => ResponseBody::collected(self.data, trailers),
            End::Long(rest) => ResponseBody::resumed([Frame::data(self.data)].into(), rest),
            End::Broken(error) => return Err(error),
        };
        Ok(Response::from_parts(head, body))
    }
}

/// Judges an answer, waits for what follows from it to be durable, and gives it back as it came. One that broke off is
/// judged too, for a 131031 in it is a 131031; but nothing of it is released.
pub(super) async fn observe(
    parts: &Parts,
    head: response::Parts,
    collected: Collected,
    endpoint: Endpoint,
    permit: Permit,
    credentials: &Credentials,
) -> Result<Response<ResponseBody>, ProxyError> {
    let settling = if let End::Long(_) = collected.end {
        permit.other()
    } else {
        let plain = decoded(&head.headers, &collected.data, decode::CAP).await;
        // What is not what its Content-Encoding says may be plain.
        let answer = answer::read(&plain).or_else(|| answer::read(&collected.data));
        match (&collected.end, &answer) {
            (End::Broken(_), Some(Answer { error: Some(error), .. })) if is_lock(error.code) => {}
            // No answer: a trial is abandoned by it.
            (End::Broken(error), _) => return Err(error.kind.into()),
            _ => {}
        }
        let judged = Judged {
            success: head.status.is_success(),
            fbtrace_id: fbtrace_id(&head.headers),
            plain: &plain,
            answer,
        };
        judged.verdict(parts, endpoint, permit, credentials)
    };
    settling.await;
    collected.release(head)
}

/// What Meta said to one send, on its own or in a batch.
pub(super) struct Judged<'a> {
    /// Whether the status is 2xx.
    pub(super) success: bool,
    /// Meta's id of the call, from the headers.
    pub(super) fbtrace_id: Option<&'a str>,
    /// The body, decoded.
    pub(super) plain: &'a [u8],
    /// What the body says, if it can be read.
    pub(super) answer: Option<Answer<'a>>,
}

impl Judged<'_> {
    /// Gives the permit back with what became of the send.
    pub(super) fn verdict(
        self,
        parts: &Parts,
        endpoint: Endpoint,
        mut permit: Permit,
        credentials: &Credentials,
    ) -> Settling {
        let error = match self.answer {
            Some(Answer { error: Some(error), .. }) => error,
            _ if !self.success => return permit.failed(),
            Some(answer) => {
                credentials.learned(parts);
                return permit.accepted(&answer.messages, self.fbtrace_id);
            }
            None => {
                credentials.learned(parts);
                return match endpoint {
                    // A read receipt. A trial was looked at before, and is none.
                    Endpoint::Messages if answer::is_acknowledgement(self.plain) => {
                        permit.no_send();
                        Settling::default()
                    }
                    // Its success is opaque.
                    Endpoint::MessagesEncrypted => permit.accepted(&[], self.fbtrace_id),
                    Endpoint::Messages | Endpoint::MarketingMessages => permit.other(),
                };
            }
        };
        parts.telemetry.emit(GraphErrorEvent(error.code));
        // `(#131031) Business Account locked`: the number is said already.
        let title = error.message.split_once(") ").map_or(&*error.message, |(_, title)| title);
        let (title, fbtrace_id) = (cut(title), error.fbtrace_id.as_deref().map(cut));
        if !is_lock(error.code) {
            if parts.breakers.is_about_token(error.code) {
                permit.by(credentials.refused(parts));
            }
            return permit.refused(error.code, title, fbtrace_id);
        }
        // Meta let the token pass, and refused the account.
        credentials.learned(parts);
        permit.locked(error.code, title, fbtrace_id)
    }
}

/// Meta's id of a call that went well: an error has it in its body.
fn fbtrace_id(headers: &HeaderMap) -> Option<&str> {
    let name = ["x-fb-request-id", "x-fb-trace-id"];
    name.into_iter().find_map(|name| headers.get(name)?.to_str().ok())
}

/// The most of a text of Meta's that is kept, shown and logged, in characters.
const MOST_TEXT: usize = 512;

pub(in crate::stack) fn cut(text: &str) -> String {
    text.chars().take(MOST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arc_swap::ArcSwap;
    use http::{HeaderValue, StatusCode, Uri, header};
    use tokio::sync::Semaphore;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::breakers::{Breakers, Settings};
    use crate::clock::Clock;
    use crate::error::ErrorKind;
    use crate::graph::ids::PhoneNumberId;
    use crate::prober::{TokenSettings, Tokens};
    use crate::stack::Rejecting;
    use crate::stack::own::RequestIds;
    use crate::store::memory::Memory;
    use crate::telemetry::{Scrape, Telemetry};

    const LOCK: &[u8] = br#"{"error":{"message":"(#131031) Business Account locked","code":131031}}"#;
    const ENDPOINT: Endpoint = Endpoint::Messages;

    /// Observes one answer to a send of a closed phone; says what came of it, the phone's state, and the sends counted.
    async fn after(
        coding: Option<&'static str>,
        data: &'static [u8],
        end: End,
    ) -> (Result<StatusCode, ErrorKind>, &'static str, bool) {
        let phone = PhoneNumberId::parse("106540352242922").unwrap();
        let telemetry = Telemetry::new();
        let (breakers, ..) =
            Breakers::open(Arc::new(Memory), Settings::default(), telemetry.clone(), Clock::System).unwrap();
        let permit = breakers.admit_closed(phone).unwrap();
        let parts = Parts {
            breakers: breakers.clone(),
            tokens: Arc::new(Tokens::new(TokenSettings { tokens: [].into(), borrow: true })),
            telemetry: telemetry.clone(),
            rejecting: ArcSwap::from_pointee(Rejecting { status: StatusCode::FORBIDDEN, retry_after: false }),
            ids: Arc::new(RequestIds::new()),
            tasks: TaskTracker::new(),
            places: Arc::new(Semaphore::new(1)),
        };
        let credentials = Credentials { node: phone, uri: Uri::from_static("/1"), authorization: None };
        let (mut head, ()) = Response::new(()).into_parts();
        if let Some(coding) = coding {
            head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        let collected = Collected { data: Bytes::from_static(data), end };
        let answer = observe(&parts, head, collected, ENDPOINT, permit, &credentials).await;
        let answer = answer.map(|answer| answer.status()).map_err(|error| error.kind);
        let counted = telemetry.render(&Scrape::default());
        let counted = counted.contains("sendfuse_sends_total{admission=\"forward\"} 1");
        (answer, breakers.view(phone).state, counted)
    }

    #[tokio::test]
    async fn a_lock_in_an_answer_that_broke_off_counts() {
        let broken = || End::Broken(ErrorKind::UpstreamReset.into());
        assert_eq!(after(None, LOCK, broken()).await, (Err(ErrorKind::UpstreamReset), "open", true));
        let half = &LOCK[..LOCK.len() - 2];
        assert_eq!(after(None, half, broken()).await, (Err(ErrorKind::UpstreamReset), "closed", true));
    }

    #[tokio::test]
    async fn a_lock_under_a_wrong_coding_counts() {
        for coding in ["gzip", "br", "deflate", "zstd", "compress"] {
            let end = End::Whole(None);
            assert_eq!(after(Some(coding), LOCK, end).await, (Ok(StatusCode::OK), "open", true), "{coding}");
        }
    }

    #[tokio::test]
    async fn only_an_acknowledgement_is_no_send() {
        for (data, counted) in [
            (&br#"{"success":true}"#[..], false),
            (br#"{"success":false}"#, true),
            (br#"{"messages":[{"id":"wamid.x"}]}"#, true),
            (b"<html>", true),
            (b"", true),
        ] {
            let expected = (Ok(StatusCode::OK), "closed", counted);
            assert_eq!(after(None, data, End::Whole(None)).await, expected, "{data:?}");
        }
    }
}
