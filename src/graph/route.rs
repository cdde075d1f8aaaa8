//! What a request is, by its method and path.

use http::Method;

use super::ids::PhoneNumberId;

/// What a request is to the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// A request that makes Meta send a message, unless its body says that it is a read receipt.
    Send {
        /// The phone that sends.
        phone: PhoneNumberId,
        /// Which of the sending edges.
        endpoint: Endpoint,
    },
    /// Any other call on a node (`/{version}?/{digits}[/...]`); tokens are borrowed from these too.
    Node(PhoneNumberId),
    /// Everything else.
    Other,
}

/// The edges that send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/messages`: also takes read receipts.
    Messages,
    /// `/marketing_messages`
    MarketingMessages,
    /// `/messages_encrypted`: bodies are opaque both ways.
    MessagesEncrypted,
}

/// Classifies a request by its normalised path.
pub fn route(method: &Method, path: &str) -> Route {
    let _ = (method, path);
    todo!()
}

/// Whether the body of a `POST …/messages` is a read receipt (with or without typing indicator), which is no send.
/// `content_type` and `body` as they came. What cannot be read is a send.
pub fn is_read_receipt(content_type: Option<&str>, body: &[u8]) -> bool {
    let _ = (content_type, body);
    todo!()
}
