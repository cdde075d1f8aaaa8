//! The bodies that pass through. They keep length, frames and trailers as they came, and box nothing per frame.

mod copied;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

pub use copied::{Copied, Passed};

use crate::error::{ErrorKind, ProxyError};
use copied::Copying;

/// What goes to upstream.
pub struct RequestBody {
    source: Source,
    progress: Option<Arc<Progress>>,
    copying: Option<Box<Copying>>,
}

enum Source {
    Incoming(Incoming),
    Full(Bytes),
    Replay { first: VecDeque<Frame<Bytes>>, rest: Option<Incoming> },
}

impl RequestBody {
    /// No body at all.
    pub fn empty() -> Self {
        Bytes::new().into()
    }

    /// Frames that were read ahead, then what has not been read yet (`None`: nothing). The length is the sum of both, so a
    /// `Content-Length` stays right; trailers may be among the frames.
    pub fn replay(first: VecDeque<Frame<Bytes>>, rest: Option<Incoming>) -> Self {
        Self { source: Source::Replay { first, rest }, progress: None, copying: None }
    }

    /// The same, and a copy of it: at most so many bytes, kept as they pass.
    pub fn copied(mut self, most: usize) -> (Self, Copied) {
        let (copying, copied) = Copying::new(most);
        self.copying = Some(Box::new(copying));
        if self.is_end_stream() {
            Copying::copy(&mut self.copying, None, true);
        }
        (self, copied)
    }

    /// Notes in `progress` whenever the connection takes a frame.
    pub(crate) fn track(&mut self, progress: Arc<Progress>) {
        self.progress = Some(progress);
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.source {
            Source::Incoming(incoming) => Pin::new(incoming).poll_frame(cx),
            Source::Full(data) if data.is_empty() => Poll::Ready(None),
            Source::Full(data) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(data))))),
            Source::Replay { first, rest } => match (first.pop_front(), rest) {
                (Some(frame), _) => Poll::Ready(Some(Ok(frame))),
                (None, Some(rest)) => Pin::new(rest).poll_frame(cx),
                (None, None) => Poll::Ready(None),
            },
        }
    }
}

impl From<Incoming> for RequestBody {
    fn from(incoming: Incoming) -> Self {
        Self { source: Source::Incoming(incoming), progress: None, copying: None }
    }
}

impl From<Bytes> for RequestBody {
    fn from(data: Bytes) -> Self {
        Self { source: Source::Full(data), progress: None, copying: None }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(self.poll_source(cx));
        if let Some(progress) = &self.progress {
            progress.note();
        }
        let ended = self.copying.is_some() && (frame.is_none() || self.is_end_stream());
        match &frame {
            Some(Ok(frame)) => Copying::copy(&mut self.copying, Some(frame), ended),
            None => Copying::copy(&mut self.copying, None, ended),
            Some(Err(_)) => self.copying = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Incoming(incoming) => incoming.is_end_stream(),
            Source::Full(data) => data.is_empty(),
            Source::Replay { first, rest } => {
                first.is_empty() && rest.as_ref().is_none_or(Body::is_end_stream)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Incoming(incoming) => incoming.size_hint(),
            Source::Full(data) => SizeHint::with_exact(data.len() as u64),
            Source::Replay { first, rest } => {
                let read: u64 = first.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum();
                let unread = rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
                let mut hint = SizeHint::new();
                if let Some(upper) = unread.upper() {
                    hint.set_upper(read.saturating_add(upper));
                }
                hint.set_lower(read.saturating_add(unread.lower()));
                hint
            }
        }
    }
}

/// The size only: bodies are secret.
impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("size", &self.size_hint()).finish_non_exhaustive()
    }
}

/// When a request body last moved, for a time-out that must not hit a slow upload.
#[derive(Debug)]
pub(crate) struct Progress {
    start: Instant,
    /// Milliseconds after `start`.
    last: AtomicU64,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), last: AtomicU64::new(0) }
    }

    fn note(&self) {
        let since = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(since, Ordering::Relaxed);
    }

    pub(crate) fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }
}

/// Counts as one use of something until it is dropped.
#[derive(Debug)]
pub(crate) struct InUse(Arc<AtomicUsize>);

