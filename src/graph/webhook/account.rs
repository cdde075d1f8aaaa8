//! Account events: `account_update`, `account_review_update` and what warns.
//!
//! Whom they are about is `entry[].id`, a WABA; where a partner's id stands there, `waba_info.waba_id`. Phone numbers in them are
//! display numbers as often as ids, so they are not looked at: an account event is about the account.

use std::borrow::Cow;

use serde::de::MapAccess;

use super::reading::timestamp;
use super::{Account, AccountNews, MAX_SENTENCE, Restriction};
use crate::graph::class::Class;
use crate::graph::ids::WabaId;
use crate::graph::lenient::{Object, Value, cut};
use crate::time::Timestamp;

/// The most restrictions of one event that are looked at; Meta knows some ten types.
const MAX_RESTRICTIONS: usize = 64;

/// What the `value` of an account event says, whatever its field.
#[derive(Default)]
pub(super) struct AccountFields {
    event: Option<String>,
    decision: Option<String>,
    waba: Option<WabaId>,
    ban: Option<BanInfo>,
    restrictions: Option<Vec<RestrictionFields>>,
    violation: Option<String>,
    severity: Option<String>,
    alert: Option<String>,
}

impl AccountFields {
    /// Whether a field of `value` is one of these.
    pub(super) fn knows(name: &[u8]) -> bool {
        let names = [
            "event",
            "decision",
            "waba_info",
            "ban_info",
            "restriction_info",
            "violation_info",
            "alert_info",
        ];
        names.iter().any(|known| known.as_bytes() == name)
    }

    /// Takes a field that it knows.
    pub(super) fn take<'de, M: MapAccess<'de>>(
        &mut self,
        name: &[u8],
        value: Value<'_, M>,
    ) -> Result<(), M::Error> {
        let word = |text: Cow<'_, str>| cut(&text, MAX_SENTENCE).to_owned();
        match name {
            b"event" => self.event = value.text()?.map(word),
            b"decision" => self.decision = value.text()?.map(word),
            b"waba_info" => self.waba = value.object::<WabaInfo>()?.and_then(|info| info.waba),
            b"ban_info" => self.ban = value.object()?,
            b"restriction_info" => {
                let mut restrictions = Vec::new();
                let is_list = value.list(|restriction: Option<RestrictionFields>| {
                    restrictions.extend(restriction.filter(|_| restrictions.len() < MAX_RESTRICTIONS));
                })?;
                self.restrictions = is_list.then_some(restrictions);
            }
            b"violation_info" => {
                let info = value.object::<ViolationInfo>()?;
                self.violation = info.and_then(|info| info.kind);
            }
            b"alert_info" => {
                let info = value.object::<AlertInfo>()?.unwrap_or_default();
                (self.severity, self.alert) = (info.severity, info.kind);
            }
            _ => value.skip()?,
        }
        Ok(())
    }

    /// `event`, which other fields have too.
    pub(super) fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    /// The fact of a change of this field; none if it says nothing about sending, or of no account.
    pub(super) fn into_fact(
        self,
        field: Option<&str>,
        entry: Option<WabaId>,
        at: Option<Timestamp>,
    ) -> Option<Account> {
        let waba = self.waba.or(entry)?;
        let news = match field {
            Some("account_update") => self.update()?,
            // Older samples have the field's name elsewhere.
            None if self.ban.is_some() || self.restrictions.is_some() => self.update()?,
            Some("account_review_update") => match self.decision.as_deref()? {
                "REJECTED" => AccountNews::ReviewRejected,
                "APPROVED" => AccountNews::ReviewApproved,
                _ => return None,
            },
            Some("account_alerts") => match self.severity.as_deref() {
                Some("CRITICAL" | "WARNING") => AccountNews::Warning(named("alert", self.alert)),
                _ => return None,
            },
            Some("phone_number_quality_update") => match self.event.as_deref()? {
                "FLAGGED" | "DOWNGRADE" => AccountNews::Warning(named("quality", self.event)),
                _ => return None,
            },
            _ => return None,
        };
        Some(Account { waba, at, news })
    }

