//! One handle on all breakers: admit, observe, order.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;

use crate::breaker::{Generation, Lease};
use crate::clock::Clock;
use crate::graph::health::Health;
use crate::graph::ids::{PhoneNumberId, WabaId};
use crate::graph::webhook::Fact;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::time::Timestamp;

/// The handle. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Breakers(Arc<()>);

/// A probe to be made now, and answered with [`Breakers::probed`] before its lease is over.
#[derive(Clone, Debug)]
pub struct ProbeTicket {
    /// Whom to ask about.
    pub phone: PhoneNumberId,
    /// Its WABA, where it is known: tokens may be configured by WABA.
    pub waba: Option<WabaId>,
    /// Goes back with the outcome: an outcome of an earlier lease is ignored.
    pub lease: Lease,
}

/// A breaker as the admin API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct BreakerView {
    /// `phone`
    pub scope: &'static str,
    /// The phone's id.
    pub id: String,
    /// Its WABA, where it is known.
    pub waba_id: Option<String>,
    /// closed, open, half_open, forced_open, bypassed
    pub state: &'static str,
    /// all
    pub extent: Option<&'static str>,
    /// Grows with every transition.
    pub generation: u64,
    /// Why it is not closed.
    pub reason: Option<ReasonView>,
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
    /// contradiction, no_token, not_durable, …
    pub name: &'static str,
    /// Since when.
    pub since: String,
    /// How often.
    pub count: u64,
    /// In words.
    pub text: String,
}

/// What an operator can order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKind {
    /// Close now.
    Reset,
    /// Hold open.
    Open,
    /// Let everything pass.
    Bypass,
    /// End `open` or `bypass`.
    Lift,
}

/// An operator's order.
#[derive(Clone, Debug)]
pub struct Order {
    /// What.
    pub kind: OrderKind,
    /// Why; never empty.
    pub reason: String,
    /// Who.
    pub by: String,
    /// How long `open` and `bypass` hold; none = until lifted.
    pub hold: Option<Duration>,
}

/// The breaker is not at the generation that the operator looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the breaker is at generation {current:?} now")]
pub struct GenerationMismatch {
    /// Where it is.
    pub current: Generation,
}

/// Which breakers to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Only this state (as shown: overrides count as their own state). None: all but the closed ones.
    pub state: Option<&'static str>,
    /// Only phones of this WABA.
    pub waba: Option<WabaId>,
    /// Only ids after this one, in text order.
    pub after: Option<PhoneNumberId>,
    /// At most so many.
    pub limit: usize,
}

/// The states that the admin API and the metrics show.
pub const SHOWN_STATES: [&str; 5] = ["closed", "open", "half_open", "forced_open", "bypassed"];

impl Breakers {
    /// All closed, but for what the store remembers. Probes that become due are sent to the receiver.
    pub fn new(
        store: Arc<dyn Store>,
        telemetry: Telemetry,
        clock: Clock,
    ) -> (Self, mpsc::UnboundedReceiver<ProbeTicket>) {
        let _ = (store, telemetry, clock);
        todo!()
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        todo!()
    }

    /// Takes in what a webhook said, all facts of one post. Returns once every transition that it caused is durable (or
    /// could not be made so in time). To be called before the post is acknowledged.
    pub async fn hear(&self, facts: &[Fact]) {
        let _ = facts;
        todo!()
    }

    /// The outcome of a probe.
    pub async fn probed(&self, ticket: &ProbeTicket, health: Health) {
        let _ = (ticket, health);
        todo!()
    }

    /// Carries out an order, durably. `expected`: only if the breaker is at this generation.
    pub async fn order(
        &self,
        phone: PhoneNumberId,
        order: Order,
        expected: Option<Generation>,
    ) -> Result<BreakerView, GenerationMismatch> {
        let _ = (phone, order, expected);
        todo!()
    }

    /// Has the phone probed now, waits for the outcome (or the probe's time-out), and says what it was.
    pub async fn probe(
        &self,
        phone: PhoneNumberId,
        order: ProbeOrder,
        expected: Option<Generation>,
    ) -> Result<(Health, BreakerView), GenerationMismatch> {
        let _ = (phone, order, expected);
        todo!()
    }

    /// One breaker. Any id is known: what was never opened is closed.
    pub fn view(&self, phone: PhoneNumberId) -> BreakerView {
        let _ = phone;
        todo!()
    }

    /// Breakers in the order of their ids; at most `filter.limit`, and whether there are more.
    pub fn list(&self, filter: &Filter) -> (Vec<BreakerView>, bool) {
        let _ = filter;
        todo!()
    }

    /// How many breakers are in each of [`SHOWN_STATES`] (closed: those that are remembered).
    pub fn counts(&self) -> [(&'static str, u64); 5] {
        todo!()
    }
}

/// Who asks for a probe, and why.
#[derive(Clone, Debug)]
pub struct ProbeOrder {
    /// Why; never empty.
    pub reason: String,
    /// Who.
    pub by: String,
}
