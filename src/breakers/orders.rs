//! What operators order.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::oneshot;

use super::journal::Word;
use super::{BreakerView, Breakers, Purpose, Settling};
use crate::breaker::{Event, Generation, Override, OverrideOrder, Scope};
use crate::graph::health::{Health, Unknown};
use crate::incident::{OrderGiven, OrderName};

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

impl OrderKind {
    const fn name(self) -> OrderName {
        match self {
            Self::Reset => OrderName::Reset,
            Self::Open => OrderName::Open,
            Self::Bypass => OrderName::Bypass,
            Self::Lift => OrderName::Lift,
        }
    }
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

/// Who asks for a probe, and why.
#[derive(Clone, Debug)]
pub struct ProbeOrder {
    /// Why; never empty.
    pub reason: String,
    /// Who.
    pub by: String,
}

/// Who lets one more PIN try through, and why.
#[derive(Clone, Debug)]
pub struct PinOrder {
    /// Why; never empty.
    pub reason: String,
    /// Who.
    pub by: String,
}

/// The breaker is not at the generation that the operator looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the breaker is at generation {} now", current.0)]
pub struct GenerationMismatch {
    /// Where it is.
    pub current: Generation,
}

impl Breakers {
    /// Carries out an order; returns once it is durable (or could not be made so in time). `expected`: only if the breaker is
    /// at this generation; the comparison and the order are one step, so an order never beats a fresh trip unseen.
    pub async fn order(
        &self,
        scope: impl Into<Scope>,
        order: Order,
        expected: Option<Generation>,
    ) -> Result<BreakerView, GenerationMismatch> {
        let scope = scope.into();
        let text = format!("{}: {}", order.by, order.reason);
        let at = self.now();
        let until = order.hold.map(|hold| at.plus(hold));
        let (by, reason) = (order.by.clone(), order.reason.clone());
        let given = OrderGiven { at, order: order.kind.name(), by, reason, until };
        let hold = |kind, order: Order| {
            Event::Hold(Override { order: kind, by: order.by, reason: order.reason, at, until })
        };
        let event = match order.kind {
            OrderKind::Reset => Event::Reset { text },
            OrderKind::Lift => Event::Lift { text },
            OrderKind::Open => hold(OverrideOrder::Open, order),
            OrderKind::Bypass => hold(OverrideOrder::Bypass, order),
        };
        let word = Word { order: Some(given), ..Word::from(event) };
        self.fenced(scope, word, expected)?.await;
        Ok(self.view(scope))
    }

    /// Has the phone probed now, waits for the outcome (or the probe's lease), and says what it was. A block that
    /// it finds opens a closed breaker.
    pub async fn probe(
        &self,
        scope: impl Into<Scope>,
        order: ProbeOrder,
        expected: Option<Generation>,
    ) -> Result<(Health, BreakerView), GenerationMismatch> {
        let scope = scope.into();
        let current = Generation(self.view(scope).generation);
        if expected.is_some_and(|expected| expected != current) {
            return Err(GenerationMismatch { current });
        }
        tracing::info!(%scope, by = order.by, reason = order.reason, "an operator asks for a probe");
        let ProbeOrder { reason, by } = order;
        let given = OrderGiven { at: self.now(), order: OrderName::Probe, by, reason, until: None };
        self.write_down_order(scope, given);
        let (answer, outcome) = oneshot::channel();
        {
            let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.retain(|(_, waiter)| !waiter.is_closed());
            waiting.push((scope, answer));
        }
        let is_open = self
            .0
            .registry
            .get(scope)
            .is_some_and(|cell| cell.read(|breaker| breaker.next_check().is_some()));
        if is_open {
            drop(self.apply_if_known(scope, Event::CheckNow { asked: true }));
        } else {
            self.ask(scope, Purpose::Order(current));
        }
        let patience = self.settings().policy.probe_lease;
        let health = match tokio::time::timeout(patience, outcome).await {
            Ok(Ok(health)) => health,
            Ok(Err(_)) | Err(_) => Health::Unknown(Unknown::NoAnswer),
        };
        Ok((health, self.view(scope)))
    }

    fn fenced(
        &self,
        scope: Scope,
        word: Word,
        expected: Option<Generation>,
    ) -> Result<Settling, GenerationMismatch> {
        let cell = match word.event {
            // What was never opened is not made only to be found closed.
            Event::Reset { .. } | Event::Lift { .. } => self.0.registry.get(scope),
            _ => Some(self.0.registry.get_or_make(scope)),
        };
        match (cell, expected) {
            (Some(cell), _) => self.apply_to(scope, &cell, word, expected),
            (None, None | Some(Generation(0))) => Ok(Settling::default()),
            (None, Some(_)) => Err(GenerationMismatch { current: Generation::default() }),
        }
    }
}
