//! What Meta tells of accounts: events, in every shape that they come in, straight or through a forwarder.

mod news;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::webhooks::{Forwarder, To, deliver, escape};
use super::{BUSINESS, PARTNER, PHONE, Simulator};

pub use news::News;

/// An event: what it says, how it is written, and who brings it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What it says.
    #[serde(rename = "event")]
    pub news: News,
    /// When its restrictions end, from the time of the event; `None`: it does not say.
    #[serde(default, with = "super::control::optional_duration")]
    pub expires_after: Option<Duration>,
    /// How long ago it happened: Meta repeats what was not taken.
    #[serde(default, with = "super::control::optional_duration")]
    pub older_by: Option<Duration>,
    /// How it is written.
    #[serde(flatten)]
    pub shape: Shape,
    /// Who brings it; `None`: Meta, to the app's callback.
    #[serde(default)]
    pub via: Option<Forwarder>,
}

/// How an event is written. `Shape::default()` is as Meta documents it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shape {
    /// `waba_ban_state`.
    pub ban_state: BanState,
    /// `expiration`.
    pub expiration: Expiration,
    /// `entry[].id`.
    pub entry_id: EntryId,
    /// `phone_number`.
    pub phone_number: NumberIn,
    /// `entry` comes before `object`, and `changes` before `id`.
    pub entry_first: bool,
}

/// How a ban's state is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BanState {
    /// `"DISABLE"`
    #[default]
    Text,
    /// `["DISABLE"]`
    List,
    /// All that there are, as a sample has it: nobody can say which holds.
    Several,
}

/// How the end of a restriction is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expiration {
    /// Seconds since 1970, as a number.
    #[default]
    Seconds,
    /// ISO 8601, as text.
    Iso,
}

/// Whose id an entry has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryId {
    /// The WABA's; a partner's in events about partners.
    #[default]
    Waba,
    /// [`PARTNER`]; the WABA is in `waba_info`.
    Partner,
    /// `"0"`; but for events about partners, the WABA is nowhere.
    Zero,
}

/// What stands in `phone_number`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberIn {
    /// Nothing; an id where the event has one by its nature.
    #[default]
    Absent,
    /// The display number of the WABA's first phone.
    Display,
    /// Its id.
    Id,
}

impl From<News> for Event {
    fn from(news: News) -> Self {
        Self { news, expires_after: None, older_by: None, shape: Shape::default(), via: None }
    }
}

impl Event {
    /// The same with an end of its restrictions.
    pub fn expiring_after(self, time: Duration) -> Self {
        Self { expires_after: Some(time), ..self }
    }

    /// The same, but it happened so long ago.
    pub fn older_by(self, time: Duration) -> Self {
        Self { older_by: Some(time), ..self }
    }

    /// The same in another shape.
    pub fn shaped(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    /// The same, brought by a forwarder.
    pub fn via(self, forwarder: Forwarder) -> Self {
        Self { via: Some(forwarder), ..self }
    }

    /// The whole body. `now` in seconds since 1970; `phone` is the id and the display number of one of the WABA's.
    fn body(&self, waba: &str, phone: (&str, &str), now: i64) -> String {
        let seconds = |time: Option<Duration>| i64::try_from(time.unwrap_or_default().as_secs());
        let at = now.saturating_sub(seconds(self.older_by).unwrap_or(i64::MAX));
        let end = self.expires_after.map(|time| at.saturating_add(seconds(Some(time)).unwrap_or(i64::MAX)));
        let end = end.map(|end| match self.shape.expiration {
            Expiration::Seconds => json!(end),
            Expiration::Iso => json!(iso(end)),
        });
        let mut value = self.news.value(phone, self.shape.ban_state, end.as_ref());
        let partners = self.news.is_about_partners();
        if partners || self.shape.entry_id == EntryId::Partner {
            value["waba_info"]["waba_id"] = json!(waba);
            value["waba_info"]["owner_business_id"] = json!(BUSINESS);
        }
        match self.shape.phone_number {
            NumberIn::Absent => {}
            NumberIn::Display => value["phone_number"] = json!(phone.1),
            NumberIn::Id => value["phone_number"] = json!(phone.0),
        }
        let id = match self.shape.entry_id {
            EntryId::Zero => "0",
            EntryId::Waba if !partners => waba,
            EntryId::Waba | EntryId::Partner => PARTNER,
        };
        enveloped(id, at, self.news.field(), &value, self.shape.entry_first)
    }
}

impl Simulator {
    /// Has an event of a WABA delivered; needs a tokio runtime. It changes nothing here: for that, see
    /// [`Simulator::lock_waba`].
    pub fn account_event(&self, waba: &str, event: impl Into<Event>) {
        let (event, Ok(runtime)) = (event.into(), Handle::try_current()) else { return };
        let now = self.inner.options.clock.now().millis() / 1000;
        let body = {
            let state = self.state();
            let first = state.phones_of(waba).into_iter().next();
            let phone = first.map_or((PHONE, "15550783881"), |(id, phone)| (id.as_str(), &*phone.display));
            event.body(waba, phone, now)
        };
        let to = event.via.map_or(To::App, To::Forwarder);
        runtime.spawn(deliver(Arc::downgrade(&self.inner), to, escape(&body)));
    }
}

/// A change with what is around it.
fn enveloped(id: &str, at: i64, field: &str, value: &Value, entry_first: bool) -> String {
    let (id, field) = (json!(id), json!(field));
    let changes = format!(r#""changes":[{{"value":{value},"field":{field}}}]"#);
    let object = r#""object":"whatsapp_business_account""#;
    if entry_first {
        format!(r#"{{"entry":[{{{changes},"time":{at},"id":{id}}}],{object}}}"#)
    } else {
        format!(r#"{{{object},"entry":[{{"id":{id},"time":{at},{changes}}}]}}"#)
    }
}

/// As Graph writes dates: `2026-05-01T10:00:00+0000`.
fn iso(seconds: i64) -> String {
    // Later than 9999 cannot be written.
    let seconds = u64::try_from(seconds).unwrap_or_default().min(253_402_300_799);
    let date = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
    date.replace('Z', "+0000")
}
