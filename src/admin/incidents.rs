//! The handlers of `/v1/incidents` and `/v1/report`. Message ids encode recipients: whole for those who may operate, masked for
//! those who may only look.

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Serialize;

use super::access::Right;
use super::control::Control;
use super::problem::Problem;
use super::query;
use crate::incident::{Incident, Report, Summary, is_id};

#[derive(Serialize)]
pub(super) struct Page {
    items: Vec<Summary>,
    next_cursor: Option<String>,
}

/// `GET /v1/incidents`: newest first, without their long lists.
pub(super) async fn list<C: Control>(
    State(control): State<C>,
    Extension(right): Extension<Right>,
    RawQuery(query): RawQuery,
) -> Result<Json<Page>, Problem> {
    let filter = query::read_incidents(query.as_deref().unwrap_or_default())?;
    let (found, more) = control.incidents(filter.after, filter.scope, filter.limit);
    let next_cursor = found.last().filter(|_| more).map(|(key, _)| key.to_string());
    let shown = |summary: Summary| if right == Right::Operate { summary } else { summary.masked() };
    Ok(Json(Page { items: found.into_iter().map(|(_, summary)| shown(summary)).collect(), next_cursor }))
}

/// `GET /v1/incidents/{id}`
pub(super) async fn one<C: Control>(
    State(control): State<C>,
    Extension(right): Extension<Right>,
    Path(id): Path<String>,
) -> Result<Json<Incident>, Problem> {
    if !is_id(&id) {
        return Err(Problem::bad_request(
            "an incident's id is the id of what it is about, a generation and a time: 123-1-1777629600",
        ));
    }
    let incident = control.incident(&id);
    let incident =
        incident.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no such incident"))?;
    Ok(Json(if right == Right::Operate { incident } else { incident.masked() }))
}

/// `GET /v1/report`
pub(super) async fn report<C: Control>(State(control): State<C>) -> Json<Report> {
    Json(control.report())
}
