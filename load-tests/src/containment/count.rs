//! What was seen becomes figures: one row for each group of phones.

use std::time::Duration;

use super::fuse::{State, Transition};
use super::journal::{Answer, Seen, Sent};
use super::plan::Plan;

/// A transition's line is written when the transition is durable, and by then it is older by up to this. What a breach
/// could hide behind it counts as a trial, of which there may be no more than sendfuse tells.
const COMMIT: Duration = Duration::from_millis(300);

/// The figures of one group of phones in one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// The profile, or that they are healthy.
    pub(super) group: &'static str,
    /// Whether they were locked.
    pub(super) locked: bool,
    /// How many phones.
    pub(super) phones: u64,
    /// Sends that the app made.
    pub(super) sends: u64,
    /// Sends that reached Meta while it was locked, begun before the first evidence was out: nobody could know.
    pub(super) before: u64,
    /// Of these, the ones that were in flight when it was: begun before it, answered after it.
    pub(super) in_flight: u64,
    /// Sends that reached Meta while it was locked, begun after the first evidence was out.
    pub(super) after: u64,
    /// Of sendfuse alone: sends that reached Meta in half-open, at any time.
    pub(super) trials: u64,
    /// Of sendfuse alone: of `after`, those begun when a trial had closed the breaker.
    pub(super) after_close: u64,
    /// Of sendfuse alone: sends that reached Meta, begun and passed on while the breaker was open.
    pub(super) breaches: Vec<Sent>,
    /// Sends that were held back.
    pub(super) held_back: u64,
    /// Of these, the ones begun after the unlock.
    pub(super) held_back_late: u64,
    /// Of each phone that was held back: from the unlock to its first send after the last one that was held back. None:
    /// no send has reached Meta since.
    pub(super) flowing_after: Vec<Option<Duration>>,
    /// Messages that Meta accepted and failed with 131031, and sends that it refused with it.
    pub(super) failed: u64,
    /// Sends without a whole answer in Graph's shape.
    pub(super) unanswered: u64,
    /// Locked phones of which there was never evidence.
    pub(super) without_evidence: u64,
}

/// The rows of a run. `transitions` are those of sendfuse.
pub(super) fn rows(plan: &Plan, seen: &Seen, transitions: Option<&[Transition]>) -> Vec<Row> {
    let mut rows: Vec<Row> = Plan::groups()
        .enumerate()
        .map(|(group, name)| Row { group: name, locked: Plan::is_locked(group), ..Row::default() })
        .collect();
    for phone in 0..plan.ids().len() {
        let Some(row) = rows.get_mut(plan.group_of(phone)) else { continue };
        let mut sends: Vec<Sent> = seen.sends.iter().filter(|sent| sent.phone == phone).copied().collect();
        sends.sort_by_key(|sent| sent.begun);
        let evidence: Vec<Duration> =
            seen.evidence.iter().filter(|(of, _)| *of == phone).map(|(_, at)| *at).collect();
        row.phones += 1;
        row.failed += seen.failed.iter().filter(|of| **of == phone).count() as u64;
        row.add(plan, &sends, &evidence);
        if let Some(transitions) = transitions {
            let own: Vec<&Transition> = transitions.iter().filter(|step| step.phone == phone).collect();
            row.judge(plan, &sends, &states(&own, &evidence));
        }
    }
    rows
}

