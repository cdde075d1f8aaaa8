//! An app's own questions: Meta's answers to them say whose a phone is, and that is learned as they pass.
//!
//! An answer goes on as it comes, neither held back nor changed. A copy is kept as it passes, and read when all of it has
//! passed. It teaches whose a phone is and nothing else: how the phone is may have been asked at any time and for any reason.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use url::form_urlencoded;

use super::Parts;
use super::decode::{self, decoded};
use crate::body::{Passed, ResponseBody};
use crate::graph::ids::{PhoneNumberId, WabaId};
use crate::graph::route::Question;
use crate::graph::{health, numbers};

/// The most bytes of an answer that are copied. A page of a hundred phones with all their fields has some fifty thousand.
const MOST: usize = 256 * 1024;

/// Whether a question's answer can teach, by its query.
pub(super) fn may_teach<B>(question: Question, request: &Request<B>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let may = match question {
        Question::Numbers => true,
        Question::Node => query.contains("health_status"),
    };
    may && !renames(query)
}

/// Whether a query gives fields of the answer other names (`fields=country_dial_code.as(id)`): then no name says what it holds.
fn renames(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(_, mut value)| {
        if value.contains(char::is_whitespace) {
            value.to_mut().retain(|letter| !letter.is_whitespace());
        }
        value.to_ascii_lowercase().contains(".as(")
    })
}

/// Lets an answer of Meta's pass, and learns from it once it has passed whole.
pub(super) fn overhear(
    parts: &Arc<Parts>,
    node: PhoneNumberId,
    question: Question,
    answer: Response<ResponseBody>,
) -> Response<ResponseBody> {
    // No part of an answer, and no word that there is nothing new.
    if answer.status() != StatusCode::OK {
        return answer;
    }
    let (head, body) = answer.into_parts();
    let (body, copied) = body.copied(MOST);
    let codings = head.headers.get_all(header::CONTENT_ENCODING).iter();
    let codings = codings.map(|coding| (header::CONTENT_ENCODING, coding.clone())).collect();
    let breakers = parts.breakers.clone();
    parts.tasks.spawn(async move {
        if let Some(Passed::Whole(body)) = copied.end().await
            && let Some((waba, phones)) = told(node, question, &codings, &body).await
        {
            breakers.learn_numbers(waba, &phones);
        }
    });
    Response::from_parts(head, body)
}

/// What an answer says.
async fn told(
    node: PhoneNumberId,
    question: Question,
    codings: &HeaderMap,
    body: &Bytes,
) -> Option<(WabaId, Vec<PhoneNumberId>)> {
    let plain = decoded(codings, body, decode::CAP).await;
    match question {
        Question::Numbers => {
            let page = numbers::read(&plain)?;
            Some((WabaId::parse(node.as_str()).ok()?, page.phones))
        }
        Question::Node => {
            let health = health::read(StatusCode::OK.as_u16(), &plain);
            Some((health.waba_of(node)?, vec![node]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_renamed_fields_teaches_nothing() {
        let may_teach = |question, query: &str| {
            may_teach(question, &Request::get(format!("/v23.0/1?{query}")).body(()).unwrap())
        };
        for query in ["", "limit=5", "fields=id,verified_name", "fields=id%2Cthroughput.limit(5)&x=as(id)"] {
            assert!(may_teach(Question::Numbers, query), "{query}");
            assert!(!may_teach(Question::Node, query), "{query}");
            assert!(may_teach(Question::Node, &format!("{query}&fields=health_status")), "{query}");
        }
        for query in [
            "fields=country_dial_code.as(id)",
            "fields=verified_name,country_dial_code%2Eas%28id%29",
            "fields=country_dial_code.AS(id)",
            "fields=country_dial_code.limit(1)+.as+(id)",
            "fields=%63ountry_dial_code.%61s(id)&limit=1",
            "limit=1&%66ields=owner{business.as(id)}",
        ] {
            assert!(!may_teach(Question::Numbers, query), "{query}");
            assert!(!may_teach(Question::Node, &format!("fields=health_status&{query}")), "{query}");
        }
    }
}
