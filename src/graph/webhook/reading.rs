//! From a webhook's bytes to its facts.

use std::borrow::Cow;

use serde::de::MapAccess;

use super::account::AccountFields;
use super::{
    ErrorFact, Fact, MAX_SENTENCE, Security, Status, StatusKind, Unreadable, WebhookError, security,
};
use crate::graph::country::Country;
use crate::graph::error::ErrorFields;
use crate::graph::ids::{DisplayNumber, MAX_WAMID_BYTES, PhoneNumberId, WabaId};
use crate::graph::lenient::{self, Object, Value, cut};
use crate::graph::recipient::masked;
use crate::time::Timestamp;

/// The most bytes of what an app gets back that are kept; Meta allows 512 characters.
pub(super) const MAX_CALLBACK_DATA: usize = 2048;

/// The seconds that are taken for a time: 2001 to 2100. What is outside is another unit, or nonsense; believed, it would
/// make old news look new.
const PLAUSIBLE_SECONDS: std::ops::Range<i64> = 1_000_000_000..4_102_444_800;

/// Reads a webhook's body. Facts keep the order of the body. An element that cannot be read is skipped, the rest counts.
///
/// Only changes of the fields `messages` and `security` and of account fields say something here, and changes that name no field but
/// look like one: Meta's older samples have the name elsewhere. `messages[]` and what they contain are what users wrote, and no
/// evidence.
/// A body about another `object` (the same app secret signs Instagram's webhooks) is readable and says nothing.
///
/// Nothing is counted off: a post is never cut at some number of updates, because the evidence may be in the last. What is
/// kept stays proportional to the body, which the listener bounds.
pub fn read(body: &[u8]) -> Result<Vec<Fact>, Unreadable> {
    let text = lenient::text_of(body);
    let post: Post = lenient::document(&text).ok_or(Unreadable)?;
    match post {
        Post { is_foreign: true, .. } => Ok(Vec::new()),
        Post { has_entries: true, facts, .. } => Ok(facts),
        _ => Err(Unreadable),
    }
}

/// The whole body.
#[derive(Default)]
struct Post {
    is_foreign: bool,
    has_entries: bool,
    facts: Vec<Fact>,
}

impl<'de> Object<'de> for Post {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"object" => {
                self.is_foreign = value.text()?.is_some_and(|object| object != "whatsapp_business_account");
            }
            b"entry" => {
                let facts = &mut self.facts;
                self.has_entries |= value.list(|entry: Option<Entry>| {
                    facts.extend(entry.into_iter().flat_map(Entry::into_facts));
                })?;
            }
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// An element of `entry[]`. Its id may come after its changes, so they wait for it.
#[derive(Default)]
struct Entry {
    waba: Option<WabaId>,
    at: Option<Timestamp>,
    said: Vec<Said>,
}

/// What a change says, before it is known whose entry it is in.
enum Said {
    Fact(Fact),
    Account(Option<String>, AccountFields),
}

impl Entry {
    fn into_facts(self) -> impl Iterator<Item = Fact> {
        self.said.into_iter().filter_map(move |said| match said {
            Said::Account(field, account) => {
                account.into_fact(field.as_deref(), self.waba, self.at).map(Fact::Account)
            }
            Said::Fact(Fact::Status(status)) => Some(Fact::Status(Status { waba: self.waba, ..status })),
            Said::Fact(Fact::Error(error)) => {
                let at = error.at.or(self.at);
                Some(Fact::Error(ErrorFact { waba: self.waba, at, ..error }))
            }
            Said::Fact(Fact::Security(news)) => {
                Some(Fact::Security(Security { waba: self.waba, at: self.at, ..news }))
            }
            Said::Fact(fact @ (Fact::Account(_) | Fact::Number { .. })) => Some(fact),
        })
    }
}

impl<'de> Object<'de> for Entry {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            // Some of Meta's samples have "0" here.
            b"id" => self.waba = value.text()?.filter(|id| id != "0").and_then(|id| WabaId::parse(&*id).ok()),
            b"time" => self.at = value.integer()?.and_then(timestamp),
            b"changes" => {
                let said = &mut self.said;
                value.list(|change: Option<Change<'de>>| {
                    said.extend(change.into_iter().flat_map(Change::into_said));
                })?;
            }
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// An element of `changes[]`.
#[derive(Default)]
struct Change<'a> {
    field: Option<Cow<'a, str>>,
    value: ChangeValue<'a>,
}

impl Change<'_> {
    fn into_said(self) -> impl Iterator<Item = Said> {
        let is_ours = self.field.as_ref().is_none_or(|field| field == "messages");
        let ChangeValue { metadata, number, at, news, account } = self.value;
        let event = account.as_ref().and_then(|account| account.event());
        let security = security::news(self.field.as_deref(), event, number).map(Fact::Security);
        let phone = metadata.phone.filter(|_| is_ours);
        let whose = phone.zip(metadata.number).map(|(phone, number)| Fact::Number { phone, number });
        let news = phone.map(|phone| (phone, news)).into_iter();
        let news =
            news.flat_map(move |(phone, news)| news.into_iter().map(move |news| news.into_fact(phone, at)));
        let facts = whose.into_iter().chain(news).chain(security).map(Said::Fact);
        facts.chain(account.map(|account| Said::Account(self.field.map(Cow::into_owned), *account)))
    }
}

