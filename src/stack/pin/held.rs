//! The answer to a PIN that does not go out.

use http::{HeaderName, HeaderValue, Response, header};

use crate::body::ResponseBody;
use crate::graph::ids::PhoneNumberId;
use crate::pin::{Held, Why};
use crate::stack::own::{JSON, NEXT_CHECK, PROXY_STATUS, REASON};

/// Why: `refused`, `held`, `wait`. On these answers only, so that nobody takes them for a breaker's.
const PIN: HeaderName = HeaderName::from_static("x-sendfuse-pin");

/// Meta's own last words for a PIN that it has refused; else its error with what to do in the details.
pub(super) fn response(held: &Held, phone: PhoneNumberId, request_id: &str) -> Response<ResponseBody> {
    let (body, content_type) = match held.meta() {
        Some(words) => (words.body.clone(), words.content_type.clone()),
        None => (held.body(phone, request_id), Some(JSON)),
    };
    let mut response = Response::new(ResponseBody::full(body));
    *response.status_mut() = held.error.status;
    let headers = response.headers_mut();
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    let why = match held.why {
        Why::Refused => "refused",
        Why::Attempts(_) => "held",
        Why::Wait(seconds) => {
            headers.insert(NEXT_CHECK, seconds.into());
            "wait"
        }
    };
    headers.insert(PIN, HeaderValue::from_static(why));
    // RFC 9209: by a rule of ours, and not for want of Meta.
    headers.insert(PROXY_STATUS, HeaderValue::from_static("sendfuse; error=http_request_denied"));
    if let Ok(reason) = HeaderValue::from_str(&format!("{}; source=response", held.error.code)) {
        headers.insert(REASON, reason);
    }
    response
}