impl Row {
    /// What can be seen from outside, whatever the setup. Sends in the order of their beginnings.
    fn add(&mut self, plan: &Plan, sends: &[Sent], evidence: &[Duration]) {
        let first = evidence.first().copied();
        self.without_evidence += u64::from(self.locked && first.is_none());
        self.sends += sends.len() as u64;
        for sent in sends {
            match sent.answer {
                Answer::HeldBack => {
                    self.held_back += 1;
                    self.held_back_late += u64::from(sent.begun >= plan.unlock_at);
                }
                Answer::Nothing => self.unanswered += 1,
                Answer::Locked => self.failed += 1,
                Answer::Accepted | Answer::OtherError => {}
            }
            let locked = self.locked && (plan.lock_at..plan.unlock_at).contains(&sent.begun);
            if locked && sent.reached_meta() {
                match first {
                    Some(first) if sent.begun > first => self.after += 1,
                    first => {
                        self.before += 1;
                        self.in_flight += u64::from(first.is_some_and(|first| sent.answered > first));
                    }
                }
            }
        }
        if let Some(last) = sends.iter().rposition(|sent| sent.answer == Answer::HeldBack) {
            let next = sends.iter().skip(last).find(|sent| sent.reached_meta());
            self.flowing_after.push(next.map(|sent| sent.begun.saturating_sub(plan.unlock_at)));
        }
    }

    /// What can be judged only by who knows when the breaker was open.
    fn judge(&mut self, plan: &Plan, sends: &[Sent], states: &[(Duration, State)]) {
        for sent in sends.iter().filter(|sent| sent.reached_meta()) {
            match met(sent, plan.answers, states) {
                None => {}
                Some(State::Open) => self.breaches.push(*sent),
                Some(State::HalfOpen) => self.trials += 1,
                Some(State::Closed) => self.after_close += u64::from(sent.begun < plan.unlock_at),
            }
        }
    }
}

/// The state that a send met which has reached Meta. It was passed on between its beginning and the time that Meta takes
/// to answer before its end; on a busy machine that is not at once. An open breaker counts from before the beginning; what
/// came in between and let it pass has let it pass.
fn met(sent: &Sent, answers: Duration, states: &[(Duration, State)]) -> Option<State> {
    let latest = sent.begun.max(sent.answered.saturating_sub(answers));
    let begins = |(from, state): &&(Duration, State)| match state {
        State::Open => *from < sent.begun,
        State::HalfOpen | State::Closed => *from <= latest,
    };
    states.iter().rev().find(begins).map(|(_, state)| *state)
}

