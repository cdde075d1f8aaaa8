//! Whose turn it is to be looked at: how looks are spread, and in which order they come.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::breaker::Generation;
use crate::breakers::timers::LISTEN;
use crate::graph::ids::PhoneNumberId;

/// A phone that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) phone: PhoneNumberId,
    /// At which a block that is found is news.
    pub(super) generation: Generation,
    /// How often it is looked at.
    pub(super) every: Duration,
}

/// Whose turn it is. Time is monotonic and an argument.
///
/// A phone that was watched once is kept, so that it is not looked at too soon when it sends again. There are never more
/// than are listened for.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    turns: HashMap<PhoneNumberId, Turn>,
    /// The moment that the last look was meant for.
    last: Option<Instant>,
}

#[derive(Debug)]
struct Turn {
    /// When it was looked at last; if it never was, when it was found to send.
    since: Instant,
    was_looked_at: bool,
    /// Since when a look is out.
    out: Option<Instant>,
}

impl Turn {
    /// How long it has been due; `None`, it is not.
    fn overdue(&self, every: Duration, now: Instant) -> Option<Duration> {
        let wait = if self.was_looked_at { every } else { Duration::ZERO };
        now.saturating_duration_since(self.since).checked_sub(wait)
    }
}

impl Rounds {
    /// Whether the budget, which affords a look each `pause`, leaves room for one now.
    pub(super) fn may_look(&self, now: Instant, pause: Duration) -> bool {
        self.last.is_none_or(|last| now.saturating_duration_since(last) >= pause)
    }

    /// The phones to be looked at now. To be called each [`LISTEN`]. A look without an outcome is taken for lost after
    /// `lost_after`.
    pub(super) fn due(
        &mut self,
        candidates: Vec<Candidate>,
        now: Instant,
        pause: Duration,
        lost_after: Duration,
    ) -> Vec<Candidate> {
        let Some(shortest) = candidates.iter().map(|candidate| candidate.every).min() else {
            return Vec::new();
        };
        let gap = (shortest / u32::try_from(candidates.len()).unwrap_or(u32::MAX)).max(pause);
        // Moments that nobody took are gone, but for those since the last call.
        let earliest = now.checked_sub(LISTEN).unwrap_or(now);
        let first = self.last.map_or(now, |last| (last + gap).max(earliest));
        let Some(late) = now.checked_duration_since(first) else { return Vec::new() };
        let room = 1 + usize::try_from(late.as_nanos() / gap.as_nanos().max(1)).unwrap_or(usize::MAX - 1);

        let mut due: Vec<(Duration, Candidate)> = Vec::new();
        for candidate in candidates {
            let new = || Turn { since: now, was_looked_at: false, out: None };
            let turn = self.turns.entry(candidate.phone).or_insert_with(new);
            if turn.out.is_some_and(|out| now.saturating_duration_since(out) < lost_after) {
                continue;
            }
            due.extend(turn.overdue(candidate.every, now).map(|overdue| (overdue, candidate)));
        }
        let longest_due_first =
            |(overdue, candidate): &(Duration, Candidate)| (Reverse(*overdue), candidate.phone);
        if room < due.len() {
            due.select_nth_unstable_by_key(room, longest_due_first);
            due.truncate(room);
        }
        for (_, candidate) in &due {
            if let Some(turn) = self.turns.get_mut(&candidate.phone) {
                turn.out = Some(now);
            }
        }
        if let Some(more) = due.len().checked_sub(1) {
            self.last = Some(first + gap * u32::try_from(more).unwrap_or(u32::MAX));
        }
        due.into_iter().map(|(_, candidate)| candidate).collect()
    }

