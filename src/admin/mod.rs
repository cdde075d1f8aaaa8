//! The admin listener: health, metrics, and the breakers to look at and to give orders to.
//!
//! [`router`] composes it. A request passes, from the outside in: `problem` (every error leaves as
//! `application/problem+json`), a net for panics, `access` (whose `Host` and `Origin`; then the token), and its handler in
//! `breakers` or `incidents`. What is behind the handlers is a seam, [`Control`], so that they are tested over real sockets without a
//! breaker.

mod access;
mod breakers;
mod control;
mod etag;
mod incidents;
mod order;
mod problem;
mod query;

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tower_http::catch_panic::CatchPanicLayer;

pub use self::access::Access;
pub use self::control::Control;
use self::order::Action;
pub(crate) use self::order::{MAX_BY_CHARS, MAX_REASON_CHARS, parse_hold};
use self::problem::Problem;
pub(crate) use self::query::is_breaker_id;
use crate::breaker::ScopeKind;

/// Asked once for each request that wants to know.
pub type Ask<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// What the admin listener stands on.
pub struct Admin<C> {
    /// The breakers.
    pub control: C,
    /// Who may do what.
    pub access: Access,
    /// Whether `/readyz` says 200; if not, why not, in words for the one who asks.
    pub ready: Ask<Result<(), String>>,
    /// The metrics in Prometheus' text format.
    pub metrics: Ask<String>,
    /// The configuration in force, without its secrets.
    pub config: Ask<Value>,
}

/// The whole admin listener as one service.
pub fn router<C: Control>(admin: Admin<C>) -> Router {
    let Admin { control, access, ready, metrics, config } = admin;
    let access = Arc::new(access);

    let mut v1 = Router::new()
        .route("/incidents", get(incidents::list::<C>))
        .route("/incidents/{id}", get(incidents::one::<C>))
        .route("/report", get(incidents::report::<C>));
    for (path, kind) in [("/breakers", ScopeKind::Phone), ("/wabas", ScopeKind::Waba)] {
        let list = move |state, query| breakers::list::<C>(kind, state, query);
        let one = move |state, id, headers| breakers::one::<C>(kind, state, id, headers);
        v1 = v1.route(path, get(list)).route(&format!("{path}/{{id}}"), get(one));
        // PINs are phones'.
        let actions =
            Action::ALL.into_iter().filter(|action| *action != Action::AllowPin || kind == ScopeKind::Phone);
        for action in actions {
            let handler = move |state, id, request| breakers::order::<C>(kind, action, state, id, request);
            v1 = v1.route(&format!("{path}/{{id}}/{}", action.name()), post(handler));
        }
    }
    let v1 = v1
        .with_state(control)
        .route("/config", get(move || std::future::ready(Json(config()))))
        // Without a fallback of its own, what is not there would be answered before the token is asked for.
        .fallback(async || Problem::from(StatusCode::NOT_FOUND))
        .layer(from_fn_with_state(access.clone(), access::ask_for_token));

    let metrics = Router::new()
        .route("/metrics", get(move || std::future::ready(exposition(metrics()))))
        // Not `layer`: merged, that would stand before every path that is not there as well.
        .route_layer(from_fn_with_state(access.clone(), access::ask_for_read_token_if_set));

    Router::new()
        .route("/healthz", get(async || Json(json!({"status": "alive"}))))
        .route("/readyz", get(move || std::future::ready(readiness(ready()))))
        .merge(metrics)
        .nest("/v1", v1)
        .layer(from_fn_with_state(access, access::refuse_strangers))
        .layer(CatchPanicLayer::custom(|_| Problem::from(StatusCode::INTERNAL_SERVER_ERROR).into_response()))
        .layer(from_fn(problem::finish))
}

fn readiness(ready: Result<(), String>) -> Response {
    match ready {
        Ok(()) => Json(json!({"status": "ready"})).into_response(),
        Err(why) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
    }
}

fn exposition(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
