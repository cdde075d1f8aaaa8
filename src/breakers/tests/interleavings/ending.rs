//! How a history ends: all is told in some order and some of it twice, perhaps while the lock is still on; then there is
//! quiet, and it recovers; then all is told once more.

use super::house::Beneath;
use super::run::{Memory, Run};
use super::steps::{Free, History, Locked, Naming, PHONES, Sending};
use crate::breakers::OrderKind;

const SECOND: i64 = 1_000;

/// Longer than any status of a message takes.
const ALL_HAPPENED: i64 = 300 * SECOND;

/// One thing that is still under way.
#[derive(Clone, Copy)]
enum Late {
    News(usize),
    Answer,
}

pub(super) async fn end(run: &mut Run, history: &History) {
    for phone in 0..PHONES {
        run.order(phone, OrderKind::Lift, None).await;
    }
    run.wait(ALL_HAPPENED).await;
    all_is_told(run, &mut Dice(history.order)).await;
    for phone in 0..PHONES {
        if history.stays_locked && phone == 0 {
            a_lock_that_is_on_never_ends_closed(run, phone).await;
        }
        run.meta.locked[phone] = false;
        it_recovers(run, history, phone).await;
    }
    what_is_told_once_more_changes_nothing(run, &mut Dice(!history.order)).await;
}

/// Every permutation, with everything once to four times, several facts in a webhook; answers in between.
async fn all_is_told(run: &mut Run, dice: &mut Dice) {
    let mut late: Vec<Late> = (0..run.flights()).map(|_| Late::Answer).collect();
    for news in run.meta.told(run.house.now()) {
        late.extend((0..=dice.below(4)).map(|_| Late::News(news)));
    }
    dice.shuffle(&mut late);
    let mut post = Vec::new();
    for one in late {
        match one {
            Late::News(news) => post.push(news),
            Late::Answer if run.flights() > 0 => run.answer(dice.below(run.flights())).await,
            Late::Answer => {}
        }
        if dice.below(3) == 0 {
            run.post(&std::mem::take(&mut post)).await;
        }
    }
    run.post(&post).await;
}

/// While each trial fails, by its answer or by a status, whatever health says.
async fn a_lock_that_is_on_never_ends_closed(run: &mut Run, phone: usize) {
    run.meta.locked[phone] = true;
    for round in 0..16 {
        run.healthy().await;
        let locked = if round % 3 == 0 { Locked::Refused } else { Locked::Fails };
        run.talk(at_once(phone, locked), false).await;
        // Where no webhook ever came, silence may close it: that is the policy's word, and not this promise's.
        if run.heard(phone) {
            assert_ne!(run.stand(phone).beneath, Beneath::Closed, "closed while Meta has it locked");
        }
        run.wait(75 * SECOND).await;
    }
}

/// No wedge: with clear health and sends that are delivered it is closed after the longest waits that there are, each once.
async fn it_recovers(run: &mut Run, history: &History, phone: usize) {
    let policy = &history.policy;
    let waits = policy.probe_max_interval + policy.probe_lease + policy.min_open + policy.trial_timeout;
    let longest = i64::try_from((waits + policy.trial_grace).as_millis()).unwrap();
    let trials = i64::from(policy.trials_to_close) + 1;
    let until = run.house.now() + longest + 5 * SECOND * trials;
    // What the process forgets of a trial that is under way is no wedge, but here nothing is forgotten.
    let memory = std::mem::replace(&mut run.memory, Memory::Whole);
    while run.stand(phone).beneath != Beneath::Closed {
        assert!(run.house.now() < until, "wedged: {:?}", run.stand(phone));
        run.healthy().await;
        run.talk(at_once(phone, Locked::Refused), false).await;
        run.wait(5 * SECOND).await;
    }
    run.memory = memory;
    run.talk(at_once(phone, Locked::Refused), false).await;
    assert_eq!(run.stand(phone).beneath, Beneath::Closed);
}

/// Confluence: where it has recovered, no redelivery in any order makes a transition.
async fn what_is_told_once_more_changes_nothing(run: &mut Run, dice: &mut Dice) {
    run.wait(ALL_HAPPENED).await;
    let before: Vec<_> = (0..PHONES).map(|phone| run.stand(phone)).collect();
    assert!(before.iter().all(|stand| stand.beneath == Beneath::Closed), "{before:?}");
    for _ in 0..2 {
        let mut told = run.meta.told(run.house.now());
        dice.shuffle(&mut told);
        for post in told.chunks(4) {
            run.post(post).await;
        }
    }
    let after: Vec<_> = (0..PHONES).map(|phone| run.stand(phone)).collect();
    assert_eq!(before, after, "what was told before changed something");
}

/// A message that is told of at once.
const fn at_once(phone: usize, locked: Locked) -> Sending {
    Sending { phone, naming: Naming::One, locked, free: Free::Good(2), pace: 0 }
}

/// Chance that comes from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % most as u64).unwrap()
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for n in (1..items.len()).rev() {
            items.swap(n, self.below(n + 1));
        }
    }
}
