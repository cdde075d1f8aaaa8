//! Answers of the health status API: who blocks what.

use std::borrow::Cow;
use std::fmt;

use serde::de::MapAccess;
use serde::{Deserialize, Serialize};

use super::error::{ErrorFields, NOT_PERMITTED, PERMISSIONS, RATE_LIMITS, TOKEN_INVALID, may_lock};
use super::ids::{PhoneNumberId, WabaId};
use super::lenient::{self, Object, Value, cut};

/// One entity of a health answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// `PHONE_NUMBER`, `WABA`, `BUSINESS`, `APP`, or what Meta invents next.
    pub kind: String,
    /// Its id, as text, where there is one.
    pub id: Option<String>,
    /// `AVAILABLE`, `LIMITED`, `BLOCKED`, …
    pub can_send_message: String,
    /// Its errors, on any node.
    pub errors: Vec<HealthError>,
    /// Whether this entity blocks messaging: `BLOCKED`, and not only by codes that are known to be no lock.
    pub blocks: bool,
}

/// An error of an entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthError {
    /// For instance 141014; 0 if it could not be read.
    pub code: i64,
    /// What is wrong.
    pub description: String,
    /// What Meta suggests.
    pub possible_solution: Option<String>,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// No entity blocks messaging.
    Clear(Vec<Entity>),
    /// At least one does.
    Blocked(Vec<Entity>),
    /// No answer that could be read. Unknown is never clear.
    Unknown(Unknown),
}

impl Health {
    /// The account of a phone, where this is an answer about that phone, and names one account.
    pub fn waba_of(&self, phone: PhoneNumberId) -> Option<WabaId> {
        let (Self::Clear(entities) | Self::Blocked(entities)) = self else { return None };
        let ids = |kind| {
            entities.iter().filter(move |entity| entity.kind == kind).map(|entity| entity.id.as_deref())
        };
        if !ids("PHONE_NUMBER").eq([Some(phone.as_str())]) {
            return None;
        }
        let mut wabas = ids("WABA");
        let waba = wabas.next()??;
        wabas.next().is_none().then(|| WabaId::parse(waba).ok()).flatten()
    }
}

/// In words, for operators: `nothing blocks messaging`, or who does, and why.
impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clear(_) => f.write_str("nothing blocks messaging"),
            Self::Unknown(_) => f.write_str("no answer that says anything"),
            Self::Blocked(entities) => {
                let mut blocking = entities.iter().filter(|entity| entity.blocks);
                match blocking.next() {
                    Some(first) => first.fmt(f)?,
                    None => f.write_str("messaging is blocked")?,
                }
                blocking.try_for_each(|entity| write!(f, "; {entity}"))
            }
        }
    }
}

/// `WABA 102290129340398 is BLOCKED (141014: Business account is restricted)`
impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.as_deref().unwrap_or("of no id");
        write!(f, "{} {id} is {}", self.kind, self.can_send_message)?;
        self.errors.iter().try_for_each(|error| write!(f, " ({}: {})", error.code, error.description))
    }
}

/// Why a probe knows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// There is no token to ask with.
    NoToken,
    /// 190: the token is dead.
    TokenInvalid,
    /// 10, 200–299: the token may not ask.
    NotPermitted,
    /// 80007, 4 and the other limits.
    RateLimited,
    /// Our own hourly budget is spent.
    OverBudget,
    /// Any other error of Graph's, or a 5xx.
    Failed,
    /// An answer that is no health answer.
    Unreadable,
    /// No connection, or no answer in time.
    NoAnswer,
    /// The lease ran out before an outcome came.
    LeaseOver,
}

/// The most entities of an answer that are kept, and errors of an entity. Meta's answers have four, and one or two.
const MAX_ENTITIES: usize = 32;
const MAX_ERRORS: usize = 16;
/// The most bytes that are kept of a word or an id, and of a sentence.
const MAX_WORD: usize = 64;
const MAX_SENTENCE: usize = 1024;

/// Reads an answer of `GET /{phone}?fields=health_status`. Recomputed from the entities: the overall field is not looked at.
///
/// An entity blocks if it says `BLOCKED`, unless errors are given for it and each is known to be no lock (payment, SIP).
/// What is said of a template or a flow is about that alone, and neither blocks nor clears. One entity that blocks is
/// enough; but all have to be understood for a clear answer.
pub fn read(status: u16, body: &[u8]) -> Health {
    let text = lenient::text_of(body);
    let Some(answer) = lenient::document::<Fields>(&text) else {
        return Health::Unknown(without_error(status));
    };
    if let Some(code) = answer.error {
        return Health::Unknown(of_error(status, code));
    }
    match answer.status {
        Some(found) if (200..300).contains(&status) => found.verdict(),
        _ => Health::Unknown(without_error(status)),
    }
}

/// What an answer without a readable error of Graph's means.
fn without_error(status: u16) -> Unknown {
    match status {
        200..=299 => Unknown::Unreadable,
        429 => Unknown::RateLimited,
        _ => Unknown::Failed,
    }
}

