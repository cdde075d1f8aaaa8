//! One breaker in plain sentences.

use std::io::{self, Write};

use super::show::{clean, coloured};
use super::view::{
    AlsoHeld, Breaker, Condition, Diagnosis, EntityError, Observed, Override, PinCall, PinGuard,
};

/// The most phones of a WABA that are named.
const MOST_PHONES: usize = 10;

/// Says what state the breaker is in, since when, why, what that has cost, and what would close it; then the same of
/// the one that holds its sends beside it. `observed`: what observe mode has seen of it.
pub(super) fn write(
    out: &mut dyn Write,
    breaker: &Breaker,
    holder: Option<&Breaker>,
    observed: Option<&Observed>,
    colours: bool,
) -> io::Result<()> {
    let state = coloured(&clean(&breaker.state.replace('_', " ")), &breaker.state, colours);
    let who = clean(&format!("{}{}", breaker.name(), of_waba(breaker)));
    writeln!(out, "{who} is {state}{}", clean(&meaning(breaker, holder)))?;
    for line in sentences(breaker, observed) {
        writeln!(out, "{}", clean(&line))?;
    }
    match holder {
        Some(holder) => {
            writeln!(out)?;
            write(out, holder, None, None, colours)
        }
        None => Ok(()),
    }
}

fn of_waba(breaker: &Breaker) -> String {
    let waba = breaker.waba_id.as_ref().filter(|_| breaker.phones.is_none());
    waba.map(|waba| format!(" (of WABA {waba})")).unwrap_or_default()
}

/// What the state means for sends, as the rest of a sentence and perhaps another.
fn meaning(breaker: &Breaker, holder: Option<&Breaker>) -> String {
    let held_too = holder.map(|holder| (holder.name(), holder.state.replace('_', " ")));
    match held_too {
        Some((holder, state)) if breaker.state == "closed" => {
            format!(" itself, but {holder}, which is {state}, holds its sends: see below.")
        }
        Some((holder, state)) => {
            format!(": {}. {holder}, which is {state}, holds them too: see below.", own_meaning(breaker))
        }
        None => format!(": {}.", own_meaning(breaker)),
    }
}

fn own_meaning(breaker: &Breaker) -> String {
    let whose = |what: &str| match (&*breaker.scope, breaker.id.rsplit_once('.')) {
        ("waba", _) => format!("the {what} of all its phones"),
        ("token", _) => format!("the {what} with it"),
        ("phone_country", Some((phone, country))) => format!("the {what} of phone {phone} to {country}"),
        _ => format!("its {what}"),
    };
    let (templates, replies) = (whose("templates and marketing messages"), whose("replies"));
    let (held_back, flow) = match breaker.extent.as_deref() {
        Some("business_initiated") => (templates, Some(replies)),
        Some("customer_initiated") => (replies, Some(templates)),
        _ => (whose("sends"), None),
    };
    let and_flow = flow.map(|flow| format!("; {flow} flow")).unwrap_or_default();
    match &*breaker.state {
        "closed" if breaker.generation == 0 && breaker.waba_id.is_none() => {
            "nothing was ever heard of it here, so its sends flow".to_owned()
        }
        "closed" if !breaker.also_held.is_empty() => "its sends flow, but for some: see below".to_owned(),
        "closed" => format!("{} flow", whose("sends")),
        "open" | "half_open" | "forced_open" if breaker.mode == "observe" => {
            format!("observing only: {held_back} pass, and would be rejected{and_flow}")
        }
        "open" => format!("{held_back} are rejected{and_flow}"),
        "half_open" => {
            format!("of {held_back} one at a time goes out as a trial, the others are rejected{and_flow}")
        }
        "forced_open" => format!("an operator has {} rejected", whose("sends")),
        "bypassed" => format!("an operator lets {} pass, whatever is known of it", whose("sends")),
        other => format!("a state that this version does not know ({other})"),
    }
}

