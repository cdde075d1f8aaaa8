//! How wide a breaker is open: which classes of messages it holds, and what must be over before each may go on.

use serde::{Deserialize, Serialize};

use crate::graph::class::Class;
use crate::graph::webhook::Restriction;
use crate::time::Timestamp;

/// The classes of messages that are held. At least one is, while a breaker is open or half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    business_initiated: Option<Hold>,
    customer_initiated: Option<Hold>,
}

/// What must be over before a held class may go on. With neither, nothing but the next look at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// This date.
    pub until: Option<Timestamp>,
    /// A health check must find it clear, too.
    pub by_probe: bool,
    /// Meta's list of restrictions has or had it: the next list may lift or date it anew.
    pub restricted: bool,
}

impl Hold {
    /// Until a health check finds it clear.
    pub const PROBE: Self = Self { until: None, by_probe: true, restricted: false };

    const fn is_over(&self, now: Timestamp) -> bool {
        match self.until {
            Some(until) => now.millis() >= until.millis(),
            None => true,
        }
    }
}

/// All messages, until a health check is clear.
impl Default for Extent {
    fn default() -> Self {
        Self::all(Hold::PROBE)
    }
}

/// What is left of an extent after a look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Every class may go on.
    Nothing,
    /// Some may.
    Less(Extent),
    /// None may.
    Same,
}

impl Extent {
    /// What no breaker that is open or half-open has.
    const NOTHING: Self = Self { business_initiated: None, customer_initiated: None };

    /// All messages.
    pub const fn all(hold: Hold) -> Self {
        Self { business_initiated: Some(hold), customer_initiated: Some(hold) }
    }

    /// One class of messages.
    pub const fn of(class: Class, hold: Hold) -> Self {
        match class {
            Class::BusinessInitiated => Self { business_initiated: Some(hold), ..Self::NOTHING },
            Class::CustomerInitiated => Self { customer_initiated: Some(hold), ..Self::NOTHING },
        }
    }

    /// What Meta's list of restrictions holds; none if it holds nothing.
    pub fn restricted(restrictions: &[Restriction]) -> Option<Self> {
        let mut extent = Self::NOTHING;
        for restriction in restrictions {
            let new = Hold { until: restriction.until, by_probe: true, restricted: true };
            let hold = extent.hold_mut(restriction.class);
            // One type twice: the longer holds, and without a date nobody can say how long that is.
            *hold = Some(match *hold {
                Some(known) => Hold { until: known.until.zip(new.until).map(|(a, b)| a.max(b)), ..new },
                None => new,
            });
        }
        (!extent.is_empty()).then_some(extent)
    }

    /// Whether a message of this class is held. One of an unknown class is, if any class is.
    pub const fn holds(&self, class: Option<Class>) -> bool {
        match class {
            Some(class) => self.hold(class).is_some(),
            None => true,
        }
    }

    /// Whether a message of this class, if it is held, waits for a date. One of an unknown class does, if any class does.
    pub(super) fn waits(&self, class: Option<Class>, now: Timestamp) -> bool {
        self.waits_until(class, now).is_some()
    }

    /// The date that a message of this class waits for, if it does. One of an unknown class waits for the last one.
    pub(super) fn waits_until(&self, class: Option<Class>, now: Timestamp) -> Option<Timestamp> {
        match class {
            Some(class) => self.hold(class)?.until.filter(|until| *until > now),
            None => self.dates(now).max(),
        }
    }

    /// The one class that is held, if not all are.
    pub const fn class(&self) -> Option<Class> {
        match (&self.business_initiated, &self.customer_initiated) {
            (Some(_), None) => Some(Class::BusinessInitiated),
            (None, Some(_)) => Some(Class::CustomerInitiated),
            _ => None,
        }
    }

