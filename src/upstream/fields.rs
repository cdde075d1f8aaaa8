//! Which header fields are of one hop, and go.
//!
//! RFC 9110 §7.6.1: `Connection` and the fields that it names, `Keep-Alive`, `Proxy-Connection`, `Upgrade`;
//! `Proxy-Authorization` and `Proxy-Authenticate` (§11.7: between a client and *its* proxy, which is not Meta);
//! `TE`, but for `trailers`, which we do carry; and `Alt-Svc` of answers, because Meta's h3 is not ours. `Trailer` stays: it
//! describes the message.
//!
//! A `Connection` field cannot take away what the message means or how long it is: `Host`, `Authorization` and `Content-*` stay
//! whatever it names (§7.6.1 forbids naming them).

use http::header::{
    ALT_SVC, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Whether a request's body is framed in the one way that everybody reads alike: by its length, or by one `chunked`.
pub(super) fn is_plainly_framed(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    codings.next().is_none_or(|coding| is(coding, b"chunked")) && codings.next().is_none()
}

/// Takes one hop's fields from a request.
///
/// `Transfer-Encoding` stays: it is `chunked` (see [`is_plainly_framed`]), and the client that writes the body again frames it
/// by this field (or drops it, over HTTP/2).
pub(crate) fn clean_request(headers: &mut HeaderMap) {
    clean(headers);
    headers.remove(PROXY_AUTHORIZATION);
    if headers.contains_key(TE) {
        if headers.get_all(TE).iter().any(wants_trailers) {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        } else {
            headers.remove(TE);
        }
    }
}

/// Takes one hop's fields from an answer.
pub(crate) fn clean_response(headers: &mut HeaderMap) {
    clean(headers);
    headers.remove(ALT_SVC);
    headers.remove(PROXY_AUTHENTICATE);
    headers.remove(TE);
    if headers.remove(TRANSFER_ENCODING).is_some() {
        // RFC 9112 §6.3: the encoding overrides the length, and who passes such a message on removes the length.
        headers.remove(CONTENT_LENGTH);
    }
}

fn clean(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        for name in named(headers) {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    headers.remove(KEEP_ALIVE);
    headers.remove(PROXY_CONNECTION);
    headers.remove(UPGRADE);
}

/// The fields that `Connection` names and that may be taken away.
fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        // The common values name nothing that is not handled anyway.
        .filter(|value| !is(value, b"keep-alive") && !is(value, b"close"))
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| {
            *name != HOST
                && *name != AUTHORIZATION
                && *name != TE
                && *name != TRANSFER_ENCODING
                && !name.as_str().starts_with("content-")
        })
        .collect()
}

fn is(value: &HeaderValue, token: &[u8]) -> bool {
    value.as_bytes().eq_ignore_ascii_case(token)
}

fn wants_trailers(te: &HeaderValue) -> bool {
    te.as_bytes()
        .split(|byte| *byte == b',')
        .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn fields_of_one_hop_go() {
        let mut headers = map(&[
            ("connection", "close, X-Private"),
            ("connection", "x-other"),
            ("x-private", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic eA=="),
            ("te", "gzip"),
            ("upgrade", "h2c"),
            ("trailer", "x-sum"),
            ("x-kept", "1"),
        ]);
        clean_request(&mut headers);
        assert_eq!(names(&headers), ["trailer", "x-kept"]);
    }

    #[test]
    fn connection_takes_neither_meaning_nor_length() {
        let mut headers = map(&[
            ("connection", "authorization, content-length, content-type, host, transfer-encoding"),
            ("authorization", "Bearer x"),
            ("content-length", "2"),
            ("content-type", "application/json"),
            ("host", "a"),
        ]);
        clean_request(&mut headers);
        assert_eq!(names(&headers), ["authorization", "content-length", "content-type", "host"]);
    }

    #[test]
    fn of_te_only_trailers_stays() {
        let mut headers = map(&[("connection", "TE"), ("te", "gzip, trailers")]);
        clean_request(&mut headers);
        assert_eq!(headers, map(&[("te", "trailers")]));
    }

    #[test]
    fn an_answers_length_yields_to_its_encoding() {
        let mut headers = map(&[
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("alt-svc", "h3=\":443\""),
            ("etag", "\"x\""),
        ]);
        clean_response(&mut headers);
        assert_eq!(names(&headers), ["etag"]);
    }
}
