//! Errors as RFC 9457 problems. No error leaves the admin listener in another shape.
//!
//! A handler answers with a [`Problem`]; [`finish`], the outermost layer, writes its body. It also rewrites what the HTTP
//! library refuses by itself (no such path, wrong method, an unreadable path), which would be plain text or empty.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// What went wrong, for the one who asked.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: Cow<'static, str>,
    generation: Option<u64>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem with one sentence of detail.
    pub(crate) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into(), generation: None, header: None }
    }

    /// 400 with one sentence of detail.
    pub(crate) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// With this header as well; one at most.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// With the generation that the breaker is at, for a caller who expected another one.
    pub(crate) fn with_generation(mut self, generation: u64) -> Self {
        self.generation = Some(generation);
        self
    }
}

impl From<StatusCode> for Problem {
    fn from(status: StatusCode) -> Self {
        let detail = match status {
            StatusCode::BAD_REQUEST => "the request is malformed",
            StatusCode::NOT_FOUND => "there is nothing at this path",
            StatusCode::METHOD_NOT_ALLOWED => "this path does not take this method",
            StatusCode::INTERNAL_SERVER_ERROR => "a fault inside sendfuse",
            _ => "the request was refused",
        };
        Self::new(status, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let mut response = self.status.into_response();
        if let Some((name, value)) = self.header.take() {
            response.headers_mut().insert(name, value);
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Serialize)]
struct Written<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
}

/// The outermost layer: writes errors as problems, and sets the headers that every answer carries.
pub(crate) async fn finish(request: Request, next: Next) -> Response {
    // The path only: a query may hold what is nobody's business.
    let instance = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        let problem = response.extensions_mut().remove::<Problem>().unwrap_or_else(|| status.into());
        write(&mut response, &problem, &instance);
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn write(response: &mut Response, problem: &Problem, instance: &str) {
    let status = response.status();
    let written = Written {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: &problem.detail,
        instance,
        generation: problem.generation,
    };
    *response.body_mut() = Body::from(serde_json::to_vec(&written).unwrap_or_default());
    let json = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
}
