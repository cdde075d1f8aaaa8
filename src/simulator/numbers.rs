//! `/{waba}/phone_numbers`: the phones of a WABA, page by page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::answer::{Answer, Failure};
use super::http::Arrived;
use super::params::Params;
use super::{Simulator, fields};

/// How many a page has if nobody says.
const PAGE: usize = 25;
/// What is told of each if nobody says.
const FIELDS: &str = "verified_name,code_verification_status,display_phone_number,quality_rating,platform_type,throughput,\
                      last_onboarded_time";

pub(super) fn list(
    simulator: &Simulator,
    request: &Arrived,
    waba: &str,
    params: &Params,
) -> Result<Answer, Failure> {
    let limit = match params.text("limit") {
        Some(limit) => limit.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| wrong("limit"))?,
        None => PAGE,
    };
    let wanted = params.text("fields").unwrap_or_else(|| FIELDS.into());
    let (after, before) = (place(params, "after")?, place(params, "before")?);
    let state = simulator.state();
    let all: Vec<_> = state.phones_of(waba).into_iter().collect();
    // The page ends before `before`, or begins after `after`; a phone that has gone meanwhile still has its place.
    let (begin, end) = match (after, before) {
        (_, Some(before)) => {
            let end = all.partition_point(|(id, _)| **id < before);
            (end.saturating_sub(limit), end)
        }
        (Some(after), None) => {
            let begin = all.partition_point(|(id, _)| **id <= after);
            (begin, begin.saturating_add(limit).min(all.len()))
        }
        (None, None) => (0, limit.min(all.len())),
    };
    let page = all.get(begin..end).unwrap_or_default();
    let data = page.iter().map(|(id, phone)| fields::phone_with(&state, id, phone, &wanted));
    let data = data.collect::<Result<Vec<Value>, _>>()?;
    let (Some((first, _)), Some((last, _))) = (page.first(), page.last()) else {
        return Ok(Answer::Json(json!({"data": data})));
    };
    let (first, last) = (cursor(first), cursor(last));
    let path = format!("{}{}?limit={limit}&fields={wanted}", request.origin(), request.head.uri.path());
    let mut paging = json!({"cursors": {"before": first, "after": last}});
    if end < all.len() {
        paging["next"] = json!(format!("{path}&after={last}"));
    }
    if begin > 0 {
        paging["previous"] = json!(format!("{path}&before={first}"));
    }
    Ok(Answer::Json(json!({"data": data, "paging": paging})))
}

fn cursor(id: &str) -> String {
    URL_SAFE_NO_PAD.encode(id)
}

/// The id that a cursor stands for.
fn place(params: &Params, name: &str) -> Result<Option<String>, Failure> {
    let Some(cursor) = params.text(name).filter(|cursor| !cursor.is_empty()) else { return Ok(None) };
    let id = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    id.map(Some).ok_or_else(|| wrong(name))
}

fn wrong(name: &str) -> Failure {
    Failure::new(400, 100, "Invalid parameter").details(format!("The value of {name} is not valid."))
}
