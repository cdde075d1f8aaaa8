//! What is kept of a lock: an *incident*, from the step out of plainly closed to the step back, with everything that an
//! appeal or a look back needs.
//!
//! Values only: who keeps them current, and on disk, is `breakers/journal.rs`. One form serves the store and the admin API.
//!
//! An incident owns the generations from the close before it up to its own close: a send that was admitted in between and
//! failed for the lock is its *leak*, whenever its failure is heard of.

mod book;
mod entries;
mod report;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use book::{
    Book, Key, Listed, MOST_FINISHED, MOST_LEAKS, MOST_LEAKS_OF_ONE, MOST_WAITING, MalformedKey, Recorded,
    is_id,
};
pub use entries::{Evidence, Leak, LeftOut, OrderGiven, OrderName, Outcome, Probe, Step, Trial, Verdict};
pub use report::{Outcomes, Report, ReportedPhone, Sums};

use crate::breaker::{Generation, IncidentStart, Scope, Shown, Transition};
use crate::time::{Timestamp, rfc3339};

/// Of a long list so many are kept from its beginning, and so many from its end.
pub const KEPT_AT_EACH_END: usize = 25;

/// An incident. Lists are in the order in which things happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its name: [`IncidentStart::id`].
    pub id: String,
    /// What it is about: `scope` and `scope_id`.
    #[serde(flatten)]
    pub scope: Scope,
    /// When the breaker left plainly closed.
    #[serde(with = "rfc3339")]
    pub opened_at: Timestamp,
    /// When it came back; none: it goes on.
    #[serde(with = "rfc3339::option", default)]
    pub closed_at: Option<Timestamp>,
    /// The generation that its first step made.
    pub generation: Generation,
    /// The generation that its last step made, once it is closed.
    #[serde(default)]
    pub closed_generation: Option<Generation>,
    /// What tripped the breaker; none if an operator opened or bypassed it and nothing has tripped it since.
    #[serde(default)]
    pub trip: Option<Evidence>,
    /// All evidence, the trip's included.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    /// What health said.
    #[serde(default)]
    pub probes: Vec<Probe>,
    /// How trials ended.
    #[serde(default)]
    pub trials: Vec<Trial>,
    /// The steps of the breaker.
    #[serde(default)]
    pub transitions: Vec<Step>,
    /// What operators ordered.
    #[serde(default)]
    pub orders: Vec<OrderGiven>,
    /// The leaks, as far as they are listed.
    #[serde(default)]
    pub leaks: Vec<Leak>,
    /// How many leaks there were.
    #[serde(default)]
    pub leaked: u64,
    /// How many sends were rejected.
    #[serde(default)]
    pub rejected: u64,
    /// How many sends enforce mode would have rejected.
    #[serde(default)]
    pub would_reject: u64,
    /// How many entries of each list are not there: long lists keep their beginning and their end.
    #[serde(default)]
    pub left_out: LeftOut,
}

impl Incident {
    /// One that begins.
    pub fn begun(scope: Scope, start: IncidentStart) -> Self {
        Self {
            id: start.id(&scope.id()),
            scope,
            opened_at: start.at,
            closed_at: None,
            generation: start.generation,
            closed_generation: None,
            trip: None,
            evidence: Vec::new(),
            probes: Vec::new(),
            trials: Vec::new(),
            transitions: Vec::new(),
            orders: Vec::new(),
            leaks: Vec::new(),
            leaked: 0,
            rejected: 0,
            would_reject: 0,
            left_out: LeftOut::default(),
        }
    }

    /// Whether a send that was admitted at this generation is this incident's: since the close before it, and before its own.
    pub fn holds(&self, admitted: Generation) -> bool {
        let since_the_close_before = admitted.0.saturating_add(1) >= self.generation.0;
        since_the_close_before && self.closed_generation.is_none_or(|closed| admitted < closed)
    }

    /// Takes in a step of the breaker. Steps may come in any order; the generation is theirs.
    pub fn step(&mut self, transition: &Transition) {
        let step = Step::from(transition);
        if self.transitions.iter().any(|known| known.generation == step.generation) {
            return;
        }
        let is_last = self.transitions.last().is_none_or(|last| last.generation < step.generation);
        if is_last {
            // Only a step to closed leads back, and nothing of this incident follows on it.
            let closed = step.to == Shown::Closed;
            self.closed_at = closed.then_some(step.at);
            self.closed_generation = closed.then_some(step.generation);
        }
        self.left_out.transitions += u64::from(keep(&mut self.transitions, step));
        if !is_last {
            self.transitions.sort_by_key(|step| step.generation);
        }
    }

