//! sendfuse is no open proxy: tunnels and requests for other hosts end here.

use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use http::uri::Authority;
use http::{Request, Response};
use hyper::body::Incoming;
use tower::{Layer, Service};

use crate::body::ResponseBody;
use crate::error::{ErrorKind, ProxyError};
use crate::server::{ConnectionInfo, misdirected};

/// Refuses what is for another host than `upstream`.
#[derive(Clone)]
pub(super) struct RefuseLayer {
    pub(super) connection: ConnectionInfo,
    pub(super) upstream: Authority,
}

impl<S> Layer<S> for RefuseLayer {
    type Service = Refuse<S>;

    fn layer(&self, inner: S) -> Refuse<S> {
        Refuse { around: self.clone(), inner }
    }
}

/// See [`RefuseLayer`].
#[derive(Clone)]
pub(super) struct Refuse<S> {
    around: RefuseLayer,
    inner: S,
}

impl<S> Service<Request<Incoming>> for Refuse<S>
where
    S: Service<Request<Incoming>, Response = Response<ResponseBody>, Error = ProxyError>,
{
    type Response = S::Response;
    type Error = ProxyError;
    type Future = Either<Ready<Result<S::Response, ProxyError>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        if misdirected(&request, &self.around.connection, &self.around.upstream) {
            return Either::Left(ready(Err(ErrorKind::Misdirected.into())));
        }
        Either::Right(self.inner.call(request))
    }
}
