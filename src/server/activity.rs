//! What a connection is doing, and how long it may go on doing it.
//!
//! The library's own limits do not fit: version sniffing has none, and the one for reading a head also runs while a kept
//! connection is idle between requests. So reads, writes, requests and answers leave notes here, and a timer of the
//! connection looks at them. A request costs a few atomic writes and two looks at the clock.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// No request yet.
const FRESH: u8 = 0;
/// Between requests; nothing has arrived.
const IDLE: u8 = 1;
/// Between requests; a part of the next head has arrived.
const RECEIVING: u8 = 2;

/// Writes of no more than this are HTTP/2 talking of itself (pings, settings): they move no answer.
const CONTROL: usize = 64;

/// Notes about one connection.
///
/// They are read once per tick and none guards other data, so `Relaxed` is enough.
#[derive(Debug)]
pub(super) struct Activity {
    start: Instant,
    /// Requests whose answers are not finished.
    in_flight: AtomicUsize,
    /// What goes on while `in_flight` is 0.
    quiet: AtomicU8,
    /// Milliseconds after `start` at which `quiet` became what it is.
    since: AtomicU64,
    /// Milliseconds after `start` since which the peer takes no bytes; 0 if it does.
    blocked: AtomicU64,
    /// Answers that have something for the peer, which does not ask for it. Over HTTP/2 a window of nothing is enough for
    /// that; the socket does not show it.
    unread: AtomicUsize,
    /// Milliseconds after `start` at which such an answer last got something, or the peer took bytes.
    moved: AtomicU64,
    http2: AtomicBool,
}

/// What is to be done about a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing before this time.
    At(Instant),
    /// It has been idle for long: shut it down in good order.
    Leave,
    /// The peer keeps us waiting: close it.
    Close,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            in_flight: AtomicUsize::new(0),
            quiet: AtomicU8::new(FRESH),
            since: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            unread: AtomicUsize::new(0),
            moved: AtomicU64::new(0),
            http2: AtomicBool::new(false),
        }
    }

    /// A request has arrived; its answer is finished when the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>, http2: bool) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        if http2 && !self.http2.load(Ordering::Relaxed) {
            self.http2.store(true, Ordering::Relaxed);
        }
        InFlight { activity: Arc::clone(self), unread: false }
    }

    /// What is to be done now, and if nothing, when to ask again: at the latest after `header`, because what goes on may
    /// have changed by then.
    pub(super) fn due(&self, header: Duration, idle: Duration) -> Due {
        let now = Instant::now();
        let next = now + header;
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        if in_flight > 0 {
            let blocked = self.blocked.load(Ordering::Relaxed);
            let is_blocked = blocked != 0 && self.at(blocked) + idle <= now;
            let is_unread = self.unread.load(Ordering::Relaxed) >= in_flight
                && self.at(self.moved.load(Ordering::Relaxed)) + idle <= now;
            return if is_blocked || is_unread { Due::Close } else { Due::At(next) };
        }
        let quiet = self.quiet.load(Ordering::Relaxed);
        // Over HTTP/2 bytes between requests are pings and window updates, not a head that comes in pieces.
        let head = quiet == FRESH || (quiet == RECEIVING && !self.http2.load(Ordering::Relaxed));
        let deadline = self.at(self.since.load(Ordering::Relaxed)) + if head { header } else { idle };
        if deadline > now {
            Due::At(deadline.min(next))
        } else if head {
            Due::Close
        } else {
            Due::Leave
        }
    }

    fn received(&self) {
        if self.in_flight.load(Ordering::Relaxed) == 0 && self.quiet.load(Ordering::Relaxed) == IDLE {
            self.since.store(self.now(), Ordering::Relaxed);
            self.quiet.store(RECEIVING, Ordering::Relaxed);
        }
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(bytes)) if *bytes > CONTROL) {
            self.moved.store(self.now(), Ordering::Relaxed);
        }
        let pending = written.is_pending();
        let blocked = self.blocked.load(Ordering::Relaxed);
        if pending && blocked == 0 {
            self.blocked.store(self.now().max(1), Ordering::Relaxed);
        } else if !pending && blocked != 0 {
            self.blocked.store(0, Ordering::Relaxed);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }
}

/// A request whose answer is not finished.
#[derive(Debug)]
pub(super) struct InFlight {
    activity: Arc<Activity>,
    unread: bool,
}

