//! The send path as one tower stack; [`SendPath::service`] composes it, in the order in which a request meets it.

mod gate;
mod identify;
mod own;
mod pin;
mod refuse;
mod rescue;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use http::uri::Authority;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceBuilder};

pub use gate::Rejecting;

use crate::body::{RequestBody, ResponseBody};
use crate::breakers::Breakers;
use crate::error::ProxyError;
use crate::prober::Tokens;
use crate::server::ConnectionInfo;
use crate::telemetry::Telemetry;
use crate::upstream::{Sending, Upstream};

use gate::GateLayer;
use identify::IdentifyLayer;
use own::RequestIds;
use refuse::RefuseLayer;
use rescue::{RescueLayer, Rescuer};

/// What all connections of the send path share.
#[derive(Clone)]
pub struct SendPath {
    parts: Arc<gate::Parts>,
    rescuer: Arc<Rescuer>,
    upstream: Graph,
}

impl SendPath {
    /// A send path to `upstream`, which can be exchanged while it runs.
    pub fn new(
        upstream: Arc<ArcSwap<Upstream>>,
        breakers: Breakers,
        tokens: Arc<Tokens>,
        telemetry: Telemetry,
        rejecting: Rejecting,
    ) -> Self {
        let ids = Arc::new(RequestIds::new());
        let parts = gate::Parts {
            breakers,
            tokens,
            telemetry,
            rejecting: ArcSwap::from_pointee(rejecting),
            ids: Arc::clone(&ids),
            tasks: TaskTracker::new(),
            places: Arc::new(Semaphore::new(gate::hangup::MOST)),
        };
        let rescuer = Arc::new(Rescuer::new(ids));
        Self { parts: Arc::new(parts), rescuer, upstream: Graph(upstream) }
    }

    /// The service of one connection.
    pub fn service(
        &self,
        connection: ConnectionInfo,
    ) -> impl Service<
        Request<Incoming>,
        Response = Response<ResponseBody>,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static {
        ServiceBuilder::new()
            // Outermost, so that whatever fails within, even by panic, is answered whole and in Graph's shape.
            .layer(RescueLayer(Arc::clone(&self.rescuer)))
            // Before anything looks at the path: a request for another host has nothing to do with ours.
            .layer(RefuseLayer { connection, upstream: self.upstream.authority() })
            .layer(IdentifyLayer)
            // Innermost: what it admits is on its way.
            .layer(GateLayer(Arc::clone(&self.parts)))
            .service(self.upstream.clone())
    }

    /// Rejects another way from now on.
    pub fn reload(&self, rejecting: Rejecting) {
        self.parts.rejecting.store(Arc::new(rejecting));
    }

    /// Waits for the verdicts of sends whose app has hung up. To be called once no connection is open.
    pub async fn finish(&self) {
        self.parts.tasks.close();
        self.parts.tasks.wait().await;
    }
}

/// Upstream, exchangeable while running.
#[derive(Clone)]
struct Graph(Arc<ArcSwap<Upstream>>);

impl Graph {
    fn authority(&self) -> Authority {
        self.0.load().authority().clone()
    }
}

impl Service<Request<RequestBody>> for Graph {
    type Response = Response<ResponseBody>;
    type Error = ProxyError;
    type Future = Sending;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Sending {
        self.0.load().send(request)
    }
}
