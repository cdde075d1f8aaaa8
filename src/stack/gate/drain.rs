//! Reading a request's body ahead: far enough to tell what it is, and to answer on a connection that stays usable.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use crate::body::RequestBody;
use crate::error::{ErrorKind, ProxyError};

/// The most bytes that are read ahead and kept of a send or a PIN. A read receipt has some hundred, and so has a PIN; what is longer
/// is neither.
pub(in crate::stack) const KEPT: usize = 64 * 1024;

/// The most bytes of a rejected body that are still read, and thrown away: far more than any send has.
const DRAINED: usize = 1024 * 1024;

/// How long the app may take for all of them.
const PATIENCE: Duration = Duration::from_secs(30);

/// A body whose beginning was read.
///
/// Its bytes lie together, however small the pieces were in which they came: a frame costs a hundred bytes beside its own.
pub(in crate::stack) struct Ahead<B = Incoming> {
    data: BytesMut,
    trailers: Option<Frame<Bytes>>,
    rest: Option<B>,
    until: Instant,
}

impl<B: Body<Data = Bytes> + Unpin> Ahead<B> {
    /// Nothing of it yet.
    pub(in crate::stack) fn of(body: B) -> Self {
        let until = Instant::now() + PATIENCE;
        Self { data: BytesMut::new(), trailers: None, rest: Some(body), until }
    }

    /// How long the body is at least, in bytes.
    pub(in crate::stack) fn at_least(&self) -> u64 {
        let unread = self.rest.as_ref().map_or(0, |rest| rest.size_hint().lower());
        unread.saturating_add(self.data.len() as u64)
    }

    /// Reads on, until there are `kept` bytes and a frame. Fails if the app breaks off or stalls.
    pub(in crate::stack) async fn read(mut self, kept: usize) -> Result<Self, ProxyError>
    where
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        match timeout_at(self.until, self.fill(kept)).await {
            Ok(Ok(())) => Ok(self),
            Ok(Err(error)) => Err(ProxyError::new(ErrorKind::BadRequest, error)),
            Err(stalled) => Err(ProxyError::new(ErrorKind::BadRequest, stalled)),
        }
    }

    async fn fill(&mut self, kept: usize) -> Result<(), B::Error> {
        while self.data.len() < kept
            && let Some(rest) = &mut self.rest
        {
            match rest.frame().await.transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => self.data.extend_from_slice(&data),
                Some(Err(trailers)) => self.trailers = Some(trailers),
                None => self.rest = None,
            }
        }
        self.rest.take_if(|rest| rest.is_end_stream());
        Ok(())
    }

    /// The whole body, if it is not longer than what is read ahead.
    pub(in crate::stack) fn whole(&self) -> Option<&[u8]> {
        self.rest.is_none().then_some(&*self.data)
    }

    /// Reads on, up to [`DRAINED`] bytes and no longer than the app has altogether, and keeps nothing: an answer that finds
    /// unread bytes ends its connection.
    pub(in crate::stack) async fn drain(self) {
        let Some(mut rest) = self.rest else { return };
        let mut size = self.data.len();
        drop(self.data);
        let drained = async {
            while size < DRAINED
                && let Some(Ok(frame)) = rest.frame().await
            {
                size += frame.data_ref().map_or(0, Bytes::len);
            }
        };
        // Who stalls here is told of the rejection all the same.
        let _ = timeout_at(self.until, drained).await;
    }
}

impl Ahead {
    /// Another body in the place of this one, which was whole; its trailers stay.
    pub(super) fn replaced(self, data: Vec<u8>) -> RequestBody {
        Self { data: Bytes::from(data).into(), ..self }.replay()
    }

    /// The body as it came, to be forwarded.
    pub(in crate::stack) fn replay(self) -> RequestBody {
        let data = (!self.data.is_empty()).then(|| Frame::data(self.data.freeze()));
        let first: VecDeque<_> = data.into_iter().chain(self.trailers).collect();
        RequestBody::replay(first, self.rest)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures_util::stream;
    use http_body_util::StreamBody;

    use super::*;

    /// A body in pieces; says how many are left by its stream.
    fn pieces(sizes: Vec<usize>) -> impl Body<Data = Bytes, Error = io::Error> + Unpin {
        let frames = sizes.into_iter().map(|size| Ok(Frame::data(Bytes::from(vec![b'x'; size]))));
        StreamBody::new(stream::iter(frames))
    }

    #[tokio::test]
    async fn many_small_pieces_cost_no_more_than_a_large_one() {
        let ahead = Ahead::of(pieces(vec![1; KEPT - 1])).read(KEPT).await.unwrap();
        assert_eq!(ahead.whole().unwrap().len(), KEPT - 1);
        assert!(ahead.data.capacity() <= 2 * KEPT, "{}", ahead.data.capacity());
    }

    #[tokio::test]
    async fn no_more_is_kept_than_is_needed() {
        let ahead = Ahead::of(pieces(vec![1024; 10 * KEPT / 1024])).read(KEPT).await.unwrap();
        assert_eq!(ahead.data.len(), KEPT);
        assert!(ahead.whole().is_none());
    }

    #[tokio::test]
    async fn reading_goes_on_where_it_ended() {
        let ahead = Ahead::of(pieces(vec![KEPT; 3]));
        assert_eq!((ahead.at_least(), ahead.whole()), (0, None));
        let ahead = ahead.read(KEPT).await.unwrap();
        assert_eq!((ahead.at_least(), ahead.whole()), (KEPT as u64, None));
        let ahead = ahead.read(4 * KEPT).await.unwrap();
        assert_eq!(ahead.whole().unwrap().len(), 3 * KEPT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rejected_body_is_drained_to_a_bound_and_for_a_time() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};
        let given = Arc::new(AtomicUsize::new(0));
        let endless = stream::repeat_with({
            let given = Arc::clone(&given);
            move || {
                given.fetch_add(1024, Ordering::Relaxed);
                Ok::<_, io::Error>(Frame::data(Bytes::from_static(&[b'x'; 1024])))
            }
        });
        Ahead::of(StreamBody::new(endless)).read(KEPT).await.unwrap().drain().await;
        assert_eq!(given.load(Ordering::Relaxed), DRAINED);

        let began = Instant::now();
        let stalls = stream::iter([Ok::<_, io::Error>(Frame::data(Bytes::from(vec![0; KEPT])))]);
        let stalls = StreamBody::new(futures_util::StreamExt::chain(stalls, stream::pending()));
        Ahead::of(stalls).read(KEPT).await.unwrap().drain().await;
        assert_eq!(began.elapsed(), PATIENCE);
    }
}
