//! The story, and what it is told with: sends that are tallied, waits for what must come.

use std::time::Duration;

use super::caller::{Answer, Breaker, Caller};
use super::stage::{ACCOUNT, PHONES, Stage};
use super::tell::{Actor, Tell};
use super::{Failure, expect};
use crate::simulator::{SHIPPED, Timeline};

/// The longest wait for anything that must come. A good run never waits so long.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks at the admin API.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How many sends the app makes in a row while a breaker is open.
pub(super) const BURST: usize = 5;

/// One of the app's numbers. A and A2 belong to one account, B to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    A,
    A2,
    B,
}

impl Number {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::A2 => "A2",
            Self::B => "B",
        }
    }

    pub(super) const fn phone(self) -> &'static str {
        let [a, a2, b] = PHONES;
        match self {
            Self::A => a,
            Self::A2 => a2,
            Self::B => b,
        }
    }
}

/// What became of one number's sends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Made by the app.
    pub(super) sends: u64,
    /// Accepted by Meta.
    pub(super) accepted: u64,
    /// Refused by Meta.
    pub(super) refused: u64,
    /// Rejected by sendfuse.
    pub(super) rejected: u64,
    /// Trials, of those that Meta saw.
    pub(super) trials: u64,
    /// That Meta counted between a trip and the close, trials aside.
    pub(super) slipped: u64,
}

/// A lock, from its trip on.
pub(super) struct Lock {
    pub(super) number: Number,
    /// Sends that Meta had counted at the trip.
    pub(super) arrived: u64,
    /// Trials that there had been.
    trials: u64,
}

/// Plays and tells.
pub(super) struct Story<'s, 't, 'o> {
    pub(super) stage: &'s Stage,
    pub(super) tell: &'t mut Tell<'o>,
    pub(super) caller: Caller,
    pub(super) a: Tally,
    pub(super) a2: Tally,
    pub(super) b: Tally,
    /// What Meta has yet to do.
    meta: Box<dyn Iterator<Item = Timeline> + Send>,
}

impl<'s, 't, 'o> Story<'s, 't, 'o> {
    /// Errors: the shipped timeline of the demo cannot be had.
    pub(super) fn new(stage: &'s Stage, tell: &'t mut Tell<'o>) -> Result<Self, Failure> {
        let text = SHIPPED.into_iter().find_map(|(name, text)| (name == "demo").then_some(text));
        let timeline = Timeline::parse(text.unwrap_or_default());
        let meta = Box::new(timeline.map_err(|error| Failure::Stage(error.to_string()))?.moments());
        let caller = Caller::new(stage.at);
        let [a, a2, b] = [Tally::default(); 3];
        Ok(Self { stage, tell, caller, a, a2, b, meta })
    }

    /// Meta does what is next on its timeline; not at its time, but now: the story goes on by what has come to pass.
    pub(super) async fn meta_goes_on(&mut self) -> Result<(), Failure> {
        let next = self.meta.next().ok_or_else(|| Failure::Stage("Meta's timeline is over".into()))?;
        self.stage.meta.play(next).await;
        Ok(())
    }

    /// From beginning to end.
    pub(super) async fn play(mut self) -> Result<(), Failure> {
        self.introduce()?;
        self.all_send().await?;
        self.locked().await?;
        self.failing().await?;
        self.sum_up().await
    }

    fn introduce(&mut self) -> Result<(), Failure> {
        let at = self.stage.at;
        let [a, a2, b] = PHONES;
        self.tell.plain(&format!(
            "A simulated Meta, a real sendfuse before it, and an app with three numbers. Nothing leaves this machine.

  app       its Graph base URL is http://{}; its numbers: A = {a}, B = {b},
            and A2 = {a2}, which belongs to the same WhatsApp Business Account (WABA) as A
  sendfuse  forwards to the simulated Meta over TLS, and hears its webhooks
  Meta      locks the account of A and tells it in its answers; later locks B and tells it in webhooks only

Look at it meanwhile, from another terminal:

  curl http://{admin}/v1/breakers
  curl http://{admin}/metrics
  SENDFUSE_ADMIN_URL=http://{admin} sendfuse status",
            at.proxy,
            admin = at.admin,
        ))?;
        Ok(())
    }

