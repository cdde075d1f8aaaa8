//! A copy of a request body, kept as it passes: for looking into what is on its way already.

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

/// A copy of a request body in the making.
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

    /// Says whether there was room.
    pub(super) fn take(&mut self, data: &Bytes) -> bool {
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

    pub(super) fn finish(self, long: bool) {
        let passed = match long {
            true => Passed::Long,
            false if self.more.is_empty() => Passed::Whole(self.first),
            false => Passed::Whole([self.first, self.more.freeze()].concat().into()),
        };
        // Whoever waited may be gone.
        let _ = self.done.send(passed);
    }
}

/// The copy of a request body; see [`RequestBody::copied`].
pub struct Copied(oneshot::Receiver<Passed>);

/// A request body that has gone to upstream.
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