fn sentences(breaker: &Breaker, observed: Option<&Observed>) -> Vec<String> {
    let mut lines: Vec<String> = breaker.phones.iter().map(|phones| known(phones)).collect();
    if let Some(since) = &breaker.since {
        lines.push(format!("Not closed since {since}."));
    }
    if let Some(reason) = &breaker.reason {
        let code = reason.code.map(|code| format!(" {code}")).unwrap_or_default();
        let seen = seen_in(&reason.source);
        lines.push(format!("Why:{code} {}, {seen} at {}.", reason.text, reason.at));
    }
    lines.extend(breaker.diagnosis.iter().flat_map(diagnosed));
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
    lines.extend(breaker.also_held.iter().map(also_held));
    lines.extend(breaker.pin_guard.iter().flat_map(pins));
    if breaker.state != "closed" {
        lines.push(format!("What would close it: {}", breaker.closes_when));
    }
    let incident = breaker.incident.as_ref().map(|id| format!(", incident {id}")).unwrap_or_default();
    lines.push(format!("Generation {}{incident}.", breaker.generation));
    lines
}

/// `Phones known to be its: 101, 106 and 8 more.`
fn known(phones: &[String]) -> String {
    let (named, more) = (phones.iter().take(MOST_PHONES), phones.len().saturating_sub(MOST_PHONES));
    let named = named.map(String::as_str).collect::<Vec<_>>().join(", ");
    match more {
        _ if phones.is_empty() => "No phone is known to be its yet.".to_owned(),
        0 => format!("Phones known to be its: {named}."),
        more => format!("Phones known to be its: {named} and {more} more."),
    }
}

/// Who blocks, by which code, and what Meta suggests: a sentence for each that blocks, or one that nobody does.
fn diagnosed(diagnosis: &Diagnosis) -> Vec<String> {
    let Diagnosis { at, text, entities } = diagnosis;
    let blocking = entities.iter().filter(|entity| entity.blocks).map(|entity| {
        let errors = entity.errors.iter().map(|error| {
            let EntityError { code, description, possible_solution } = error;
            let solution = possible_solution.as_ref().map(|it| format!(" Meta suggests: {}.", end(it)));
            format!("{code} {}.{}", end(description), solution.unwrap_or_default())
        });
        let errors: Vec<String> = errors.collect();
        let why = if errors.is_empty() { "it says no more.".to_owned() } else { errors.join(" ") };
        let id = entity.id.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
        format!("Diagnosis at {at}: {}{id} blocks messaging: {why}", entity.kind)
    });
    let mut lines: Vec<String> = blocking.collect();
    if lines.is_empty() {
        lines.push(format!("Diagnosis at {at}: {}.", end(text)));
    }
    lines
}

/// Without the full stop that a sentence of ours adds.
fn end(text: &str) -> &str {
    text.trim_end_matches('.')
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
    format!("Order: {} by {}, {until}: {}.", order.order, order.by, end(&order.reason))
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
    format!("Note: {}, {times}since {since}: {}.", name.replace('_', " "), end(text))
}

fn also_held(held: &AlsoHeld) -> String {
    let (id, state) = (&held.scope_id, held.state.replace('_', " "));
    format!("Held beside: {}. {id} is {state}; `sendfuse explain {id}` says why.", held.what())
}

/// What the PIN guard holds, and what ends it.
fn pins(guard: &PinGuard) -> Vec<String> {
    let calls = [("for register", &guard.register), ("to be set", &guard.set)];
    let calls = calls.into_iter().filter_map(|(call, known)| Some(pins_of(call, known.as_ref()?)));
    let allowed = guard.allowed.then(|| "An operator lets one more PIN through.".to_owned());
    calls.chain(allowed).collect()
}

fn pins_of(call: &str, known: &PinCall) -> String {
    let refused = match known.refused {
        0 => None,
        1 => Some("Meta has refused one".to_owned()),
        count => Some(format!("Meta has refused {count} different ones in a row")),
    };
    let held = known.held_since.as_ref().map(|since| {
        format!("since {since} no other goes out, until one is changed or allowed (`sendfuse allow_pin`)")
    });
    let waits = known.waits_until.as_ref().map(|until| format!("Meta wants none until {until}"));
    let parts: Vec<String> = refused.into_iter().chain(held).chain(waits).collect();
    format!("PINs {call}: {}.", parts.join("; "))
}

fn some(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
