//! The handlers of `/v1/breakers` and `/v1/wabas`.

use axum::Json;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::control::Control;
use super::etag::{Tags, tag_of};
use super::order::{self, Action};
use super::problem::Problem;
use super::query;
use crate::breaker::{Generation, Scope, ScopeKind};
use crate::breakers::{BreakerView, GenerationMismatch, Order, PinOrder, ProbeOrder};
use crate::graph::health::{Entity, Health, Unknown};

#[derive(Serialize)]
struct Page {
    items: Vec<BreakerView>,
    next_cursor: Option<String>,
}

/// `GET /v1/breakers`, `GET /v1/wabas`
pub(super) async fn list<C: Control>(
    kind: ScopeKind,
    State(control): State<C>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let filter = query::read(query.as_deref().unwrap_or_default(), kind == ScopeKind::Waba)?;
    let (items, more) = control.list(&filter);
    let next_cursor = items.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Json(Page { items, next_cursor }).into_response())
}

/// `GET /v1/breakers/{phone}`, `GET /v1/wabas/{id}`
pub(super) async fn one<C: Control>(
    kind: ScopeKind,
    State(control): State<C>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let view = control.view(query::parse_scope(kind, &id)?);
    let generation = Generation(view.generation);
    // A malformed condition is as good as none here: the whole answer is never wrong.
    let known = Tags::read(&headers, &header::IF_NONE_MATCH).ok().flatten();
    if known.is_some_and(|tags| tags.match_weakly(generation)) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag_of(generation))]).into_response());
    }
    Ok(tagged(generation, &view))
}

#[derive(Serialize)]
struct Probed {
    #[serde(flatten)]
    breaker: BreakerView,
    probe: Outcome,
}

/// What a probe found, as JSON.
#[derive(Serialize)]
struct Outcome {
    /// clear, blocked, unknown
    outcome: &'static str,
    /// Why it is unknown.
    unknown: Option<Unknown>,
    /// Who was asked about, and what was said.
    entities: Vec<Entity>,
}

impl From<Health> for Outcome {
    fn from(health: Health) -> Self {
        match health {
            Health::Clear(entities) => Self { outcome: "clear", unknown: None, entities },
            Health::Blocked(entities) => Self { outcome: "blocked", unknown: None, entities },
            Health::Unknown(why) => Self { outcome: "unknown", unknown: Some(why), entities: Vec::new() },
        }
    }
}

/// `POST /v1/breakers/{phone}/{action}`, `POST /v1/wabas/{id}/{action}`
pub(super) async fn order<C: Control>(
    kind: ScopeKind,
    action: Action,
    State(control): State<C>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let scope = query::parse_scope(kind, &id)?;
    let (parts, body) = request.into_parts();
    let wish = order::read(action, body).await?;
    let expected = expected(&control, scope, &parts.headers)?;
    // In a task of its own: an order that has begun is carried out, though the operator hangs up.
    let carried_out = tokio::spawn(async move {
        Ok(match action {
            Action::Order(kind) => {
                let order = Order { kind, reason: wish.reason, by: wish.by, hold: wish.hold };
                let view = control.order(scope, order, expected).await?;
                tagged(Generation(view.generation), &view)
            }
            Action::Probe => {
                let order = ProbeOrder { reason: wish.reason, by: wish.by };
                let (health, breaker) = control.probe(scope, order, expected).await?;
                let generation = Generation(breaker.generation);
                tagged(generation, &Probed { breaker, probe: health.into() })
            }
            Action::AllowPin => {
                // Only phones have the route.
                let Some(phone) = scope.phone() else { return Ok(StatusCode::NOT_FOUND.into_response()) };
                let view = control.allow_pin(phone, &PinOrder { reason: wish.reason, by: wish.by });
                tagged(Generation(view.generation), &view)
            }
        })
    });
    let answer: Result<Response, GenerationMismatch> =
        carried_out.await.map_err(|_| Problem::from(StatusCode::INTERNAL_SERVER_ERROR))?;
    answer.map_err(|mismatch| precondition_failed(mismatch.current))
}

/// The generation that the order is fenced to. Of several that the operator names it is the one that the breaker is at;
/// if the breaker moves on before the order is carried out, the order is refused still.
fn expected<C: Control>(
    control: &C,
    scope: Scope,
    headers: &HeaderMap,
) -> Result<Option<Generation>, Problem> {
    let tags = Tags::read(headers, &header::IF_MATCH)
        .map_err(|_| Problem::bad_request("If-Match: entity tags, such as \"7\", or *"))?;
    match tags {
        None | Some(Tags::Any) => Ok(None),
        Some(tags) => {
            let current = Generation(control.view(scope).generation);
            if tags.match_strongly(current) { Ok(Some(current)) } else { Err(precondition_failed(current)) }
        }
    }
}

fn precondition_failed(current: Generation) -> Problem {
    let detail = format!("the breaker is at generation {}; nothing was changed", current.0);
    Problem::new(StatusCode::PRECONDITION_FAILED, detail)
        .with_generation(current.0)
        .with_header(header::ETAG, tag_of(current))
}

fn tagged(generation: Generation, value: &impl Serialize) -> Response {
    ([(header::ETAG, tag_of(generation))], Json(value)).into_response()
}