    /// As the admin API writes it.
    pub const fn name(&self) -> &'static str {
        match self.class() {
            Some(Class::BusinessInitiated) => "business_initiated",
            Some(Class::CustomerInitiated) => "customer_initiated",
            None => "all",
        }
    }

    /// The dates before which some class is not left.
    pub fn dates(&self, now: Timestamp) -> impl Iterator<Item = Timestamp> {
        self.both().filter_map(move |hold| hold.until.filter(|until| *until > now))
    }

    /// When the last class is left, if its dates say so.
    pub fn last_date(&self) -> Option<Timestamp> {
        self.both().filter_map(|hold| hold.until).max()
    }

    /// Whether its dates alone end it, so that no health check is needed.
    pub(super) fn ends_by_dates(&self) -> bool {
        self.both().all(|hold| !hold.by_probe)
    }

    /// Adds what further evidence holds. What is held already keeps its date, however much more of the same is heard; where it has
    /// none, it takes the new one, but for one of a list, if a list has lifted that.
    pub(super) fn widened(&self, by: &Self) -> Self {
        let merge = |known: Option<Hold>, new: Option<Hold>| match (known, new) {
            (Some(known), Some(new)) => Some(Hold {
                until: known.until.or(new.until.filter(|_| !(known.restricted && new.restricted))),
                by_probe: known.by_probe || new.by_probe,
                restricted: known.restricted || new.restricted,
            }),
            (known, new) => known.or(new),
        };
        self.zip(by, merge)
    }

    /// Adds what has met a trial. The dates of what was on trial were over, so only new ones count; what waits goes on to wait.
    pub(super) fn reopened(&self, by: &Self, now: Timestamp) -> Self {
        let anew = |hold: Hold| match hold.is_over(now) {
            true => Hold { until: None, restricted: false, ..hold },
            false => hold,
        };
        let known = self.map(|hold| hold.map(anew));
        known.widened(by)
    }

    /// The part of it that is about classes that the other one holds.
    pub(super) fn within(&self, other: &Self) -> Self {
        self.zip(other, |held, others| held.filter(|_| others.is_some()))
    }

    /// Takes over Meta's newest list of restrictions, as far as it is about what is held: that is held until its dates now, or
    /// until a later one that is no list's; what the list lacks and an older one had is held only until a health check is clear.
    pub(super) fn relisted(&self, list: Option<&Self>) -> Self {
        let merge = |known: Option<Hold>, new: Option<Hold>| match (known, new) {
            (Some(known), Some(new)) if known.restricted => Some(Hold { until: new.until, ..known }),
            (Some(known), Some(new)) => Some(Hold { until: known.until.max(new.until), ..new }),
            (Some(known), None) if known.restricted => Some(Hold { until: None, ..known }),
            (known, _) => known,
        };
        self.zip(list.unwrap_or(&Self::NOTHING), merge)
    }

    /// This, but that what the other one no longer waits for is on trial already, and stays so: only a lock ends a trial.
    pub(super) fn but_on_trial(&self, known: &Self, now: Timestamp) -> Self {
        let merge = |known: Option<Hold>, new: Option<Hold>| known.filter(|known| known.is_over(now)).or(new);
        known.zip(self, merge)
    }

    /// What it still holds at `now`, if a health check has just been clear, or if none is asked.
    pub(super) fn left(&self, clear: bool, now: Timestamp) -> Left {
        let stays = |hold: &Hold| !hold.is_over(now) || (hold.by_probe && !clear);
        let left = self.map(|hold| hold.filter(stays));
        match left {
            left if left.is_empty() => Left::Nothing,
            left if left == *self => Left::Same,
            left => Left::Less(left),
        }
    }

    /// Whether Meta's list of restrictions has or had something of it.
    pub(super) fn is_restricted(&self) -> bool {
        self.both().any(|hold| hold.restricted)
    }

    /// Until when a class is held at least, where that is known.
    #[cfg(test)]
    pub(super) fn date(&self, class: Class) -> Option<Timestamp> {
        self.hold(class)?.until
    }

    const fn hold(&self, class: Class) -> Option<&Hold> {
        match class {
            Class::BusinessInitiated => self.business_initiated.as_ref(),
            Class::CustomerInitiated => self.customer_initiated.as_ref(),
        }
    }

    const fn hold_mut(&mut self, class: Class) -> &mut Option<Hold> {
        match class {
            Class::BusinessInitiated => &mut self.business_initiated,
            Class::CustomerInitiated => &mut self.customer_initiated,
        }
    }

    /// The same done to both classes.
    fn map(&self, change: impl Fn(Option<Hold>) -> Option<Hold>) -> Self {
        self.zip(self, |hold, _| change(hold))
    }

    /// Each class of both put together.
    fn zip(&self, other: &Self, merge: impl Fn(Option<Hold>, Option<Hold>) -> Option<Hold>) -> Self {
        Self {
            business_initiated: merge(self.business_initiated, other.business_initiated),
            customer_initiated: merge(self.customer_initiated, other.customer_initiated),
        }
    }

    fn both(&self) -> impl Iterator<Item = &Hold> {
        self.business_initiated.iter().chain(&self.customer_initiated)
    }

    const fn is_empty(&self) -> bool {
        self.business_initiated.is_none() && self.customer_initiated.is_none()
    }
}

/// In words, as a rejection tells it.
impl std::fmt::Display for Extent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.class() {
            Some(Class::BusinessInitiated) => "business-initiated messages only: templates and marketing",
            Some(Class::CustomerInitiated) => {
                "customer-initiated messages only: replies; templates and marketing flow"
            }
            None => "all messages",
        })
    }
}
