//! What a request is, by its method and path.

use std::borrow::Cow;

use http::Method;

use super::ids::PhoneNumberId;

pub use super::receipt::is_read_receipt;

/// What a request is to the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// A request that makes Meta send a message, unless its body says that it is a read receipt.
    Send {
        /// The phone that sends.
        phone: PhoneNumberId,
        /// Which of the sending edges.
        endpoint: Endpoint,
    },
    /// A call that can carry a two-step PIN: its body says whether it does.
    Pin {
        /// The phone that the PIN is of, if there is one in it. (Else it may be any node.)
        phone: PhoneNumberId,
        /// Which call.
        call: PinCall,
    },
    /// A question whose answer may say whose a phone is; else a call as any other on a node.
    Asks {
        /// The node that is asked.
        node: PhoneNumberId,
        /// What.
        question: Question,
    },
    /// Any other call on a node (`/{version}?/{digits}[/...]`); tokens are borrowed from these too.
    Node(PhoneNumberId),
    /// Everything else.
    Other,
}

/// The edges that send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/messages`: also takes read receipts.
    Messages,
    /// `/marketing_messages`
    MarketingMessages,
    /// `/messages_encrypted`: bodies are opaque both ways.
    MessagesEncrypted,
}

/// The calls that carry PINs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PinCall {
    /// `POST /{phone}/register`: the PIN has to match the one that Meta has, if it has one.
    Register,
    /// `POST /{phone}`: sets the PIN, and needs no old one.
    Set,
}

/// The questions whose answers say whose a phone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// `GET /{waba}/phone_numbers`
    Numbers,
    /// `GET /{node}`: its answer names a phone's account if it is a phone, and `health_status` is among the fields.
    Node,
}

/// Classifies a request by its path (without query) as it came. It is matched as normalised: percent-encoding is undone
/// once, an empty segment is not there, `.` and `..` are followed, and an encoded slash is a letter like any other.
///
/// Case of the method, the edge and the version is ignored. Whether Graph does so is not established; but a POST on
/// `/{id}/MESSAGES` is either a send or a call that Meta refuses as unknown, so no call that could succeed as
/// something else is ever taken for a send, and no spelling evades an open breaker.
///
/// An ordinary path costs tens of nanoseconds and allocates nothing.
pub fn route(method: &Method, path: &str) -> Route {
    let path = path.as_bytes();
    if is_plain(path) {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let path = path.strip_suffix(b"/").unwrap_or(path);
        classify(method, path.split(|&byte| byte == b'/'))
    } else {
        classify(method, normalised(path).iter().map(|segment| &**segment))
    }
}

/// The version that a path as it came names, if any: `v23.0` of `/v23.0/106540352242922/messages`. A percent-encoded
/// one is not found: this is for asking Meta under the version that an app uses, not for deciding.
pub fn version(path: &str) -> Option<&str> {
    path.split('/').find(|segment| !segment.is_empty()).filter(|segment| is_version(segment.as_bytes()))
}

/// Whether a request is a POST on a node itself (`/`, `/me`, `/{version}?/{digits}`), which Graph takes batches on. A path as it
/// came, matched as [`route`] does. An `upload:…` session is none: it takes a file's bytes.
pub fn is_post_on_node(method: &Method, path: &str) -> bool {
    method.as_str().eq_ignore_ascii_case("POST") && {
        let segments = normalised(path.as_bytes());
        match &segments[..] {
            [version, node @ ..] if is_version(version) => is_node(node),
            node => is_node(node),
        }
    }
}

