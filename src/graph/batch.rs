//! Graph batch: up to fifty calls in one request. Taken apart, and put together again without what is held back.
//!
//! A batch is a POST on any node path with a parameter `batch`, a JSON array of operations, in the query, in a form, in a field of a
//! multipart form or in a JSON body (there as an array or as its text). What stays of it stays to the byte. One that cannot be read (no JSON,
//! no array, more than [`MOST_OPERATIONS`]; or so odd that only Meta knows) is Meta's to answer.

mod operation;
mod place;
mod results;
mod scan;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::form::{self, Writing};
use super::ids::PhoneNumberId;
use place::{Parameters, Place, is_nearly_batch};
use scan::Items;

pub use operation::Operation;
pub use results::{Outcome, Results, all, entry};

/// The most operations that Graph takes in one batch.
pub const MOST_OPERATIONS: usize = 50;

/// A batch, taken apart. Holds secrets, so it prints nothing.
pub struct Batch<'r> {
    /// The operations, in their order.
    pub operations: Vec<Operation>,
    /// Whether the results are to have headers.
    pub include_headers: bool,
    /// The `access_token` of those that have none of their own.
    pub access_token: Option<String>,
    /// The `appsecret_proof` of the same.
    pub appsecret_proof: Option<String>,
    is_odd: bool,
    place: Place,
    /// The query or the body.
    source: &'r [u8],
    /// Where the operations stand in the batch's text.
    elements: Vec<Range<usize>>,
}

/// Why a request was not read as a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoBatch {
    /// It is none.
    Other,
    /// It has something that may be one to Meta.
    Unreadable,
}

/// The part of a request that has changed.
#[derive(Clone, PartialEq, Eq)]
pub enum Changed {
    /// The query.
    Query(Vec<u8>),
    /// The body.
    Body(Vec<u8>),
}

/// Whether a request on a node path may be a batch, by all but its body: only of these the body need be looked at. Content types
/// that no parameters come in (pictures, documents, raw bytes) cannot carry one.
pub fn may_be(query: Option<&str>, content_type: Option<&str>) -> bool {
    let kind = form::kind(content_type);
    let family = kind.split('/').next().unwrap_or_default();
    let has_parameters = match Writing::of(content_type) {
        Writing::Form | Writing::Multipart(_) => true,
        Writing::Other => {
            kind.is_empty()
                || family.eq_ignore_ascii_case("text")
                || kind.to_ascii_lowercase().contains("json")
        }
    };
    has_parameters
        || form::pairs(query.unwrap_or_default().as_bytes()).any(|(name, _)| is_nearly_batch(&name))
}

impl<'r> Batch<'r> {
    /// Reads a request: its query, its content type, and its whole body.
    pub fn read(query: Option<&'r str>, content_type: Option<&str>, body: &'r [u8]) -> Result<Self, NoBatch> {
        let parameters = Parameters::read(query, content_type, body);
        let none = if parameters.is_odd || parameters.batch.is_some() {
            NoBatch::Unreadable
        } else {
            NoBatch::Other
        };
        Self::of(parameters, query, body).ok_or(none)
    }

    fn of(parameters: Parameters, query: Option<&'r str>, body: &'r [u8]) -> Option<Self> {
        let place = parameters.batch?;
        let source = if place.in_query { query.unwrap_or_default().as_bytes() } else { body };
        let text = place.text(source);
        let mut items = Items::of(&text, b'[')?;
        let elements: Vec<_> = items.by_ref().take(MOST_OPERATIONS + 1).collect();
        if elements.is_empty()
            || elements.len() > MOST_OPERATIONS
            || items.next().is_some()
            || !items.is_whole()
        {
            return None;
        }
        let operations = elements.iter().map(|range| operation::read(text.get(range.clone())?));
        Some(Self {
            operations: operations.collect::<Option<_>>()?,
            include_headers: parameters.include_headers.unwrap_or(true),
            access_token: parameters.access_token,
            appsecret_proof: parameters.appsecret_proof,
            is_odd: parameters.is_odd,
            place,
            source,
            elements,
        })
    }

    /// Whether there may be sends in it that are not seen: those of numbers that other operations' results name, or in something
    /// else that may be the batch to Meta.
    pub fn may_hide_sends(&self) -> bool {
        self.is_odd || self.operations.iter().any(|operation| operation.is_veiled)
    }

    /// Whether any operation sends.
    pub fn sends(&self) -> bool {
        self.operations.iter().any(|operation| operation.send.is_some())
    }

    /// The name of a held operation that this one needs.
    pub fn held_need(&self, operation: usize, held: &[bool]) -> Option<&str> {
        let needs = &self.operations.get(operation)?.needs;
        let mut named = self
            .operations
            .iter()
            .zip(held)
            .filter_map(|(operation, held)| operation.name.as_deref().filter(|_| *held));
        named.find(|name| needs.iter().any(|need| need == name))
    }

    /// Whether a `null` in the place of this operation's result means that it went well: Graph leaves such results out if it is
    /// told to, and those of operations that others need unless it is told not to.
    pub fn null_is_success(&self, operation: usize) -> bool {
        let Some(operation) = self.operations.get(operation) else { return false };
        operation.omits.unwrap_or_else(|| {
            let mut needs = self.operations.iter().flat_map(|other| &other.needs);
            operation.name.as_ref().is_some_and(|name| needs.any(|need| need == name))
        })
    }

    /// Whose phone an operation sends for; `None`: it sends nothing.
    pub fn phone(&self, operation: usize) -> Option<PhoneNumberId> {
        self.operations.get(operation)?.send.map(|(phone, _)| phone)
    }

    /// The request without the operations that are held, of which one at least is not.
    pub fn without(&self, held: &[bool]) -> Changed {
        let changed = self.place.without(self.source, &self.elements, held);
        if self.place.in_query { Changed::Query(changed) } else { Changed::Body(changed) }
    }
}
