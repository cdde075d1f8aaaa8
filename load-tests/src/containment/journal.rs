//! What was seen in a run, as it happened. Times count from the beginning of the run.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// One send of the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// Whose, by index.
    pub(super) phone: usize,
    /// Right before it was given to a connection.
    pub(super) begun: Duration,
    /// When its answer had arrived whole, or nothing more was to come.
    pub(super) answered: Duration,
    /// What the answer was.
    pub(super) answer: Answer,
}

impl Sent {
    /// Whether Meta has answered it.
    pub(super) fn reached_meta(&self) -> bool {
        matches!(self.answer, Answer::Accepted | Answer::Locked | Answer::OtherError)
    }
}

/// What a send was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// By Meta: 200.
    Accepted,
    /// By Meta: 131031.
    Locked,
    /// By Meta: something else.
    OtherError,
    /// By a proxy, in Graph's shape: 131031.
    HeldBack,
    /// None that is whole, or a proxy's own error.
    Nothing,
}

/// All that was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// In the order of their ends.
    pub(super) sends: Vec<Sent>,
    /// When evidence of a lock was out, by the phone's index: a webhook that says 131031 was acknowledged, or an answer
    /// of Meta's that says so was with the app. In the order of time.
    pub(super) evidence: Vec<(usize, Duration)>,
    /// Messages that Meta accepted and failed with 131031, each once.
    pub(super) failed: Vec<usize>,
}

/// Takes down what happens, from many tasks.
#[derive(Debug, Default)]
pub(super) struct Journal {
    began: OnceLock<Instant>,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    seen: Seen,
    failed_wamids: HashSet<String>,
    latest: HashMap<usize, Latest>,
}

/// When the latest sends of a phone were begun.
#[derive(Debug, Default)]
struct Latest {
    held_back: Option<Duration>,
    reached: Option<Duration>,
}

impl Journal {
    /// The run begins now. Says what the machine's clock shows, to which other processes date what they do.
    pub(super) fn begin(&self) -> SystemTime {
        self.began.get_or_init(Instant::now);
        SystemTime::now() - self.now()
    }

    /// So long after the beginning.
    pub(super) fn now(&self) -> Duration {
        self.began.get().map(Instant::elapsed).unwrap_or_default()
    }

    /// A send has ended. What it says of a lock is out.
    pub(super) fn sent(&self, sent: Sent) {
        let mut pages = self.pages();
        if sent.answer == Answer::Locked {
            pages.seen.evidence.push((sent.phone, sent.answered));
        }
        let latest = pages.latest.entry(sent.phone).or_default();
        if sent.answer == Answer::HeldBack {
            latest.held_back = latest.held_back.max(Some(sent.begun));
        } else if sent.reached_meta() {
            latest.reached = latest.reached.max(Some(sent.begun));
        }
        pages.seen.sends.push(sent);
    }

    /// A webhook said that this message failed with 131031, and was acknowledged just now.
    pub(super) fn failure_acknowledged(&self, phone: usize) {
        let now = self.now();
        self.pages().seen.evidence.push((phone, now));
    }

    /// Meta has failed a message with 131031. Repetitions are not counted.
    pub(super) fn failed(&self, phone: usize, wamid: &str) {
        let mut pages = self.pages();
        if pages.failed_wamids.insert(wamid.to_owned()) {
            pages.seen.failed.push(phone);
        }
    }

    /// Whether sends of every phone have reached Meta for `calm`, up to its latest. None of a phone is held back, then.
    pub(super) fn all_flow(&self, calm: Duration) -> bool {
        let pages = self.pages();
        pages.latest.values().all(|latest| match latest.held_back {
            Some(held_back) => latest.reached.is_some_and(|reached| reached >= held_back + calm),
            None => true,
        })
    }

    /// All of it.
    pub(super) fn close(&self) -> Seen {
        let mut seen = std::mem::take(&mut self.pages().seen);
        // Two tasks may have come to the lock in another order than that of their clocks.
        seen.evidence.sort_by_key(|(_, at)| *at);
        seen
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metas_own_answer_is_evidence_and_a_proxys_is_not() {
        let journal = Journal::default();
        let sent =
            |answer| Sent { phone: 3, begun: Duration::ZERO, answered: Duration::from_secs(1), answer };
        for answer in
            [Answer::Accepted, Answer::HeldBack, Answer::OtherError, Answer::Nothing, Answer::Locked]
        {
            journal.sent(sent(answer));
        }
        let seen = journal.close();
        assert_eq!(seen.evidence, [(3, Duration::from_secs(1))]);
        assert_eq!(seen.sends.iter().filter(|sent| sent.reached_meta()).count(), 3);
    }

    #[test]
    fn all_flow_when_each_phone_has_flowed_for_a_while() {
        let journal = Journal::default();
        let send = |phone, begun, answer| {
            let begun = Duration::from_secs(begun);
            journal.sent(Sent { phone, begun, answered: begun, answer });
            journal.all_flow(Duration::from_secs(3))
        };
        assert!(send(1, 10, Answer::Accepted), "never held back");
        assert!(!send(1, 11, Answer::HeldBack));
        assert!(!send(1, 13, Answer::Accepted), "too early to say");
        assert!(!send(2, 60, Answer::Accepted), "another phone");
        assert!(!send(1, 60, Answer::Nothing));
        assert!(send(1, 14, Answer::Accepted));
    }

    #[test]
    fn a_failure_counts_once_and_each_acknowledgement_is_evidence() {
        let journal = Journal::default();
        for wamid in ["wamid.a", "wamid.a", "wamid.b"] {
            journal.failed(1, wamid);
            journal.failure_acknowledged(1);
        }
        let seen = journal.close();
        assert_eq!(seen.failed, [1, 1]);
        assert_eq!(seen.evidence.len(), 3);
    }
}