    /// A look has ended. If Meta was not asked, it is still due, and tried again at the next call.
    pub(super) fn looked(&mut self, phone: PhoneNumberId, asked: bool) {
        let Some(turn) = self.turns.get_mut(&phone) else { return };
        let Some(out) = turn.out.take() else { return };
        match asked {
            true => (turn.since, turn.was_looked_at) = (out, true),
            // Nothing came of that moment, so the next one need not keep away from it.
            false => self.last = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);
    const LOST: Duration = Duration::from_secs(3615);

    fn phone(n: usize) -> PhoneNumberId {
        PhoneNumberId::parse(n.to_string()).unwrap()
    }

    fn watched(n: usize, every: Duration) -> Candidate {
        Candidate { phone: phone(n), generation: Generation(0), every }
    }

    /// Watches for so long, all looks answered at once; what was looked at, and when.
    struct Watcher {
        rounds: Rounds,
        start: Instant,
        now: Instant,
        pause: Duration,
    }

    impl Watcher {
        fn new(most_per_hour: u32) -> Self {
            let start = Instant::now();
            Self { rounds: Rounds::default(), start, now: start, pause: HOUR / most_per_hour }
        }

        fn tick(&mut self, candidates: &[Candidate]) -> Vec<PhoneNumberId> {
            self.now += LISTEN;
            if !self.rounds.may_look(self.now, self.pause) {
                return Vec::new();
            }
            let due = self.rounds.due(candidates.to_vec(), self.now, self.pause, LOST);
            due.into_iter().map(|candidate| candidate.phone).collect()
        }

        fn run(&mut self, time: Duration, candidates: &[Candidate]) -> Vec<(Duration, PhoneNumberId)> {
            let (mut looks, end) = (Vec::new(), self.now + time);
            while self.now < end {
                for phone in self.tick(candidates) {
                    self.rounds.looked(phone, true);
                    looks.push((self.now - self.start, phone));
                }
            }
            looks
        }
    }

    fn times_of(looks: &[(Duration, PhoneNumberId)], of: PhoneNumberId) -> Vec<Duration> {
        looks.iter().filter(|(_, phone)| *phone == of).map(|(at, _)| *at).collect()
    }

    #[test]
    fn each_is_looked_at_once_in_its_interval_and_not_all_at_once() {
        for (count, minutes) in [(1, 1), (1, 10), (7, 10), (40, 10), (100, 60)] {
            let every = MINUTE * minutes;
            let phones: Vec<_> = (1..=count).map(|n| watched(n, every)).collect();
            let looks = Watcher::new(1_000_000).run(every * 6, &phones);
            for candidate in &phones {
                let times = times_of(&looks, candidate.phone);
                assert!((5..=6).contains(&times.len()), "{count} in {every:?}: {times:?}");
                for pair in times.windows(2) {
                    let wait = pair[1] - pair[0];
                    assert!((every..=every + LISTEN * 2).contains(&wait), "{count} in {every:?}: {times:?}");
                }
            }
            // In a tenth of the interval there is about a tenth of the looks.
            let span = every / 10;
            let most = looks
                .iter()
                .map(|(from, _)| looks.iter().filter(|(at, _)| (*from..*from + span).contains(at)).count());
            assert!(most.max() <= Some(count / 10 + 2), "{count} in {every:?}: {looks:?}");
        }
    }

    #[test]
    fn where_the_budget_does_not_suffice_they_take_turns() {
        let phones: Vec<_> = (1..=50).map(|n| watched(n, MINUTE)).collect();
        let mut watcher = Watcher::new(100);
        let first = watcher.run(HOUR, &phones);
        assert!((98..=100).contains(&first.len()), "{}", first.len());
        // Somebody new does not overtake those who wait, and does not wait longer than they.
        let more: Vec<_> = (0..=50).map(|n| watched(n, MINUTE)).collect();
        let then = watcher.run(HOUR, &more);
        assert!(times_of(&then, phone(0))[0] > HOUR + MINUTE * 25, "{then:?}");
        for candidate in &phones {
            let mut times = times_of(&first, candidate.phone);
            times.extend(times_of(&then, candidate.phone));
            assert!((3..=4).contains(&times.len()), "{times:?}");
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] > MINUTE * 28), "{times:?}");
        }
    }

    #[test]
    fn a_look_that_the_budget_did_not_afford_is_still_due() {
        let phones = [watched(1, MINUTE * 10), watched(2, MINUTE * 10)];
        let mut watcher = Watcher::new(1000);
        assert_eq!(watcher.tick(&phones), [phone(1)]);
        watcher.rounds.looked(phone(1), false);
        let looks = watcher.run(MINUTE * 10, &phones);
        assert_eq!(looks.iter().map(|(_, of)| *of).collect::<Vec<_>>(), [phone(1), phone(2)]);
    }

    #[test]
    fn there_is_one_look_at_a_phone_at_a_time() {
        let phones = [watched(1, MINUTE)];
        let mut watcher = Watcher::new(1000);
        assert_eq!(watcher.tick(&phones), [phone(1)]);
        let asked = watcher.now;
        while watcher.now - asked < LOST - LISTEN {
            assert_eq!(watcher.tick(&phones), []);
        }
        assert_eq!(watcher.tick(&phones), [phone(1)], "it must have been lost");
        watcher.rounds.looked(phone(1), true);
        watcher.rounds.looked(phone(2), true);
        assert_eq!(watcher.run(MINUTE, &phones).len(), 1);
    }

    #[test]
    fn who_pauses_is_not_looked_at_again_too_soon() {
        let (phones, mut watcher) = ([watched(1, MINUTE * 10)], Watcher::new(1000));
        assert_eq!(watcher.run(MINUTE, &phones).len(), 1);
        assert_eq!(watcher.run(MINUTE * 5, &[]), []);
        assert_eq!(watcher.run(MINUTE * 4, &phones), []);
        assert_eq!(watcher.run(MINUTE, &phones).len(), 1);
    }

    #[test]
    fn each_has_its_own_interval() {
        let phones = [watched(1, MINUTE * 10), watched(2, HOUR * 2), watched(3, HOUR * 2)];
        let looks = Watcher::new(100).run(HOUR * 2, &phones);
        let counts = [1, 2, 3].map(|n| times_of(&looks, phone(n)).len());
        assert!((11..=12).contains(&counts[0]) && counts[1..] == [1, 1], "{counts:?}");
    }

    #[test]
    fn after_a_quiet_time_there_is_no_burst() {
        let phones: Vec<_> = (1..=600).map(|n| watched(n, MINUTE * 10)).collect();
        let mut watcher = Watcher::new(1200);
        watcher.run(HOUR, &phones[..1]);
        // 5 in 15 s is what the budget affords, and 6 where the first moment is counted.
        for _ in 0..40 {
            assert!(watcher.tick(&phones).len() <= 6);
        }
    }
}