impl InFlight {
    /// The answer has given something, and the peer is to take it.
    pub(super) fn gave(&mut self) {
        self.activity.moved.store(self.activity.now(), Ordering::Relaxed);
        if !self.unread {
            self.unread = true;
            self.activity.unread.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The peer has taken it and there is room for more: if nothing comes now, that is not the peer's doing.
    pub(super) fn asked(&mut self) {
        if self.unread {
            self.unread = false;
            self.activity.unread.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.asked();
        let activity = &self.activity;
        activity.since.store(activity.now(), Ordering::Relaxed);
        activity.quiet.store(IDLE, Ordering::Relaxed);
        activity.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection whose reads and writes are noted.
pub(super) struct Watched<I> {
    io: I,
    activity: Arc<Activity>,
}

impl<I> Watched<I> {
    pub(super) fn new(io: I, activity: Arc<Activity>) -> Self {
        Self { io, activity }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        if result.is_ready() {
            self.activity.received();
        }
        result
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, data);
        self.activity.wrote(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, data);
        self.activity.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const HEADER: Duration = Duration::from_secs(10);
    const IDLE_FOR: Duration = Duration::from_secs(75);

    fn due(activity: &Activity) -> Due {
        activity.due(HEADER, IDLE_FOR)
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_has_a_deadline_that_bytes_do_not_move() {
        let activity = Activity::new();
        let deadline = Instant::now() + HEADER;
        advance(Duration::from_secs(9)).await;
        activity.received();
        assert_eq!(due(&activity), Due::At(deadline));
        advance(Duration::from_secs(1)).await;
        assert_eq!(due(&activity), Due::Close);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_is_allowed_for_longer_than_a_head() {
        let activity = Arc::new(Activity::new());
        drop(activity.begin(false));
        advance(Duration::from_secs(74)).await;
        assert_eq!(due(&activity), Due::At(Instant::now() + Duration::from_secs(1)));
        advance(Duration::from_secs(1)).await;
        assert_eq!(due(&activity), Due::Leave);
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_head_counts_from_its_first_byte_but_not_over_http2() {
        for (http2, expected) in
            [(false, Due::Close), (true, Due::At(Instant::now() + Duration::from_secs(75)))]
        {
            let activity = Arc::new(Activity::new());
            drop(activity.begin(http2));
            advance(Duration::from_secs(60)).await;
            activity.received();
            advance(Duration::from_secs(5)).await;
            activity.received();
            assert!(matches!(due(&activity), Due::At(_)));
            advance(Duration::from_secs(5)).await;
            match expected {
                Due::Close => assert_eq!(due(&activity), Due::Close),
                _ => assert!(matches!(due(&activity), Due::At(_))),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_request_has_no_deadline_unless_the_peer_takes_no_bytes() {
        let activity = Arc::new(Activity::new());
        let request = activity.begin(false);
        advance(Duration::from_secs(3600)).await;
        assert!(matches!(due(&activity), Due::At(_)));
        activity.wrote(&Poll::Pending);
        advance(IDLE_FOR).await;
        assert_eq!(due(&activity), Due::Close);
        activity.wrote(&Poll::Ready(Ok(1)));
        assert!(matches!(due(&activity), Due::At(_)));
        drop(request);
        assert!(matches!(due(&activity), Due::At(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_asked_for_has_a_deadline_unless_something_else_moves() {
        let activity = Arc::new(Activity::new());
        let (mut one, mut other) = (activity.begin(true), activity.begin(true));
        one.gave();
        advance(IDLE_FOR).await;
        assert!(matches!(due(&activity), Due::At(_)), "the other waits for upstream");
        other.gave();
        advance(IDLE_FOR - Duration::from_secs(1)).await;
        assert!(matches!(due(&activity), Due::At(_)));
        // A ping is no sign of reading, data is.
        activity.wrote(&Poll::Ready(Ok(17)));
        advance(Duration::from_secs(1)).await;
        assert_eq!(due(&activity), Due::Close);
        activity.wrote(&Poll::Ready(Ok(16_384)));
        assert!(matches!(due(&activity), Due::At(_)));
        other.asked();
        advance(IDLE_FOR * 10).await;
        assert!(matches!(due(&activity), Due::At(_)), "it was asked for, and waits for upstream");
        drop(other);
        assert_eq!(due(&activity), Due::Close);
        drop(one);
        assert!(matches!(due(&activity), Due::At(_)));
    }
}
