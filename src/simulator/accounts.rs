//! WABAs: their phones, their locks, and which lock a message meets.

use std::collections::{BTreeMap, BTreeSet};

use super::Simulator;
use super::health::Health;
use super::lock::{AccountLock, Held, Lock, Profile, Reason};
use super::state::{Late, Node, Phone, State};
use super::webhooks;
use crate::graph::class::Class;

/// A WABA.
#[derive(Default)]
pub(super) struct Account {
    /// In the order of their ids.
    pub(super) phones: BTreeSet<String>,
    locks: Vec<Held>,
    pub(super) health: Option<Health>,
}

impl Account {
    fn living(&self) -> impl Iterator<Item = &Held> {
        self.locks.iter().filter(|held| held.lives())
    }
}

impl Simulator {
    /// Makes phones and puts them into new WABAs, so many in each, in their order; phones that are there already move. The
    /// WABAs, in the same order: each has the id of its first phone with an `8` for its first digit.
    pub fn add_wabas(
        &self,
        phones: impl IntoIterator<Item = impl Into<String>>,
        phones_each: usize,
    ) -> Vec<String> {
        let phones: Vec<String> = phones.into_iter().map(Into::into).collect();
        let mut state = self.state();
        let mut wabas = Vec::new();
        for group in phones.chunks(phones_each.max(1)) {
            let waba = group.first().map(|first| own_waba(first)).unwrap_or_default();
            for phone in group {
                state.add_phone(phone, waba.clone());
            }
            wabas.push(waba);
        }
        wabas
    }

    /// The WABA of a phone; none if the id is no phone.
    pub fn waba_of(&self, phone: &str) -> Option<String> {
        self.state().phone(phone).map(|phone| phone.waba.clone())
    }

    /// Locks all phones of a WABA from now on. It may be one whose phones are not known yet.
    pub fn lock_waba(&self, waba: &str, lock: AccountLock) {
        self.state().lock_waba(waba, lock);
        self.inner.changed.notify_waiters();
    }

    /// Ends all locks of a WABA, but not those of its phones. What follows is as with [`Simulator::unlock`].
    pub fn unlock_waba(&self, waba: &str) {
        let late = self.state().unlock_waba(waba, |_| true);
        self.inner.changed.notify_waiters();
        late.into_iter().for_each(|late| webhooks::deliver_again(self, Some(late)));
    }
}

/// The WABA that a phone has if it was put into none.
pub(super) fn own_waba(phone: &str) -> String {
    format!("8{}", phone.get(1..).unwrap_or_default())
}

impl State {
    /// Puts a phone into a WABA; one that is not there comes into being.
    pub(super) fn add_phone(&mut self, id: &str, waba: String) -> &mut Phone {
        if let Some(before) = self.phones.get(id)
            && let Some(account) = self.accounts.get_mut(&before.waba)
        {
            account.phones.remove(id);
        }
        self.accounts.entry(waba.clone()).or_default().phones.insert(id.to_owned());
        let phone = self.phones.entry(id.to_owned()).or_insert_with(|| Phone::new(id));
        phone.waba = waba;
        phone
    }

    /// The phones of a WABA, in the order of their ids.
    pub(super) fn phones_of(&self, waba: &str) -> BTreeMap<&String, &Phone> {
        let ids = self.accounts.get(waba).into_iter().flat_map(|account| &account.phones);
        ids.filter_map(|id| Some((id, self.phones.get(id)?))).collect()
    }

    /// The WABA that an id stands for: its own, or that of a phone.
    pub(super) fn waba(&mut self, id: &str) -> Option<String> {
        match self.node(id) {
            Node::Waba => Some(id.to_owned()),
            _ => self.phone(id).map(|phone| phone.waba.clone()),
        }
    }

    pub(super) fn lock_phone(&mut self, id: &str, lock: Lock) {
        let Some(phone) = self.phone(id) else { return };
        if lock.profile == Profile::Ban {
            let waba = phone.waba.clone();
            return self.lock_waba(&waba, Reason::Disabled.with(lock));
        }
        phone.wave = None;
        add(&mut phone.locks, lock.into());
    }

