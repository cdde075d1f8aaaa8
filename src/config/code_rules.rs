//! `[[rule]]`: what else than a lock opens a breaker, which one, how wide, and what closes it.

use std::time::Duration;

use toml::{Table, Value};

use crate::graph::error::{
    ACCOUNT_LOCKED, PIN_GUESSED_TOO_FAST, PIN_GUESSED_TOO_OFTEN, PIN_MISMATCH, POLICY_BLOCK, TOKEN_INVALID,
    may_lock,
};

use super::duration;
use super::problem::Problem;
use super::read::{Given, Reader, unknown_keys};
use super::rules::{count, one_of, some_duration};

/// `[[rule]]`: an error code that opens a breaker, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Meta's code: none of a lock, a PIN, payment or SIP, nor one that is about a single message or recipient.
    pub code: i64,
    /// Which breaker: [`RuleScope::Token`] for 190 and for nothing else.
    pub scope: RuleScope,
    /// What it holds back; all of it if the scope is a token.
    pub extent: RuleExtent,
    /// What closes it; only time if the scope has a country.
    pub clears: Clears,
}

/// The scope that a rule's breaker is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleScope {
    /// The phone.
    Phone,
    /// The WABA that the phone belongs to.
    Waba,
    /// The phone's messages to the recipient's country.
    PhoneCountry,
    /// The access token that the call had.
    Token,
}

/// What a rule's breaker holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleExtent {
    /// Every send.
    All,
    /// Templates and marketing messages.
    BusinessInitiated,
    /// Everything else.
    CustomerInitiated,
}

/// What closes a rule's breaker. The durations are longer than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clears {
    /// A health check, as it closes that of a lock.
    Probe,
    /// That much time since it opened.
    Time(Duration),
    /// That much time, and then a health check.
    Both(Duration),
}

/// The most rules. Meta has some hundred codes.
const MOST: usize = 64;

/// The keys of a rule.
const KEYS: [&str; 5] = ["code", "scope", "extent", "clears", "hold"];

/// What a rule may look like.
const EXAMPLE: &str = "[{ code = 131048, scope = \"phone\", clears = \"time\", hold = \"1h\" }]";

/// Far more than any code of Meta's.
const LARGEST_CODE: i64 = 99_999_999;

/// The business may not message users in this country.
const COUNTRY_CLOSED: i64 = 130_497;

/// Codes that speak of one message or one recipient: a parameter, a recipient that cannot be reached or does not want it, a window
/// that is over. A breaker would hold back everybody else's messages for them.
const ABOUT_ONE_MESSAGE: [i64; 16] = [
    100, 130_403, 130_472, 131_008, 131_009, 131_021, 131_026, 131_047, 131_049, 131_050, 131_051, 131_052,
    131_053, 131_056, 131_062, 137_000,
];

const SCOPES: [(&str, RuleScope); 4] = [
    ("phone", RuleScope::Phone),
    ("waba", RuleScope::Waba),
    ("phone_country", RuleScope::PhoneCountry),
    ("token", RuleScope::Token),
];

const EXTENTS: [(&str, RuleExtent); 3] = [
    ("all", RuleExtent::All),
    ("business_initiated", RuleExtent::BusinessInitiated),
    ("customer_initiated", RuleExtent::CustomerInitiated),
];

/// The word for what clears, before its duration is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clearing {
    Probe,
    Time,
    Both,
}

const CLEARINGS: [(&str, Clearing); 3] =
    [("probe", Clearing::Probe), ("time", Clearing::Time), ("both", Clearing::Both)];

/// The rules that are given. What is wrong with one is remembered, and it is left out.
pub(super) fn read(r: &mut Reader) -> Vec<Rule> {
    let Some(given) = r.given("rule") else { return Vec::new() };
    let tables: Option<Vec<Table>> = given.toml().and_then(|value| value.try_into().ok());
    let refused = match &tables {
        None => Some(format!("must be a list of tables, as in {EXAMPLE}")),
        Some(tables) if tables.len() > MOST => Some(format!("must be at most {MOST}, not {}", tables.len())),
        Some(_) => None,
    };
    if let Some(rule) = refused {
        r.refuse("rule", Problem::new(given.at, None, rule));
        return Vec::new();
    }
    let mut rules = Vec::new();
    let mut codes: Vec<(i64, String)> = Vec::new();
    for (index, table) in tables.iter().flatten().enumerate() {
        let mut entry = Entry { at: format!("{}[{index}]", given.at), table, problems: Vec::new() };
        let code = entry.need("code", code);
        if let Some((code, first)) = code.and_then(|code| codes.iter().find(|(other, _)| *other == code)) {
            entry.refuse("code", format!("{first} is for {code} too: a code has one rule"));
        }
        codes.extend(code.map(|code| (code, entry.at.clone())));
        let rule = entry.rule(code);
        rules.extend(rule.filter(|_| entry.problems.is_empty()));
        for problem in entry.problems {
            r.refuse("rule", problem);
        }
    }
    rules
}

/// One of the tables.
struct Entry<'t> {
    at: String,
    table: &'t Table,
    problems: Vec<Problem>,
}

