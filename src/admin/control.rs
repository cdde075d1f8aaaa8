//! What the admin API needs of the breakers: a seam, so that the API can be tested without them.

use std::future::Future;

use crate::breaker::Generation;
use crate::breakers::{BreakerView, Breakers, Filter, GenerationMismatch, Order, ProbeOrder};
use crate::graph::health::Health;
use crate::graph::ids::PhoneNumberId;
use crate::incident::{Incident, Key, Report, Summary};

/// Breakers to look at and to give orders to. The methods are those of [`Breakers`], and mean the same.
pub trait Control: Clone + Send + Sync + 'static {
    /// See [`Breakers::view`].
    fn view(&self, phone: PhoneNumberId) -> BreakerView;

    /// See [`Breakers::list`].
    fn list(&self, filter: &Filter) -> (Vec<BreakerView>, bool);

    /// See [`Breakers::incidents`].
    fn incidents(
        &self,
        after: Option<Key>,
        phone: Option<PhoneNumberId>,
        limit: usize,
    ) -> (Vec<(Key, Summary)>, bool);

    /// See [`Breakers::incident`].
    fn incident(&self, id: &str) -> Option<Incident>;

    /// See [`Breakers::report`].
    fn report(&self) -> Report;

    /// See [`Breakers::order`]. Is run to its end, whether or not the operator still listens.
    fn order(
        &self,
        phone: PhoneNumberId,
        order: Order,
        expected: Option<Generation>,
    ) -> impl Future<Output = Result<BreakerView, GenerationMismatch>> + Send;

    /// See [`Breakers::probe`]. Is run to its end, whether or not the operator still listens.
    fn probe(
        &self,
        phone: PhoneNumberId,
        order: ProbeOrder,
        expected: Option<Generation>,
    ) -> impl Future<Output = Result<(Health, BreakerView), GenerationMismatch>> + Send;
}

impl Control for Breakers {
    fn view(&self, phone: PhoneNumberId) -> BreakerView {
        Self::view(self, phone)
    }

    fn list(&self, filter: &Filter) -> (Vec<BreakerView>, bool) {
        Self::list(self, filter)
    }

    fn incidents(
        &self,
        after: Option<Key>,
        phone: Option<PhoneNumberId>,
        limit: usize,
    ) -> (Vec<(Key, Summary)>, bool) {
        Self::incidents(self, after, phone, limit)
    }

    fn incident(&self, id: &str) -> Option<Incident> {
        Self::incident(self, id)
    }

    fn report(&self) -> Report {
        Self::report(self)
    }

    async fn order(
        &self,
        phone: PhoneNumberId,
        order: Order,
        expected: Option<Generation>,
    ) -> Result<BreakerView, GenerationMismatch> {
        Self::order(self, phone, order, expected).await
    }

    async fn probe(
        &self,
        phone: PhoneNumberId,
        order: ProbeOrder,
        expected: Option<Generation>,
    ) -> Result<(Health, BreakerView), GenerationMismatch> {
        Self::probe(self, phone, order, expected).await
    }
}