impl InUse {
    pub(crate) fn count(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counter))
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the app is given. Fails with [`ErrorKind::UpstreamTimeout`] if upstream stalls in the middle, with
/// [`ErrorKind::UpstreamReset`] if it breaks off.
pub struct ResponseBody(Answer);

enum Answer {
    Streaming(Streaming),
    Full(Bytes),
    Collected { data: Bytes, trailers: Option<Box<HeaderMap>> },
    Resumed { first: VecDeque<Frame<Bytes>>, rest: Box<ResponseBody> },
    Copied { copying: Option<Box<Copying>>, body: Box<ResponseBody> },
}

struct Streaming {
    incoming: Incoming,
    timeout: Duration,
    timer: Pin<Box<Sleep>>,
    /// Whether `timer` runs: only while we wait for upstream, so that a slow app is not held against it.
    waiting: bool,
    _in_use: Option<InUse>,
}

impl ResponseBody {
    /// An answer of our own; its length is announced.
    pub fn full(data: impl Into<Bytes>) -> Self {
        Self(Answer::Full(data.into()))
    }

    /// A forwarded answer that was read to its end first. It claims no length of its own: the header fields decide between
    /// `Content-Length` and chunks, as upstream did.
    pub fn collected(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        Self(Answer::Collected { data, trailers: trailers.map(Box::new) })
    }

    /// A forwarded answer that was read in part: what was read, then the rest as it comes.
    pub fn resumed(first: VecDeque<Frame<Bytes>>, rest: Self) -> Self {
        Self(Answer::Resumed { first, rest: Box::new(rest) })
    }

    /// The same, and a copy of it: at most so many bytes, kept as they pass.
    pub fn copied(self, most: usize) -> (Self, Copied) {
        let (copying, copied) = Copying::new(most);
        let mut copying = Some(Box::new(copying));
        if self.has_ended() {
            Copying::copy(&mut copying, None, true);
        }
        (Self(Answer::Copied { copying, body: Box::new(self) }), copied)
    }

    /// Whether all of it has passed. Over HTTP/2 its end may come after its last byte, and whoever knows the length does not wait
    /// for that.
    fn has_ended(&self) -> bool {
        self.is_end_stream() || self.size_hint().exact() == Some(0)
    }

    /// Upstream's own, as it comes. `timer` is any timer, set anew here.
    pub(crate) fn streaming(
        incoming: Incoming,
        timeout: Duration,
        timer: Pin<Box<Sleep>>,
        in_use: Option<InUse>,
    ) -> Self {
        Self(Answer::Streaming(Streaming { incoming, timeout, timer, waiting: false, _in_use: in_use }))
    }
}

impl Streaming {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ProxyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) {
            self.waiting = false;
            return Poll::Ready(
                frame.map(|frame| frame.map_err(|error| ProxyError::new(ErrorKind::UpstreamReset, error))),
            );
        }
        if !self.waiting {
            self.waiting = true;
            self.timer.as_mut().reset(Instant::now() + self.timeout);
        }
        ready!(self.timer.as_mut().poll(cx));
        self.waiting = false;
        Poll::Ready(Some(Err(ErrorKind::UpstreamTimeout.into())))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ProxyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ProxyError>>> {
        match &mut self.0 {
            Answer::Streaming(streaming) => streaming.poll(cx),
            Answer::Full(data) | Answer::Collected { data, .. } if !data.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(data)))))
            }
            Answer::Full(_) => Poll::Ready(None),
            Answer::Resumed { first, rest } => match first.pop_front() {
                Some(frame) => Poll::Ready(Some(Ok(frame))),
                None => Pin::new(&mut **rest).poll_frame(cx),
            },
            Answer::Copied { copying, body } => {
                let frame = ready!(Pin::new(&mut **body).poll_frame(cx));
                match &frame {
                    Some(Ok(frame)) => Copying::copy(copying, Some(frame), body.has_ended()),
                    None => Copying::copy(copying, None, true),
                    Some(Err(_)) => *copying = None,
                }
                Poll::Ready(frame)
            }
            Answer::Collected { trailers, .. } => {
                Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(*trailers))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Answer::Streaming(streaming) => streaming.incoming.is_end_stream(),
            Answer::Full(data) => data.is_empty(),
            Answer::Collected { data, trailers } => data.is_empty() && trailers.is_none(),
            Answer::Resumed { first, rest } => first.is_empty() && rest.is_end_stream(),
            Answer::Copied { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Answer::Streaming(streaming) => streaming.incoming.size_hint(),
            Answer::Full(data) => SizeHint::with_exact(data.len() as u64),
            Answer::Copied { body, .. } => body.size_hint(),
            // The header fields announce what upstream announced.
            Answer::Collected { .. } | Answer::Resumed { .. } => SizeHint::new(),
        }
    }
}

