//! The PIN guards of phones, and whose number is whose.
//!
//! A phone has a guard while a PIN of it is on its way, and from then on only if Meta has refused one: made-up ids fill nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use tokio::sync::Semaphore;

use crate::graph::ids::{DisplayNumber, PhoneNumberId};
use crate::graph::pin::{Pin, PinHash, PinHasher};
use crate::pin::Guard;

/// The most phones whose refused PINs are remembered; some 2 KiB each, at worst 8. Beyond it the one goes of which Meta has
/// said nothing for longest.
const MOST_PHONES: usize = 10_000;

/// The most display numbers that are remembered; some 80 bytes each. Only signed webhooks add one.
const MOST_NUMBERS: usize = 100_000;

/// All guards.
#[derive(Debug)]
pub struct Pins {
    hasher: PinHasher,
    guards: Mutex<HashMap<PhoneNumberId, Entry>>,
    numbers: DashMap<PhoneNumberId, DisplayNumber>,
}

#[derive(Debug)]
struct Entry {
    guard: Guard,
    /// One try of a phone at a time. Nothing here waits for it.
    turn: Arc<Semaphore>,
    /// How many tries are on their way or wait for their turn.
    tries: usize,
}

impl Pins {
    /// None yet; PINs are remembered under this key.
    pub fn new(key: [u8; 16]) -> Self {
        Self { hasher: PinHasher::new(key), guards: Mutex::default(), numbers: DashMap::new() }
    }

    /// What a phone's PIN is remembered by.
    pub fn hash(&self, phone: PhoneNumberId, pin: &Pin) -> PinHash {
        self.hasher.hash(phone, pin)
    }

    /// A try begins; it must [leave](Self::leave). Gives the semaphore with the one permit of the phone's tries.
    pub fn enter(&self, phone: PhoneNumberId) -> Arc<Semaphore> {
        let mut guards = self.lock();
        let entry = guards.entry(phone).or_insert_with(|| Entry {
            guard: Guard::default(),
            turn: Arc::new(Semaphore::new(1)),
            tries: 0,
        });
        entry.tries += 1;
        Arc::clone(&entry.turn)
    }

    /// A try is over.
    pub fn leave(&self, phone: PhoneNumberId) {
        let mut guards = self.lock();
        if let Some(entry) = guards.get_mut(&phone) {
            entry.tries = entry.tries.saturating_sub(1);
            if entry.tries == 0 && entry.guard.is_blank() {
                guards.remove(&phone);
            }
        }
        // Whoever is on the way is not counted off, and is soon gone or counts.
        if guards.len() > MOST_PHONES {
            let known = guards.iter().filter(|(_, entry)| entry.tries == 0);
            let oldest = known.min_by_key(|(_, entry)| entry.guard.told()).map(|(phone, _)| *phone);
            oldest.and_then(|phone| guards.remove(&phone));
        }
    }

    /// Looks at a phone's guard, or changes it. One that the phone does not have is blank, and stays so.
    pub fn with<R>(&self, phone: PhoneNumberId, change: impl FnOnce(&mut Guard) -> R) -> R {
        match self.lock().get_mut(&phone) {
            Some(entry) => change(&mut entry.guard),
            None => change(&mut Guard::default()),
        }
    }

    /// The phones that have a guard, in no order.
    pub fn phones(&self) -> Vec<PhoneNumberId> {
        self.lock().keys().copied().collect()
    }

    /// Learns a phone's display number.
    pub fn learn(&self, phone: PhoneNumberId, number: DisplayNumber) {
        let known = self.number(phone);
        if known != Some(number) && (known.is_some() || self.numbers.len() < MOST_NUMBERS) {
            self.numbers.insert(phone, number);
        }
    }

    /// A phone's display number, where it is known.
    pub fn number(&self, phone: PhoneNumberId) -> Option<DisplayNumber> {
        self.numbers.get(&phone).map(|number| *number)
    }

    /// Whether it is known whose number this is.
    pub fn is_known(&self, number: DisplayNumber) -> bool {
        self.numbers.iter().any(|known| *known == number)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PhoneNumberId, Entry>> {
        self.guards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::graph::pin::{self, Verdict};
    use crate::graph::route::PinCall;
    use crate::pin::{Attempts, MetaError};
    use crate::time::Timestamp;

    fn phone(number: usize) -> PhoneNumberId {
        PhoneNumberId::parse(number.to_string()).unwrap()
    }

    /// A try of a phone's; Meta refuses it at this second, or says nothing.
    fn try_one(pins: &Pins, id: PhoneNumberId, refused_at: Option<i64>) {
        let turn = pins.enter(id);
        assert_eq!(turn.available_permits(), 1);
        let hash = pins.hash(id, &pin::read(None, Some("pin=1"), b"").unwrap());
        let now = Timestamp::from_seconds(refused_at.unwrap_or_default());
        let error = MetaError { status: StatusCode::BAD_REQUEST, code: 133_005, at: now, words: None };
        pins.with(id, |guard| {
            let (tried, _) = guard.admit(PinCall::Register, hash, now, Attempts::new(2));
            let verdict = if refused_at.is_some() { Verdict::Refused } else { Verdict::Nothing };
            guard.answered(tried, verdict, refused_at.map(|_| error));
        });
        pins.leave(id);
    }

    #[test]
    fn only_a_refusal_is_remembered() {
        let pins = Pins::new([0; 16]);
        for number in 0..100 {
            try_one(&pins, phone(number), None);
        }
        assert_eq!(pins.phones(), []);
        try_one(&pins, phone(7), Some(1));
        assert_eq!(pins.phones(), [phone(7)]);
        assert!(!pins.with(phone(8), |guard| guard.allow()));
        assert_eq!(pins.phones(), [phone(7)], "to look makes none");
    }

    #[test]
    fn who_waits_keeps_the_guard() {
        let pins = Pins::new([0; 16]);
        let (one, other) = (pins.enter(phone(1)), pins.enter(phone(1)));
        assert!(Arc::ptr_eq(&one, &other), "one turn for both");
        pins.leave(phone(1));
        assert_eq!(pins.phones(), [phone(1)]);
        pins.leave(phone(1));
        assert_eq!(pins.phones(), []);
    }

    #[test]
    fn of_too_many_the_oldest_goes() {
        let pins = Pins::new([0; 16]);
        for number in 0..MOST_PHONES + 3 {
            // The second one was refused last.
            let second = if number == 1 { usize::MAX >> 1 } else { number };
            try_one(&pins, phone(number), Some(i64::try_from(second).unwrap()));
        }
        let kept = pins.phones();
        assert_eq!(kept.len(), MOST_PHONES);
        let gone: Vec<_> = [0, 1, 2, 3, 4].map(phone).into_iter().filter(|id| !kept.contains(id)).collect();
        assert_eq!(gone, [0, 2, 3].map(phone));
    }

    #[test]
    fn numbers_are_learned_and_can_move() {
        let pins = Pins::new([0; 16]);
        let [one, other] = ["+1 555-078-3881", "15550783882"].map(|text| DisplayNumber::parse(text).unwrap());
        pins.learn(phone(1), one);
        assert!(pins.is_known(one) && !pins.is_known(other));
        pins.learn(phone(1), other);
        assert_eq!(pins.number(phone(1)), Some(other));
        assert!(!pins.is_known(one));
    }
}
