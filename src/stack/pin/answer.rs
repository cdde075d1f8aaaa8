//! What Meta answered to a PIN, and as much of it as may be kept.

use bytes::Bytes;
use http::{header, response};

use crate::graph::answer;
use crate::graph::pin::{Pin, Verdict, verdict};
use crate::pin::{MetaError, MetaWords};
use crate::stack::gate::decode::{self, decoded};
use crate::stack::gate::observe::cut;
use crate::time::Timestamp;

/// The longest answer that is kept, in bytes. Meta's have some 400.
const MOST_KEPT: usize = 2048;

/// The verdict of an answer that came at `at`, and the error that it is, if it is one.
pub(super) async fn judge(
    head: &response::Parts,
    data: &Bytes,
    is_whole: bool,
    pin: &Pin,
    at: Timestamp,
) -> (Verdict, Option<MetaError>) {
    let plain = decoded(&head.headers, data, decode::CAP).await;
    // What is not what its Content-Encoding says may be plain.
    let (text, answer) = match answer::read(&plain) {
        Some(answer) => (&*plain, Some(answer)),
        None => (&data[..], answer::read(data)),
    };
    let error = answer.and_then(|answer| answer.error);
    let verdict = verdict(is_whole && head.status.is_success(), error.as_ref());
    let error = error.map(|error| {
        let words = (text.len() <= MOST_KEPT && !pin.is_in(text)).then(|| MetaWords {
            message: cut(&error.message),
            body: text.to_vec(),
            content_type: head.headers.get(header::CONTENT_TYPE).cloned(),
        });
        MetaError { status: head.status, code: error.code, at, words }
    });
    (verdict, error)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Response, StatusCode};

    use super::*;
    use crate::graph::pin;

    const REFUSED: &str =
        r#"{"error":{"message":"(#133005) Two step verification PIN Mismatch","code":133005}}"#;

    async fn judged(status: u16, body: &str, is_whole: bool) -> (Verdict, Option<MetaError>) {
        let (mut head, ()) = Response::new(()).into_parts();
        head.status = StatusCode::from_u16(status).unwrap();
        head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/javascript"));
        let pin = pin::read(None, Some("pin=482913"), b"").unwrap();
        judge(&head, &Bytes::from(body.to_owned()), is_whole, &pin, Timestamp::from_seconds(7)).await
    }

    #[tokio::test]
    async fn what_is_whole_and_no_error_is_a_success() {
        for (status, body, is_whole, expected) in [
            (200, r#"{"success":true}"#, true, Verdict::Accepted),
            (200, "", true, Verdict::Accepted),
            (200, r#"{"succ"#, false, Verdict::Nothing),
            (500, "", true, Verdict::Nothing),
            (400, REFUSED, true, Verdict::Refused),
            (200, REFUSED, true, Verdict::Refused),
            (400, REFUSED, false, Verdict::Refused),
            (400, &REFUSED[..60], false, Verdict::Nothing),
        ] {
            assert_eq!(judged(status, body, is_whole).await.0, expected, "{status} {body}");
        }
    }

    #[tokio::test]
    async fn words_are_kept_unless_they_are_long_or_tell_the_pin() {
        let words = |body: String| async move { judged(400, &body, true).await.1.unwrap().words };
        let kept = words(REFUSED.to_owned()).await.unwrap();
        assert_eq!(
            (kept.body, kept.message),
            (REFUSED.into(), "(#133005) Two step verification PIN Mismatch".into())
        );
        assert_eq!(kept.content_type.unwrap(), "text/javascript");
        assert_eq!(words(REFUSED.replace("Mismatch", "482913 is wrong")).await, None);
        assert_eq!(words(REFUSED.replace("Mismatch", &"x".repeat(MOST_KEPT))).await, None);
    }
}
