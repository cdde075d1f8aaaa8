//! Looking at breakers: one, many, and how many there are.

use super::Breakers;
use super::partly::{PartlyHeld, holds};
use super::view::{Around, BreakerView};
use crate::breaker::{Breaker, Scope, Shown};
use crate::graph::ids::{PhoneNumberId, WabaId};
use crate::registry::Cell;

/// Which breakers to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Only this state (as shown: overrides count as their own state). None: all but the closed ones.
    pub state: Option<&'static str>,
    /// Only phones of this WABA.
    pub waba: Option<WabaId>,
    /// Only accounts; else all but accounts.
    pub accounts: bool,
    /// Only those after this one, in the order of kinds and ids.
    pub after: Option<Scope>,
    /// At most so many.
    pub limit: usize,
}

/// The states that the admin API and the metrics show.
pub const SHOWN_STATES: [&str; 5] = {
    let [closed, open, half_open, forced_open, bypassed] = Shown::ALL;
    [closed.name(), open.name(), half_open.name(), forced_open.name(), bypassed.name()]
};

/// A snapshot for the metrics.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// How many are in each of [`SHOWN_STATES`].
    pub states: [(&'static str, u64); 5],
    /// Those that are not closed, capped.
    pub held: Vec<(PhoneNumberId, &'static str)>,
    /// Phones whose sends are accepted but of which no status comes.
    pub deaf: u64,
    /// Health and messages say opposite things.
    pub contradictions: u64,
}

impl Breakers {
    /// One breaker. Any id is known: what was never opened is closed.
    pub fn view(&self, scope: impl Into<Scope>) -> BreakerView {
        let scope = scope.into();
        let looks = scope.phone().is_some() && self.holds_others();
        let cells = if looks { self.0.registry.all() } else { Vec::new() };
        let mut partly = self.partly_held(&cells, self.now());
        self.show(scope, self.0.registry.get(scope).as_deref(), &mut partly)
    }

    /// Breakers in the order of their ids; at most `filter.limit`, and whether there are more.
    pub fn list(&self, filter: &Filter) -> (Vec<BreakerView>, bool) {
        let now = self.now();
        let mut items = Vec::new();
        let cells = self.0.registry.all();
        let mut partly = self.partly_held(&cells, now);
        for (scope, cell) in cells {
            if matches!(scope, Scope::Waba(_)) != filter.accounts
                || filter.after.is_some_and(|after| scope <= after)
            {
                continue;
            }
            let shown = cell.shown(now).name();
            let wanted = match filter.state {
                Some(state) => shown == state,
                None => shown != Shown::Closed.name(),
            };
            let of_waba = filter.waba.is_none_or(|waba| self.account_of(scope) == Some(waba));
            if !wanted || !of_waba {
                continue;
            }
            if items.len() >= filter.limit {
                return (items, true);
            }
            items.push(self.show(scope, Some(&cell), &mut partly));
        }
        (items, false)
    }

    /// How many breakers are in each of [`SHOWN_STATES`] (closed: those that are remembered); the first `most` of those that
    /// are not closed; and how many are in contradiction.
    pub fn counts(&self, most: usize) -> Counted {
        let (now, settings) = (self.now(), self.settings());
        let mut counted = Counted {
            states: SHOWN_STATES.map(|state| (state, 0)),
            deaf: self.0.hearing.deaf_phones().len() as u64,
            ..Counted::default()
        };
        for (scope, cell) in self.0.registry.all() {
            let shown = cell.shown(now);
            if let Some((_, count)) = counted.states.get_mut(shown.index()) {
                *count += 1;
            }
            if let Some(phone) = scope.phone().filter(|_| shown != Shown::Closed && counted.held.len() < most)
            {
                counted.held.push((phone, shown.name()));
            }
            let contradicts = |breaker: &Breaker| breaker.contradiction(now, &settings.policy).is_some();
            counted.contradictions += u64::from(cell.read(contradicts));
        }
        counted
    }

    /// The account that a scope is, or that its phone belongs to.
    pub(super) fn account_of(&self, scope: Scope) -> Option<WabaId> {
        match scope {
            Scope::Phone(phone) | Scope::PhoneCountry(phone, _) => self.0.phones.get(phone).waba,
            Scope::Waba(waba) => Some(waba),
            Scope::Token(_) => None,
        }
    }

    /// What of `partly` is the phone's is taken out of it.
    fn show(&self, scope: Scope, cell: Option<&Cell>, partly: &mut PartlyHeld) -> BreakerView {
        let settings = self.0.settings.load();
        let now = self.now();
        let phone = scope.phone();
        let account = self.account_of(scope);
        // An order on the phone outranks its account's breaker, and whatever else there is.
        let is_ordered = cell.is_some_and(|cell| cell.read(|breaker| breaker.order_at(now).is_some()));
        let account_of_phone = phone.and(account).filter(|_| !is_ordered).map(Scope::from);
        let holder = account_of_phone
            .filter(|account| self.0.registry.get(*account).is_some_and(|cell| holds(&cell, now)));
        let also_held = phone.filter(|_| !is_ordered).and_then(|phone| partly.remove(&phone));
        let around = Around {
            account,
            phones: match scope {
                Scope::Waba(waba) => Some(self.0.phones.of(waba)),
                Scope::Phone(_) | Scope::PhoneCountry(..) | Scope::Token(_) => None,
            },
            holder,
            also_held: also_held.unwrap_or_default(),
            pin_guard: phone.and_then(|phone| self.pin_guard(phone)),
            heard: self.context(scope, &settings.policy).heard,
            policy: &settings.policy,
            durability: &self.0.durability,
            deaf_since: phone.and_then(|phone| self.0.hearing.deaf_since(phone)),
            can_be_watched: phone.is_some_and(|phone| self.can_be_watched(phone)),
            last_incident: self.last_incident(scope),
            observe: settings.observe,
            now,
        };
        BreakerView::of(scope, cell, &around)
    }
}
