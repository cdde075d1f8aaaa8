//! The answer to a send.

use std::borrow::Cow;

use super::error::GraphError;

/// What an answer to a send says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Its error, if it is one.
    pub error: Option<GraphError<'a>>,
    /// The ids of the messages that were accepted: `messages[].id`.
    pub wamids: Vec<Cow<'a, str>>,
}

/// Reads a decoded answer body. `None`: not JSON, or not of this shape.
pub fn read(body: &[u8]) -> Option<Answer<'_>> {
    let _ = body;
    todo!()
}
