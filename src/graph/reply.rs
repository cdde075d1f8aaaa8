//! Graph's own shape for answers that are ours, so that the handlers that apps have read them.

use serde::Serialize;

/// An error answer. The types matter to SDKs: `code` is a number, `error_data` an object, never null and never text.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// `(#code) title`
    pub message: &'a str,
    /// `OAuthException`, or one of our own.
    pub r#type: &'a str,
    /// The number that apps look at.
    pub code: i64,
    /// What happened, in a sentence.
    pub details: &'a str,
    /// Whether the same request may succeed later.
    pub is_transient: bool,
    /// Names the request. It makes an `fbtrace_id` that nobody takes for Meta's.
    pub request_id: &'a str,
}

impl Reply<'_> {
    /// The JSON body.
    pub fn body(&self) -> Vec<u8> {
        let error = Error {
            message: self.message,
            r#type: self.r#type,
            code: self.code,
            error_data: ErrorData { messaging_product: "whatsapp", details: self.details },
            is_transient: self.is_transient,
            fbtrace_id: format!("sendfuse-{}", self.request_id),
        };
        // Strings and numbers always serialise.
        serde_json::to_vec(&Body { error }).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Body<'a> {
    error: Error<'a>,
}

#[derive(Serialize)]
struct Error<'a> {
    message: &'a str,
    r#type: &'a str,
    code: i64,
    error_data: ErrorData<'a>,
    is_transient: bool,
    fbtrace_id: String,
}

#[derive(Serialize)]
struct ErrorData<'a> {
    messaging_product: &'a str,
    details: &'a str,
}