/// The states of one phone's breaker as sends have to find them, each with its beginning; in order.
///
/// The first evidence opens it, whatever sendfuse says: a breaker that never trips must not look well. Later on it is
/// open from when the evidence that opened it was out, and half-open or closed as soon as it may have been.
fn states(transitions: &[&Transition], evidence: &[Duration]) -> Vec<(Duration, State)> {
    let mut states: Vec<(Duration, State)> =
        evidence.first().map(|at| (*at, State::Open)).into_iter().collect();
    for step in transitions {
        let at = match step.to {
            State::Open => {
                let out = evidence.iter().copied().find(|out| *out >= step.at);
                out.unwrap_or(Duration::MAX).min(step.at + COMMIT)
            }
            State::HalfOpen | State::Closed => step.at.saturating_sub(COMMIT),
        };
        // The first trip is there already. None may seem to come before the one that it follows.
        let last = states.last().copied();
        if last.is_none_or(|(_, state)| state != step.to) {
            states.push((last.map_or(at, |(before, _)| at.max(before)), step.to));
        }
    }
    states
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::plan;
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn sent(phone: usize, begun: u64, answer: Answer) -> Sent {
        Sent { phone, begun: ms(begun), answered: ms(begun + 10), answer }
    }

    fn step(at: u64, to: State) -> Transition {
        Transition { phone: 0, at: ms(at), to }
    }

    /// The first row, of the phone that is locked by the first profile from 10 s to 20 s.
    fn row(sends: &[Sent], evidence: &[u64], transitions: Option<&[Transition]>) -> Row {
        let evidence = evidence.iter().map(|at| (0, ms(*at))).collect();
        let seen = Seen { sends: sends.to_vec(), evidence, failed: vec![0] };
        rows(&plan(), &seen, transitions).swap_remove(0)
    }

    #[test]
    fn leaks_are_told_by_when_they_began() {
        use Answer::{Accepted, HeldBack};
        let sends = [
            sent(0, 9_900, Accepted),
            sent(0, 10_100, Accepted),
            sent(0, 10_995, Accepted),
            sent(0, 11_001, Accepted),
            sent(0, 11_200, HeldBack),
            sent(0, 20_100, HeldBack),
            sent(0, 20_300, Accepted),
        ];
        let row = row(&sends, &[11_000, 12_000], None);
        assert_eq!((row.sends, row.before, row.in_flight, row.after), (7, 2, 1, 1));
        assert_eq!((row.held_back, row.held_back_late), (2, 1));
        assert_eq!(row.flowing_after, [Some(ms(300))]);
        assert_eq!((row.failed, row.breaches), (1, Vec::new()));
    }

    #[test]
    fn a_send_that_began_while_it_was_open_is_a_breach_and_a_trial_is_none() {
        use Answer::{Accepted, HeldBack};
        let sends = [
            sent(0, 11_001, Accepted),
            sent(0, 11_200, HeldBack),
            sent(0, 15_000, Accepted),
            sent(0, 15_600, Accepted),
            sent(0, 16_000, Accepted),
            sent(0, 18_000, Accepted),
            sent(0, 18_200, Accepted),
        ];
        let transitions = [
            step(10_990, State::Open),
            step(15_010, State::HalfOpen),
            step(15_490, State::Open),
            step(17_990, State::HalfOpen),
            step(18_490, State::Closed),
        ];
        let row = row(&sends, &[11_000, 15_500], Some(&transitions));
        assert_eq!(row.after, 6);
        // At 15.6 s and 16 s it had been opened again. At 18.2 s it may have been closed.
        assert_eq!((row.trials, row.after_close), (2, 1));
        let breaches: Vec<u128> = row.breaches.iter().map(|sent| sent.begun.as_millis()).collect();
        assert_eq!(breaches, [11_001, 15_600, 16_000]);
    }

    #[test]
    fn a_send_that_was_long_on_its_way_may_have_met_the_next_state() {
        let slow = |begun| Sent { answered: ms(begun + 2_000), ..sent(0, begun, Answer::Accepted) };
        let transitions = [step(10_990, State::Open), step(15_000, State::HalfOpen)];
        let row = row(&[slow(12_000), slow(13_500), slow(10_900)], &[11_000], Some(&transitions));
        assert_eq!((row.breaches, row.trials), (vec![slow(12_000)], 1));
    }

    #[test]
    fn a_breaker_that_never_trips_breaks_the_bound() {
        let sends = [sent(0, 11_001, Answer::Accepted), sent(0, 30_000, Answer::Accepted)];
        assert_eq!(row(&sends, &[11_000], Some(&[])).breaches, sends);
        assert_eq!(row(&sends, &[], Some(&[])).without_evidence, 1);
    }

    #[test]
    fn a_phone_that_does_not_flow_again_is_told() {
        let sends = [sent(0, 11_100, Answer::HeldBack), sent(0, 59_900, Answer::HeldBack)];
        assert_eq!(row(&sends, &[11_000], None).flowing_after, [None]);
        assert_eq!(row(&[], &[11_000], None).flowing_after, []);
    }

    #[test]
    fn each_phone_counts_in_its_group() {
        let sends = [sent(0, 1, Answer::Accepted), sent(7, 1, Answer::Nothing), sent(8, 1, Answer::HeldBack)];
        let rows = rows(&plan(), &Seen { sends: sends.to_vec(), ..Seen::default() }, None);
        assert_eq!(rows.len(), 9);
        assert_eq!((rows[0].group, rows[0].sends, rows[0].phones), ("async", 1, 1));
        assert_eq!((rows[7].unanswered, rows[7].locked), (1, true));
        assert_eq!((rows[8].group, rows[8].held_back, rows[8].phones), ("healthy", 1, 2));
    }
}