    async fn all_send(&mut self) -> Result<(), Failure> {
        // Whose account is whose.
        self.meta_goes_on().await?;
        self.tell.heading("1. All numbers send").await?;
        for number in [Number::A, Number::A2, Number::B] {
            self.accepted(number, "").await?;
        }
        // Two for each message.
        let told = self.stage.meta.until(|counts| counts.webhooks_acknowledged >= 6);
        let told = tokio::time::timeout(PATIENCE, told).await;
        let webhooks = told.map_err(|_| late("webhooks about the first messages"))?.webhooks_acknowledged;
        let text = format!("has reported all as sent and delivered: {webhooks} webhooks, taken by sendfuse");
        self.tell.line(Actor::Meta, &text).await?;
        Ok(())
    }

    /// A send.
    pub(super) async fn send(&mut self, number: Number) -> Result<Answer, Failure> {
        let answer = self.caller.send(number.phone()).await?;
        let tally = self.tally(number);
        tally.sends += 1;
        tally.accepted += u64::from(answer.is_accepted());
        tally.refused += u64::from(answer.is_refused_by_meta());
        tally.rejected += u64::from(answer.is_rejected_here());
        Ok(answer)
    }

    /// A send that Meta accepts, told with the remark that belongs to it.
    pub(super) async fn accepted(&mut self, number: Number, remark: &str) -> Result<(), Failure> {
        let answer = self.send(number).await?;
        let name = number.name();
        expect(answer.is_accepted(), || format!("a send from {name} should be accepted by Meta: {answer}"))?;
        self.tell.line(Actor::App, &format!("sends from {name}: {answer}{remark}")).await?;
        Ok(())
    }

    /// A send that stays here; its answer is yet to be told.
    pub(super) async fn rejected(&mut self, number: Number) -> Result<Answer, Failure> {
        let answer = self.send(number).await?;
        expect(answer.is_rejected_here(), || {
            format!("a send from {} should be rejected by sendfuse: {answer}", number.name())
        })?;
        Ok(answer)
    }

    /// How many sends of a number have arrived at Meta, by its own count.
    pub(super) fn arrived(&self, number: Number) -> u64 {
        self.stage.meta.phone_counts(number.phone()).arrived
    }

    /// How many trials sendfuse has counted, of all numbers.
    pub(super) async fn trials(&self) -> Result<u64, Failure> {
        self.caller.metric("sendfuse_sends_total{admission=\"trial\"}").await
    }

    /// A breaker has just opened.
    pub(super) async fn tripped(&self, number: Number) -> Result<Lock, Failure> {
        Ok(Lock { number, arrived: self.arrived(number), trials: self.trials().await? })
    }

    /// A breaker has closed: what arrived between?
    pub(super) async fn closed(&mut self, lock: &Lock) -> Result<(), Failure> {
        let trials = self.trials().await?.saturating_sub(lock.trials);
        let arrived = self.arrived(lock.number).saturating_sub(lock.arrived);
        let tally = self.tally(lock.number);
        tally.trials += trials;
        tally.slipped += arrived.saturating_sub(trials);
        expect(arrived == trials, || {
            format!(
                "between trip and close, Meta counted {arrived} sends of {}, for {trials} trials",
                lock.number.name()
            )
        })
    }

    /// Nothing but what is told may have reached Meta since the trip.
    pub(super) fn nothing_arrived_since(&self, lock: &Lock) -> Result<u64, Failure> {
        let arrived = self.arrived(lock.number);
        expect(arrived == lock.arrived, || {
            let name = lock.number.name();
            format!("Meta should have counted {} sends of {name}, not {arrived}", lock.arrived)
        })?;
        Ok(arrived)
    }

    /// Waits until the admin API shows a breaker as it should be.
    pub(super) async fn wait_for(
        &self,
        number: Number,
        what: &str,
        wanted: impl Fn(&Breaker) -> bool,
    ) -> Result<Breaker, Failure> {
        let looking = async {
            loop {
                let breaker = self.caller.breaker(number.phone()).await?;
                if wanted(&breaker) {
                    return Ok(breaker);
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, looking).await;
        found.map_err(|_| late(&format!("the breaker of {}: {what}", number.name())))?
    }

    /// Waits until the admin API shows the breaker of A's account in this state.
    pub(super) async fn account_is(&self, state: &str) -> Result<Breaker, Failure> {
        let looking = async {
            loop {
                let breaker = self.caller.account(ACCOUNT).await?;
                if breaker.state == state {
                    return Ok(breaker);
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, looking).await;
        found.map_err(|_| late(&format!("the breaker of A's account: {state}")))?
    }

    fn tally(&mut self, number: Number) -> &mut Tally {
        match number {
            Number::A => &mut self.a,
            Number::A2 => &mut self.a2,
            Number::B => &mut self.b,
        }
    }
}

fn late(what: &str) -> Failure {
    Failure::NotAsTold(format!("waited {} s in vain for {what}", PATIENCE.as_secs()))
}
