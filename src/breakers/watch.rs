//! Watching: probes of phones that are closed, so that a block is found before the first failed send finds it.
//!
//! Watched are phones that *send*: plainly closed, not held by their account's breaker, and Meta accepted a send of theirs within [`RECENT`] (or within the interval,
//! where that is longer). Each is looked at once in an interval, and never while another look at it is out. A deaf phone that
//! sends is looked at every [`DEAF`] at least, also where nothing else is watched: no webhook would tell of its lock. A phone
//! without a token cannot be looked at, and takes nobody's turn.
//!
//! Looks are spread: from one to the next it is the interval shared among all that are watched, and never less than what the
//! budget affords. So a start makes no burst, and where the budget does not suffice the phones take turns, the longest due first.

mod rounds;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use self::rounds::{Candidate, Rounds};
use super::{Breakers, Purpose};
use crate::graph::health::{Health, Unknown};
use crate::graph::ids::{PhoneNumberId, WabaId};

/// A phone that had no send accepted for so long is idle, and not looked at.
const RECENT: Duration = Duration::from_secs(3600);

/// Deaf phones are looked at this often at least.
const DEAF: Duration = Duration::from_secs(600);

const HOUR: Duration = Duration::from_secs(3600);

/// How closely phones are watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watching {
    /// Each phone that sends is looked at this often; `None`: only deaf ones are.
    pub interval: Option<Duration>,
    /// The most looks in an hour; 0: none, not even at deaf ones.
    pub most_per_hour: u32,
}

/// Says whether a phone, of this WABA if that is known, can be probed.
type CanAsk = Box<dyn Fn(PhoneNumberId, Option<WabaId>) -> bool + Send + Sync>;

/// What watching remembers.
#[derive(Default)]
pub(super) struct Watch {
    can_ask: OnceLock<CanAsk>,
    rounds: Mutex<Rounds>,
}

impl Watch {
    /// A look's outcome is in; says whether it is one. What the budget did not afford is none: its turn is still to come.
    pub(super) fn looked(&self, phone: PhoneNumberId, health: &Health) -> bool {
        let asked = *health != Health::Unknown(Unknown::OverBudget);
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner).looked(phone, asked);
        asked
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

impl Breakers {
    /// How to tell whether there is a token to probe a phone with: asked often, so it should be cheap. To be set once; until
    /// then nobody is watched.
    pub fn watch_with(
        &self,
        can_ask: impl Fn(PhoneNumberId, Option<WabaId>) -> bool + Send + Sync + 'static,
    ) {
        // Whoever set it first goes on.
        drop(self.0.watch.can_ask.set(Box::new(can_ask)));
    }

    /// Whether there is a token to watch this phone with.
    pub(super) fn can_be_watched(&self, phone: PhoneNumberId) -> bool {
        let can_ask = self.0.watch.can_ask.get();
        can_ask.is_some_and(|can_ask| can_ask(phone, self.0.phones.get(phone).waba))
    }

    /// Asks for the looks that are due at `now`.
    pub(super) fn watch(&self, now: Instant) {
        let settings = self.0.settings.load();
        let watching = settings.watching;
        let Some(pause) = HOUR.checked_div(watching.most_per_hour) else { return };
        let mut rounds = self.0.watch.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        if !rounds.may_look(now, pause) {
            return;
        }
        let lost_after = settings.policy.probe_lease + HOUR;
        let candidates = self.candidates(watching.interval);
        for Candidate { phone, generation, .. } in rounds.due(candidates, now, pause, lost_after) {
            self.ask(phone.into(), Purpose::Watch(generation));
        }
    }

    /// All phones that are watched, with how often each is to be looked at.
    fn candidates(&self, interval: Option<Duration>) -> Vec<Candidate> {
        let inner = &self.0;
        let deaf: HashSet<PhoneNumberId> = inner.hearing.deaf_phones().into_iter().collect();
        if interval.is_none() && deaf.is_empty() {
            return Vec::new();
        }
        let now = self.now();
        let since = now.minus(interval.unwrap_or_default().max(RECENT));
        let candidate = |phone| {
            let of_deaf = deaf.contains(&phone).then_some(DEAF);
            let every = interval.into_iter().chain(of_deaf).min()?;
            let generation = inner.registry.closed(phone.into())?;
            let account = inner.phones.get(phone).waba.and_then(|waba| inner.registry.get(waba.into()));
            // Its sends are held, and its account is probed.
            if account.is_some_and(|account| account.read(|breaker| breaker.holds_all(now))) {
                return None;
            }
            self.can_be_watched(phone).then_some(Candidate { phone, generation, every })
        };
        inner.hearing.sent_since(since).into_iter().filter_map(candidate).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::breaker::Generation;
    use crate::breakers::Settings;
    use crate::clock::Clock;
    use crate::store::memory::Memory;
    use crate::telemetry::{Scrape, Telemetry};
    use crate::time::Timestamp;

    #[tokio::test]
    async fn what_the_budget_did_not_afford_is_no_outcome() {
        let telemetry = Telemetry::new();
        let watching = Watching { interval: Some(HOUR), most_per_hour: 100 };
        let settings = Settings { watching, ..Settings::default() };
        let clock = Clock::starting_at(Timestamp::from_seconds(1_777_629_600));
        let (breakers, _timers, mut tickets) =
            Breakers::open(Arc::new(Memory), settings, telemetry.clone(), clock).unwrap();
        let phone = PhoneNumberId::parse("106540352242922").unwrap();
        breakers.admit_closed(phone).unwrap().accepted(&[], None).await;
        let start = Instant::now();
        breakers.watch(start);
        assert!(tickets.try_recv().is_err(), "until it is known who has a token, nobody is watched");
        breakers.watch_with(|_, _| true);
        for (minute, unknown) in [(0, Unknown::OverBudget), (1, Unknown::OverBudget), (2, Unknown::NoAnswer)]
        {
            breakers.watch(start + Duration::from_secs(60) * minute);
            let ticket = tickets.try_recv().expect("it is due until it was looked at");
            assert_eq!((ticket.scope, ticket.purpose), (phone.into(), Purpose::Watch(Generation(0))));
            breakers.probed(&ticket, Health::Unknown(unknown)).await;
        }
        breakers.watch(start + HOUR);
        assert!(tickets.try_recv().is_err());
        let counted = telemetry.render(&Scrape::default());
        assert!(counted.contains("sendfuse_probes_total{outcome=\"unknown_no_answer\"} 1"), "{counted}");
        assert!(!counted.contains("sendfuse_probes_total{outcome=\"unknown_over_budget\"} 2"), "{counted}");
    }
}
