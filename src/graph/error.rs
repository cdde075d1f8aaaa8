//! Graph's errors: their shape, and the codes that we know.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use serde::de::MapAccess;

use super::lenient::{Object, Value};

/// The account is locked.
pub const ACCOUNT_LOCKED: i64 = 131_031;
/// Temporarily blocked for policy violations: the same class.
pub const POLICY_BLOCK: i64 = 368;
/// The access token is expired or invalid.
pub const TOKEN_INVALID: i64 = 190;
/// The permission is missing or was removed.
pub const NOT_PERMITTED: i64 = 10;
/// Graph's permission errors, one for each permission.
pub const PERMISSIONS: RangeInclusive<i64> = 200..=299;
/// Graph's call limits: of the app, the user, the page, the call, the WABA's management.
pub const RATE_LIMITS: [i64; 5] = [4, 17, 32, 613, 80_007];
/// A WABA's payment method is missing or refused. Meta calls the WABA blocked for it, but replies still go: no lock.
pub const PAYMENT: i64 = 141_006;
/// SIP calling is not enabled or not set up. About calls only.
pub const SIP: RangeInclusive<i64> = 138_020..=138_029;

/// The two-step PIN is not the phone's.
pub const PIN_MISMATCH: i64 = 133_005;
/// Too many PINs were guessed: wait as long as the details say.
pub const PIN_GUESSED_TOO_OFTEN: i64 = 133_008;
/// PINs were guessed too fast.
pub const PIN_GUESSED_TOO_FAST: i64 = 133_009;

/// Whether an entity that is blocked with this code may be locked: all but what is known to be no lock.
pub(crate) fn may_lock(code: i64) -> bool {
    code != PAYMENT && !SIP.contains(&code)
}

/// An error as Graph writes it in an answer (`{"error":{…}}`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphError<'a> {
    /// The number that decides; also read where it comes as text.
    pub code: i64,
    /// `message`, usually `(#code) title`; where there is none, `title`, as some providers write it.
    pub message: Cow<'a, str>,
    /// `error_data.details`, where there is one.
    pub details: Option<Cow<'a, str>>,
    /// Meta's id of the call.
    pub fbtrace_id: Option<Cow<'a, str>>,
}

impl GraphError<'_> {
    /// The same, without borrowing.
    pub fn into_owned(self) -> GraphError<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        GraphError {
            code: self.code,
            message: own(self.message),
            details: self.details.map(own),
            fbtrace_id: self.fbtrace_id.map(own),
        }
    }
}

/// The fields of an error, in an answer or in a webhook.
#[derive(Default)]
pub(super) struct ErrorFields<'a> {
    pub(super) code: Option<i64>,
    pub(super) title: Option<Cow<'a, str>>,
    pub(super) message: Option<Cow<'a, str>>,
    pub(super) details: Option<Cow<'a, str>>,
    fbtrace_id: Option<Cow<'a, str>>,
}

impl<'a> ErrorFields<'a> {
    /// The error, if it has the number without which it says nothing.
    pub(super) fn into_error(self) -> Option<GraphError<'a>> {
        Some(GraphError {
            code: self.code?,
            message: self.message.or(self.title).unwrap_or_default(),
            details: self.details,
            fbtrace_id: self.fbtrace_id,
        })
    }
}

impl<'de> Object<'de> for ErrorFields<'de> {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"code" => self.code = value.integer()?,
            b"title" => self.title = value.text()?,
            b"message" => self.message = value.text()?,
            // Graph's other errors have a text here, or null.
            b"error_data" => self.details = value.object::<ErrorData<'de>>()?.and_then(|data| data.details),
            b"fbtrace_id" => self.fbtrace_id = value.text()?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

#[derive(Default)]
struct ErrorData<'a> {
    details: Option<Cow<'a, str>>,
}

impl<'de> Object<'de> for ErrorData<'de> {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"details" => self.details = value.text()?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// Whether a code means that the account is locked: these open a breaker.
pub const fn is_lock(code: i64) -> bool {
    matches!(code, ACCOUNT_LOCKED | POLICY_BLOCK)
}
