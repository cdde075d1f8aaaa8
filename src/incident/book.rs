//! All incidents that are remembered, and what bounds them. Open ones are never forgotten: there are no more of them than open
//! breakers.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Evidence, Incident, Leak};
use crate::breaker::{Generation, IncidentStart, Scope};
use crate::time::Timestamp;

/// The most finished incidents that are kept; the oldest leave. Some 10 kB each.
pub const MOST_FINISHED: usize = 1_000;
/// The most leaks of one incident that are listed; beyond it they are counted. Some 500 bytes each.
pub const MOST_LEAKS_OF_ONE: usize = 10_000;
/// The most leaks of all incidents that are listed. For a new one beyond it the oldest finished incident loses its list, and
/// keeps its count.
pub const MOST_LEAKS: usize = 100_000;
/// The most failures of a closed scope that wait for a trip (`trip_after` above 1), and the most scopes that have some.
pub const MOST_WAITING: usize = 100;
const MOST_PHONES_WAITING: usize = 10_000;

/// After this long a closed breaker may be forgotten and its generations begin anew, so a send that is accepted later
/// belongs to no incident from before.
const GENERATIONS_LAST: Duration = Duration::from_secs(8 * 24 * 3600);

/// An incident's place among all: by the time when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    at: Timestamp,
    scope: Scope,
    generation: Generation,
}

impl Key {
    const fn of(scope: Scope, start: IncidentStart) -> Self {
        Self { at: start.at, scope, generation: start.generation }
    }

    /// Whose incident it is.
    pub const fn scope(&self) -> Scope {
        self.scope
    }
}

impl From<&Incident> for Key {
    fn from(incident: &Incident) -> Self {
        Self { at: incident.opened_at, scope: incident.scope, generation: incident.generation }
    }
}

/// As a cursor: it also stands for a place whose incident has left.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}-{}-{}-{}",
            self.at.millis(),
            self.scope.kind().name(),
            self.scope.id(),
            self.generation.0
        )
    }
}

/// Not a [`Key`] as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a place in the list of incidents")]
pub struct MalformedKey;

impl FromStr for Key {
    type Err = MalformedKey;

    fn from_str(text: &str) -> Result<Self, MalformedKey> {
        let [at, kind, id, generation] = parts(text).ok_or(MalformedKey)?;
        Ok(Self {
            at: Timestamp::from_millis(number(at).ok_or(MalformedKey)?),
            scope: Scope::parse(kind, id).ok_or(MalformedKey)?,
            generation: Generation(number(generation).ok_or(MalformedKey)?),
        })
    }
}

/// Whether this can be the id of an incident.
pub fn is_id(text: &str) -> bool {
    parts(text).is_some_and(|[id, generation, seconds]| {
        Scope::of_id(id).next().is_some()
            && number::<u64>(generation).is_some()
            && number::<u64>(seconds).is_some()
    })
}

fn parts<const N: usize>(text: &str) -> Option<[&str; N]> {
    text.splitn(N + 1, '-').collect::<Vec<_>>().try_into().ok()
}

/// Digits alone: no sign, no space.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// An incident that was asked for, or made because it was not there.
#[derive(Debug)]
pub struct Recorded {
    /// Where it is.
    pub key: Key,
    /// Whether it was made just now.
    pub is_new: bool,
    /// The one before it, of the same scope; only if this one is new.
    pub before: Option<Key>,
    /// Leaks that waited for it; only if it is new. They are not in it yet.
    pub waited: Vec<Leak>,
}

/// What became of a leak.
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its place in its incident's list; none: it was only counted.
    pub place: Option<usize>,
    /// Incidents that lost their lists for it, by their ids, and how long the lists were.
    pub emptied: Vec<(String, usize)>,
}

/// Failures of a scope that is still closed.
#[derive(Debug, Default)]
struct Waiting {
    evidence: Vec<Evidence>,
    leaks: Vec<Leak>,
}