    pub(super) fn lock_waba(&mut self, waba: &str, lock: AccountLock) {
        let account = self.accounts.entry(waba.to_owned()).or_default();
        add(&mut account.locks, lock.into());
        for id in &account.phones {
            if let Some(phone) = self.phones.get_mut(id) {
                phone.wave = None;
            }
        }
    }

    /// Ends a phone's locks, and a ban of its WABA.
    pub(super) fn unlock_phone(&mut self, id: &str) -> Option<Late> {
        let phone = self.phone(id)?;
        let (ended, waba) = (std::mem::take(&mut phone.locks), phone.waba.clone());
        let late = phone.unlocked(id, &ended);
        self.unlock_waba(&waba, |held| held.lock.profile == Profile::Ban);
        late
    }

    /// Ends locks of a WABA. What is to be delivered again, by phone.
    pub(super) fn unlock_waba(&mut self, waba: &str, which: impl Fn(&Held) -> bool) -> Vec<Late> {
        let Some(account) = self.accounts.get_mut(waba) else { return Vec::new() };
        let ended: Vec<Held> = account.locks.extract_if(.., |held| which(held)).collect();
        if ended.is_empty() {
            return Vec::new();
        }
        let phones = account.phones.iter();
        phones.filter_map(|id| self.phones.get_mut(id)?.unlocked(id, &ended)).collect()
    }

    /// The lock that a phone's message meets: its own, else its WABA's.
    pub(super) fn lock_on(&self, id: &str, class: Class, wa_id: Option<&str>) -> Option<&Lock> {
        let phone = self.phones.get(id)?;
        self.locks_on(phone).find(|held| held.holds(class, wa_id)).map(|held| &held.lock)
    }

    fn locks_on<'a>(&'a self, phone: &'a Phone) -> impl Iterator<Item = &'a Held> {
        phone.locks.iter().filter(|held| held.lives()).chain(self.locks_of(&phone.waba))
    }

    fn locks_of(&self, waba: &str) -> impl Iterator<Item = &Held> {
        self.accounts.get(waba).into_iter().flat_map(Account::living)
    }

    /// Whether a WABA's webhooks are silent.
    pub(super) fn banned(&self, waba: &str) -> bool {
        self.locks_of(waba).any(|held| held.lock.profile == Profile::Ban)
    }

    pub(super) fn locked_for(&self, waba: &str, reason: Reason) -> bool {
        self.locks_of(waba).any(|held| held.reason == Some(reason))
    }

    /// Whether a phone, or its WABA, is a new one under review.
    pub(super) fn is_new(&self, phone: &Phone) -> bool {
        self.locks_on(phone).any(|held| held.lock.profile == Profile::ReviewPending)
    }

    /// Whether one of a WABA's phones is; then the WABA is.
    pub(super) fn under_review(&self, waba: &str) -> bool {
        self.phones_of(waba).values().any(|phone| self.is_new(phone))
    }

    pub(super) fn set_health(&mut self, id: &str, health: Option<Health>) {
        if self.node(id) == Node::Waba {
            self.accounts.entry(id.to_owned()).or_default().health = health;
        } else if let Some(phone) = self.phone(id) {
            phone.health = health;
        }
    }

    /// What health says of a phone.
    pub(super) fn health_of(&self, phone: &Phone) -> Health {
        let locked = || self.locks_on(phone).find_map(Held::shows);
        let set = phone.health.clone().or_else(|| self.accounts.get(&phone.waba)?.health.clone());
        set.or_else(locked).unwrap_or(Health::Available)
    }

    /// What health says of a WABA.
    pub(super) fn health_of_waba(&self, waba: &str) -> Health {
        let review = || self.under_review(waba).then_some(Health::LimitedWithErrors);
        let set = self.accounts.get(waba).and_then(|account| account.health.clone());
        let shown = set.or_else(|| self.locks_of(waba).find_map(Held::shows));
        shown.or_else(review).unwrap_or(Health::Available)
    }

    /// Whether the failures of a phone will be delivered again.
    pub(super) fn repeats_failures(&self, phone: &Phone) -> bool {
        self.locks_on(phone).any(|held| matches!(held.lock.profile, Profile::LateDuplicates { .. }))
    }
}

fn add(locks: &mut Vec<Held>, new: Held) {
    locks.retain(|old| old.lives() && !new.replaces(old));
    locks.push(new);
}
