//! A lock that Meta tells later, in a webhook: B.

use super::Failure;
use super::story::{BURST, Number, Story};
use super::tell::Actor;

const B: Number = Number::B;

impl Story<'_, '_, '_> {
    /// From the lock of B to its end.
    pub(super) async fn failing(&mut self) -> Result<(), Failure> {
        self.tell.heading("5. Meta locks B, and its answers do not show it").await?;
        self.meta_goes_on().await?;
        self.tell.line(Actor::Meta, "locks B").await?;
        self.accepted(B, ". To an ordinary breaker this is a success").await?;
        let by_webhook = |breaker: &super::caller::Breaker| {
            let source = breaker.reason.as_ref().map(|reason| reason.source.as_str());
            breaker.state == "open" && source == Some("webhook")
        };
        let breaker = self.wait_for(B, "open by a webhook", by_webhook).await?;
        let lock = self.tripped(B).await?;
        let first = self.rejected(B).await?;
        for _ in 0..BURST {
            self.rejected(B).await?;
        }
        let arrived = self.nothing_arrived_since(&lock)?;
        // Only now is there time to tell it: nothing blocks the health of B, so its breaker is half-open soon.
        self.tell.line(Actor::Meta, "a webhook: that message has failed, 131031").await?;
        let text = format!("the breaker of B is open, generation {}, source webhook", breaker.generation);
        self.tell.line(Actor::Sendfuse, &text).await?;
        let sends = BURST + 1;
        self.tell.line(Actor::App, &format!("sends {sends} from B: {first}. All rejected here")).await?;
        self.tell.detail(&format!("\"{}\"", first.details()))?;
        let text = format!("has counted {arrived} sends of B, as at the trip: none has arrived since");
        self.tell.line(Actor::Meta, &text).await?;
        self.accepted(Number::A, ". A flows").await?;
        self.tell.heading("6. Meta lifts the lock of B").await?;
        self.recover(&lock).await
    }
}
