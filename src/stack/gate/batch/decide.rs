//! Which operations of a batch go on, and what the others are told.

use http::header;

use super::super::{Parts, send};
use super::{Awaited, Told};
use crate::breaker::Rejection;
use crate::breakers::{Gate, Traits};
use crate::graph::batch::{self, Batch, Operation};
use crate::graph::ids::PhoneNumberId;
use crate::graph::message::Outline;
use crate::graph::reply::Reply;

/// Graph has no code of its own for a dependent of an operation that was not carried out here; so this is ours.
const DEPENDENCY: (u16, i64) = (424, 999_424);

/// What the gate says to the operations of a batch.
pub(super) struct Decided {
    pub(super) awaited: Vec<Awaited>,
    /// Our results, in the places of those that are held.
    pub(super) entries: Vec<Option<String>>,
    pub(super) held: Vec<bool>,
}

/// Asks for a permit for each send, as if it came alone.
pub(super) fn decide(parts: &Parts, told: &Told, batch: &Batch<'_>) -> Decided {
    let count = batch.operations.len();
    let (mut held, mut entries, mut permits) = (vec![false; count], vec![None; count], Vec::new());
    for at in 0..count {
        // Who needs a held one takes no trial.
        if let Some(name) = batch.held_need(at, &held) {
            let entry = dependent(parts, batch, name);
            hold(&mut held, &mut entries, at, entry);
            permits.push(None);
            continue;
        }
        let send = batch.phone(at).zip(batch.operations.get(at));
        permits.push(match send.map(|(phone, operation)| admit(parts, told, batch, phone, operation)) {
            None => None,
            Some(Gate::Forward(permit)) => Some(permit),
            Some(Gate::Reject(rejection)) => {
                hold(&mut held, &mut entries, at, rejected(parts, batch, &rejection));
                None
            }
        });
    }
    // An operation may need one that comes after it: until nothing is new.
    loop {
        let before = held.clone();
        for (at, permit) in permits.iter_mut().enumerate() {
            if before.get(at) == Some(&false)
                && let Some(name) = batch.held_need(at, &before)
            {
                hold(&mut held, &mut entries, at, dependent(parts, batch, name));
                if let Some(permit) = permit.take() {
                    permit.no_send();
                }
            }
        }
        if before == held {
            break;
        }
    }
    let mut awaited = told.awaited(batch, permits.into_iter());
    for awaited in &mut awaited {
        awaited.place = held.iter().take(awaited.place).filter(|held| !**held).count();
    }
    Decided { awaited, entries, held }
}

fn admit(parts: &Parts, told: &Told, batch: &Batch<'_>, phone: PhoneNumberId, operation: &Operation) -> Gate {
    let token = || told.credentials(batch, operation, phone).token(parts);
    let Outline { class, country } = operation.outline;
    let token = parts.breakers.holds_others().then(token).flatten();
    parts.breakers.admit(phone, Traits { class, country, token })
}

fn hold(held: &mut [bool], entries: &mut [Option<String>], at: usize, entry: String) {
    if let (Some(held), Some(place)) = (held.get_mut(at), entries.get_mut(at)) {
        (*held, *place) = (true, Some(entry));
    }
}

/// The result of an operation whose phone's breaker rejects it.
fn rejected(parts: &Parts, batch: &Batch<'_>, rejection: &Rejection) -> String {
    let (status, headers) = send::rejection_head(parts, rejection);
    let headers = headers.iter().map(|(name, value)| {
        let name = if name == header::CONTENT_TYPE { "Content-Type" } else { name.as_str() };
        (name, value.to_str().unwrap_or_default())
    });
    let headers = batch.include_headers.then_some(headers);
    batch::entry(status.as_u16(), headers, &rejection.body(&parts.ids.next()))
}

/// The result of an operation that needs one that is held.
fn dependent(parts: &Parts, batch: &Batch<'_>, name: &str) -> String {
    /// The most of the app's own name that is told back, in characters.
    const MOST_NAME: usize = 100;
    let name: String = name.chars().take(MOST_NAME).collect();
    let (status, code) = DEPENDENCY;
    let reply = Reply {
        message: &format!("(#{code}) held_dependency"),
        r#type: "SendfuseException",
        code,
        details: &format!("Not sent by sendfuse: it depends on the operation {name:?}, which was held back."),
        is_transient: false,
        request_id: &parts.ids.next(),
    };
    let headers = [("Content-Type", "application/json; charset=UTF-8")];
    batch::entry(status, batch.include_headers.then(|| headers.into_iter()), &reply.body())
}
