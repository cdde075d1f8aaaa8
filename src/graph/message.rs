//! What a send says about itself: which class of message it is, and where it goes.

use serde::de::MapAccess;

use super::class::Class;
use super::country::Country;
use super::form::{self, Writing};
use super::lenient::{self, Object, Value};
use super::route::Endpoint;

/// A send, as far as a breaker with an extent or a country asks. Nothing in it tells who the recipient is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Its class. `None`: it cannot be known, so it has to count as either.
    pub class: Option<Class>,
    /// The recipient's country. `None`: a group, or it cannot be known.
    pub country: Option<Country>,
}

/// Reads a send, its `query`, `content_type` and `body` as they came: JSON, or a form with objects as JSON inside. Needed only
/// while a breaker is open.
///
/// Whatever goes over `/marketing_messages` is business-initiated; what `/messages_encrypted` says is hidden. On `/messages` a
/// template is business-initiated, and so is any type with a `category` (Direct Send). Everything else that can be read is
/// customer-initiated, also what Meta will refuse for its type.
///
/// `type` may be missing from a text. Without it a body that has no text is of no known class, and so is one that has a
/// template, with or without a text: Meta may take it for what it holds, or for a bad text. The same if `type` or `category`
/// comes twice, or the body cannot be read.
///
/// `to` counts before `recipient`; if one comes twice the last one counts, as it does for Meta.
///
/// Graph takes parameters from the query and from the body, and which of them outranks the other is not documented. What depends on that
/// is not known.
pub fn outline(endpoint: Endpoint, content_type: Option<&str>, query: Option<&str>, body: &[u8]) -> Outline {
    if endpoint == Endpoint::MessagesEncrypted {
        return Outline::default();
    }
    let query = query.and_then(|query| read(FORM, query.as_bytes())).unwrap_or_default();
    let in_body =
        if body.trim_ascii().is_empty() { Some(Fields::default()) } else { read(content_type, body) };
    let is_read = in_body.is_some();
    let body = in_body.unwrap_or_default();
    let either = [body.over(&query), query.over(&body)];
    let class = match endpoint {
        Endpoint::MarketingMessages => Some(Class::BusinessInitiated),
        _ => agreed(either.iter().chain(body.tells_class().then_some(&body)).map(Fields::class)),
    };
    let country = agreed(either.iter().chain(body.tells_recipient().then_some(&body)).map(Fields::country));
    Outline { class: class.filter(|_| is_read || endpoint == Endpoint::MarketingMessages), country }
}

/// Whether a query or a form has anything of a message in it.
pub(super) fn is_in_form(form: &[u8]) -> bool {
    form::pairs(form).any(|(name, _)| NAMES.contains(&plain(&name)))
}

const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

/// What all say.
fn agreed<T: PartialEq>(mut all: impl Iterator<Item = Option<T>>) -> Option<T> {
    let first = all.next()?;
    all.all(|other| other == first).then_some(first).flatten()
}

fn read(content_type: Option<&str>, body: &[u8]) -> Option<Fields> {
    let writing = Writing::of(content_type);
    if let Writing::Other = writing {
        return lenient::document(&lenient::text_of(body));
    }
    let mut fields = Fields::default();
    form::each(writing, body, |name, value| {
        let name = plain(name);
        if NAMES.contains(&name) {
            fields.take(name, &String::from_utf8_lossy(&value));
        }
    })?;
    Some(fields)
}

/// A form's name without its brackets: `text[body]=…` is a part of `text`.
fn plain(name: &[u8]) -> &[u8] {
    name.split(|&byte| byte == b'[').next().unwrap_or_default()
}

/// The fields that matter.
const NAMES: [&[u8]; 7] =
    [b"type", b"category", b"text", b"template", b"to", b"recipient", b"recipient_type"];

/// The categories of Direct Send.
const CATEGORIES: [&str; 3] = ["utility", "authentication", "marketing"];

#[derive(Default)]
struct Fields {
    kind: Word,
    category: Word,
    has_text: bool,
    has_template: bool,
    to: Recipient,
    recipient: Recipient,
    to_group: bool,
}

/// What one word of the body says. That of a field that is missing, empty or `null` is as good as absent.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Word {
    #[default]
    Missing,
    Nothing,
    BusinessInitiated,
    Other,
    /// It comes twice, or is no word.
    Unclear,
}

/// A recipient that is named; where that is, if it is known.
type Recipient = Option<Option<Country>>;

impl<'de> Object<'de> for Fields {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        if NAMES.contains(&name) {
            self.take(name, &value.written()?);
            Ok(())
        } else {
            value.skip()
        }
    }
}

impl Fields {
    /// Takes one of [`NAMES`]: a text, or the JSON of anything else.
    fn take(&mut self, name: &[u8], value: &str) {
        let value = value.trim();
        let value = if value == "null" { "" } else { value };
        let recipient = || (!value.is_empty()).then(|| Country::of_recipient(value));
        match name {
            b"type" => self.kind = self.kind.and(value, &["template"]),
            b"category" => self.category = self.category.and(value, &CATEGORIES),
            b"text" => self.has_text = !value.is_empty(),
            b"template" => self.has_template = !value.is_empty(),
            b"to" => self.to = recipient(),
            b"recipient" => self.recipient = recipient(),
            b"recipient_type" => self.to_group = value.eq_ignore_ascii_case("group"),
            _ => {}
        }
    }

    /// These, and of the others those that are not among these.
    fn over(&self, others: &Self) -> Self {
        Self {
            kind: self.kind.over(others.kind),
            category: self.category.over(others.category),
            has_text: self.has_text || others.has_text,
            has_template: self.has_template || others.has_template,
            to: self.to.or(others.to),
            recipient: self.recipient.or(others.recipient),
            to_group: self.to_group || others.to_group,
        }
    }

    fn tells_class(&self) -> bool {
        self.has_text || self.has_template || [self.kind, self.category] != [Word::Missing; 2]
    }

    fn tells_recipient(&self) -> bool {
        self.to.is_some() || self.recipient.is_some()
    }

    fn class(&self) -> Option<Class> {
        match (self.kind, self.category) {
            (Word::Unclear, _) | (_, Word::Unclear) => None,
            (Word::BusinessInitiated, _) | (_, Word::BusinessInitiated) => Some(Class::BusinessInitiated),
            // A category of tomorrow.
            (_, Word::Other) => None,
            (Word::Other, _) => Some(Class::CustomerInitiated),
            (Word::Missing | Word::Nothing, _) => {
                (self.has_text && !self.has_template).then_some(Class::CustomerInitiated)
            }
        }
    }

    fn country(&self) -> Option<Country> {
        if self.to_group { None } else { self.to.or(self.recipient).flatten() }
    }
}

impl Word {
    fn over(self, other: Self) -> Self {
        if self == Self::Missing { other } else { self }
    }

    /// What it says when the field comes with this value, too. Case does not matter: what Meta takes for none of its words, it
    /// refuses.
    fn and(self, value: &str, business_initiated: &[&str]) -> Self {
        let is_word = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if self != Self::Missing || !is_word {
            Self::Unclear
        } else if value.is_empty() {
            Self::Nothing
        } else if business_initiated.iter().any(|word| word.eq_ignore_ascii_case(value)) {
            Self::BusinessInitiated
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests;