impl Entry<'_> {
    /// The rest of a rule whose code is read.
    fn rule(&mut self, code: Option<i64>) -> Option<Rule> {
        let scope = self.need("scope", one_of(&SCOPES));
        let extent =
            if self.has("extent") { self.need("extent", one_of(&EXTENTS)) } else { Some(RuleExtent::All) };
        let clearing = self.need("clears", one_of(&CLEARINGS));
        let clears = clearing.and_then(|clearing| self.clears(clearing));
        self.problems.extend(unknown_keys(&self.at, self.table, &KEYS));
        if let Some(scope) = scope {
            self.judge(scope, code, extent, clearing);
        }
        Some(Rule { code: code?, scope: scope?, extent: extent?, clears: clears? })
    }

    fn clears(&mut self, clearing: Clearing) -> Option<Clears> {
        match clearing {
            Clearing::Probe if self.has("hold") => {
                self.refuse("hold", "is for clears = \"time\" and \"both\": a probe takes no time");
                None
            }
            Clearing::Probe => Some(Clears::Probe),
            Clearing::Time => self.need("hold", some_duration).map(Clears::Time),
            Clearing::Both => self.need("hold", some_duration).map(Clears::Both),
        }
    }

    /// What the keys must be beside the scope, as far as each is good by itself.
    fn judge(
        &mut self,
        scope: RuleScope,
        code: Option<i64>,
        extent: Option<RuleExtent>,
        clearing: Option<Clearing>,
    ) {
        let is_token = scope == RuleScope::Token;
        match code {
            Some(code) if is_token && code != TOKEN_INVALID => {
                self.refuse("scope", format!("\"token\" is for code {TOKEN_INVALID} only"));
            }
            Some(TOKEN_INVALID) if !is_token => {
                let why = "a token's end is no phone's fault";
                self.refuse("scope", format!("must be \"token\" for code {TOKEN_INVALID}: {why}"));
            }
            Some(COUNTRY_CLOSED) if scope != RuleScope::PhoneCountry => {
                let why = "other countries' users get their messages";
                self.refuse("scope", format!("must be \"phone_country\" for code {COUNTRY_CLOSED}: {why}"));
            }
            _ => {}
        }
        if is_token && extent.is_some_and(|extent| extent != RuleExtent::All) {
            self.refuse("extent", "must be \"all\" with scope = \"token\": a bad token sends nothing");
        }
        let by_probe = clearing.is_some_and(|clearing| clearing != Clearing::Time);
        if scope == RuleScope::PhoneCountry && by_probe {
            let rule = "must be \"time\" with scope = \"phone_country\": no probe tells about a country";
            self.refuse("clears", rule);
        }
    }

    fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The value of a key that must be there. `None`: it is not, or it is refused.
    fn need<T>(&mut self, key: &str, convert: impl FnOnce(&Given) -> Result<T, String>) -> Option<T> {
        let Some(value) = self.table.get(key) else {
            self.problems.push(Problem::new(format!("{}.{key}", self.at), None, "must be given"));
            return None;
        };
        convert(&Given::in_list(String::new(), value.clone())).map_err(|rule| self.refuse(key, rule)).ok()
    }

    /// Remembers a mistake in a key.
    fn refuse(&mut self, key: &str, rule: impl Into<String>) {
        let value =
            self.table.get(key).and_then(|value| Given::in_list(String::new(), value.clone()).shown());
        self.problems.push(Problem::new(format!("{}.{key}", self.at), value, rule));
    }
}

/// A code that a rule may be for.
fn code(given: &Given) -> Result<i64, String> {
    let code = count::<i64>(1..=LARGEST_CODE)(given)?;
    let why = match code {
        ACCOUNT_LOCKED | POLICY_BLOCK => "is a lock, which opens breakers without a rule",
        PIN_MISMATCH | PIN_GUESSED_TOO_OFTEN | PIN_GUESSED_TOO_FAST => {
            "is about PINs, which pin_guard is for"
        }
        _ if !may_lock(code) => "is about payment or SIP calls, which hold no message back",
        _ if ABOUT_ONE_MESSAGE.contains(&code) => {
            "is about one message or one recipient: a breaker would hold back all the others"
        }
        _ => return Ok(code),
    };
    Err(why.to_owned())
}

impl Rule {
    /// The rule as it is written in the file.
    pub(super) fn shown(&self) -> Value {
        let (clears, hold) = match self.clears {
            Clears::Probe => (Clearing::Probe, None),
            Clears::Time(hold) => (Clearing::Time, Some(hold)),
            Clears::Both(hold) => (Clearing::Both, Some(hold)),
        };
        let mut table = Table::new();
        table.insert("code".to_owned(), self.code.into());
        table.insert("scope".to_owned(), word(&SCOPES, self.scope).into());
        table.insert("extent".to_owned(), word(&EXTENTS, self.extent).into());
        table.insert("clears".to_owned(), word(&CLEARINGS, clears).into());
        table.extend(hold.map(|hold| ("hold".to_owned(), duration::show(hold).into())));
        Value::Table(table)
    }
}

fn word<T: PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, other)| *other == value).map_or("", |(word, _)| word)
}