/// All incidents.
#[derive(Debug, Default)]
pub struct Book {
    /// Boxed: the tree has as much room again as it has incidents.
    incidents: BTreeMap<Key, Box<Incident>>,
    /// The incidents of each scope, oldest first.
    scopes: HashMap<Scope, Vec<Key>>,
    waiting: HashMap<Scope, Waiting>,
    /// How many leaks are listed.
    listed: usize,
}

impl Book {
    /// Puts back what the store kept.
    pub fn restore(&mut self, incident: Incident) {
        let key = Key::from(&incident);
        let keys = self.scopes.entry(key.scope).or_default();
        keys.reserve_exact(1);
        keys.push(key);
        keys.sort_unstable();
        self.listed += incident.leaks.len();
        self.incidents.insert(key, Box::new(incident));
    }

    /// The phone's incident that began with this step. It is made if it is not there; then what waited for it is in it.
    pub fn record(&mut self, scope: Scope, start: IncidentStart) -> Recorded {
        let key = Key::of(scope, start);
        if self.incidents.contains_key(&key) {
            return Recorded { key, is_new: false, before: None, waited: Vec::new() };
        }
        let mut incident = Incident::begun(scope, start);
        let Waiting { evidence, leaks } = self.waiting.remove(&scope).unwrap_or_default();
        evidence.into_iter().for_each(|evidence| incident.hear(evidence, false));
        let before = self.latest(scope);
        self.restore(incident);
        Recorded { key, is_new: true, before, waited: leaks }
    }

    /// An incident.
    pub fn get(&self, key: Key) -> Option<&Incident> {
        self.incidents.get(&key).map(|incident| &**incident)
    }