impl<'de> Object<'de> for Change<'de> {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"field" => self.field = value.text()?,
            b"value" => self.value = value.object()?.unwrap_or_default(),
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// `value` of a change. Its phone may come after its statuses, so they wait for it.
#[derive(Default)]
struct ChangeValue<'a> {
    metadata: Metadata,
    /// Where there is no metadata: in account fields.
    number: Option<DisplayNumber>,
    at: Option<Timestamp>,
    news: Vec<News<'a>>,
    account: Option<Box<AccountFields>>,
}

/// What a value says, before it is known of which phone.
enum News<'a> {
    Status(StatusFields<'a>),
    Error(WebhookError),
}

impl News<'_> {
    fn into_fact(self, phone: PhoneNumberId, at: Option<Timestamp>) -> Fact {
        match self {
            Self::Error(error) => Fact::Error(ErrorFact { waba: None, phone, at, error }),
            Self::Status(status) => {
                let failed = status.kind == Some(StatusKind::Failed) || !status.errors.is_empty();
                Fact::Status(Status {
                    waba: None,
                    phone,
                    wamid: status.wamid,
                    kind: status.kind.unwrap_or(StatusKind::Other),
                    at: status.at,
                    errors: status.errors,
                    country: failed.then(|| Country::of_recipient(status.recipient.as_deref()?)).flatten(),
                    recipient: status.recipient.map(|recipient| masked(&recipient)),
                    biz_opaque_callback_data: status.biz_opaque_callback_data,
                })
            }
        }
    }
}

impl<'de> Object<'de> for ChangeValue<'de> {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        let news = &mut self.news;
        match name {
            b"metadata" => self.metadata = value.object()?.unwrap_or_default(),
            b"display_phone_number" => self.number = display_number(value)?,
            b"timestamp" => self.at = value.integer()?.and_then(timestamp),
            b"statuses" => {
                value.list(|status: Option<StatusFields<'de>>| {
                    news.extend(status.filter(|status| status.says_something()).map(News::Status));
                })?;
            }
            b"errors" => {
                value.list(|error| news.extend(webhook_error(error).map(News::Error)))?;
            }
            name if AccountFields::knows(name) => self.account.get_or_insert_default().take(name, value)?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

#[derive(Default)]
struct Metadata {
    phone: Option<PhoneNumberId>,
    number: Option<DisplayNumber>,
}

impl<'de> Object<'de> for Metadata {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"phone_number_id" => {
                self.phone = value.text()?.and_then(|id| PhoneNumberId::parse(id.as_bytes()).ok());
            }
            b"display_phone_number" => self.number = display_number(value)?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

fn display_number<'de, M: MapAccess<'de>>(value: Value<'_, M>) -> Result<Option<DisplayNumber>, M::Error> {
    Ok(value.text()?.and_then(|number| DisplayNumber::parse(&number)))
}

/// An element of `statuses[]`.
#[derive(Default)]
struct StatusFields<'a> {
    wamid: String,
    kind: Option<StatusKind>,
    at: Option<Timestamp>,
    errors: Vec<WebhookError>,
    recipient: Option<Cow<'a, str>>,
    biz_opaque_callback_data: Option<String>,
}

impl StatusFields<'_> {
    fn says_something(&self) -> bool {
        self.kind.is_some() || !self.errors.is_empty()
    }
}

impl<'de> Object<'de> for StatusFields<'de> {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"id" => {
                let wamid = value.text()?.filter(|wamid| wamid.len() <= MAX_WAMID_BYTES);
                self.wamid = wamid.map(Cow::into_owned).unwrap_or_default();
            }
            b"status" => self.kind = value.text()?.map(|status| kind(&status)),
            b"timestamp" => self.at = value.integer()?.and_then(timestamp),
            b"errors" => {
                let errors = &mut self.errors;
                value.list(|error| errors.extend(webhook_error(error)))?;
            }
            // The number where there is one, otherwise the business-scoped id; it may come first.
            b"recipient_id" => self.recipient = value.text()?.or(self.recipient.take()),
            b"recipient_user_id" => self.recipient = self.recipient.take().or(value.text()?),
            b"biz_opaque_callback_data" => {
                let data = value.text()?;
                self.biz_opaque_callback_data = data.map(|data| cut(&data, MAX_CALLBACK_DATA).to_owned());
            }
            _ => value.skip()?,
        }
        Ok(())
    }
}

fn kind(status: &str) -> StatusKind {
    match status {
        "sent" => StatusKind::Sent,
        "delivered" => StatusKind::Delivered,
        "read" | "played" => StatusKind::Read,
        "failed" => StatusKind::Failed,
        _ => StatusKind::Other,
    }
}

/// An error with a readable code. Its title stands in `message` too; either will do.
fn webhook_error(error: Option<ErrorFields<'_>>) -> Option<WebhookError> {
    let error = error?;
    let sentence = |text: Cow<'_, str>| cut(&text, MAX_SENTENCE).to_owned();
    Some(WebhookError {
        code: error.code?,
        title: error.title.or(error.message).map(sentence).unwrap_or_default(),
        details: error.details.map(sentence),
    })
}

pub(super) fn timestamp(seconds: i64) -> Option<Timestamp> {
    PLAUSIBLE_SECONDS.contains(&seconds).then(|| Timestamp::from_seconds(seconds))
}
