//! A lock that Meta answers at once: of A's account, and so of A2 as well.

use super::caller::Probe;
use super::stage::ACCOUNT;
use super::story::{BURST, Lock, Number, Story};
use super::tell::Actor;
use super::{Failure, expect};

const A: Number = Number::A;

impl Story<'_, '_, '_> {
    /// From the lock of A to its end.
    pub(super) async fn locked(&mut self) -> Result<(), Failure> {
        self.tell.heading("2. Meta locks the account of A and A2, and says so in its answers").await?;
        self.meta_goes_on().await?;
        self.tell.line(Actor::Meta, "locks the account of A and A2").await?;
        let sibling = self.tripped(Number::A2).await?;
        let lock = self.trip().await?;
        self.hold_back(&lock).await?;
        self.ask_for_health().await?;
        self.hold_the_sibling_back(&sibling).await?;
        self.tell.heading("3. Health looks clear, and is not the whole truth").await?;
        self.meta_goes_on().await?;
        let text =
            "health says AVAILABLE again, but sends still fail. Real locks can look like this for days";
        self.tell.line(Actor::Meta, text).await?;
        self.half_open(A).await?;
        self.account_is("half_open").await?;
        self.fail_a_trial(&lock).await?;
        self.tell.heading("4. Meta lifts the lock").await?;
        self.recover(&lock).await?;
        let arrived = self.nothing_arrived_since(&sibling)?;
        let text = format!("has counted {arrived} send of A2, as before the lock: it never met the lock");
        self.tell.line(Actor::Meta, &text).await?;
        self.accepted(Number::A2, ". One trial was enough for both").await
    }

    /// A2 has met no lock yet, and does not have to: health said that it is the account that blocks.
    async fn hold_the_sibling_back(&mut self, sibling: &Lock) -> Result<(), Failure> {
        let account = self.account_is("open").await?;
        let reason = account.reason.map(|reason| reason.text).unwrap_or_default();
        let breaker = self.caller.breaker(Number::A2.phone()).await?;
        let held_by = breaker.held_by.unwrap_or_default();
        expect(breaker.state == "closed" && held_by == format!("waba/{ACCOUNT}"), || {
            format!(
                "A2 should be closed itself and held by its account; it is {}, held by {held_by:?}",
                breaker.state
            )
        })?;
        let text = format!("the breaker of the account is open, too, for health says: {reason}");
        self.tell.line(Actor::Sendfuse, &text).await?;
        let answer = self.rejected(Number::A2).await?;
        let text = format!("sends from A2: {answer}. Rejected here, and its first send since the lock");
        self.tell.line(Actor::App, &text).await?;
        self.tell.detail(&format!("\"{}\"", answer.details()))?;
        self.nothing_arrived_since(sibling)?;
        Ok(())
    }

    /// The answer that trips.
    async fn trip(&mut self) -> Result<Lock, Failure> {
        let answer = self.send(A).await?;
        expect(answer.is_refused_by_meta(), || format!("Meta should refuse a send from A: {answer}"))?;
        let breaker = self.caller.breaker(A.phone()).await?;
        let source = breaker.reason.map(|reason| reason.source).unwrap_or_default();
        expect(breaker.state == "open" && source == "response", || {
            format!("the breaker of A should be open by a response; it is {} by {source}", breaker.state)
        })?;
        let lock = self.tripped(A).await?;
        self.tell
            .line(Actor::App, &format!("sends from A: {answer}. Meta's own words, passed on as they came"))
            .await?;
        let text = format!("the breaker of A is open, generation {}, source {source}", breaker.generation);
        self.tell.line(Actor::Sendfuse, &text).await?;
        Ok(lock)
    }

    /// No further send of A gets through, and B is not held back.
    async fn hold_back(&mut self, lock: &Lock) -> Result<(), Failure> {
        let answer = self.rejected(A).await?;
        self.tell
            .line(Actor::App, &format!("sends from A: {answer}. The same error, but rejected here:"))
            .await?;
        for header in &answer.own_headers {
            self.tell.detail(header)?;
        }
        self.tell.detail(&format!("\"{}\"", answer.details()))?;
        self.accepted(Number::B, ". Another account's lock is not its own").await?;
        for _ in 0..BURST {
            self.rejected(A).await?;
        }
        self.tell.line(Actor::App, &format!("sends {BURST} more from A: all rejected here")).await?;
        let arrived = self.nothing_arrived_since(lock)?;
        let text = format!("has counted {arrived} sends of A, as at the trip: none has arrived since");
        self.tell.line(Actor::Meta, &text).await?;
        Ok(())
    }

    /// What probes find while Meta says that it blocks.
    async fn ask_for_health(&mut self) -> Result<(), Failure> {
        let breaker = self.wait_for(A, "probed", |breaker| breaker.probes > 0).await?;
        expect(breaker.state == "open", || {
            format!("the breaker of A should be open, not {}", breaker.state)
        })?;
        let text =
            "the breaker of A stays open: sendfuse has asked Meta for its health, with the app's own token";
        self.tell.line(Actor::Sendfuse, text).await?;
        self.tell.detail(&breaker.closes_when)?;
        let Probe { outcome, entities } = self.caller.probe(A.phone()).await?;
        expect(outcome == "blocked", || format!("a probe of A should find it blocked, not {outcome}"))?;
        self.tell
            .line(Actor::Sendfuse, &format!("asks once more, by an operator's order: {outcome}"))
            .await?;
        for entity in entities {
            let errors = entity.errors.iter().map(|error| format!(", {} {}", error.code, error.description));
            let errors: String = errors.collect();
            self.tell.detail(&format!("{} {}{errors}", entity.kind, entity.can_send_message))?;
        }
        Ok(())
    }

    /// The trial meets the lock.
    async fn fail_a_trial(&mut self, lock: &Lock) -> Result<(), Failure> {
        let answer = self.send(A).await?;
        expect(answer.is_refused_by_meta(), || format!("Meta should refuse the trial of A: {answer}"))?;
        let breaker = self.caller.breaker(A.phone()).await?;
        let arrived = self.arrived(A).saturating_sub(lock.arrived);
        expect(arrived == 1, || {
            format!("only the trial should have reached Meta, not {arrived} sends of A")
        })?;
        self.tell.line(Actor::App, &format!("sends from A: the one trial. {answer}")).await?;
        let condition = breaker.conditions.iter().find(|condition| condition.name == "contradiction");
        let Some(condition) = condition.filter(|_| breaker.state == "open") else {
            return Err(Failure::NotAsTold(format!(
                "the breaker of A should be open with the condition contradiction; it is {}",
                breaker.state
            )));
        };
        let text = format!("the breaker of A is open again, generation {}", breaker.generation);
        self.tell.line(Actor::Sendfuse, &text).await?;
        self.tell.detail(&format!("condition {}: {}", condition.name, condition.text))?;
        Ok(())
    }
}