fn is_node(segments: &[Cow<'_, [u8]>]) -> bool {
    match segments {
        [] => true,
        [node] => !node.starts_with(b"upload:"),
        _ => false,
    }
}

fn classify<'p>(method: &Method, mut segments: impl Iterator<Item = &'p [u8]>) -> Route {
    let mut first = segments.next();
    if first.is_some_and(is_version) {
        first = segments.next();
    }
    let Some(phone) = first.and_then(|id| PhoneNumberId::parse(id).ok()) else {
        return Route::Other;
    };
    let edge = segments.next();
    if segments.next().is_some() {
        return Route::Node(phone);
    }
    if method == Method::GET {
        return match edge {
            None => Route::Asks { node: phone, question: Question::Node },
            Some(b"phone_numbers") => Route::Asks { node: phone, question: Question::Numbers },
            Some(_) => Route::Node(phone),
        };
    }
    if !method.as_str().eq_ignore_ascii_case("POST") {
        return Route::Node(phone);
    }
    match edge {
        None => Route::Pin { phone, call: PinCall::Set },
        Some(edge) if edge.eq_ignore_ascii_case(b"register") => Route::Pin { phone, call: PinCall::Register },
        Some(edge) => endpoint(edge).map_or(Route::Node(phone), |endpoint| Route::Send { phone, endpoint }),
    }
}

fn endpoint(edge: &[u8]) -> Option<Endpoint> {
    let is = |name: &str| edge.eq_ignore_ascii_case(name.as_bytes());
    if is("messages") {
        Some(Endpoint::Messages)
    } else if is("marketing_messages") {
        Some(Endpoint::MarketingMessages)
    } else if is("messages_encrypted") {
        Some(Endpoint::MessagesEncrypted)
    } else {
        None
    }
}

/// `v23.0`, and `v23`.
fn is_version(segment: &[u8]) -> bool {
    let [b'v' | b'V', number @ ..] = segment else {
        return false;
    };
    let mut parts = number.split(|&byte| byte == b'.');
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    parts.next().is_some_and(is_number) && parts.next().is_none_or(is_number) && parts.next().is_none()
}

/// Whether the path means what it says, so that there is nothing to normalise.
fn is_plain(path: &[u8]) -> bool {
    // What begins without a slash, as in a batch, may begin with a dot segment all the same.
    let mut after_slash = path.first() == Some(&b'.');
    for &byte in path {
        if byte == b'%' || (after_slash && matches!(byte, b'/' | b'.')) {
            return false;
        }
        after_slash = byte == b'/';
    }
    true
}

