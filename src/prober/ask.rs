//! One question to Meta: `GET /{version}/{node}?fields=health_status`, and what the answer means.
//!
//! About a phone the phone is asked, not its WABA: only then does the answer name the phone beside WABA, BUSINESS and APP. About an account
//! the account is asked.

use std::future::Future;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use secrecy::ExposeSecret;

use super::tokens::Token;
use crate::error::{BoxError, ProxyError};
use crate::graph::health::{self, Health, Unknown};

/// The largest health answer, in bytes. Meta's have one or two thousand.
const MAX_ANSWER: usize = 64 * 1024;

/// The way to Meta.
pub trait Ask: Send + Sync + 'static {
    /// What an answer's body comes in.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send;

    /// Sends a request that has no body. Its target is a path and a query. Dropped: the request is given up.
    fn ask(
        &self,
        request: Request<()>,
    ) -> impl Future<Output = Result<Response<Self::Body>, ProxyError>> + Send;
}

/// Asks Meta how a phone or an account is. Takes as long as it takes.
pub(super) async fn health_of(upstream: &impl Ask, node: &str, token: &Token) -> Health {
    let Ok(request) = request(node, token) else {
        // A token with a line break in it is no token.
        return Health::Unknown(Unknown::NoToken);
    };
    let response = match upstream.ask(request).await {
        Ok(response) => response,
        Err(error) => {
            tracing::debug!(node, error = error.kind.name(), "a probe got no answer");
            return Health::Unknown(Unknown::NoAnswer);
        }
    };
    let status = response.status().as_u16();
    match Limited::new(response.into_body(), MAX_ANSWER).collect().await {
        Ok(body) => health::read(status, &body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Health::Unknown(Unknown::Unreadable),
        Err(_) => Health::Unknown(Unknown::NoAnswer),
    }
}

/// No `accept-encoding`: the answer is to come as it is.
fn request(node: &str, token: &Token) -> Result<Request<()>, http::Error> {
    let mut target = format!("/{}/{node}?fields=health_status", token.version());
    if let Some(proof) = token.proof() {
        target.push_str("&appsecret_proof=");
        target.push_str(proof.expose_secret());
    }
    let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.secret().expose_secret()))?;
    authorization.set_sensitive(true);
    Request::get(target).header(AUTHORIZATION, authorization).header(ACCEPT, "application/json").body(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use futures_util::stream;
    use http::{HeaderMap, Method, Uri};
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::super::{TokenSettings, Tokens};
    use super::*;
    use crate::error::ErrorKind;
    use crate::graph::ids::PhoneNumberId;

    type Frames = Vec<Result<Frame<Bytes>, &'static str>>;

    /// Answers once, and keeps what it was asked.
    #[derive(Default)]
    struct Meta {
        answer: Mutex<Option<(u16, Frames)>>,
        asked: Mutex<Option<Request<()>>>,
    }

    impl Ask for Meta {
        type Body = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, &'static str>>>>;

        async fn ask(&self, request: Request<()>) -> Result<Response<Self::Body>, ProxyError> {
            *self.asked.lock().unwrap() = Some(request);
            let answer = self.answer.lock().unwrap().take();
            let (status, frames) = answer.ok_or(ErrorKind::UpstreamUnreachable)?;
            Ok(Response::builder().status(status).body(StreamBody::new(stream::iter(frames))).unwrap())
        }
    }

    fn phone() -> PhoneNumberId {
        PhoneNumberId::parse("106540352242922").unwrap()
    }

    fn token(text: &str) -> Token {
        let tokens = HashMap::from([(phone().to_string(), text.into())]);
        Tokens::new(TokenSettings { tokens, borrow: false }).for_phone(phone(), None).unwrap()
    }

    async fn health(status: u16, frames: Frames) -> Health {
        let meta = Meta { answer: Mutex::new(Some((status, frames))), ..Meta::default() };
        health_of(&meta, phone().as_str(), &token("EAAG")).await
    }

    fn frames(parts: &[&str]) -> Frames {
        parts.iter().map(|part| Ok(Frame::data(Bytes::copy_from_slice(part.as_bytes())))).collect()
    }

    #[tokio::test]
    async fn asks_the_phone_and_nothing_more() {
        let meta = Meta::default();
        let tokens = Tokens::new(TokenSettings { borrow: true, ..TokenSettings::default() });
        let proof = "0a".repeat(32);
        let uri = Uri::try_from(format!("/v21.0/1/messages?x=y&appsecret_proof={proof}&access_token=EAAG"))
            .unwrap();
        tokens.learn(phone(), &uri, None);
        health_of(&meta, phone().as_str(), &tokens.for_phone(phone(), None).unwrap()).await;
        let (asked, ()) = meta.asked.lock().unwrap().take().unwrap().into_parts();
        assert_eq!(asked.method, Method::GET);
        let target = format!("/v21.0/106540352242922?fields=health_status&appsecret_proof={proof}");
        assert_eq!(asked.uri, target.as_str());
        let headers = [(AUTHORIZATION, "Bearer EAAG"), (ACCEPT, "application/json")];
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        assert_eq!(asked.headers, HeaderMap::from_iter(headers));
        assert!(!format!("{:?}", asked.headers).contains("EAAG"));
    }

    #[tokio::test]
    async fn an_answer_may_come_in_pieces() {
        let parts = [
            r#"{"health_status":{"entities":[{"entity_type":"WABA","can_send"#,
            r#"_message":"BLOCKED"}]}}"#,
        ];
        assert!(matches!(health(200, frames(&parts)).await, Health::Blocked(_)));
    }

    #[tokio::test]
    async fn what_is_not_a_health_answer_is_unknown() {
        let mut broken = frames(&["{"]);
        broken.push(Err("reset"));
        let endless = frames(&["x".repeat(40 * 1024).as_str(); 2]);
        for (status, frames, expected) in [
            (200, broken, Unknown::NoAnswer),
            (200, endless, Unknown::Unreadable),
            (200, frames(&["<html>"]), Unknown::Unreadable),
            (400, frames(&[r#"{"error":{"message":"","code":190}}"#]), Unknown::TokenInvalid),
            (400, frames(&[r#"{"error":{"message":"","code":10}}"#]), Unknown::NotPermitted),
            (400, frames(&[r#"{"error":{"message":"","code":80007}}"#]), Unknown::RateLimited),
            (502, frames(&["bad gateway"]), Unknown::Failed),
        ] {
            assert_eq!(health(status, frames).await, Health::Unknown(expected));
        }
    }

    #[tokio::test]
    async fn no_connection_is_no_answer() {
        let health = health_of(&Meta::default(), phone().as_str(), &token("EAAG")).await;
        assert_eq!(health, Health::Unknown(Unknown::NoAnswer));
    }

    #[tokio::test]
    async fn a_token_that_no_header_can_hold_is_no_token() {
        let meta = Meta::default();
        let health = health_of(&meta, phone().as_str(), &token("EAAG\nX-Evil: 1")).await;
        assert_eq!(health, Health::Unknown(Unknown::NoToken));
        assert!(meta.asked.lock().unwrap().is_none());
    }
}