/// What an error of Graph's means: its code decides, the HTTP status only where the code says nothing.
fn of_error(status: u16, code: Option<i64>) -> Unknown {
    match code {
        Some(TOKEN_INVALID) => Unknown::TokenInvalid,
        Some(code) if code == NOT_PERMITTED || PERMISSIONS.contains(&code) => Unknown::NotPermitted,
        Some(code) if RATE_LIMITS.contains(&code) => Unknown::RateLimited,
        // 0, 102, 104 and whatever else Graph says of a token that it does not take.
        Some(_) if status == 401 => Unknown::TokenInvalid,
        _ if status == 429 => Unknown::RateLimited,
        _ => Unknown::Failed,
    }
}

/// The fields of an answer.
#[derive(Default)]
struct Fields {
    /// There is an error, with this code.
    error: Option<Option<i64>>,
    status: Option<Status>,
}

impl<'de> Object<'de> for Fields {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"error" => self.error = value.object::<ErrorFields<'de>>()?.map(|error| error.code),
            b"health_status" => self.status = value.object()?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// `health_status`, as far as it was understood.
#[derive(Default)]
struct Status {
    entities: Vec<Entity>,
    /// At least one entity that counts says a word that we know.
    any_known: bool,
    /// Something was not understood, or there was too much of it.
    any_odd: bool,
}

impl Status {
    fn take(&mut self, entity: Option<EntityFields<'_>>) {
        let Some(entity) = entity.filter(|_| self.entities.len() < MAX_ENTITIES) else {
            self.any_odd = true;
            return;
        };
        match (entity.counts(), entity.is_known()) {
            (true, true) => self.any_known = true,
            (true, false) => self.any_odd = true,
            (false, _) => {}
        }
        self.entities.push(entity.into_entity());
    }

    fn verdict(self) -> Health {
        if self.entities.iter().any(|entity| entity.blocks) {
            Health::Blocked(self.entities)
        } else if self.any_known && !self.any_odd {
            Health::Clear(self.entities)
        } else {
            Health::Unknown(Unknown::Unreadable)
        }
    }
}

impl<'de> Object<'de> for Status {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"entities" => {
                value.list(|entity| self.take(entity))?;
            }
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// The fields of an entity.
#[derive(Default)]
struct EntityFields<'a> {
    kind: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    can_send_message: Option<Cow<'a, str>>,
    errors: Vec<HealthError>,
    any_error: bool,
    /// At least one error that is not known to be no lock.
    any_lock: bool,
}

impl EntityFields<'_> {
    /// Whether it says something about messages in general. A nameless one does: better blocked than guessed.
    fn counts(&self) -> bool {
        !matches!(self.kind.as_deref(), Some("MESSAGE_TEMPLATE" | "FLOW"))
    }

    /// Whether it is understood: it names itself, and says a word that Meta documents.
    fn is_known(&self) -> bool {
        self.kind.is_some()
            && matches!(self.can_send_message.as_deref(), Some("AVAILABLE" | "LIMITED" | "BLOCKED"))
    }

    fn into_entity(self) -> Entity {
        let blocks = self.counts()
            && self.can_send_message.as_deref() == Some("BLOCKED")
            && (self.any_lock || !self.any_error);
        let word = |text: Cow<'_, str>| cut(&text, MAX_WORD).to_owned();
        Entity {
            kind: self.kind.map(word).unwrap_or_default(),
            id: self.id.map(word),
            can_send_message: self.can_send_message.map(word).unwrap_or_default(),
            errors: self.errors,
            blocks,
        }
    }

    fn take(&mut self, error: Option<EntityError<'_>>) {
        let error = error.unwrap_or_default();
        self.any_error = true;
        self.any_lock |= error.code.is_none_or(may_lock);
        if self.errors.len() < MAX_ERRORS {
            let sentence = |text: Cow<'_, str>| cut(&text, MAX_SENTENCE).to_owned();
            self.errors.push(HealthError {
                code: error.code.unwrap_or_default(),
                description: error.description.map(sentence).unwrap_or_default(),
                possible_solution: error.possible_solution.map(sentence),
            });
        }
    }
}

impl<'de> Object<'de> for EntityFields<'de> {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"entity_type" => self.kind = value.text()?,
            b"id" => self.id = value.text()?,
            b"can_send_message" => self.can_send_message = value.text()?,
            b"errors" => {
                value.list(|error| self.take(error))?;
            }
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// The fields of an error of an entity.
#[derive(Default)]
struct EntityError<'a> {
    code: Option<i64>,
    description: Option<Cow<'a, str>>,
    possible_solution: Option<Cow<'a, str>>,
}

impl<'de> Object<'de> for EntityError<'de> {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"error_code" => self.code = value.integer()?,
            b"error_description" => self.description = value.text()?,
            b"possible_solution" => self.possible_solution = value.text()?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
