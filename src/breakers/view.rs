//! A breaker as the admin API, the CLI and the metrics show it.

use serde::Serialize;

use super::{AlsoHeld, Durability, PinGuardView};
use crate::breaker::{Breaker, Policy, Scope, Shown, Source, explain};
use crate::graph::health::{Entity, Health};
use crate::graph::ids::{PhoneNumberId, WabaId};
use crate::registry::Cell;
use crate::time::Timestamp;

/// A breaker as the admin API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct BreakerView {
    /// phone, waba, phone_country, token
    pub scope: &'static str,
    /// Its id.
    pub id: String,
    /// The WABA that it is, or that its phone is known to belong to.
    pub waba_id: Option<String>,
    /// Of a WABA: the phones that are known to belong to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phones: Option<Vec<String>>,
    /// Of a phone, whatever its own breaker is: its account's, as `waba/102290129340398`, if that holds its sends, or some of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
    /// Of a phone: what holds some of its sends beside, and not all that are alike. At most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_held: Vec<AlsoHeld>,
    /// closed, open, half_open, forced_open, bypassed
    pub state: &'static str,
    /// all, business_initiated, customer_initiated
    pub extent: Option<&'static str>,
    /// Grows with every transition.
    pub generation: u64,
    /// Why it is not closed.
    pub reason: Option<ReasonView>,
    /// What the first probe that was answered found.
    pub diagnosis: Option<DiagnosisView>,
    /// Since when it is not closed.
    pub since: Option<String>,
    /// When the next probe is due.
    pub next_check: Option<String>,
    /// Probes of this incident.
    pub probes: u64,
    /// Trials of this incident.
    pub trials: u64,
    /// Sends rejected in this incident.
    pub rejected: u64,
    /// Sends that Meta accepted after the lock began and failed with 131031.
    pub leaked: u64,
    /// Sends that enforce mode would have rejected.
    pub would_reject: u64,
    /// The operator's standing order.
    pub r#override: Option<OverrideView>,
    /// Named conditions that hold now.
    pub conditions: Vec<ConditionView>,
    /// The incident's id.
    pub incident: Option<String>,
    /// The incident that it was in last, or is in.
    pub last_incident: Option<String>,
    /// enforce; or observe: nothing is rejected, whatever the state.
    pub mode: &'static str,
    /// Of a phone whose PINs Meta has refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin_guard: Option<PinGuardView>,
    /// What would close it, in a sentence.
    pub closes_when: String,
}

/// Why a breaker is not closed.
#[derive(Clone, Debug, Serialize)]
pub struct ReasonView {
    /// 131031 or 368; none for an operator's order.
    pub code: Option<i64>,
    /// response, webhook, probe, operator
    pub source: &'static str,
    /// In words.
    pub text: String,
    /// When.
    pub at: String,
}

/// What the first probe of an incident found: who blocks, why, and what Meta suggests.
#[derive(Clone, Debug, Serialize)]
pub struct DiagnosisView {
    /// When.
    pub at: String,
    /// In words.
    pub text: String,
    /// Who was asked about, and what was said; empty if nothing was.
    pub entities: Vec<Entity>,
}

/// An operator's standing order.
#[derive(Clone, Debug, Serialize)]
pub struct OverrideView {
    /// open, bypass
    pub order: &'static str,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Until when; none = until lifted.
    pub until: Option<String>,
}

/// A condition that holds.
#[derive(Clone, Debug, Serialize)]
pub struct ConditionView {
    /// contradiction, no_token, deaf, not_durable
    pub name: &'static str,
    /// Since when.
    pub since: String,
    /// How often.
    pub count: u64,
    /// In words.
    pub text: String,
}

/// What a view is made of, beside the breaker.
pub(super) struct Around<'a> {
    pub(super) account: Option<WabaId>,
    pub(super) phones: Option<Vec<PhoneNumberId>>,
    pub(super) holder: Option<Scope>,
    pub(super) also_held: Vec<AlsoHeld>,
    pub(super) pin_guard: Option<PinGuardView>,
    pub(super) heard: bool,
    pub(super) policy: &'a Policy,
    pub(super) durability: &'a Durability,
    pub(super) deaf_since: Option<Timestamp>,
    pub(super) can_be_watched: bool,
    pub(super) last_incident: Option<String>,
    pub(super) observe: bool,
    pub(super) now: Timestamp,
}

