//! What a breaker stands for.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::graph::country::Country;
use crate::graph::ids::{PhoneNumberId, TokenId, WabaId};

/// What a breaker stands for: whose sends it holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// One phone.
    Phone(PhoneNumberId),
    /// An account: all phones that are known to be its.
    Waba(WabaId),
    /// One phone's messages to the recipients of one country.
    PhoneCountry(PhoneNumberId, Country),
    /// All sends with one access token.
    Token(TokenId),
}

/// The kinds of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScopeKind {
    /// One phone.
    Phone,
    /// An account.
    Waba,
    /// One phone's messages to one country.
    PhoneCountry,
    /// One access token.
    Token,
}

impl ScopeKind {
    /// All of them, in the order in which they are declared.
    pub const ALL: [Self; 4] = [Self::Phone, Self::Waba, Self::PhoneCountry, Self::Token];

    /// As the admin API, the metrics and the store write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Waba => "waba",
            Self::PhoneCountry => "phone_country",
            Self::Token => "token",
        }
    }
}

impl Scope {
    /// What kind it is.
    pub const fn kind(&self) -> ScopeKind {
        match self {
            Self::Phone(_) => ScopeKind::Phone,
            Self::Waba(_) => ScopeKind::Waba,
            Self::PhoneCountry(..) => ScopeKind::PhoneCountry,
            Self::Token(_) => ScopeKind::Token,
        }
    }

    /// Its id: digits; of a phone's country `106540352242922.BR`, of a token `t0123456789abcdef`.
    pub fn id(&self) -> Cow<'_, str> {
        match self {
            Self::Phone(id) => id.as_str().into(),
            Self::Waba(id) => id.as_str().into(),
            Self::PhoneCountry(phone, country) => format!("{phone}.{country}").into(),
            Self::Token(id) => id.to_string().into(),
        }
    }

    /// The phone, if it stands for one phone and all that it sends.
    pub const fn phone(&self) -> Option<PhoneNumberId> {
        match self {
            Self::Phone(id) => Some(*id),
            Self::Waba(_) | Self::PhoneCountry(..) | Self::Token(_) => None,
        }
    }

    /// Whether it outlives the process: the hash that names a token does not.
    pub const fn is_kept(&self) -> bool {
        !matches!(self, Self::Token(_))
    }

    /// Reads what [`Scope::id`] wrote, of whatever kind: the ids of two kinds may be alike.
    pub fn of_id(id: &str) -> impl Iterator<Item = Self> {
        ScopeKind::ALL.into_iter().filter_map(move |kind| Self::of_kind(kind, id))
    }

    /// Reads what [`ScopeKind::name`] and [`Scope::id`] wrote.
    pub fn parse(kind: &str, id: &str) -> Option<Self> {
        let kind = ScopeKind::ALL.into_iter().find(|known| known.name() == kind)?;
        Self::of_kind(kind, id)
    }

    fn of_kind(kind: ScopeKind, id: &str) -> Option<Self> {
        match kind {
            ScopeKind::Phone => PhoneNumberId::parse(id).ok().map(Self::Phone),
            ScopeKind::Waba => WabaId::parse(id).ok().map(Self::Waba),
            ScopeKind::PhoneCountry => {
                let (phone, country) = id.split_once('.')?;
                Some(Self::PhoneCountry(PhoneNumberId::parse(phone).ok()?, Country::parse(country).ok()?))
            }
            ScopeKind::Token => id.parse().ok().map(Self::Token),
        }
    }
}

impl From<PhoneNumberId> for Scope {
    fn from(id: PhoneNumberId) -> Self {
        Self::Phone(id)
    }
}

impl From<WabaId> for Scope {
    fn from(id: WabaId) -> Self {
        Self::Waba(id)
    }
}

/// `phone/106540352242922`
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind().name(), self.id())
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Scope {
    type Err = MalformedScope;

    fn from_str(text: &str) -> Result<Self, MalformedScope> {
        text.split_once('/').and_then(|(kind, id)| Self::parse(kind, id)).ok_or(MalformedScope)
    }
}

/// Not what [`Scope`] prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scope is its kind, a slash and its id")]
pub struct MalformedScope;

/// As two members of a JSON object, `scope` and `scope_id`: to be flattened into what it is about.
#[derive(Serialize, Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    scope: Cow<'a, str>,
    #[serde(borrow)]
    scope_id: Cow<'a, str>,
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Members { scope: self.kind().name().into(), scope_id: self.id() }.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Members { scope, scope_id } = Members::deserialize(from)?;
        Self::parse(&scope, &scope_id).ok_or(MalformedScope).map_err(serde::de::Error::custom)
    }
}
