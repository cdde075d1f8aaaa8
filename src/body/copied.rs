//! A copy of a body, kept as it passes: for looking into what is on its way already.

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use tokio::sync::oneshot;

/// A copy of a body in the making.
pub(super) struct Copying {
    /// Nearly every body is one frame, and is not copied.
    first: Bytes,
    more: BytesMut,
    most: usize,
    done: oneshot::Sender<Passed>,
}

impl Copying {
    /// Of at most so many bytes.
    pub(super) fn new(most: usize) -> (Self, Copied) {
        let (done, copied) = oneshot::channel();
        (Self { first: Bytes::new(), more: BytesMut::new(), most, done }, Copied(copied))
    }

    /// Copies a frame; at the end of the body (then there may be no frame), or of the copy, gives the copy up to whoever waits for it.
    pub(super) fn copy(copying: &mut Option<Box<Self>>, frame: Option<&Frame<Bytes>>, ended: bool) {
        let Some(this) = copying else { return };
        let long = match frame.and_then(Frame::data_ref) {
            Some(data) => !this.take(data),
            None => false,
        };
        if (long || ended)
            && let Some(this) = copying.take()
        {
            this.finish(long);
        }
    }

    /// Says whether there was room.
    fn take(&mut self, data: &Bytes) -> bool {
        if self.first.len() + self.more.len() + data.len() > self.most {
            return false;
        }
        if self.first.is_empty() {
            self.first = data.clone();
        } else {
            self.more.extend_from_slice(data);
        }
        true
    }

    fn finish(self, long: bool) {
        let passed = match long {
            true => Passed::Long,
            false if self.more.is_empty() => Passed::Whole(self.first),
            false => Passed::Whole([self.first, self.more.freeze()].concat().into()),
        };
        // Whoever waited may be gone.
        let _ = self.done.send(passed);
    }
}

/// The copy of a body; see [`RequestBody::copied`](super::RequestBody::copied) and [`ResponseBody::copied`](super::ResponseBody::copied).
pub struct Copied(oneshot::Receiver<Passed>);

/// A body that has passed.
pub enum Passed {
    /// All of it.
    Whole(Bytes),
    /// It was longer than what is copied.
    Long,
}

impl Copied {
    /// The copy, if the body has passed by now.
    pub fn now(mut self) -> Option<Passed> {
        self.0.try_recv().ok()
    }

    /// The copy, once the body has passed. `None`: it broke off, or whoever read it went away.
    pub async fn end(self) -> Option<Passed> {
        self.0.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_kept_up_to_a_bound() {
        let (mut copying, copied) = Copying::new(4);
        assert!(copying.take(&Bytes::from_static(b"ab")) && copying.take(&Bytes::from_static(b"cd")));
        assert!(!copying.take(&Bytes::from_static(b"e")));
        copying.finish(false);
        assert!(matches!(copied.now(), Some(Passed::Whole(data)) if data == "abcd"));
        let (copying, copied) = Copying::new(4);
        copying.finish(true);
        assert!(matches!(copied.now(), Some(Passed::Long)));
        let (copying, copied) = Copying::new(4);
        drop(copying);
        assert!(copied.now().is_none(), "it broke off");
    }
}