/// The size only: bodies are secret.
impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("size", &self.size_hint()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http_body_util::BodyExt;

    use super::*;

    fn trailers() -> HeaderMap {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        trailers
    }

    #[tokio::test]
    async fn replays_frames_and_trailers_with_their_length() {
        let frames = [Frame::data("ab".into()), Frame::data("c".into()), Frame::trailers(trailers())];
        let body = RequestBody::replay(VecDeque::from(frames), None);
        assert_eq!(body.size_hint().exact(), Some(3));
        assert!(!body.is_end_stream());
        let collected = body.collect().await.unwrap();
        assert_eq!(collected.trailers(), Some(&trailers()));
        assert_eq!(collected.to_bytes(), "abc");
    }

    #[tokio::test]
    async fn a_full_body_ends_after_its_one_frame() {
        let mut body = RequestBody::from(Bytes::from_static(b"x"));
        assert_eq!(body.size_hint().exact(), Some(1));
        assert!(body.frame().await.is_some());
        assert!(body.is_end_stream());
        assert!(RequestBody::empty().is_end_stream());
    }

    #[test]
    fn debug_tells_no_content() {
        let request = RequestBody::replay(VecDeque::from([Frame::data("secret".into())]), None);
        assert!(!format!("{request:?} {:?}", ResponseBody::full("secret")).contains("secret"));
    }

    #[tokio::test]
    async fn only_our_own_answer_announces_a_length() {
        assert_eq!(ResponseBody::full("abc").size_hint().exact(), Some(3));
        let forwarded = ResponseBody::collected("abc".into(), Some(trailers()));
        assert_eq!(forwarded.size_hint().exact(), None);
        let collected = forwarded.collect().await.unwrap();
        assert_eq!(collected.trailers(), Some(&trailers()));
        assert_eq!(collected.to_bytes(), "abc");
        assert!(ResponseBody::collected(Bytes::new(), None).is_end_stream());
    }

    #[tokio::test]
    async fn a_copy_of_an_answer_is_there_when_it_has_passed() {
        let frames = |rest| {
            let first = [Frame::data("ab".into()), Frame::data("c".into())];
            ResponseBody::resumed(VecDeque::from(first), rest)
        };
        let (body, copied) = frames(ResponseBody::collected("d".into(), Some(trailers()))).copied(4);
        let passed = body.collect().await.unwrap();
        assert_eq!(passed.trailers(), Some(&trailers()));
        assert_eq!(passed.to_bytes(), "abcd");
        assert!(matches!(copied.end().await, Some(Passed::Whole(data)) if data == "abcd"));

        let (body, copied) = frames(ResponseBody::full("de")).copied(4);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abcde", "longer than the copy");
        assert!(matches!(copied.end().await, Some(Passed::Long)));

        let (mut body, copied) = frames(ResponseBody::full("d")).copied(4);
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert!(copied.end().await.is_none(), "cut");

        // Who knows the length does not ask for the end.
        let (mut body, copied) = ResponseBody::full("abc").copied(4);
        assert_eq!(body.size_hint().exact(), Some(3));
        body.frame().await.unwrap().unwrap();
        assert!(matches!(copied.now(), Some(Passed::Whole(data)) if data == "abc"));
        let (_, copied) = ResponseBody::full("").copied(4);
        assert!(matches!(copied.now(), Some(Passed::Whole(data)) if data.is_empty()));
    }
}
