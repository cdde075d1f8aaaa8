//! What became of a request to the webhook listener: the label of `webhooks_total`.

/// One request, one result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WebhookResult {
    /// A post was heard, and answered 200 here.
    Accepted,
    /// A post was heard, and the app said 2xx to it.
    Relayed,
    /// A post was heard, and the app said something else to it: Meta will repeat it.
    AppRefused,
    /// A post was heard or a handshake came, and the app gave no answer: Meta will repeat it.
    RelayFailed,
    /// Signed, but not readable; answered 200 here or by the app.
    Unreadable,
    /// No signature, a malformed one, or two that differ.
    Unsigned,
    /// No configured secret makes this signature of this body. Also when none is configured.
    Forged,
    /// Larger than [`super::MAX_BODY`].
    TooLarge,
    /// The body was not there in time.
    TimedOut,
    /// The body ended early.
    Broken,
    /// The bodies that are being read already fill the memory set aside for them: Meta will repeat it.
    Busy,
    /// A handshake with the right token.
    Handshake,
    /// A handshake with a wrong one, or a `GET` that is none.
    HandshakeRefused,
    /// Another path or method.
    Misdirected,
}

impl WebhookResult {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Accepted,
        Self::Relayed,
        Self::AppRefused,
        Self::RelayFailed,
        Self::Unreadable,
        Self::Unsigned,
        Self::Forged,
        Self::TooLarge,
        Self::TimedOut,
        Self::Broken,
        Self::Busy,
        Self::Handshake,
        Self::HandshakeRefused,
        Self::Misdirected,
    ];

    /// The value of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Relayed => "relayed",
            Self::AppRefused => "app_refused",
            Self::RelayFailed => "relay_failed",
            Self::Unreadable => "unreadable",
            Self::Unsigned => "unsigned",
            Self::Forged => "forged",
            Self::TooLarge => "too_large",
            Self::TimedOut => "timed_out",
            Self::Broken => "broken",
            Self::Busy => "busy",
            Self::Handshake => "handshake",
            Self::HandshakeRefused => "handshake_refused",
            Self::Misdirected => "misdirected",
        }
    }
}