    /// Takes in a piece of evidence; `trips`: it was what opened the breaker. What is said again of a message, or of the same
    /// second, is not: Meta repeats for a week, and copies must not push out what really happened last.
    pub fn hear(&mut self, evidence: Evidence, trips: bool) {
        let says_the_same = |known: &Evidence| {
            let is_it = match known.wamid {
                Some(_) => known.wamid == evidence.wamid,
                None => {
                    evidence.wamid.is_none()
                        && known.dated.is_some()
                        && (known.dated, &known.text) == (evidence.dated, &evidence.text)
                }
            };
            is_it && (known.verdict, known.code) == (evidence.verdict, evidence.code)
        };
        if !trips && self.evidence.iter().any(says_the_same) {
            return;
        }
        if trips && self.trip.is_none() {
            self.trip = Some(evidence.clone());
        }
        self.left_out.evidence += u64::from(keep(&mut self.evidence, evidence));
    }

    /// Takes in what a probe found.
    pub fn probe(&mut self, probe: Probe) {
        self.left_out.probes += u64::from(keep(&mut self.probes, probe));
    }

    /// Takes in how a trial ended.
    pub fn trial(&mut self, trial: Trial) {
        self.left_out.trials += u64::from(keep(&mut self.trials, trial));
    }

    /// Takes in an operator's order.
    pub fn order(&mut self, order: OrderGiven) {
        self.left_out.orders += u64::from(keep(&mut self.orders, order));
    }

    /// Ends it where no step has told of its end: the breaker is known to be past it.
    pub fn end(&mut self, at: Timestamp, generation: Generation) {
        self.closed_at = Some(at.max(self.opened_at));
        self.closed_generation = Some(generation);
    }

    /// For those who may not see whom a message was for: without whole message ids, and without what the app attached.
    #[must_use]
    pub fn masked(mut self) -> Self {
        let wamids = self.leaks.iter_mut().map(|leak| &mut leak.wamid);
        let evidence =
            self.trip.iter_mut().chain(&mut self.evidence).flat_map(|evidence| &mut evidence.wamid);
        let trials = self.trials.iter_mut().flat_map(|trial| &mut trial.wamid);
        for wamid in wamids.chain(evidence).chain(trials) {
            *wamid = wamid.masked();
        }
        for leak in &mut self.leaks {
            leak.biz_opaque_callback_data = None;
        }
        self
    }

    /// Without its long lists, but with their lengths.
    pub fn summary(&self) -> Summary {
        let all =
            |kept: usize, left_out: u64| u64::try_from(kept).unwrap_or(u64::MAX).saturating_add(left_out);
        Summary {
            id: self.id.clone(),
            scope: self.scope,
            opened_at: self.opened_at,
            closed_at: self.closed_at,
            trip: self.trip.clone(),
            counts: Counts {
                evidence: all(self.evidence.len(), self.left_out.evidence),
                probes: all(self.probes.len(), self.left_out.probes),
                trials: all(self.trials.len(), self.left_out.trials),
                transitions: all(self.transitions.len(), self.left_out.transitions),
                orders: all(self.orders.len(), self.left_out.orders),
            },
            leaked: self.leaked,
            rejected: self.rejected,
            would_reject: self.would_reject,
        }
    }
}

/// An incident among others: counts in place of its lists.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// See [`Incident::id`].
    pub id: String,
    /// What it is about: `scope` and `scope_id`.
    #[serde(flatten)]
    pub scope: Scope,
    /// See [`Incident::opened_at`].
    #[serde(with = "rfc3339")]
    pub opened_at: Timestamp,
    /// See [`Incident::closed_at`].
    #[serde(with = "rfc3339::option")]
    pub closed_at: Option<Timestamp>,
    /// What tripped the breaker.
    pub trip: Option<Evidence>,
    /// How long its lists are.
    pub counts: Counts,
    /// How many leaks.
    pub leaked: u64,
    /// How many sends were rejected.
    pub rejected: u64,
    /// How many sends enforce mode would have rejected.
    pub would_reject: u64,
}

/// How much an incident has had of each, what is not kept included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Pieces of evidence.
    pub evidence: u64,
    /// Probes.
    pub probes: u64,
    /// Trials that ended.
    pub trials: u64,
    /// Steps of the breaker.
    pub transitions: u64,
    /// Operators' orders.
    pub orders: u64,
}

impl Summary {
    /// As [`Incident::masked`].
    #[must_use]
    pub fn masked(mut self) -> Self {
        if let Some(wamid) = self.trip.as_mut().and_then(|trip| trip.wamid.as_mut()) {
            *wamid = wamid.masked();
        }
        self
    }
}

/// Adds to a list that keeps its beginning and its end. Says whether one had to go for it.
fn keep<T>(list: &mut Vec<T>, entry: T) -> bool {
    if list.len() == list.capacity() {
        // Most incidents have one of most things, and a list that grows by itself begins with four.
        list.reserve_exact(list.len().max(1));
    }
    let is_full = list.len() >= 2 * KEPT_AT_EACH_END;
    if is_full {
        list.remove(KEPT_AT_EACH_END);
    }
    list.push(entry);
    is_full
}