impl BreakerView {
    pub(super) fn of(id: Scope, cell: Option<&Cell>, around: &Around<'_>) -> Self {
        let counts = cell.map_or((0, 0, 0), |cell| cell.counts.get());
        match cell {
            Some(cell) => cell.read(|breaker| Self::show(id, breaker, counts, around)),
            None => Self::show(id, &Breaker::default(), counts, around),
        }
    }

    fn show(
        scope: Scope,
        breaker: &Breaker,
        (rejected, would_reject, leaked): (u64, u64, u64),
        around: &Around<'_>,
    ) -> Self {
        let now = around.now;
        let (shown, lock, order) = (breaker.shown(now), breaker.lock(), breaker.order_at(now));
        let held = shown != Shown::Closed;
        Self {
            scope: scope.kind().name(),
            id: scope.id().into_owned(),
            waba_id: around.account.map(|waba| waba.to_string()),
            phones: around.phones.as_ref().map(|phones| phones.iter().map(ToString::to_string).collect()),
            held_by: around.holder.map(|holder| holder.to_string()),
            also_held: around.also_held.clone(),
            state: shown.name(),
            extent: held.then(|| lock.map_or("all", |lock| lock.extent.name())),
            diagnosis: lock.and_then(|lock| lock.diagnosis.as_ref()).map(DiagnosisView::from),
            generation: breaker.generation().0,
            reason: reason(breaker, now),
            since: lock.map(|lock| lock.since).or(order.map(|order| order.at)).map(|at| at.to_string()),
            next_check: breaker.next_check().map(|at| at.to_string()),
            probes: lock.map_or(0, |lock| lock.probes),
            trials: lock.map_or(0, |lock| lock.trials),
            rejected,
            leaked,
            would_reject,
            r#override: order.map(|order| OverrideView {
                order: order.order.name(),
                by: order.by.clone(),
                reason: order.reason.clone(),
                until: order.until.map(|until| until.to_string()),
            }),
            conditions: conditions(scope, breaker, held, around),
            incident: breaker.incident().map(|incident| incident.id(&scope.id())),
            last_incident: around.last_incident.clone(),
            mode: if around.observe { "observe" } else { "enforce" },
            pin_guard: around.pin_guard.clone(),
            closes_when: explain::closes_when(breaker, scope.kind(), around.policy, around.heard, now),
        }
    }
}

impl From<&(Timestamp, Health)> for DiagnosisView {
    fn from((at, health): &(Timestamp, Health)) -> Self {
        let entities = match health {
            Health::Clear(entities) | Health::Blocked(entities) => entities.clone(),
            Health::Unknown(_) => Vec::new(),
        };
        Self { at: at.to_string(), text: health.to_string(), entities }
    }
}

fn reason(breaker: &Breaker, now: Timestamp) -> Option<ReasonView> {
    if let Some(lock) = breaker.lock() {
        return Some(ReasonView {
            code: Some(lock.reason.code),
            source: lock.reason.source.name(),
            text: lock.reason.text.clone(),
            at: lock.reason.at.to_string(),
        });
    }
    breaker.order_at(now).map(|order| ReasonView {
        code: None,
        source: Source::Operator.name(),
        text: order.reason.clone(),
        at: order.at.to_string(),
    })
}

fn conditions(scope: Scope, breaker: &Breaker, held: bool, around: &Around<'_>) -> Vec<ConditionView> {
    let mut conditions = Vec::new();
    if let Some(contradiction) = breaker.contradiction(around.now, around.policy) {
        conditions.push(ConditionView {
            name: "contradiction",
            since: contradiction.since.to_string(),
            count: contradiction.count,
            text: contradiction.to_string(),
        });
    }
    if let Some(since) = breaker.lock().and_then(|lock| lock.no_token) {
        conditions.push(ConditionView {
            name: "no_token",
            since: since.to_string(),
            count: 1,
            text: match scope {
                Scope::Token(_) => "Meta refuses it still, or it is no longer at hand to ask with",
                _ => "there is no valid token to probe with",
            }
            .to_owned(),
        });
    }
    if let Some(since) = around.deaf_since {
        let unseen = match around.can_be_watched {
            true => "is seen only when a health check or a later send finds it",
            false => "would go unseen, and there is no valid token to watch it by health checks",
        };
        conditions.push(ConditionView {
            name: "deaf",
            since: since.to_string(),
            count: 1,
            text: format!("sends are accepted, and no status webhook comes: a lock told by webhook {unseen}"),
        });
    }
    if let (true, Some((since, count))) = (held, around.durability.lost()) {
        conditions.push(ConditionView {
            name: "not_durable",
            since: since.to_string(),
            count,
            text: "the store does not take writes: a restart may forget this".to_owned(),
        });
    }
    conditions
}
