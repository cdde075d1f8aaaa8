//! The questions to Meta: how a phone or an account is (`GET /{version}/{node}?fields=health_status`), and which phones an account has
//! (`GET /{version}/{waba}/phone_numbers`), and what the answers mean.
//!
//! For its health a phone is asked, not its WABA: only then does the answer name the phone beside WABA, BUSINESS and APP.

use std::future::Future;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use secrecy::ExposeSecret;
use url::form_urlencoded::byte_serialize;

use super::tokens::Token;
use crate::error::{BoxError, ProxyError};
use crate::graph::health::{self, Health, Unknown};
use crate::graph::ids::{PhoneNumberId, WabaId};
use crate::graph::numbers::{self, Numbers};

/// The largest answer, in bytes. Meta's have some thousand.
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
    let Ok(request) = request(&format!("{node}?fields=health_status"), token) else {
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

/// The most pages of an account's phones that are asked for, and the phones on each.
const MAX_PAGES: usize = 20;
const PAGE: usize = 100;

/// Asks Meta which phones an account has. `None`: nothing was learned. What is found may not be all, where a later page fails
/// or there are more pages than are asked for. Takes as long as it takes.
///
/// The pages are followed by their cursors, in a path of our own: where an answer's `paging.next` leads, the token is not sent.
pub async fn numbers_of(upstream: &impl Ask, waba: WabaId, token: &Token) -> Option<Vec<PhoneNumberId>> {
    let first = format!("{waba}/phone_numbers?fields=id&limit={PAGE}");
    let (mut phones, mut target) = (None, first.clone());
    for _ in 0..MAX_PAGES {
        let Some(page) = page(upstream, &target, token).await else { break };
        phones.get_or_insert_with(Vec::new).extend(page.phones);
        let Some(after) = page.after else { break };
        target = format!("{first}&after=");
        target.extend(byte_serialize(after.as_bytes()));
    }
    phones
}

async fn page(upstream: &impl Ask, target: &str, token: &Token) -> Option<Numbers> {
    let response = upstream.ask(request(target, token).ok()?).await.ok()?;
    if response.status() != StatusCode::OK {
        return None;
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.ok()?;
    numbers::read(&body.to_bytes())
}

/// A question, with what lets us ask it. `target`: its path without the version, and its query. No `accept-encoding`: the answer
/// is to come as it is.
fn request(target: &str, token: &Token) -> Result<Request<()>, http::Error> {
    let mut target = format!("/{}/{target}", token.version());
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
    use std::collections::{HashMap, VecDeque};
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

    /// Answers so often, and keeps what it was asked.
    #[derive(Default)]
    struct Meta {
        answers: Mutex<VecDeque<(u16, Frames)>>,
        asked: Mutex<Vec<Request<()>>>,
    }

    impl Ask for Meta {
        type Body = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, &'static str>>>>;

        async fn ask(&self, request: Request<()>) -> Result<Response<Self::Body>, ProxyError> {
            self.asked.lock().unwrap().push(request);
            let answer = self.answers.lock().unwrap().pop_front();
            let (status, frames) = answer.ok_or(ErrorKind::UpstreamUnreachable)?;
            Ok(Response::builder().status(status).body(StreamBody::new(stream::iter(frames))).unwrap())
        }
    }

    fn meta(answers: impl Into<VecDeque<(u16, Frames)>>) -> Meta {
        Meta { answers: Mutex::new(answers.into()), ..Meta::default() }
    }

    fn phone() -> PhoneNumberId {
        PhoneNumberId::parse("106540352242922").unwrap()
    }

    fn token(text: &str) -> Token {
        let tokens = HashMap::from([(phone().to_string(), text.into())]);
        Tokens::new(TokenSettings { tokens, borrow: false }).for_phone(phone(), None).unwrap()
    }

    async fn health(status: u16, frames: Frames) -> Health {
        let meta = meta([(status, frames)]);
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
        let (asked, ()) = meta.asked.lock().unwrap().remove(0).into_parts();
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
        assert_eq!(numbers_of(&meta, waba(), &token("EAAG\nX-Evil: 1")).await, None);
        assert!(meta.asked.lock().unwrap().is_empty());
    }

    fn waba() -> WabaId {
        WabaId::parse("102290129340398").unwrap()
    }

    /// A page with one phone.
    fn page(phone: usize, after: &str) -> (u16, Frames) {
        let paging = format!(r#"{{"cursors":{{"after":"{after}"}},"next":"https://evil.example/"}}"#);
        let paging = if after.is_empty() { "null" } else { &paging };
        (200, frames(&[&format!(r#"{{"data":[{{"id":"{phone}"}}],"paging":{paging}}}"#)]))
    }

    async fn numbers(meta: &Meta) -> Option<Vec<String>> {
        let phones = numbers_of(meta, waba(), &token("EAAG")).await;
        phones.map(|phones| phones.iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn pages_are_followed_by_their_cursors_alone() {
        let meta = meta([page(1, "Q=="), page(2, "a&access_token=x#/?%"), page(3, "")]);
        assert_eq!(numbers(&meta).await.unwrap(), ["1", "2", "3"]);
        let asked = meta.asked.lock().unwrap();
        let first = "/v23.0/102290129340398/phone_numbers?fields=id&limit=100";
        let targets: Vec<String> = asked.iter().map(|request| request.uri().to_string()).collect();
        let encoded = "a%26access_token%3Dx%23%2F%3F%25";
        assert_eq!(
            targets,
            [first.to_owned(), format!("{first}&after=Q%3D%3D"), format!("{first}&after={encoded}")]
        );
        assert!(asked.iter().all(|request| request.headers()[AUTHORIZATION] == "Bearer EAAG"));
    }

    #[tokio::test]
    async fn pages_without_an_end_are_given_up() {
        let meta = meta((0..100).map(|phone| page(phone, "again")).collect::<VecDeque<_>>());
        assert_eq!(numbers(&meta).await.unwrap().len(), MAX_PAGES);
        assert_eq!(meta.asked.lock().unwrap().len(), MAX_PAGES);
    }

    #[tokio::test]
    async fn what_was_found_before_a_page_failed_is_kept() {
        let error = || frames(&[r#"{"error":{"message":"","code":190}}"#]);
        let long = || frames(&[&format!(r#"{{"data":[{{"id":"1"}}],"x":"{}"}}"#, "x".repeat(MAX_ANSWER))]);
        let mut broken = frames(&[r#"{"data":[{"id":"1"}]}"#]);
        broken.push(Err("reset"));
        for bad in [(401, error()), (200, error()), (500, page(2, "").1), (200, long()), (200, broken)] {
            let after_a_good_one = meta([page(1, "A"), (bad.0, clone(&bad.1)), page(3, "")]);
            assert_eq!(numbers(&after_a_good_one).await.unwrap(), ["1"]);
            assert_eq!(numbers(&meta([bad])).await, None);
        }
        assert_eq!(numbers(&meta([])).await, None, "no connection");
    }

    fn clone(frames: &Frames) -> Frames {
        let copy = |frame: &Result<Frame<Bytes>, _>| match frame {
            Ok(frame) => Ok(Frame::data(frame.data_ref().unwrap().clone())),
            Err(error) => Err(*error),
        };
        frames.iter().map(copy).collect()
    }
}
