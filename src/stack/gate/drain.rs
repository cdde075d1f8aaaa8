//! Reading a request's body ahead: far enough to tell a read receipt from a send, and to answer on a connection that stays usable.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::body::RequestBody;
use crate::error::{ErrorKind, ProxyError};

/// The most bytes that are read ahead: far more than any send has. A read receipt has some hundred.
const CAP: usize = 1024 * 1024;

/// How long the app may take for them.
const PATIENCE: Duration = Duration::from_secs(30);

/// A body whose beginning was read.
pub(super) struct Ahead {
    frames: VecDeque<Frame<Bytes>>,
    rest: Option<Incoming>,
}

impl Ahead {
    /// Reads up to [`CAP`] bytes. Fails if the app breaks off or stalls.
    pub(super) async fn read(body: Incoming) -> Result<Self, ProxyError> {
        match tokio::time::timeout(PATIENCE, Self::frames(body)).await {
            Ok(read) => read.map_err(|error| ProxyError::new(ErrorKind::BadRequest, error)),
            Err(stalled) => Err(ProxyError::new(ErrorKind::BadRequest, stalled)),
        }
    }

    async fn frames(mut body: Incoming) -> Result<Self, hyper::Error> {
        let (mut frames, mut size) = (VecDeque::new(), 0);
        while size < CAP {
            let Some(frame) = body.frame().await.transpose()? else {
                return Ok(Self { frames, rest: None });
            };
            size += frame.data_ref().map_or(0, Bytes::len);
            frames.push_back(frame);
        }
        let rest = (!body.is_end_stream()).then_some(body);
        Ok(Self { frames, rest })
    }

    /// The whole body, if it is not longer than what is read ahead.
    pub(super) fn whole(&self) -> Option<Vec<u8>> {
        self.rest.is_none().then(|| {
            let data: Vec<&[u8]> =
                self.frames.iter().filter_map(Frame::data_ref).map(AsRef::as_ref).collect();
            data.concat()
        })
    }

    /// The body as it came, to be forwarded.
    pub(super) fn replay(self) -> RequestBody {
        RequestBody::replay(self.frames, self.rest)
    }
}
