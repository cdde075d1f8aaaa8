//! One breaker in plain sentences.

use std::io::{self, Write};

use super::show::{clean, coloured};
use super::view::{Breaker, Condition, Observed, Override};

/// Says what state the breaker is in, since when, why, what that has cost, and what would close it.
/// `observed`: what observe mode has seen of it.
pub(super) fn write(
    out: &mut dyn Write,
    breaker: &Breaker,
    observed: Option<&Observed>,
    colours: bool,
) -> io::Result<()> {
    let state = coloured(&clean(&breaker.state.replace('_', " ")), &breaker.state, colours);
    let meaning = clean(&meaning(breaker));
    writeln!(out, "Phone {}{} is {state}: {meaning}.", clean(&breaker.id), clean(&of_waba(breaker)))?;
    for line in sentences(breaker, observed) {
        writeln!(out, "{}", clean(&line))?;
    }
    Ok(())
}

fn of_waba(breaker: &Breaker) -> String {
    breaker.waba_id.as_ref().map(|waba| format!(" (of WABA {waba})")).unwrap_or_default()
}

fn meaning(breaker: &Breaker) -> String {
    let held_back = match breaker.extent.as_deref() {
        Some("business_initiated") => "its templates and marketing messages",
        Some("customer_initiated") => "its replies",
        _ => "its sends",
    };
    match &*breaker.state {
        "closed" if breaker.generation == 0 && breaker.waba_id.is_none() => {
            "nothing was ever heard of it here, so its sends flow".to_owned()
        }
        "closed" => "its sends flow".to_owned(),
        "open" | "half_open" | "forced_open" if breaker.mode == "observe" => {
            format!("observing only: {held_back} pass, and would be rejected")
        }
        "open" => format!("{held_back} are rejected"),
        "half_open" => "one send at a time goes out as a trial, the others are rejected".to_owned(),
        "forced_open" => "an operator has its sends rejected".to_owned(),
        "bypassed" => "an operator lets its sends pass, whatever is known of it".to_owned(),
        other => format!("a state that this version does not know ({other})"),
    }
}

fn sentences(breaker: &Breaker, observed: Option<&Observed>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(since) = &breaker.since {
        lines.push(format!("Not closed since {since}."));
    }
    if let Some(reason) = &breaker.reason {
        let code = reason.code.map(|code| format!(" {code}")).unwrap_or_default();
        let seen = seen_in(&reason.source);
        lines.push(format!("Why:{code} {}, {seen} at {}.", reason.text, reason.at));
    }
    if let Some(order) = &breaker.r#override {
        lines.push(standing(order));
    }
    // Of a breaker that was never open there is nothing to count.
    if breaker.generation > 0 {
        if let (None, Some(last)) = (&breaker.incident, &breaker.last_incident) {
            lines.push(format!("Last incident: {last}."));
        }
        lines.push(cost(breaker));
        lines.extend(observed.map(seen_by_observing));
        if breaker.incident.is_some() {
            let (probes, trials) = (some(breaker.probes, "probe"), some(breaker.trials, "trial"));
            lines.push(format!("So far: {probes}, {trials}."));
        }
    }
    lines.extend(breaker.next_check.as_ref().map(|at| format!("Next check: {at}.")));
    lines.extend(breaker.conditions.iter().map(condition));
    if breaker.state != "closed" {
        lines.push(format!("What would close it: {}", breaker.closes_when));
    }
    let incident = breaker.incident.as_ref().map(|id| format!(", incident {id}")).unwrap_or_default();
    lines.push(format!("Generation {}{incident}.", breaker.generation));
    lines
}

fn seen_in(source: &str) -> String {
    match source {
        "response" => "in the answer to a send".to_owned(),
        "webhook" => "in a webhook".to_owned(),
        "probe" => "found by a probe".to_owned(),
        "operator" => "by an operator's word".to_owned(),
        other => format!("from {other}"),
    }
}

fn standing(order: &Override) -> String {
    let until =
        order.until.as_ref().map_or("until it is lifted".to_owned(), |until| format!("until {until}"));
    format!("Order: {} by {}, {until}: {}.", order.order, order.by, order.reason.trim_end_matches('.'))
}

fn cost(breaker: &Breaker) -> String {
    let mut line = format!("Rejected: {}.", some(breaker.rejected, "send"));
    if breaker.would_reject > 0 {
        line.push_str(&format!(" Enforce mode would have rejected {}.", some(breaker.would_reject, "send")));
    }
    if breaker.leaked > 0 {
        let sends = some(breaker.leaked, "send");
        line.push_str(&format!(" Leaked: {sends} that Meta accepted after the lock began, and then failed."));
    }
    line
}

/// `Observed: 41,207 of 41,220 would have failed anyway; of 3 nothing is known.`
fn seen_by_observing(observed: &Observed) -> String {
    let Observed { total, failed, unknown, .. } = observed;
    let of_unknown = match unknown {
        0 => String::new(),
        unknown => format!("; of {} nothing is known", grouped(*unknown)),
    };
    format!("Observed: {} of {} would have failed anyway{of_unknown}.", grouped(*failed), grouped(*total))
}

/// `41,207`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn condition(condition: &Condition) -> String {
    let Condition { name, since, count, text } = condition;
    let times = if *count > 1 { format!("{count} times ") } else { String::new() };
    format!("Note: {}, {times}since {since}: {}.", name.replace('_', " "), text.trim_end_matches('.'))
}

fn some(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
