//! One call to the admin API: bounded in time and size, and every failure is one sentence.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, IF_MATCH, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::environment::Environment;
use super::exit;

/// Where the admin API is when nobody says otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:8082";
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Why a command could not be carried out: one line for stderr, and the exit code.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: u8,
    pub(super) line: String,
}

impl Failure {
    /// Something outside went wrong.
    pub(super) fn failed(line: impl Into<String>) -> Self {
        Self { code: exit::FAILED, line: line.into() }
    }

    /// The caller did.
    pub(super) fn usage(line: impl Into<String>) -> Self {
        Self { code: exit::USAGE, line: line.into() }
    }
}

/// What to ask for.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Segments of the path below `/v1`.
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, &'a str)],
    /// JSON.
    pub(super) body: Option<String>,
    pub(super) if_match: Option<u64>,
    /// How long the whole call may take.
    pub(super) within: Duration,
}

/// The admin API of one sendfuse.
pub(super) struct AdminApi {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: Url,
    authorization: Option<HeaderValue>,
}

#[derive(Deserialize)]
struct Problem {
    detail: String,
}

impl AdminApi {
    /// Prepares calls; makes none. Fails if the URL is none, or the token cannot be had.
    pub(super) fn new(url: Option<&str>, environment: &Environment) -> Result<Self, Failure> {
        let base = base_url(url.or(environment.admin_url.as_deref()).unwrap_or(DEFAULT_URL))?;
        let authorization = match token(environment)? {
            Some(token) => {
                let mut value =
                    HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).map_err(|_| {
                        Failure::usage("the admin token has characters that no HTTP header can carry")
                    })?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::aws_lc_rs::default_provider())
            .map_err(|error| Failure::failed(format!("TLS cannot be set up: {error}")))?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), base, authorization })
    }

    /// The body of a 200. Everything else is a failure.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Bytes, Failure> {
        let within = call.within;
        let request = self.request(call)?;
        let answered = tokio::time::timeout(within, async {
            let response = self.client.request(request).await.map_err(|error| self.unreachable(&error))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| self.unreachable(&*error))?.to_bytes();
            Ok::<_, Failure>((parts.status, body))
        });
        let (status, body) = answered.await.map_err(|_| {
            let seconds = within.as_secs();
            Failure::failed(format!("the admin API at {} did not answer within {seconds} s", self.shown()))
        })??;
        if status == StatusCode::OK { Ok(body) } else { Err(self.refused(status, &body)) }
    }

    /// The failure of an answer that cannot be sendfuse's.
    pub(super) fn not_ours(&self) -> Failure {
        Failure::failed(format!("{} does not answer as sendfuse's admin API does", self.shown()))
    }

    fn request(&self, call: Call<'_>) -> Result<Request<Full<Bytes>>, Failure> {
        let mut url = self.base.clone();
        url.path_segments_mut().map_err(|()| not_a_url())?.pop_if_empty().push("v1").extend(call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        let mut request = Request::builder()
            .method(call.method)
            .uri(url.as_str())
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("sendfuse/", env!("CARGO_PKG_VERSION")));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(generation) = call.if_match {
            request = request.header(IF_MATCH, format!("\"{generation}\""));
        }
        if call.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request.body(Full::from(call.body.unwrap_or_default())).map_err(|_| not_a_url())
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        // The outer layers only say that connecting failed; the innermost says why.
        let mut cause = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let line = format!(
            "the admin API at {} cannot be reached: {cause}. Is sendfuse running? --admin-url or SENDFUSE_ADMIN_URL says where",
            self.shown()
        );
        Failure::failed(line)
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> Failure {
        let Ok(Problem { detail }) = serde_json::from_slice(body) else {
            return self.not_ours();
        };
        Failure::failed(if status == StatusCode::UNAUTHORIZED {
            format!("{detail}: set SENDFUSE_ADMIN_TOKEN or SENDFUSE_ADMIN_TOKEN_FILE")
        } else {
            detail
        })
    }

    /// Without what could be secret in a URL.
    fn shown(&self) -> String {
        self.base.origin().ascii_serialization()
    }
}

fn base_url(text: &str) -> Result<Url, Failure> {
    let url = Url::parse(text).map_err(|_| not_a_url())?;
    let good = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if good { Ok(url) } else { Err(not_a_url()) }
}

fn not_a_url() -> Failure {
    Failure::usage("the admin URL is http:// or https://, a host, and perhaps a port and a path")
}

fn token(environment: &Environment) -> Result<Option<SecretString>, Failure> {
    match (&environment.admin_token, &environment.admin_token_file) {
        (Some(_), Some(_)) => {
            Err(Failure::usage("SENDFUSE_ADMIN_TOKEN and SENDFUSE_ADMIN_TOKEN_FILE are both set: leave one"))
        }
        (Some(token), None) => Ok(Some(token.clone())),
        (None, Some(file)) => {
            let token = std::fs::read_to_string(file).map_err(|error| {
                Failure::usage(format!(
                    "SENDFUSE_ADMIN_TOKEN_FILE: {} cannot be read: {error}",
                    file.display()
                ))
            })?;
            match token.trim() {
                "" => Err(Failure::usage(format!("SENDFUSE_ADMIN_TOKEN_FILE: {} is empty", file.display()))),
                token => Ok(Some(SecretString::from(token))),
            }
        }
        (None, None) => Ok(None),
    }
}