fn normalised(path: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let mut segments = Vec::new();
    for raw in path.split(|&byte| byte == b'/') {
        let segment = percent_decoded(raw);
        match &*segment {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    segments
}

/// Undoes percent-encoding, once. What is no `%` and two hex digits stays as it is.
pub(super) fn percent_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        match rest {
            [] => return Cow::Owned(decoded),
            [b'%', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            [byte, after @ ..] => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
}

/// The value of a hex digit.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20).wrapping_sub(b'a' - 10) & 0xF,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "106540352242922";

    fn send(endpoint: Endpoint) -> Route {
        Route::Send { phone: PhoneNumberId::parse(ID).unwrap(), endpoint }
    }

    fn node() -> Route {
        Route::Node(PhoneNumberId::parse(ID).unwrap())
    }

    #[track_caller]
    fn check(expected: Route, paths: &[&str]) {
        for path in paths {
            let path = path.replace("{id}", ID);
            assert_eq!(route(&Method::POST, &path), expected, "{path}");
        }
    }

    #[test]
    fn sends() {
        use Endpoint::{MarketingMessages, Messages, MessagesEncrypted};
        check(
            send(Messages),
            &[
                "/v23.0/{id}/messages",
                "/v23.0/{id}/messages/",
                "/{id}/messages",
                "/{id}/messages/",
                "/v23/{id}/messages",
                "/v100.12/{id}/messages",
                "{id}/messages",
            ],
        );
        check(send(MarketingMessages), &["/v23.0/{id}/marketing_messages", "/{id}/marketing_messages/"]);
        check(send(MessagesEncrypted), &["/v23.0/{id}/messages_encrypted", "/{id}/messages_encrypted/"]);
    }

    #[test]
    fn sends_in_disguise() {
        check(
            send(Endpoint::Messages),
            &[
                "//v23.0//{id}///messages//",
                "/./v23.0/{id}/././messages/.",
                "/v23.0/{id}/media/../messages",
                "/../../{id}/messages",
                "/v23.0/{id}/messages/x/..",
                "/v23.0/{id}/%6Dessages",
                "/%7623%2e0/{id}/messages",
                "/v23.0/%31%306540352242922/messages",
                "/v23.0/{id}/media/%2E%2e/messages",
                "/v23.0/x/.%2e/{id}/messages",
                "/v23.0/{id}/%2e/messages",
                "/v23.0/{id}/x//../messages",
                "/v23.0/{id}/MESSAGES",
                "/V23.0/{id}/Messages",
            ],
        );
    }

    #[test]
    fn a_method_in_another_case_is_a_send_too() {
        for method in ["post", "Post", "pOST"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(
                route(&method, "/v23.0/106540352242922/messages"),
                send(Endpoint::Messages),
                "{method}"
            );
        }
    }

    #[test]
    fn other_calls_on_nodes() {
        check(
            node(),
            &[
                "/v23.0/{id}/media",
                "/v23.0/{id}/deregister",
                "/v23.0/{id}/request_code",
                "/v23.0/{id}/verify_code",
                "/v23.0/{id}/register/x",
                "/v23.0/{id}/register%2F",
                "/v23.0/{id}/messages/x",
                "/v23.0/{id}/messages/../media",
                "/v23.0/{id}/messages%2F",
                "/v23.0/{id}/%2Fmessages",
                "/v23.0/{id}/%256Dessages",
                "/v23.0/{id}/messages%",
                "/v23.0/{id}/messages%4",
                "/v23.0/{id}/message",
                "/v23.0/{id}/messages.json",
                "/v23.0/{id}/messages%00",
                "/v23.0/{id}/x/messages",
            ],
        );
        for method in [Method::DELETE, Method::HEAD, Method::PUT] {
            for edge in ["", "/messages", "/register", "/phone_numbers"] {
                let path = format!("/v23.0/106540352242922{edge}");
                assert_eq!(route(&method, &path), node(), "{method} {path}");
            }
        }
        for edge in ["messages", "register"] {
            assert_eq!(route(&Method::GET, &format!("/v23.0/106540352242922/{edge}")), node(), "{edge}");
        }
    }

    #[test]
    fn questions_whose_answers_say_whose_a_phone_is() {
        for (expected, paths) in [
            (
                Some(Question::Numbers),
                ["/v23.0/{id}/phone_numbers", "/{id}/phone_numbers/", "//{id}/./%70hone_numbers"],
            ),
            (Some(Question::Node), ["/v23.0/{id}", "/{id}/", "/{id}/x/.."]),
            (None, ["/v23.0/{id}/phone_numbers/x", "/{id}/preverified_numbers", "/{id}/PHONE_NUMBERS"]),
        ] {
            for path in paths {
                let path = path.replace("{id}", ID);
                let id = PhoneNumberId::parse(ID).unwrap();
                let expected = expected.map_or_else(node, |question| Route::Asks { node: id, question });
                assert_eq!(route(&Method::GET, &path), expected, "{path}");
                assert!(!matches!(route(&Method::HEAD, &path), Route::Asks { .. }), "{path}");
            }
        }
        assert_eq!(route(&Method::GET, "/me/phone_numbers"), Route::Other);
    }

    #[test]
    fn calls_that_can_carry_a_pin() {
        let pin = |call| Route::Pin { phone: PhoneNumberId::parse(ID).unwrap(), call };
        check(
            pin(PinCall::Register),
            &[
                "/v23.0/{id}/register",
                "/{id}/register/",
                "//{id}/Register",
                "/{id}/%72egister",
                "/{id}/x/../register",
            ],
        );
        check(pin(PinCall::Set), &["/{id}", "/v23.0/{id}", "/v23.0/{id}/", "/v23.0/{id}/messages/.."]);
    }

    #[test]
    fn everything_else() {
        check(
            Route::Other,
            &[
                "",
                "/",
                "*",
                "//",
                "/..",
                "/me",
                "/v23.0",
                "/v23.0/",
                "/messages",
                "/v23.0/messages",
                "/me/messages",
                "/v23.0/v23.0/{id}/messages",
                "/v23.0%2F{id}/messages",
                "/v23.0/{id}%2Fmessages",
                "/v/{id}/messages",
                "/v23./{id}/messages",
                "/v.0/{id}/messages",
                "/v2.3.0/{id}/messages",
                "/vx.0/{id}/messages",
                "/23.0/{id}/messages",
                "/v23.0/+{id}/messages",
                "/v23.0/{id}{id}/messages",
                "/v23.0/{id}/../messages",
                "/v23.0/{id}x/messages",
                "/v23.0/upload:MTphdHRhY2g=?sig=x",
            ],
        );
    }

    #[test]
    fn ids_have_one_to_twenty_digits() {
        for (digits, sends) in [(1, true), (20, true), (21, false)] {
            let path = format!("/v23.0/{}/messages", "7".repeat(digits));
            assert_eq!(matches!(route(&Method::POST, &path), Route::Send { .. }), sends, "{path}");
        }
    }

    #[test]
    fn plain_and_odd_paths_agree() {
        for path in
            ["/v23.0/1/messages", "/1", "/", "/me/messages", "/1/media/2", "/v1/1/messages_encrypted/"]
        {
            let odd = format!("/.{path}");
            assert!(is_plain(path.as_bytes()) && !is_plain(odd.as_bytes()));
            assert_eq!(route(&Method::POST, path), route(&Method::POST, &odd), "{path}");
            // As a batch may write it.
            for relative in [&odd[1..], &format!(".{odd}"), &path[1..]] {
                assert_eq!(route(&Method::POST, path), route(&Method::POST, relative), "{relative}");
            }
        }
    }

    #[test]
    fn the_version_is_found_where_there_is_one() {
        for (path, expected) in [
            ("/v23.0/1/messages", Some("v23.0")),
            ("//v23/1", Some("v23")),
            ("/v24.0", Some("v24.0")),
            ("/1/messages", None),
            ("/1/v23.0", None),
            ("/visits/1", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(version(path), expected, "{path}");
        }
    }

    #[test]
    fn batches_come_on_nodes() {
        for path in [
            "",
            "/",
            "//",
            "/me",
            "/v23.0",
            "/v23.0/",
            "/v23",
            "/{id}",
            "/v23.0/{id}/",
            "/%76%32%33.0//me",
            "/x/..",
            "/v23.0/{id}/messages/..",
        ] {
            let path = path.replace("{id}", ID);
            assert!(is_post_on_node(&Method::POST, &path), "{path}");
            assert!(!is_post_on_node(&Method::GET, &path), "{path}");
        }
        for path in
            ["/v23.0/{id}/messages", "/{id}/register", "/me/x", "/v23.0/upload:MTph?x", "/upload%3aMTph"]
        {
            assert!(!is_post_on_node(&Method::POST, &path.replace("{id}", ID)), "{path}");
        }
        assert!(is_post_on_node(&Method::from_bytes(b"post").unwrap(), "/"));
    }

    #[test]
    fn percent_signs_are_undone_once() {
        for (text, expected) in [
            ("a%2Fb", "a/b"),
            ("%2f%2F", "//"),
            ("%252F", "%2F"),
            ("%zz%4", "%zz%4"),
            ("%", "%"),
            ("%aF%4a", "\u{FFFD}J"),
        ] {
            assert_eq!(String::from_utf8_lossy(&percent_decoded(text.as_bytes())), expected, "{text}");
        }
        assert_eq!(*percent_decoded(b"%aF%Fa"), [0xAF, 0xFA]);
    }
}
