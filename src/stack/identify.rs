//! What is this request?

use std::task::{Context, Poll};

use http::Request;
use hyper::body::Incoming;
use tower::{Layer, Service};

use crate::graph::route::{Route, route};

/// A request, and what it is.
pub(super) struct Identified {
    pub(super) route: Route,
    pub(super) request: Request<Incoming>,
}

/// Identifies each request for the service within.
#[derive(Clone, Copy)]
pub(super) struct IdentifyLayer;

impl<S> Layer<S> for IdentifyLayer {
    type Service = Identify<S>;

    fn layer(&self, inner: S) -> Identify<S> {
        Identify { inner }
    }
}

/// See [`IdentifyLayer`].
#[derive(Clone)]
pub(super) struct Identify<S> {
    inner: S,
}

impl<S: Service<Identified>> Service<Request<Incoming>> for Identify<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> S::Future {
        let route = route(request.method(), request.uri().path());
        self.inner.call(Identified { route, request })
    }
}
