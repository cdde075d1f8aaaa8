//! Breakers in a table, and the line after an order.

use std::io::{self, Write};

use super::view::{Breaker, Entity, Probe};

const HEADINGS: [&str; COLUMNS] =
    ["SCOPE", "ID", "STATE", "EXTENT", "REASON", "SINCE", "NEXT CHECK", "REJECTED", "LEAKED", "CONDITIONS"];
const COLUMNS: usize = 10;
const STATE_COLUMN: usize = 2;

/// Text from outside (Meta's words, an operator's reason) without what could steer a terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The text in its state's colour, if colours are wanted.
pub(super) fn coloured(text: &str, state: &str, colours: bool) -> String {
    if !colours {
        return text.to_owned();
    }
    let colour = match state {
        "closed" => 32,
        "open" => 31,
        "half_open" => 33,
        _ => 35,
    };
    format!("\x1b[{colour}m{text}\x1b[0m")
}

/// One row for each breaker.
pub(super) fn table(out: &mut dyn Write, breakers: &[&Breaker], colours: bool) -> io::Result<()> {
    let rows: Vec<[String; COLUMNS]> = breakers.iter().copied().map(row).collect();
    let mut widths = HEADINGS.map(|heading| heading.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    write_row(out, &HEADINGS, &widths, None)?;
    for (row, breaker) in rows.iter().zip(breakers) {
        let row = row.each_ref().map(String::as_str);
        write_row(out, &row, &widths, colours.then_some(&breaker.state))?;
    }
    Ok(())
}

fn write_row(
    out: &mut dyn Write,
    row: &[&str; COLUMNS],
    widths: &[usize; COLUMNS],
    state: Option<&String>,
) -> io::Result<()> {
    let mut line = String::new();
    for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
        // Padded before it is coloured: escape codes have no width.
        let cell = format!("{cell:<width$}");
        match state {
            Some(state) if column == STATE_COLUMN => line.push_str(&coloured(&cell, state, true)),
            _ => line.push_str(&cell),
        }
        line.push_str("  ");
    }
    writeln!(out, "{}", line.trim_end())
}

fn row(breaker: &Breaker) -> [String; COLUMNS] {
    let or_dash = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), clean);
    [
        clean(&breaker.scope),
        clean(&breaker.id),
        clean(&breaker.state),
        or_dash(&breaker.extent),
        reason(breaker),
        or_dash(&breaker.since),
        or_dash(&breaker.next_check),
        match breaker.mode.as_str() {
            "observe" => format!("{} would be", breaker.would_reject),
            _ => breaker.rejected.to_string(),
        },
        breaker.leaked.to_string(),
        clean(&breaker.conditions.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ")),
    ]
}

/// In a few words: what an operator said outranks what was found.
fn reason(breaker: &Breaker) -> String {
    match (&breaker.r#override, &breaker.reason) {
        (Some(order), _) => clean(&format!("{}: {}", order.by, order.reason)),
        (None, Some(reason)) => {
            let code = reason.code.map(|code| format!("{code} ")).unwrap_or_default();
            clean(&format!("{code}{} ({})", reason.text, reason.source))
        }
        (None, None) => "-".to_owned(),
    }
}

/// What holds some of a phone's sends, a line each.
pub(super) fn also_held(out: &mut dyn Write, breaker: &Breaker) -> io::Result<()> {
    for held in &breaker.also_held {
        let state = held.state.replace('_', " ");
        writeln!(out, "{}", clean(&format!("{}: {} is {state}", held.what(), held.scope_id)))?;
    }
    Ok(())
}

/// What has come of the word that one more PIN may go out.
pub(super) fn pin_allowed(out: &mut dyn Write, breaker: &Breaker) -> io::Result<()> {
    let id = clean(&breaker.id);
    match breaker.pin_guard.as_ref().is_some_and(|guard| guard.allowed) {
        true => writeln!(out, "allow_pin: {id} may try one more PIN"),
        false => writeln!(out, "allow_pin: nothing to allow, for no PIN of {id} was refused"),
    }
}

/// What an order came to.
pub(super) fn ordered(out: &mut dyn Write, action: &str, breaker: &Breaker, colours: bool) -> io::Result<()> {
    if let Some(probe) = &breaker.probe {
        probed(out, probe)?;
    }
    let state = coloured(&clean(&breaker.state), &breaker.state, colours);
    let until = match breaker.r#override.as_ref().and_then(|order| order.until.as_deref()) {
        Some(until) => format!(" until {}", clean(until)),
        None => String::new(),
    };
    let held = breaker
        .held_by
        .as_ref()
        .map(|by| format!(", held by {} all the same", clean(by)))
        .unwrap_or_default();
    // Whoever orders about a phone has named it a moment ago, as nothing but its id.
    let name = clean(&if breaker.phones.is_some() { breaker.name() } else { breaker.id.clone() });
    writeln!(out, "{action}: {name} is {state}{until}, generation {}{held}", breaker.generation)
}

fn probed(out: &mut dyn Write, probe: &Probe) -> io::Result<()> {
    let why = probe.unknown.as_ref().map(|why| format!(" ({})", why.replace('_', " "))).unwrap_or_default();
    writeln!(out, "health: {}", clean(&format!("{}{why}", probe.outcome)))?;
    for Entity { kind, id, can_send_message, errors, .. } in &probe.entities {
        let id = id.as_deref().unwrap_or("-");
        writeln!(out, "  {}", clean(&format!("{kind} {id}: {can_send_message}")))?;
        for error in errors {
            let solution = error
                .possible_solution
                .as_ref()
                .map(|it| format!(" Meta suggests: {it}"))
                .unwrap_or_default();
            writeln!(out, "    {}", clean(&format!("{} {}{solution}", error.code, error.description)))?;
        }
    }
    Ok(())
}
