//! The queries of lists: which items, and from where on.

use url::form_urlencoded;

use super::problem::Problem;
use crate::breaker::{Scope, ScopeKind};
use crate::breakers::{Filter, SHOWN_STATES};
use crate::graph::ids::{MalformedId, WabaId};
use crate::incident::{Key, MalformedKey};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// Which incidents.
pub(super) struct IncidentFilter {
    pub(super) after: Option<Key>,
    pub(super) scope: Option<Scope>,
    pub(super) limit: usize,
}

/// Reads the query of `GET /v1/incidents`, as strictly as [`read`].
pub(super) fn read_incidents(query: &str) -> Result<IncidentFilter, Problem> {
    let (mut scope, mut cursor, mut limit) = (None, None, None);
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        let again = match &*key {
            kind @ ("phone" | "waba") => scope.replace(parse_id(kind, &value)?).is_some(),
            "cursor" => {
                let bad = |_: MalformedKey| Problem::bad_request("cursor: not one that an earlier page gave");
                cursor.replace(value.parse().map_err(bad)?).is_some()
            }
            "limit" => limit.replace(parse_limit(&value)?).is_some(),
            _ => return Err(Problem::bad_request("the query takes phone or waba, cursor and limit")),
        };
        if again {
            return Err(Problem::bad_request(format!("{key} is there twice")));
        }
    }
    Ok(IncidentFilter { after: cursor, scope, limit: limit.unwrap_or(DEFAULT_LIMIT) })
}

/// Reads the query of `GET /v1/breakers`, or of `GET /v1/wabas` (`accounts`), which has no `waba`. A key that is unknown, there twice, or without a good value is a bad request: a filter that is
/// silently dropped would show breakers that were not asked for.
pub(super) fn read(query: &str, accounts: bool) -> Result<Filter, Problem> {
    let (mut state, mut waba, mut cursor, mut limit) = (None, None, None, None);
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        let again = match &*key {
            "state" => state.replace(parse_state(&value)?).is_some(),
            "waba" if !accounts => {
                let id =
                    WabaId::parse(&*value).map_err(|rule| Problem::bad_request(format!("waba: {rule}")))?;
                waba.replace(id).is_some()
            }
            // The last id of the page before, though callers are told no more than that it goes back as it came.
            "cursor" => {
                let bad = |_: Problem| Problem::bad_request("cursor: not one that an earlier page gave");
                let kind = if accounts { ScopeKind::Waba } else { ScopeKind::Phone };
                cursor.replace(parse_scope(kind, &value).map_err(bad)?).is_some()
            }
            "limit" => limit.replace(parse_limit(&value)?).is_some(),
            _ if accounts => return Err(Problem::bad_request("the query takes state, cursor and limit")),
            _ => return Err(Problem::bad_request("the query takes state, waba, cursor and limit")),
        };
        if again {
            return Err(Problem::bad_request(format!("{key} is there twice")));
        }
    }
    Ok(Filter { state, waba, accounts, after: cursor, limit: limit.unwrap_or(DEFAULT_LIMIT) })
}

/// Reads the id of a breaker: a WABA's, or a phone's, of which there may be more than one kind.
pub(super) fn parse_scope(kind: ScopeKind, id: &str) -> Result<Scope, Problem> {
    let is_wanted = |scope: &Scope| (scope.kind() == ScopeKind::Waba) == (kind == ScopeKind::Waba);
    let bad = || Problem::bad_request(format!("{}: {MalformedId}", kind.name()));
    Scope::of_id(id).find(is_wanted).ok_or_else(bad)
}

/// Whether this can be the id of a breaker, of whatever kind.
pub(crate) fn is_breaker_id(id: &str) -> bool {
    Scope::of_id(id).next().is_some()
}

/// Reads the id of a phone or of a WABA.
pub(super) fn parse_id(kind: &str, id: &str) -> Result<Scope, Problem> {
    Scope::parse(kind, id).ok_or_else(|| Problem::bad_request(format!("{kind}: {MalformedId}")))
}

fn parse_state(value: &str) -> Result<&'static str, Problem> {
    let known = SHOWN_STATES.into_iter().find(|state| *state == value);
    known.ok_or_else(|| Problem::bad_request(format!("state: one of {}", SHOWN_STATES.join(", "))))
}

fn parse_limit(value: &str) -> Result<usize, Problem> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let limit = value.parse().ok().filter(|limit| digits && (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Problem::bad_request(format!("limit: a number from 1 to {MAX_LIMIT}")))
}
