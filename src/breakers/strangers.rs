//! Accounts of which no phone is known: what Meta says of them opens breakers that hold nobody, until a phone turns out to be theirs.
//! Who can sign webhooks can make such accounts up, and an app of many businesses hears of accounts that never send here. So there
//! is a bound on their breakers. It is beside those of all others: an account with a known phone is held whatever strangers there are.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::Breakers;
use crate::breaker::Scope;
use crate::graph::ids::WabaId;
use crate::telemetry::events::UnheldAccountEvent;

/// The most accounts without a known phone that have breakers: some 25 MB with their incidents. Far more than Meta locks at once of one
/// app's, so that whoever comes here late with a real lock finds room.
const MOST_STRANGERS: usize = 10_000;

/// How many there are.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    /// At least; it is counted anew now and then, and meanwhile only grows.
    count: AtomicUsize,
    /// That there is no more room was said.
    told: AtomicBool,
}

impl Strangers {
    /// Whether there is room for one more, who then has it.
    fn enter(&self) -> bool {
        let more = |count| (count < MOST_STRANGERS).then_some(count + 1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn recounted(&self, count: usize) {
        self.count.store(count, Ordering::Relaxed);
        if count < MOST_STRANGERS {
            self.told.store(false, Ordering::Relaxed);
        }
    }
}

impl Breakers {
    /// Whether an account may have a breaker. If not, that is told.
    pub(super) fn is_room_for(&self, waba: WabaId) -> bool {
        let inner = &self.0;
        let is_room =
            inner.registry.get(waba.into()).is_some() || inner.phones.knows(waba) || inner.strangers.enter();
        if !is_room {
            let is_first = !inner.strangers.told.swap(true, Ordering::Relaxed);
            inner.telemetry.emit(UnheldAccountEvent { waba, is_first });
        }
        is_room
    }

    /// Counts the accounts that have a breaker and no known phone. Looks at all cells.
    pub(super) fn count_strangers(&self) {
        let is_stranger = |scope: &Scope| matches!(scope, Scope::Waba(waba) if !self.0.phones.knows(*waba));
        let all = self.0.registry.all();
        self.0.strangers.recounted(all.iter().filter(|(scope, _)| is_stranger(scope)).count());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::breakers::{Order, OrderKind, Settings};
    use crate::clock::Clock;
    use crate::graph::ids::PhoneNumberId;
    use crate::graph::webhook::{Account, AccountNews, Fact};
    use crate::store::memory::Memory;
    use crate::telemetry::{Scrape, Telemetry};
    use crate::time::Timestamp;

    const NOW: Timestamp = Timestamp::from_seconds(1_777_629_600);

    fn waba(number: usize) -> WabaId {
        WabaId::parse((1_000_000 + number).to_string()).unwrap()
    }

    fn deleted(number: usize) -> Fact {
        Fact::Account(Account { waba: waba(number), at: Some(NOW), news: AccountNews::Deleted })
    }

    #[tokio::test]
    async fn a_flood_of_strangers_ends_and_holds_up_nobody() {
        let (store, clock) = (Arc::new(Memory), Clock::starting_at(NOW));
        let (breakers, ..) = Breakers::open(store, Settings::default(), Telemetry::new(), clock).unwrap();
        let state = |number| breakers.view(waba(number)).state;
        let unheld = || {
            let metrics = breakers.0.telemetry.render(&Scrape::default());
            let line =
                metrics.lines().find_map(|line| line.strip_prefix("sendfuse_unheld_account_events_total "));
            line.unwrap().to_owned()
        };
        // Known ones are not counted among them.
        breakers.learn_numbers(waba(1), &[PhoneNumberId::parse("1").unwrap()]);
        for number in 1..=MOST_STRANGERS + 1 {
            breakers.hear(&[deleted(number)]).await;
        }
        assert_eq!((state(1), state(MOST_STRANGERS + 1), &*unheld()), ("open", "open", "0"));
        for number in MOST_STRANGERS + 2..MOST_STRANGERS + 12 {
            breakers.hear(&[deleted(number)]).await;
            assert_eq!(state(number), "closed");
        }
        assert_eq!(breakers.0.registry.all().len(), MOST_STRANGERS + 1);
        assert_eq!(unheld(), "10");

        // Whom it concerns has its breaker as ever, and so has a stranger who has one.
        breakers.learn_numbers(waba(0), &[PhoneNumberId::parse("2").unwrap()]);
        breakers.hear(&[deleted(0), deleted(2)]).await;
        assert_eq!((state(0), &*unheld()), ("open", "10"));
        // A stranger who is none any more makes room.
        breakers.learn_numbers(waba(3), &[PhoneNumberId::parse("3").unwrap()]);
        breakers.count_strangers();
        breakers.hear(&[deleted(MOST_STRANGERS + 2)]).await;
        assert_eq!(state(MOST_STRANGERS + 2), "open");
        // An operator's word finds room in any case.
        let order = Order { kind: OrderKind::Open, reason: "drill".into(), by: "ops".into(), hold: None };
        let view = breakers.order(waba(MOST_STRANGERS + 20), order, None).await.unwrap();
        assert_eq!(view.state, "forced_open");
    }
}
