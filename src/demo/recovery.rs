//! What follows every lock: a probe that finds nothing, a trial that is delivered, a closed breaker.

use super::stage::MIN_OPEN;
use super::story::{Lock, Number, Story};
use super::tell::Actor;
use super::{Failure, expect};

impl Story<'_, '_, '_> {
    /// From the unlock until sends flow again.
    pub(super) async fn recover(&mut self, lock: &Lock) -> Result<(), Failure> {
        let number = lock.number;
        let name = number.name();
        self.meta_goes_on().await?;
        let whom = if number == Number::B { name } else { "the account of A and A2" };
        self.tell.line(Actor::Meta, &format!("unlocks {whom}")).await?;
        self.half_open(number).await?;
        // One send is the trial of the number, and of its account where that is half-open, too.
        let confirmations = match number {
            Number::B => 1,
            Number::A | Number::A2 => 2,
        };
        if confirmations == 2 {
            self.account_is("half_open").await?;
        }
        let before = self.confirmed().await?;
        self.accepted(number, ". This is the trial; accepted is not delivered yet").await?;
        let breaker = self.wait_for(number, "closed", |breaker| breaker.state == "closed").await?;
        self.closed(lock).await?;
        if confirmations == 2 {
            self.account_is("closed").await?;
        }
        let confirmed = self.confirmed().await?.saturating_sub(before);
        expect(confirmed == confirmations, || {
            format!("trials of {confirmations} breakers should have been confirmed, not {confirmed}")
        })?;
        self.tell.line(Actor::Meta, "a webhook: the trial's message was sent").await?;
        let text = format!("the breaker of {name} is closed, generation {}", breaker.generation);
        self.tell.line(Actor::Sendfuse, &text).await?;
        self.accepted(number, "").await
    }

    /// A probe leads here, without any send.
    pub(super) async fn half_open(&mut self, number: Number) -> Result<(), Failure> {
        let least = MIN_OPEN.as_secs();
        self.tell.detail(&format!(
            "(probes go on; its breaker stays open for {least} s at least, by default for 60)"
        ))?;
        let breaker = self.wait_for(number, "half-open", |breaker| breaker.state == "half_open").await?;
        let name = number.name();
        let text =
            format!("the breaker of {name} is half_open: probe {} finds nothing that blocks", breaker.probes);
        self.tell.line(Actor::Sendfuse, &text).await?;
        self.tell.detail(&breaker.closes_when)?;
        Ok(())
    }

    /// Trials that a webhook has confirmed, by sendfuse's count.
    async fn confirmed(&self) -> Result<u64, Failure> {
        self.caller.metric("sendfuse_trials_total{outcome=\"confirmed\"}").await
    }
}
