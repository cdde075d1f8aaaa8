//! What the admin API needs of the breakers: a seam, so that the API can be tested without them.

use std::future::Future;

use crate::breaker::{Generation, Scope};
use crate::breakers::{BreakerView, Breakers, Filter, GenerationMismatch, Order, PinOrder, ProbeOrder};
use crate::graph::health::Health;
use crate::graph::ids::PhoneNumberId;
use crate::incident::{Incident, Key, Report, Summary};

/// Breakers to look at and to give orders to. The methods are those of [`Breakers`], and mean the same.
pub trait Control: Clone + Send + Sync + 'static {
    /// See [`Breakers::view`].
    fn view(&self, scope: Scope) -> BreakerView;

    /// See [`Breakers::list`].
    fn list(&self, filter: &Filter) -> (Vec<BreakerView>, bool);

    /// See [`Breakers::incidents`].
    fn incidents(
        &self,
        after: Option<Key>,
        scope: Option<Scope>,
        limit: usize,
    ) -> (Vec<(Key, Summary)>, bool);

    /// See [`Breakers::incident`].
    fn incident(&self, id: &str) -> Option<Incident>;

    /// See [`Breakers::report`].
    fn report(&self) -> Report;

    /// See [`Breakers::order`]. Is run to its end, whether or not the operator still listens.
    fn order(
        &self,
        scope: Scope,
        order: Order,
        expected: Option<Generation>,
    ) -> impl Future<Output = Result<BreakerView, GenerationMismatch>> + Send;

    /// See [`Breakers::probe`]. Is run to its end, whether or not the operator still listens.
    fn probe(
        &self,
        scope: Scope,
        order: ProbeOrder,
        expected: Option<Generation>,
    ) -> impl Future<Output = Result<(Health, BreakerView), GenerationMismatch>> + Send;

    /// See [`Breakers::allow_pin`].
    fn allow_pin(&self, phone: PhoneNumberId, order: &PinOrder) -> BreakerView;
}

impl Control for Breakers {
    fn view(&self, scope: Scope) -> BreakerView {
        Self::view(self, scope)
    }

    fn list(&self, filter: &Filter) -> (Vec<BreakerView>, bool) {
        Self::list(self, filter)
    }

    fn incidents(
        &self,
        after: Option<Key>,
        scope: Option<Scope>,
        limit: usize,
    ) -> (Vec<(Key, Summary)>, bool) {
        Self::incidents(self, after, scope, limit)
    }

    fn incident(&self, id: &str) -> Option<Incident> {
        Self::incident(self, id)
    }

    fn report(&self) -> Report {
        Self::report(self)
    }

    async fn order(
        &self,
        scope: Scope,
        order: Order,
        expected: Option<Generation>,
    ) -> Result<BreakerView, GenerationMismatch> {
        Self::order(self, scope, order, expected).await
    }

    async fn probe(
        &self,
        scope: Scope,
        order: ProbeOrder,
        expected: Option<Generation>,
    ) -> Result<(Health, BreakerView), GenerationMismatch> {
        Self::probe(self, scope, order, expected).await
    }

    fn allow_pin(&self, phone: PhoneNumberId, order: &PinOrder) -> BreakerView {
        Self::allow_pin(self, phone, order)
    }
}