    /// An incident, to add to it.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut Incident> {
        self.incidents.get_mut(&key).map(|incident| &mut **incident)
    }

    /// The incident of this id; none also if the text is no id.
    pub fn find(&self, id: &str) -> Option<&Incident> {
        let keys = Scope::of_id(id.split('-').next()?).filter_map(|scope| self.scopes.get(&scope));
        keys.flatten().filter_map(|key| self.get(*key)).find(|incident| incident.id == id)
    }

    /// The phone's last incident.
    pub fn latest(&self, scope: Scope) -> Option<Key> {
        self.scopes.get(&scope)?.last().copied()
    }

    /// The last incident of each scope.
    pub fn latest_of_all(&self) -> Vec<Key> {
        self.scopes.values().filter_map(|keys| keys.last().copied()).collect()
    }

    /// The phone's incident that a send belongs to, by the generation that admitted it and the time when Meta accepted it.
    pub fn owner(&self, scope: Scope, admitted: Generation, accepted_at: Timestamp) -> Option<Key> {
        let keys = self.scopes.get(&scope)?.iter().rev();
        let owns = |key: &&Key| {
            self.get(**key).is_some_and(|incident| {
                let closed = incident.closed_at.map(|at| at.plus(GENERATIONS_LAST));
                incident.holds(admitted) && closed.is_none_or(|end| accepted_at < end)
            })
        };
        keys.copied().find(|key| owns(&key))
    }

    /// Keeps evidence of a scope that is still closed for the incident that it may lead to.
    pub fn evidence_waits(&mut self, scope: Scope, evidence: Evidence) {
        if let Some(waiting) = self.waiting(scope)
            && waiting.evidence.len() < MOST_WAITING
        {
            waiting.evidence.push(evidence);
        }
    }

    /// The same for a message that failed.
    pub fn leak_waits(&mut self, scope: Scope, leak: Leak) {
        if let Some(waiting) = self.waiting(scope)
            && waiting.leaks.len() < MOST_WAITING
        {
            waiting.leaks.push(leak);
        }
    }

    /// Nothing that waits for this phone's next incident counts any more.
    pub fn forget_waiting(&mut self, scope: Scope) {
        self.waiting.remove(&scope);
    }

    fn waiting(&mut self, scope: Scope) -> Option<&mut Waiting> {
        let is_room = self.waiting.len() < MOST_PHONES_WAITING || self.waiting.contains_key(&scope);
        is_room.then(|| self.waiting.entry(scope).or_default())
    }

    /// Adds a leak to an incident. `None`: there is no such incident.
    pub fn leak(&mut self, key: Key, leak: Leak) -> Option<Listed> {
        let mut emptied = Vec::new();
        while self.listed >= MOST_LEAKS {
            match self.empty_oldest() {
                Some(one) => emptied.push(one),
                None => break,
            }
        }
        let is_room = self.listed < MOST_LEAKS;
        let incident = self.incidents.get_mut(&key)?;
        incident.leaked = incident.leaked.saturating_add(1);
        let place = incident.leaks.len();
        let place = (is_room && place < MOST_LEAKS_OF_ONE).then_some(place);
        if place.is_some() {
            incident.leaks.push(leak);
            self.listed += 1;
        } else {
            incident.left_out.leaks += 1;
        }
        Some(Listed { place, emptied })
    }

    /// Puts back a leak that the store kept: one that its incident counts already. Says whether its incident is there.
    pub fn restore_leak(&mut self, id: &str, leak: Leak) -> bool {
        let Some(key) = self.find(id).map(Key::from) else { return false };
        let Some(incident) = self.incidents.get_mut(&key) else { return false };
        incident.leaks.push(leak);
        self.listed += 1;
        // The list is written with each leak, the count only now and then.
        let listed = u64::try_from(incident.leaks.len()).unwrap_or(u64::MAX);
        incident.leaked = incident.leaked.max(listed.saturating_add(incident.left_out.leaks));
        true
    }

    fn empty_oldest(&mut self) -> Option<(String, usize)> {
        let finished =
            |incident: &&mut Box<Incident>| incident.closed_at.is_some() && !incident.leaks.is_empty();
        let incident =
            self.incidents.values_mut().filter(finished).min_by_key(|incident| incident.closed_at)?;
        let listed = std::mem::take(&mut incident.leaks).len();
        incident.left_out.leaks += u64::try_from(listed).unwrap_or(u64::MAX);
        self.listed -= listed;
        Some((incident.id.clone(), listed))
    }

    /// Forgets the finished incidents that closed first beyond [`MOST_FINISHED`], not those that began first: a long lock must not be gone
    /// when it ends. Gives their ids, and how many leaks each had listed.
    pub fn trim(&mut self) -> Vec<(String, usize)> {
        let finished = self.incidents.iter().filter(|(_, incident)| incident.closed_at.is_some());
        let mut finished: Vec<_> = finished.map(|(key, incident)| (incident.closed_at, *key)).collect();
        let surplus = finished.len().saturating_sub(MOST_FINISHED);
        let mut gone = Vec::new();
        if surplus > 0 {
            finished.sort_unstable();
        }
        for (_, key) in finished.into_iter().take(surplus) {
            if let Some(incident) = self.incidents.remove(&key) {
                self.listed -= incident.leaks.len();
                gone.push((incident.id, incident.leaks.len()));
            }
            if let Some(keys) = self.scopes.get_mut(&key.scope) {
                keys.retain(|other| *other != key);
                if keys.is_empty() {
                    self.scopes.remove(&key.scope);
                }
            }
        }
        gone
    }

    /// Incidents from the newest on, those before `after`, and only the phone's if one is named; and whether there are more.
    pub fn page(
        &self,
        after: Option<Key>,
        scope: Option<Scope>,
        limit: usize,
    ) -> (Vec<(Key, &Incident)>, bool) {
        let is_before = |key: &Key| after.is_none_or(|after| *key < after);
        let keys: Vec<Key> = match scope {
            Some(scope) => {
                let keys = self.scopes.get(&scope).map(Vec::as_slice).unwrap_or_default().iter().rev();
                keys.filter(|key| is_before(key)).take(limit.saturating_add(1)).copied().collect()
            }
            None => {
                let keys = self.incidents.keys().rev();
                keys.filter(|key| is_before(key)).take(limit.saturating_add(1)).copied().collect()
            }
        };
        let shown = keys.iter().take(limit).filter_map(|key| Some((*key, self.get(*key)?)));
        (shown.collect(), keys.len() > limit)
    }
}
