//! Graph's errors: their shape, and the codes that we know.

use std::borrow::Cow;

/// The account is locked.
pub const ACCOUNT_LOCKED: i64 = 131_031;
/// Temporarily blocked for policy violations: the same class.
pub const POLICY_BLOCK: i64 = 368;
/// The access token is expired or invalid.
pub const TOKEN_INVALID: i64 = 190;

/// An error as Graph writes it in an answer (`{"error":{…}}`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphError<'a> {
    /// The number that decides; also read where it comes as text.
    pub code: i64,
    /// `message`, usually `(#code) title`.
    pub message: Cow<'a, str>,
    /// `error_data.details`, where there is one.
    pub details: Option<Cow<'a, str>>,
    /// Meta's id of the call.
    pub fbtrace_id: Option<Cow<'a, str>>,
}

/// Whether a code means that the account is locked: these open a breaker.
pub const fn is_lock(code: i64) -> bool {
    matches!(code, ACCOUNT_LOCKED | POLICY_BLOCK)
}
