//! Accepted sends by their phone and wamid, so that a status can be judged by the generation that admitted its send.
//!
//! **How much.** [`REMEMBERED`] sends, some 85 bytes each: a phone's top rate of 1,000 a second for over a quarter of an hour,
//! while statuses come within seconds. Nothing is reserved: memory grows with what is remembered, in small pieces.
//!
//! **What is kept when it overflows.** The newest, first in, first out. The memory is cut into shards by key, and the order
//! is exact in each of them: a send is forgotten when 15,625 newer ones have come to its shard, which keys spread so
//! evenly that it is about a million sends later. Looking a send up does not keep it.
//!
//! **What is lost then.** Only precision: a status whose send is forgotten is judged by Meta's own date, as one of a send that
//! went past us is. A failure from before a close is late news by its date too; only one that Meta dates after the close, of a
//! send from before it, opens the breaker once more. And a forgotten send is not counted as a leak.
//!
//! **What is not here.** The phone and the wamid: they are the key, a hash, and a status that names another phone finds
//! nothing. `biz_opaque_callback_data`: it is in the request, which is not looked into on the ordinary path, and in no answer; Meta
//! repeats it in each status, where it is read.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::inline::Inline;
use crate::breaker::Generation;
use crate::graph::class::Class;
use crate::graph::country::Country;
use crate::graph::ids::{PhoneNumberId, WamidHasher, WamidKey};
use crate::time::Timestamp;

/// How many accepted sends are remembered.
pub const REMEMBERED: usize = SHARDS * SHARD;

/// A power of two: the highest bits of a key choose the shard.
const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 6;
/// How many sends a shard remembers.
const SHARD: usize = 15_625;
/// How many slots a shard grows by: as many as fit 8 KiB. The program's allocator rounds up to powers of two, and a chunk a little
/// beyond one would cost a fifth more.
const CHUNK: usize = (8 << 10) / size_of::<Slot>();
/// How many chains a shard begins with; a power of two.
const FEWEST_HEADS: usize = 16;
/// No slot.
const NONE: u32 = u32::MAX;

/// An accepted send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// When Meta's answer came.
    pub at: Timestamp,
    /// The generation that admitted it.
    pub generation: Generation,
    /// Meta's id of the call, where its answer had one that fits. Meta's have 11 or 23 characters.
    pub fbtrace_id: Option<Inline<24>>,
    /// Who was to get it, masked: `…1234`.
    pub recipient: Option<Inline<8>>,
    /// Its class, if its body was looked into.
    pub class: Option<Class>,
    /// Its recipient's country, if its body was looked into.
    pub country: Option<Country>,
    /// Whether it was counted as a leak already.
    pub leaked: bool,
    /// What observe mode knows of it.
    pub observed: Observed,
}

/// What observe mode knows of a send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Observed {
    /// It would not have been rejected.
    #[default]
    None,
    /// It would have been rejected; what became of it is unknown.
    WouldReject,
    /// It would have been rejected, and was delivered.
    Delivered,
    /// It would have been rejected, and failed.
    Failed,
}

/// The memory.
pub struct Sends {
    hasher: WamidHasher,
    shards: Box<[Mutex<Shard>]>,
}

