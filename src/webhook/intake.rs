//! Reads the bodies of posts: so much, so long, and so much in all.
//!
//! The listener faces the internet, and a body has to be whole before its signature can be checked. So strangers can make
//! us hold bytes: at most [`MAX_BODY`] each and [`MAX_HELD`] together.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The largest body that is taken, in bytes. Meta's are 3 MB at most.
pub const MAX_BODY: usize = 3 * 1024 * 1024;

/// How much all bodies together may hold, in bytes: read, being read and being relayed.
const MAX_HELD: usize = 128 * 1024 * 1024;

/// How long a body may take.
const TIME_TO_READ: Duration = Duration::from_secs(10);

/// How much of a body that is too large is still read, after the answer, so that the caller gets to see the answer: a
/// connection that is closed on unread bytes is reset.
const MAX_DRAINED: usize = 16 * 1024 * 1024;

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IntakeError {
    TooLarge,
    TimedOut,
    Broken,
    Busy,
}

/// A whole body. Its bytes count against [`MAX_HELD`] until it is dropped.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// Reads bodies.
pub(super) struct Intake {
    room: Arc<Semaphore>,
}

impl Default for Intake {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(MAX_HELD)) }
    }
}

impl Intake {
    /// Reads a body to its end. One that says beforehand that it is too large is not begun.
    pub(super) async fn read<B>(&self, body: B) -> Result<Received, IntakeError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Send,
    {
        let mut body = Box::pin(body);
        let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let read = if declared > MAX_BODY {
            Err(IntakeError::TooLarge)
        } else {
            timeout(TIME_TO_READ, self.collect(body.as_mut())).await.unwrap_or(Err(IntakeError::TimedOut))
        };
        if matches!(read, Err(IntakeError::TooLarge)) {
            tokio::spawn(timeout(TIME_TO_READ, drain(body)));
        }
        read
    }

    async fn collect<B>(&self, mut body: Pin<&mut B>) -> Result<Received, IntakeError>
    where
        B: Body<Data = Bytes>,
    {
        let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
        let mut room: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            // Trailers say nothing that we need.
            let Ok(data) = frame.map_err(|_| IntakeError::Broken)?.into_data() else { continue };
            let size = u32::try_from(data.len()).map_err(|_| IntakeError::TooLarge)?;
            if data.len() > MAX_BODY.saturating_sub(first.len() + rest.len()) {
                return Err(IntakeError::TooLarge);
            }
            let taken = Arc::clone(&self.room).try_acquire_many_owned(size).map_err(|_| IntakeError::Busy)?;
            match &mut room {
                Some(room) => room.merge(taken),
                None => room = Some(taken),
            }
            // Most posts are one frame, which then needs no copy.
            if first.is_empty() && rest.is_empty() {
                first = data;
            } else {
                rest.extend_from_slice(&std::mem::take(&mut first));
                rest.extend_from_slice(&data);
            }
        }
        let bytes = if rest.is_empty() { first } else { rest.freeze() };
        Ok(Received { bytes, _room: room })
    }
}

async fn drain<B: Body<Data = Bytes>>(mut body: Pin<Box<B>>) {
    let mut drained = 0;
    while let Some(Ok(frame)) = body.frame().await {
        drained += frame.data_ref().map_or(0, Bytes::len);
        if drained > MAX_DRAINED {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream::{self, StreamExt};
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    fn chunks(sizes: &[usize]) -> impl Body<Data = Bytes, Error = Infallible> + Send + 'static {
        let frames: Vec<_> =
            sizes.iter().map(|size| Ok(Frame::data(Bytes::from(vec![b'x'; *size])))).collect();
        StreamBody::new(stream::iter(frames))
    }

    async fn length(
        body: impl Body<Data = Bytes, Error = Infallible> + Send + 'static,
    ) -> Result<usize, IntakeError> {
        Intake::default().read(body).await.map(|received| received.bytes.len())
    }

    #[tokio::test]
    async fn three_mebibytes_and_no_more() {
        assert_eq!(length(Full::new(Bytes::from(vec![0; MAX_BODY]))).await, Ok(MAX_BODY));
        assert_eq!(length(Full::new(Bytes::from(vec![0; MAX_BODY + 1]))).await, Err(IntakeError::TooLarge));
        assert_eq!(length(chunks(&[MAX_BODY - 1, 1])).await, Ok(MAX_BODY));
        assert_eq!(length(chunks(&[MAX_BODY, 1])).await, Err(IntakeError::TooLarge));
        assert_eq!(length(chunks(&[])).await, Ok(0));
    }

    #[tokio::test]
    async fn frames_are_put_together_in_order() {
        let frames =
            ["", "one ", "two ", "three"].map(|text| Ok::<_, Infallible>(Frame::data(Bytes::from(text))));
        let body = StreamBody::new(stream::iter(frames));
        assert_eq!(
            Intake::default().read(body).await.unwrap_or_else(|e| panic!("{e:?}")).bytes,
            "one two three"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_given_up() {
        let first = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from("x")))]);
        let body = StreamBody::new(first.chain(stream::pending()));
        let began = tokio::time::Instant::now();
        assert_eq!(length(body).await, Err(IntakeError::TimedOut));
        assert_eq!(began.elapsed(), TIME_TO_READ);
    }

    #[tokio::test]
    async fn a_body_that_breaks_is_no_body() {
        let body = StreamBody::new(stream::iter([Ok(Frame::data(Bytes::from("x"))), Err("gone")]));
        assert_eq!(Intake::default().read(body).await.err(), Some(IntakeError::Broken));
    }

    #[tokio::test]
    async fn all_bodies_together_are_bounded_and_give_their_room_back() {
        let intake = Intake { room: Arc::new(Semaphore::new(10)) };
        let held = intake.read(chunks(&[4, 4])).await.unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(intake.read(chunks(&[1, 2])).await.err(), Some(IntakeError::Busy));
        assert!(intake.read(chunks(&[2])).await.is_ok());
        drop(held);
        assert!(intake.read(chunks(&[9, 1])).await.is_ok());
    }
}
