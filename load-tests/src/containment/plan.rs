//! What happens in a run: whose phones are locked how, and when. The same for every setup.

use std::fmt::Write as _;
use std::time::Duration;

use sendfuse::simulator::{Timeline, TimelineError};

/// How phones are locked: the name in the table, and the words of a timeline.
const PROFILES: [(&str, &str); 8] = [
    ("async", "async"),
    ("sync403", "sync403"),
    ("sync400", "sync400"),
    ("ban", "ban"),
    ("intermittent", "intermittent, delivered 30%"),
    ("late_duplicates", "late_duplicates, repeated after {slowest}"),
    ("review_pending", "review_pending"),
    ("reengagement_wave", "reengagement_wave, lasting {slowest}, failed 80%"),
];
/// The name of those that are never locked.
const HEALTHY: &str = "healthy";
/// The first phone number id; 15 digits, as Meta's are.
const FIRST_PHONE: u64 = 106_540_352_242_000;

/// The run, in numbers. Times count from its beginning.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// All phones.
    pub(super) phones: u64,
    /// How many of them are locked by each profile.
    pub(super) locked_each: u64,
    /// Sends of each phone in a second, whatever becomes of them.
    pub(super) per_second: u32,
    /// When all locks begin.
    pub(super) lock_at: Duration,
    /// And end.
    pub(super) unlock_at: Duration,
    /// The range of what a status takes; each draws its own. What comes late after an unlock comes for the longest.
    pub(super) statuses: (Duration, Duration),
    /// What Meta takes to answer a send; it accepts it or refuses it before.
    pub(super) answers: Duration,
    /// The run ends here, whether all has recovered or not.
    pub(super) limit: Duration,
    /// What is not default in sendfuse's configuration: it follows `[breaker]` and `[probe]`.
    pub(super) sendfuse: Tuning,
    /// How long HAProxy holds a phone back after the last evidence.
    pub(super) haproxy_expire: Duration,
}

/// The keys of a configuration, as lines of TOML.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tuning {
    /// Under `[breaker]`.
    pub(super) breaker: &'static str,
    /// Under `[probe]`, beside the budget.
    pub(super) probe: &'static str,
}

impl Plan {
    /// The names of the groups of phones, in the order of their ids: one a profile, and the healthy.
    pub(super) fn groups() -> impl Iterator<Item = &'static str> {
        PROFILES.iter().map(|(name, _)| *name).chain([HEALTHY])
    }

    /// The group of a phone, by its index.
    pub(super) fn group_of(&self, phone: usize) -> usize {
        let each = usize::try_from(self.locked_each).unwrap_or(usize::MAX).max(1);
        (phone / each).min(PROFILES.len())
    }

    /// Whether a group is ever locked.
    pub(super) fn is_locked(group: usize) -> bool {
        group < PROFILES.len()
    }

    /// How many phones are locked.
    pub(super) fn locked(&self) -> u64 {
        self.locked_each * PROFILES.len() as u64
    }

    /// The phones' ids.
    pub(super) fn ids(&self) -> Vec<String> {
        (0..self.phones).map(|phone| (FIRST_PHONE + phone).to_string()).collect()
    }

    /// After this nothing of the lock is on its way any more: neither a slow status nor a repeated one.
    pub(super) fn quiet_at(&self) -> Duration {
        // A duplicate may leave for as long again as the status that it repeats.
        self.unlock_at + 2 * self.statuses.1 + Duration::from_secs(1)
    }

    /// What the simulated Meta plays. Errors: the timeline is malformed, which is a bug.
    pub(super) fn timeline(&self) -> Result<Timeline, TimelineError> {
        Timeline::parse(&self.script())
    }

    fn script(&self) -> String {
        let time = |duration| humantime::format_duration(duration).to_string().replace(' ', "");
        let (fastest, slowest) = (time(self.statuses.0), time(self.statuses.1));
        let (lock_at, unlock_at, answers) = (time(self.lock_at), time(self.unlock_at), time(self.answers));
        let mut text = String::new();
        let mut first = FIRST_PHONE;
        for (name, _) in PROFILES {
            let last = first + self.locked_each - 1;
            let _ = writeln!(text, "phones {name} = {first}..{last}");
            first += self.locked_each;
        }
        let _ = writeln!(text, "at 0s statuses {fastest}..{slowest}");
        let _ = writeln!(text, "at 0s fault all delay {answers}, on sends");
        for (name, lock) in PROFILES {
            let _ = writeln!(text, "at {lock_at} lock {name} {}", lock.replace("{slowest}", &slowest));
        }
        for (name, _) in PROFILES {
            let _ = writeln!(text, "at {unlock_at} unlock {name}");
        }
        text
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A lock from 10 s to 20 s, one phone a profile and two healthy ones.
    pub(in super::super) fn plan() -> Plan {
        Plan {
            phones: 10,
            locked_each: 1,
            per_second: 5,
            lock_at: Duration::from_secs(10),
            unlock_at: Duration::from_secs(20),
            statuses: (Duration::from_millis(200), Duration::from_millis(1500)),
            answers: Duration::from_millis(50),
            limit: Duration::from_secs(60),
            sendfuse: Tuning { breaker: "", probe: "" },
            haproxy_expire: Duration::from_secs(5),
        }
    }

    #[test]
    fn every_profile_has_its_phones_and_the_rest_is_healthy() {
        let plan = Plan { phones: 20, locked_each: 2, ..plan() };
        let groups: Vec<usize> = (0..20).map(|phone| plan.group_of(phone)).collect();
        assert_eq!(groups[..6], [0, 0, 1, 1, 2, 2]);
        assert_eq!(groups[14..], [7, 7, 8, 8, 8, 8]);
        assert_eq!(Plan::groups().count(), 9);
        assert!(Plan::is_locked(7) && !Plan::is_locked(8));
        assert_eq!(plan.ids().len(), 20);
    }

    #[test]
    fn the_timeline_is_one_that_the_simulator_reads() {
        let plan = plan();
        let timeline = plan.timeline().expect("read");
        assert_eq!(timeline.length(), plan.unlock_at);
        let ids = plan.ids();
        for (index, (name, _)) in PROFILES.iter().enumerate() {
            assert_eq!(timeline.phones(name), &ids[index..=index], "{name}");
        }
    }
}
