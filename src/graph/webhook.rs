//! Webhook bodies: every entry, change, status and error in them.

mod account;
mod reading;
mod security;
#[cfg(test)]
mod tests;

use super::class::Class;
use super::country::Country;
use super::error::is_lock;
use super::ids::{DisplayNumber, PhoneNumberId, WabaId};
use crate::time::Timestamp;

pub use reading::read;

/// One thing that a webhook says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A message's status changed (`value.statuses[]`).
    Status(Status),
    /// An error without a message (`value.errors[]`).
    Error(ErrorFact),
    /// Whose number is whose (`metadata`); once for each change of the field `messages`.
    Number {
        /// `metadata.phone_number_id`
        phone: PhoneNumberId,
        /// `metadata.display_phone_number`
        number: DisplayNumber,
    },
    /// A change of the field `security`.
    Security(Security),
    /// An account event.
    Account(Account),
}

/// What has become of a two-step PIN, in Meta's own user interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Security {
    /// `entry[].id`, where it is an id.
    pub waba: Option<WabaId>,
    /// Whose PIN, where it can be read: Meta says no phone id here.
    pub number: Option<DisplayNumber>,
    /// What.
    pub event: SecurityEvent,
    /// `entry[].time`
    pub at: Option<Timestamp>,
}

/// An `event` of the field `security`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityEvent {
    /// `PIN_CHANGED`
    PinChanged,
    /// `PIN_RESET_REQUEST`: somebody has asked for it, and nothing has changed yet.
    PinResetRequest,
    /// `PIN_REQUEST_SUCCESS`
    PinRequestSuccess,
}

/// An account event that says something about sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Whom it is about.
    pub waba: WabaId,
    /// `entry[].time`: when it was.
    pub at: Option<Timestamp>,
    /// What it says.
    pub news: AccountNews,
}

/// What an account event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountNews {
    /// `DISABLED_UPDATE`, `DISABLE`
    Disabled,
    /// `DISABLED_UPDATE`, `REINSTATE`
    Reinstated,
    /// `ACCOUNT_RESTRICTION`: these restrictions of messages hold, and no others. Empty: none does.
    Restricted(Vec<Restriction>),
    /// `ACCOUNT_DELETED`
    Deleted,
    /// `ACCOUNT_OFFBOARDED`
    Offboarded,
    /// `ACCOUNT_RECONNECTED`
    Reconnected,
    /// `account_review_update`, `REJECTED`
    ReviewRejected,
    /// `account_review_update`, `APPROVED`
    ReviewApproved,
    /// Something to come or to look at, in Meta's words. Nothing is stopped by it.
    Warning(String),
    /// An event that can mean two things, or has lost its contents.
    Unreadable,
}

impl AccountNews {
    /// Whether it says that something may not be sent.
    pub fn locks(&self) -> bool {
        match self {
            Self::Disabled | Self::Deleted | Self::Offboarded | Self::ReviewRejected => true,
            Self::Restricted(list) => !list.is_empty(),
            Self::Reinstated
            | Self::Reconnected
            | Self::ReviewApproved
            | Self::Warning(_)
            | Self::Unreadable => false,
        }
    }
}

/// A restriction of one kind of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restriction {
    /// Which.
    pub class: Class,
    /// Until when, where Meta says so.
    pub until: Option<Timestamp>,
}

/// The most bytes of a sentence that are kept.
const MAX_SENTENCE: usize = 1024;

/// An element of `value.statuses[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// `entry[].id`, where it is an id.
    pub waba: Option<WabaId>,
    /// `metadata.phone_number_id`
    pub phone: PhoneNumberId,
    /// The message; empty if there is none, or if it is longer than a message id can be.
    pub wamid: String,
    /// What became of it.
    pub kind: StatusKind,
    /// `timestamp`: when that was.
    pub at: Option<Timestamp>,
    /// `errors[]`, of a failed one.
    pub errors: Vec<WebhookError>,
    /// `recipient_id` or `recipient_user_id`, masked: `…5334`.
    pub recipient: Option<String>,
    /// The recipient's country; only of a failed one, where it is told.
    pub country: Option<Country>,
    /// What the app asked to get back.
    pub biz_opaque_callback_data: Option<String>,
}

impl Status {
    /// The error that says that the account is locked, if there is one.
    pub fn lock(&self) -> Option<&WebhookError> {
        self.errors.iter().find(|error| is_lock(error.code))
    }
}

/// `value.errors[]` of one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorFact {
    /// `entry[].id`, where it is an id.
    pub waba: Option<WabaId>,
    /// `metadata.phone_number_id`
    pub phone: PhoneNumberId,
    /// When, where the value or its entry says so.
    pub at: Option<Timestamp>,
    /// The error.
    pub error: WebhookError,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusKind {
    /// Meta sent it.
    Sent,
    /// It arrived.
    Delivered,
    /// It was read (or played).
    Read,
    /// It failed.
    Failed,
    /// A status that we do not know, or none although there are errors.
    Other,
}

/// An error as webhooks write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookError {
    /// The number that decides.
    pub code: i64,
    /// Its title.
    pub title: String,
    /// `error_data.details`
    pub details: Option<String>,
}

/// Signed, but not readable as a webhook of WhatsApp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the webhook's body is not readable")]
pub struct Unreadable;
