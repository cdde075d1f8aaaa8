//! Probes: what is to be asked, and what an answer means to whom.

use std::sync::PoisonError;

use super::{Breakers, Settling};
use crate::breaker::{Event, Generation, Lease, Scope};
use crate::graph::health::{Entity, Health, Unknown};
use crate::graph::ids::{PhoneNumberId, WabaId};
use crate::telemetry::events::ProbeEvent;
use crate::telemetry::labels::ProbeOutcome;

/// A probe to be made now, and answered with [`Breakers::probed`] before its lease is over.
#[derive(Clone, Debug)]
pub struct ProbeTicket {
    /// Whom to ask about.
    pub scope: Scope,
    /// A phone's account, where it is known, with the generation of its breaker: tokens may be configured by account, and the answer
    /// may say that it is the account that blocks.
    pub waba: Option<(WabaId, Generation)>,
    /// Of an account: its phones, some of them at most. Their tokens may ask about it.
    pub phones: Vec<PhoneNumberId>,
    /// What it is for.
    pub purpose: Purpose,
}

/// What a probe is for. It goes back with the outcome, which counts only while what it was made for still stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An open breaker, which waits for the outcome under this lease.
    Recovery(Lease),
    /// An operator asks about a breaker that is not open, or Meta warns of it, at this generation.
    Order(Generation),
    /// A look at a phone that sends, at this generation, to find a block before the first failed send does.
    Watch(Generation),
    /// No health at all, but the phones of an account whose breaker has opened: [`Breakers::learn_numbers`].
    Numbers,
}

/// The most phones of an account whose tokens are tried for it.
const MOST_ASKING: usize = 100;

impl Breakers {
    /// Has a probe made.
    pub(super) fn ask(&self, scope: Scope, purpose: Purpose) {
        let inner = &self.0;
        let (waba, phones) = match scope {
            Scope::Waba(waba) => (None, inner.phones.of(waba).into_iter().take(MOST_ASKING).collect()),
            Scope::Phone(_) | Scope::PhoneCountry(..) | Scope::Token(_) => {
                (self.account_of(scope), Vec::new())
            }
        };
        let waba = waba.map(|waba| {
            let cell = inner.registry.get(waba.into());
            (waba, cell.map_or_else(Generation::default, |cell| cell.read(|breaker| breaker.generation())))
        });
        // Without a receiver the program is stopping.
        drop(inner.probes.send(ProbeTicket { scope, waba, phones, purpose }));
    }

    /// The outcome of a probe.
    pub async fn probed(&self, ticket: &ProbeTicket, health: Health) {
        let is_watch = matches!(ticket.purpose, Purpose::Watch(_));
        if is_watch
            && let Some(phone) = ticket.scope.phone()
            && !self.0.watch.looked(phone, &health)
        {
            return;
        }
        self.0.telemetry.emit(ProbeEvent { scope: ticket.scope, outcome: ProbeOutcome::from(&health) });
        if let Some(phone) = ticket.scope.phone() {
            self.learn(phone, health.waba_of(phone), false);
        }
        let of_account = self.tell_of_account(ticket, &health);
        let health = if let Scope::Token(_) = ticket.scope { of_token(health) } else { health };
        match ticket.purpose {
            Purpose::Recovery(lease) => {
                self.apply_if_known(ticket.scope, Event::Probed { lease, health: health.clone() }).await;
            }
            Purpose::Order(generation) | Purpose::Watch(generation) => {
                let event = Event::Watched { generation, health: health.clone() };
                match health {
                    // It is the account's, and said there.
                    Health::Blocked(_) if of_account.is_some() && !phone_blocks(&health) => {}
                    // Only this can be news to a breaker that was never open.
                    Health::Blocked(_) => self.apply(ticket.scope, event).await,
                    Health::Clear(_) | Health::Unknown(_) => self.apply_if_known(ticket.scope, event).await,
                }
            }
            Purpose::Numbers => {}
        }
        if let Some(settling) = of_account {
            settling.await;
        }
        if is_watch {
            // Whoever waits has asked for a probe of their own.
            return;
        }
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, waiter) in waiting.extract_if(.., |(scope, _)| *scope == ticket.scope) {
            // Whoever waited may have given up.
            drop(waiter.send(health.clone()));
        }
    }

    /// What a phone's probe says of its account, business and app. That they block holds for all phones of the account, and is
    /// given back; that none does counts only where the account's breaker is closed in spite of a block.
    fn tell_of_account(&self, ticket: &ProbeTicket, health: &Health) -> Option<Settling> {
        let phone = ticket.scope.phone()?;
        let (Health::Clear(entities) | Health::Blocked(entities)) = health else { return None };
        let (blocking, clear): (Vec<Entity>, Vec<Entity>) =
            entities.iter().filter(|entity| entity.kind != PHONE).cloned().partition(|entity| entity.blocks);
        let waba = self.0.phones.get(phone).waba?;
        // Of an account that was not known when it was asked about nothing was decided before, or it is asked about again.
        let generation = ticket.waba.filter(|(known, _)| *known == waba).map(|(_, generation)| generation);
        let generation = generation.unwrap_or_default();
        if blocking.is_empty() {
            if !clear.is_empty() {
                drop(self.apply_if_known(
                    waba.into(),
                    Event::Watched { generation, health: Health::Clear(clear) },
                ));
            }
            return None;
        }
        // Beneath an order automation goes on.
        let cell = self.0.registry.get(waba.into());
        if cell.is_some_and(|cell| cell.read(|breaker| breaker.lock().is_some())) {
            return Some(Settling::default());
        }
        let event = Event::Watched { generation, health: Health::Blocked(blocking) };
        Some(self.apply(waba.into(), event))
    }

    /// A token for this node was seen: if its breaker waits for one, or its account's does, it is probed now.
    pub fn token_learned(&self, node: PhoneNumberId) {
        let inner = &self.0;
        if inner.registry.is_empty() {
            return;
        }
        // The node may be an account's: ids say nothing of what they are.
        let account = WabaId::parse(node.as_str()).ok();
        let scopes =
            [Some(node.into()), inner.phones.get(node).waba.map(Scope::from), account.map(Scope::from)];
        for scope in scopes.into_iter().flatten() {
            let Some(cell) = inner.registry.get(scope) else { continue };
            if cell.read(|breaker| breaker.lock().is_some_and(|lock| lock.no_token.is_some())) {
                drop(self.apply_if_known(scope, Event::CheckNow { asked: false }));
            }
        }
    }
}

/// What an answer says of the token that it was asked with: that Meta takes it, whatever it says of the phone.
fn of_token(health: Health) -> Health {
    match health {
        Health::Blocked(_) | Health::Unknown(Unknown::NotPermitted) => Health::Clear(Vec::new()),
        health => health,
    }
}

const PHONE: &str = "PHONE_NUMBER";

fn phone_blocks(health: &Health) -> bool {
    let Health::Blocked(entities) = health else { return false };
    entities.iter().any(|entity| entity.blocks && entity.kind == PHONE)
}
