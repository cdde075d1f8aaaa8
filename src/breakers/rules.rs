//! Rules: codes beside the lock that open a breaker, as the configuration says. Without rules nothing here is ever asked.

use std::time::Duration;

use super::Breakers;
use crate::breaker::{Extent, Hold, Scope};
use crate::graph::class::Class;
use crate::graph::country::Country;
use crate::graph::ids::{PhoneNumberId, TokenId};
use crate::time::Timestamp;

/// An error code that opens a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Meta's code.
    pub code: i64,
    /// Whose breaker.
    pub reach: Reach,
    /// The class of messages that is held; `None`: all are.
    pub class: Option<Class>,
    /// How long it is held at least, and whether a health check must be clear then.
    pub clears: Clears,
}

/// Whose breaker a rule opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The phone's.
    Phone,
    /// Its account's.
    Waba,
    /// That of the phone's messages to the recipient's country.
    PhoneCountry,
    /// That of the access token.
    Token,
}

/// What must be over before what a rule holds may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clears {
    /// A health check must be clear.
    Probe,
    /// This time must be over.
    Time(Duration),
    /// Both, in this order.
    Both(Duration),
}

impl Rule {
    /// What it holds from `now` on.
    pub(super) fn extent(&self, now: Timestamp) -> Extent {
        let hold = match self.clears {
            Clears::Probe => Hold::PROBE,
            Clears::Time(time) => Hold { until: Some(now.plus(time)), by_probe: false, restricted: false },
            Clears::Both(time) => Hold { until: Some(now.plus(time)), by_probe: true, restricted: false },
        };
        self.class.map_or_else(|| Extent::all(hold), |class| Extent::of(class, hold))
    }
}

/// What is known of a send, beside its phone: whatever a breaker may stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// Its class.
    pub class: Option<Class>,
    /// Its recipient's country.
    pub country: Option<Country>,
    /// Its access token.
    pub token: Option<TokenId>,
}

impl Breakers {
    /// Whether a send's recipient may matter to what its answer means.
    pub fn has_country_rules(&self) -> bool {
        self.0.settings.load().rules.iter().any(|rule| rule.reach == Reach::PhoneCountry)
    }

    /// Whether an answer with this code is about the access token.
    pub fn is_about_token(&self, code: i64) -> bool {
        self.rule(code).is_some_and(|rule| rule.reach == Reach::Token)
    }

    /// Whether any country or token is held: then sends are looked into.
    pub fn holds_others(&self) -> bool {
        self.0.registry.holds_others()
    }

    /// The rule for a code.
    pub(super) fn rule(&self, code: i64) -> Option<Rule> {
        self.0.settings.load().rules.iter().find(|rule| rule.code == code).copied()
    }

    /// Whose breaker a rule opens for a send; none if that is not known.
    pub(super) fn reached(&self, rule: &Rule, phone: PhoneNumberId, traits: &Traits) -> Option<Scope> {
        match rule.reach {
            Reach::Phone => Some(phone.into()),
            Reach::Waba => self.0.phones.get(phone).waba.map(Scope::from),
            Reach::PhoneCountry => traits.country.map(|country| Scope::PhoneCountry(phone, country)),
            Reach::Token => traits.token.map(Scope::Token),
        }
    }
}