    fn update(self) -> Option<AccountNews> {
        Some(match self.event.as_deref()? {
            "DISABLED_UPDATE" => match self.ban.unwrap_or_default().states.as_slice() {
                [BanState::Disable] => AccountNews::Disabled,
                [BanState::Reinstate] => AccountNews::Reinstated,
                [BanState::Scheduled] => AccountNews::Warning("SCHEDULE_FOR_DISABLE".to_owned()),
                // Several at once, or one that we do not know: nobody can say which holds.
                _ => AccountNews::Unreadable,
            },
            "ACCOUNT_RESTRICTION" => match self.restrictions {
                Some(restrictions) => AccountNews::Restricted(
                    restrictions.into_iter().filter_map(RestrictionFields::into_restriction).collect(),
                ),
                None => AccountNews::Unreadable,
            },
            "ACCOUNT_DELETED" => AccountNews::Deleted,
            "ACCOUNT_OFFBOARDED" => AccountNews::Offboarded,
            "ACCOUNT_RECONNECTED" => AccountNews::Reconnected,
            "ACCOUNT_VIOLATION" => AccountNews::Warning(named("ACCOUNT_VIOLATION", self.violation)),
            _ => return None,
        })
    }
}

fn named(what: &str, kind: Option<String>) -> String {
    match kind {
        Some(kind) => format!("{what} {kind}"),
        None => what.to_owned(),
    }
}

#[derive(Default)]
struct WabaInfo {
    waba: Option<WabaId>,
}

impl<'de> Object<'de> for WabaInfo {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"waba_id" => self.waba = value.text()?.and_then(|id| WabaId::parse(&*id).ok()),
            _ => value.skip()?,
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BanState {
    Disable,
    Scheduled,
    Reinstate,
    Other,
}

/// `ban_info`. Its state comes as a text or as an array of texts; its date is prose.
#[derive(Default)]
struct BanInfo {
    states: Vec<BanState>,
}

impl<'de> Object<'de> for BanInfo {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"waba_ban_state" => {
                let states = value.texts()?;
                self.states = states.iter().map(|state| ban_state(state)).collect();
                self.states.dedup();
            }
            _ => value.skip()?,
        }
        Ok(())
    }
}

fn ban_state(state: &str) -> BanState {
    match state {
        "DISABLE" => BanState::Disable,
        "SCHEDULE_FOR_DISABLE" => BanState::Scheduled,
        "REINSTATE" => BanState::Reinstate,
        _ => BanState::Other,
    }
}

/// An element of `restriction_info[]`.
#[derive(Default)]
struct RestrictionFields {
    kind: Option<String>,
    until: Option<Timestamp>,
}

impl RestrictionFields {
    /// Restrictions of other things than messages (adding numbers, creating templates, calls) say nothing here.
    fn into_restriction(self) -> Option<Restriction> {
        let class = match self.kind.as_deref()? {
            "RESTRICTED_BIZ_INITIATED_MESSAGING" => Class::BusinessInitiated,
            "RESTRICTED_CUSTOMER_INITIATED_MESSAGING" => Class::CustomerInitiated,
            _ => return None,
        };
        Some(Restriction { class, until: self.until })
    }
}

impl<'de> Object<'de> for RestrictionFields {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"restriction_type" => self.kind = value.text()?.map(|kind| cut(&kind, MAX_SENTENCE).to_owned()),
            b"expiration" => self.until = value.text()?.and_then(|text| date(&text)),
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// Seconds since 1970, as Meta documents it; or ISO 8601, as older copies have it, with `Z`, an offset, or neither.
fn date(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse() {
        return timestamp(seconds);
    }
    let (local, offset) = match text.char_indices().rev().find(|(_, c)| matches!(c, '+' | '-')) {
        // Later than in `2026-05-01`.
        Some((at, sign)) if at > "2026-05-01".len() => (text.get(..at)?, offset(sign, text.get(at + 1..)?)?),
        _ => (text.trim_end_matches('Z'), 0),
    };
    let local = humantime::parse_rfc3339_weak(local).ok()?;
    let seconds = Timestamp::from(local).millis() / 1000;
    timestamp(seconds.checked_sub(offset)?)
}

/// `0200` or `02:00`, in seconds.
fn offset(sign: char, text: &str) -> Option<i64> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    if digits.len() != 4 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits: i64 = digits.parse().ok()?;
    let seconds = (digits / 100) * 3600 + (digits % 100) * 60;
    Some(if sign == '-' { -seconds } else { seconds })
}

#[derive(Default)]
struct ViolationInfo {
    kind: Option<String>,
}

impl<'de> Object<'de> for ViolationInfo {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"violation_type" => self.kind = value.text()?.map(|kind| cut(&kind, MAX_SENTENCE).to_owned()),
            _ => value.skip()?,
        }
        Ok(())
    }
}

#[derive(Default)]
struct AlertInfo {
    severity: Option<String>,
    kind: Option<String>,
}

impl<'de> Object<'de> for AlertInfo {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        let word = |text: Cow<'_, str>| cut(&text, MAX_SENTENCE).to_owned();
        match name {
            b"alert_severity" => self.severity = value.text()?.map(word),
            b"alert_type" => self.kind = value.text()?.map(word),
            _ => value.skip()?,
        }
        Ok(())
    }
}
