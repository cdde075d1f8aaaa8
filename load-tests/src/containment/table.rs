//! Rows become a table, and for sendfuse a verdict.

use std::time::Duration;

use super::count::Row;
use crate::report::median;

/// The table of one setup.
pub(super) fn table(setup: &str, rows: &[Row], is_sendfuse: bool) -> String {
    let mut lines = vec![
        format!("### {setup}"),
        String::new(),
        "| phones | sends | before evidence | of these in flight | after evidence | trials | held back | of these after the \
         unlock | flowing again, median / max s | failed |"
            .to_owned(),
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|".to_owned(),
    ];
    for row in rows {
        let trials = if is_sendfuse { row.trials.to_string() } else { "–".to_owned() };
        lines.push(format!(
            "| {} {} | {} | {} | {} | {} | {trials} | {} | {} | {} | {} |",
            row.phones,
            row.group,
            row.sends,
            row.before,
            row.in_flight,
            row.after,
            row.held_back,
            row.held_back_late,
            flowing(&row.flowing_after),
            row.failed,
        ));
    }
    lines.join("\n")
}

/// What the columns mean.
pub(super) const LEGEND: &str = "\
Evidence is out when the webhook that says 131031 was acknowledged, or when the answer that says it was with the app. *Before \
evidence*: reached Meta while it was locked, begun before the phone's first evidence was out, when nobody could know. *In \
flight*: of these, answered after it. *After evidence*: reached Meta while it was locked, begun later. *Trials*: let through in \
half-open, at any time. *Flowing again*: from the unlock to the first send after the last that was held back; 0.0 if none was \
held back after the unlock. *Failed*: messages of the locked, accepted and failed with 131031 or refused with it.";

fn flowing(after: &[Option<Duration>]) -> String {
    let times: Vec<f64> = after.iter().flatten().map(Duration::as_secs_f64).collect();
    let never = after.len() - times.len();
    let last = times.iter().copied().fold(0.0, f64::max);
    let figures = median(times).map_or_else(|| "–".to_owned(), |median| format!("{median:.1} / {last:.1}"));
    if never == 0 { figures } else { format!("{figures}, {never} not at all") }
}

/// The sentence beneath sendfuse's table.
pub(super) fn bound(rows: &[Row]) -> String {
    let sum = |of: fn(&Row) -> u64| rows.iter().map(of).sum::<u64>();
    format!(
        "Bound: once evidence is out, only what was in flight reaches Meta ({} sends here), one trial at a time in half-open \
         ({}), and what follows a close that a delivered trial has shown ({} during the lock). Sends that began while the \
         breaker was open and reached Meta: {}.",
        sum(|row| row.in_flight),
        sum(|row| row.trials),
        sum(|row| row.after_close),
        sum(|row| row.breaches.len() as u64),
    )
}

/// What is wrong with sendfuse, by its rows and its own count of trials. Empty: all is as promised.
pub(super) fn broken(rows: &[Row], trials_told: u64) -> Vec<String> {
    let mut broken = Vec::new();
    let mut check = |wrong: u64, what: &str| {
        if wrong > 0 {
            broken.push(format!("{what}: {wrong}"));
        }
    };
    for row in rows {
        let of = |what: &str| format!("{}: {what}", row.group);
        if let Some(first) = row.breaches.first() {
            let what = format!(
                "sends that began while the breaker was open reached Meta (the first by phone number {}, from {:?} to {:?})",
                first.phone, first.begun, first.answered
            );
            check(row.breaches.len() as u64, &of(&what));
        }
        check(row.unanswered, &of("sends without an answer"));
        check(row.without_evidence, &of("locked phones without evidence"));
        let stuck = row.flowing_after.iter().filter(|after| after.is_none()).count() as u64;
        check(stuck, &of("phones that did not recover in time"));
        if !row.locked {
            check(row.held_back, &of("sends held back"));
        }
    }
    let trials: u64 = rows.iter().map(|row| row.trials).sum();
    check(trials.saturating_sub(trials_told), "sends in half-open that were no trials");
    broken
}

#[cfg(test)]
mod tests {
    use super::super::journal::{Answer, Sent};
    use super::*;

    fn rows() -> Vec<Row> {
        let flowing_after =
            vec![Some(Duration::from_millis(4_500)), Some(Duration::ZERO), Some(Duration::from_secs(9))];
        vec![
            Row {
                group: "async",
                locked: true,
                phones: 3,
                trials: 2,
                in_flight: 4,
                flowing_after,
                ..Row::default()
            },
            Row { group: "healthy", phones: 2, ..Row::default() },
        ]
    }

    fn sent() -> Sent {
        let (begun, answered) = (Duration::from_secs(1), Duration::from_secs(2));
        Sent { phone: 3, begun, answered, answer: Answer::Accepted }
    }

    #[test]
    fn a_group_is_a_row() {
        let table = table("sendfuse", &rows(), true);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[4], "| 3 async | 0 | 0 | 4 | 0 | 2 | 0 | 0 | 4.5 / 9.0 | 0 |");
        assert_eq!(lines[5], "| 2 healthy | 0 | 0 | 0 | 0 | 0 | 0 | 0 | – | 0 |");
        let columns = |line: &str| line.matches('|').count();
        assert!(lines[2..].iter().all(|line| columns(line) == columns(lines[2])), "{table}");
        assert_eq!(flowing(&[None, Some(Duration::from_secs(1))]), "1.0 / 1.0, 1 not at all");
    }

    #[test]
    fn what_is_as_promised_is_not_broken() {
        assert_eq!(broken(&rows(), 2), Vec::<String>::new());
        assert!(bound(&rows()).contains("in flight reaches Meta (4 sends here)"));
    }

    #[test]
    fn every_promise_can_be_broken() {
        type Spoil = fn(&mut Vec<Row>);
        let cases: [(Spoil, &str); 6] = [
            (
                |rows| rows[0].breaches = vec![sent()],
                "async: sends that began while the breaker was open reached Meta (the first by phone number 3, from 1s to 2s): 1",
            ),
            (|rows| rows[0].unanswered = 2, "async: sends without an answer: 2"),
            (|rows| rows[0].without_evidence = 1, "async: locked phones without evidence: 1"),
            (|rows| rows[0].flowing_after[0] = None, "async: phones that did not recover in time: 1"),
            (|rows| rows[0].trials = 5, "sends in half-open that were no trials: 3"),
            (|rows| rows[1].held_back = 7, "healthy: sends held back: 7"),
        ];
        for (spoil, expected) in cases {
            let mut rows = rows();
            spoil(&mut rows);
            assert_eq!(broken(&rows, 2), [expected]);
        }
    }
}
