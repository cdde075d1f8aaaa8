//! Passes a webhook on to the app's own endpoint, so that the app cannot tell that we were there.
//!
//! The app checks the signature over the same bytes, and it sees the headers that Meta sent, with a length and never
//! chunked: one receiver answers chunked posts with 400. What changes is `Host`, and what belongs to one connection only
//! goes: the hop-by-hop fields, and `Expect`, which we have met already. The app's answer goes back whole. No redirect is
//! followed, for a webhook is a POST; no post is repeated here, for Meta does that.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::InvalidUri;
use http::{Request, Response, Uri, Version};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;
use url::{Position, Url};

use crate::error::{BoxError, in_words};
use crate::upstream::{SetupError, clean_request, clean_response, tls_client};

/// How long the app may take, from the name look-up to the last byte of its answer.
const TIME_TO_ANSWER: Duration = Duration::from_secs(10);

/// The largest answer of an app. Meta looks at the status only.
const MAX_ANSWER: usize = 1024 * 1024;

/// Node closes idle connections after 5 s. A post that meets a closing one is lost until Meta repeats it.
const IDLE: Duration = Duration::from_secs(4);

/// The way to the app. Makes its connections when they are needed, and keeps them for a while.
pub struct Relay {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// So that an app that is down is logged once, not once a post.
    down: AtomicBool,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Relay")
    }
}

impl Relay {
    /// A relay that believes the certificates of the public web, or only those which the PEM file vouches for.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, SetupError> {
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls_client(ca_file)?).https_or_http().enable_http1();
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .http1_preserve_header_case(true)
            .build(connector.wrap_connector(http));
        Ok(Self { client, down: AtomicBool::new(false) })
    }

    /// Sends a request that came to us on to `app`, and returns its answer. `None`: there was none that was whole, in
    /// time, and of a sensible size; whether the app has seen the post is unknown.
    pub(super) async fn pass_on(
        &self,
        app: &Url,
        parts: Parts,
        body: Bytes,
    ) -> Option<Response<Full<Bytes>>> {
        let answer = timeout(TIME_TO_ANSWER, self.ask(app, parts, body)).await;
        let failure = match answer {
            Ok(Ok(answer)) => {
                if self.down.swap(false, Ordering::Relaxed) {
                    tracing::info!("the app's webhook endpoint answers again");
                }
                return Some(answer);
            }
            Ok(Err(error)) => in_words(&*error),
            Err(_) => "no answer in time".to_owned(),
        };
        if !self.down.swap(true, Ordering::Relaxed) {
            // Not the whole URL: there may be a key in it.
            let host = app.host_str().unwrap_or_default();
            tracing::warn!(host, failure, "the app's webhook endpoint does not answer; Meta will post again");
        }
        None
    }

    async fn ask(&self, app: &Url, mut parts: Parts, body: Bytes) -> Result<Response<Full<Bytes>>, BoxError> {
        parts.uri = target(app, parts.uri.query())?;
        parts.version = Version::HTTP_11;
        clean_request(&mut parts.headers);
        // The body is whole now, and goes with its length; the client writes the app's own host.
        for name in [TRANSFER_ENCODING, TRAILER, TE, EXPECT, HOST] {
            parts.headers.remove(name);
        }

        let (mut parts, body) =
            self.client.request(Request::from_parts(parts, Full::new(body))).await?.into_parts();
        parts.version = Version::HTTP_11;
        clean_response(&mut parts.headers);
        parts.headers.remove(TRAILER);
        let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
        Ok(Response::from_parts(parts, Full::new(body)))
    }
}

/// The app's URL, with the query that came added to its own. A password in it is left out: it is no header of Meta's.
fn target(app: &Url, query: Option<&str>) -> Result<Uri, InvalidUri> {
    let mut target = format!("{}://{}", app.scheme(), &app[Position::BeforeHost..Position::AfterPath]);
    let queries = app.query().into_iter().chain(query).filter(|query| !query.is_empty());
    for (query, sign) in queries.zip(['?', '&']) {
        target.push(sign);
        target.push_str(query);
    }
    Uri::try_from(target)
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn queries_are_added_as_they_came() {
        for (app, query, expected) in [
            ("http://app:3000", None, "http://app:3000/"),
            ("http://app/hook", Some("a=%2f&b=x+y"), "http://app/hook?a=%2f&b=x+y"),
            ("https://app/hook?key=1", Some("a=b"), "https://app/hook?key=1&a=b"),
            ("https://app/hook?key=1", None, "https://app/hook?key=1"),
            ("https://app/hook?", Some(""), "https://app/hook"),
            ("https://user:pw@app:8443/h%C3%BC#x", None, "https://app:8443/h%C3%BC"),
            ("http://[::1]:3000/x", None, "http://[::1]:3000/x"),
        ] {
            assert_eq!(target(&Url::parse(app).unwrap(), query).unwrap(), expected);
        }
    }

    #[test]
    fn a_ca_file_is_used_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        assert!(Relay::new(Some(&path)).unwrap_err().to_string().contains("ca.pem"));
        std::fs::write(&path, "rubbish").unwrap();
        assert!(Relay::new(Some(&path)).unwrap_err().to_string().contains("no certificate"));
        let ca = rcgen::generate_simple_self_signed(["app.example".to_owned()]).unwrap();
        std::fs::write(&path, ca.cert.pem()).unwrap();
        assert!(Relay::new(Some(&path)).is_ok());
        assert!(Relay::new(None).is_ok());
    }
}