impl Sends {
    /// An empty memory whose keys nobody can foresee, if `key` is random.
    pub fn new(key: [u8; 16]) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { hasher: WamidHasher::new(key), shards }
    }

    /// The key of a phone's message.
    pub fn key_of(&self, phone: PhoneNumberId, wamid: &str) -> WamidKey {
        self.hasher.key_of(phone, wamid)
    }

    /// Remembers an accepted send. One that is remembered already is replaced, and keeps its place in the queue.
    pub fn remember(&self, key: WamidKey, accepted: Accepted) {
        if let Some(mut shard) = self.shard(key) {
            shard.remember(key, accepted);
        }
    }

    /// The send of this message, if it is remembered.
    pub fn get(&self, key: WamidKey) -> Option<Accepted> {
        self.update(key, |accepted| *accepted)
    }

    /// Looks at the send of this message and changes it, in one step: nobody comes between. `None`: it is not remembered.
    ///
    /// `change` runs under the shard's lock: it must be short, and must not come back here.
    pub fn update<R>(&self, key: WamidKey, change: impl FnOnce(&mut Accepted) -> R) -> Option<R> {
        let mut shard = self.shard(key)?;
        let at = shard.find(key)?;
        shard.slot_mut(at).map(|slot| change(&mut slot.accepted))
    }

    /// As after a million other sends.
    #[cfg(test)]
    pub(crate) fn forget_all(&self) {
        for shard in &self.shards {
            *shard.lock().unwrap_or_else(PoisonError::into_inner) = Shard::default();
        }
    }

    /// There is one for every key.
    fn shard(&self, key: WamidKey) -> Option<MutexGuard<'_, Shard>> {
        let at = usize::try_from(key.bits() >> (u128::BITS - SHARD_BITS)).ok()?;
        // Every step under the lock leaves a shard behind that can be read.
        Some(self.shards.get(at)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A ring of slots, and a hash table of chains through them. Slots come in chunks, so growing copies none.
#[derive(Default)]
struct Shard {
    chunks: Vec<Vec<Slot>>,
    len: usize,
    /// Once the ring is full: where the oldest is.
    oldest: usize,
    /// The newest slot of each chain. A power of two, and at least as many as slots.
    heads: Vec<u32>,
}

struct Slot {
    key: WamidKey,
    accepted: Accepted,
    /// The next older one of its chain.
    next: u32,
}

impl Shard {
    fn remember(&mut self, key: WamidKey, accepted: Accepted) {
        if let Some(at) = self.find(key) {
            if let Some(slot) = self.slot_mut(at) {
                slot.accepted = accepted;
            }
            return;
        }
        let slot = Slot { key, accepted, next: NONE };
        if self.len < SHARD {
            let at = self.len;
            self.push(slot);
            self.link(at);
        } else {
            let at = self.oldest;
            self.unlink(at);
            if let Some(oldest) = self.slot_mut(at) {
                *oldest = slot;
            }
            self.link(at);
            self.oldest = (at + 1) % SHARD;
        }
    }

    fn find(&self, key: WamidKey) -> Option<usize> {
        let mut next = *self.heads.get(self.chain(key))?;
        loop {
            let at = usize::try_from(next).ok()?;
            let slot = self.slot(at)?;
            if slot.key == key {
                return Some(at);
            }
            next = slot.next;
        }
    }

    fn push(&mut self, slot: Slot) {
        if self.len >= self.heads.len() {
            self.heads = vec![NONE; (self.len * 2).max(FEWEST_HEADS)];
            (0..self.len).for_each(|at| self.link(at));
        }
        if self.len.is_multiple_of(CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK.min(SHARD - self.len)));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(slot);
            self.len += 1;
        }
    }

    /// Puts a slot at the head of its chain.
    fn link(&mut self, at: usize) {
        let Some(chain) = self.slot(at).map(|slot| self.chain(slot.key)) else { return };
        let name = u32::try_from(at).unwrap_or(NONE);
        let older = self.heads.get_mut(chain).map(|head| std::mem::replace(head, name));
        if let Some(slot) = self.slot_mut(at) {
            slot.next = older.unwrap_or(NONE);
        }
    }

    /// Takes the oldest slot out of its chain, where it is the last.
    fn unlink(&mut self, at: usize) {
        let Some(chain) = self.slot(at).map(|slot| self.chain(slot.key)) else { return };
        let name = u32::try_from(at).unwrap_or(NONE);
        let Some(mut next) = self.heads.get_mut(chain) else { return };
        while *next != name {
            let Ok(newer) = usize::try_from(*next) else { return };
            let Some(slot) =
                self.chunks.get_mut(newer / CHUNK).and_then(|chunk| chunk.get_mut(newer % CHUNK))
            else {
                return;
            };
            next = &mut slot.next;
        }
        *next = NONE;
    }

    fn chain(&self, key: WamidKey) -> usize {
        let mask = (self.heads.len() as u128).saturating_sub(1);
        usize::try_from(key.bits() & mask).unwrap_or_default()
    }

    fn slot(&self, at: usize) -> Option<&Slot> {
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    fn slot_mut(&mut self, at: usize) -> Option<&mut Slot> {
        self.chunks.get_mut(at / CHUNK)?.get_mut(at % CHUNK)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::thread;

    use super::*;

    fn phone() -> PhoneNumberId {
        PhoneNumberId::parse("106540352242922").unwrap()
    }

    fn accepted(n: usize) -> Accepted {
        Accepted {
            class: None,
            country: None,
            at: Timestamp::from_millis(i64::try_from(n).unwrap()),
            generation: Generation(7),
            fbtrace_id: Inline::new("Az8or2yhqkZfEZ-_4Qn_Bam"),
            recipient: Inline::new("…1234"),
            leaked: false,
            observed: Observed::None,
        }
    }

    fn key(sends: &Sends, n: usize) -> WamidKey {
        sends.key_of(phone(), &format!("wamid.{n}"))
    }

    #[test]
    fn a_send_is_found_by_its_phone_and_message_only() {
        let (sends, other) = (Sends::new([1; 16]), PhoneNumberId::parse("1").unwrap());
        sends.remember(key(&sends, 1), accepted(1));
        assert_eq!(sends.get(key(&sends, 1)), Some(accepted(1)));
        assert_eq!(sends.get(key(&sends, 2)), None);
        assert_eq!(sends.get(sends.key_of(other, "wamid.1")), None);
        sends.remember(key(&sends, 1), accepted(3));
        assert_eq!(sends.get(key(&sends, 1)), Some(accepted(3)));
    }

    /// Against a queue that cannot be wrong, at every step of the way: empty, growing, full, and twice around.
    #[test]
    fn a_shard_keeps_the_newest_first_in_first_out() {
        let (sends, mut shard) = (Sends::new([2; 16]), Shard::default());
        let mut kept = VecDeque::new();
        for n in 0..SHARD * 3 {
            shard.remember(key(&sends, n), accepted(n));
            kept.push_back(n);
            if kept.len() > SHARD {
                let oldest = kept.pop_front().unwrap();
                assert_eq!(shard.find(key(&sends, oldest)), None, "{oldest} after {n}");
            }
            // One that is there already, old or new, takes nobody's place.
            let again = kept[n * 31 % kept.len()];
            shard.remember(key(&sends, again), accepted(again));
            assert_eq!(shard.len, kept.len());
            if n % 4000 == 0 || n + 1 == SHARD * 3 {
                for n in &kept {
                    let at = shard.find(key(&sends, *n)).unwrap();
                    assert_eq!(shard.slot(at).unwrap().accepted, accepted(*n));
                }
            }
        }
        assert_eq!((kept.front(), kept.len()), (Some(&(SHARD * 2)), SHARD));
    }

    #[test]
    fn a_change_is_one_step() {
        let sends = Sends::new([3; 16]);
        let key = key(&sends, 1);
        sends.remember(key, accepted(0));
        let first = |_| {
            let step = |send: &mut Accepted| {
                let at = send.at.millis();
                thread::yield_now();
                send.at = Timestamp::from_millis(at + 1);
                !std::mem::replace(&mut send.leaked, true)
            };
            (0..500).filter(|_| sends.update(key, step).unwrap()).count()
        };
        let firsts: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|n| scope.spawn(move || first(n))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let send = sends.get(key).unwrap();
        assert_eq!((firsts, send.at.millis(), send.leaked), (1, 2000, true));
        assert_eq!(sends.update(self::key(&sends, 2), |_| ()), None);
    }

    #[test]
    fn a_send_costs_less_than_a_hundred_bytes_and_an_empty_memory_next_to_nothing() {
        let (sends, mut shard) = (Sends::new([4; 16]), Shard::default());
        let bytes = |shard: &Shard| {
            let slots: usize = shard.chunks.iter().map(Vec::capacity).sum();
            slots * size_of::<Slot>()
                + shard.chunks.capacity() * size_of::<Vec<Slot>>()
                + shard.heads.capacity() * size_of::<u32>()
        };
        assert_eq!(bytes(&shard), 0);
        assert_eq!(sends.shards.iter().map(|shard| bytes(&shard.lock().unwrap())).sum::<usize>(), 0);
        for n in 0..SHARD * 2 {
            shard.remember(key(&sends, n), accepted(n));
        }
        assert!(bytes(&shard) <= SHARD * 90, "{} bytes each", bytes(&shard) / SHARD);
        assert_eq!(REMEMBERED, 1_000_000);
    }
}
