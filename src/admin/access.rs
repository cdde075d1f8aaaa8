//! Who may do what: two tokens, and no web page of a stranger's.
//!
//! The read token opens what only looks, the operate token opens everything. Without any token the listener is bound to
//! loopback (the configuration sees to that), and what remains to fear is a browser on the same machine: a page that
//! calls us from another origin, or one whose name was re-pointed at 127.0.0.1. `Origin` and `Host` give them away.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tokio::time::Instant;

use super::problem::Problem;

/// So many wrong tokens are answered 401 in each [`WINDOW`], all callers together; further ones get 429.
const WRONG_TOKENS: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// The tokens, as hashes, and how many wrong ones came lately.
pub struct Access {
    operate: Option<Hash>,
    read: Option<Hash>,
    wrong: Mutex<Window>,
}

/// Tokens are compared by their hashes: those are equally long whatever the tokens' lengths are.
struct Hash([u8; 32]);

impl Hash {
    fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }
}

struct Window {
    since: Instant,
    wrong: u32,
}

/// What a caller may do. Handlers find it among the request's extensions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    /// Look.
    Read,
    /// Give orders, and see recipients.
    Operate,
}

impl Access {
    /// `token` operates, `read_token` reads; an empty one is none. With none at all everything is allowed.
    pub fn new(token: Option<&str>, read_token: Option<&str>) -> Self {
        let hash = |token: &&str| (!token.is_empty()).then(|| Hash::of(token.as_bytes()));
        Self {
            operate: token.as_ref().and_then(hash),
            read: read_token.as_ref().and_then(hash),
            wrong: Mutex::new(Window { since: Instant::now(), wrong: 0 }),
        }
    }

    fn any_token(&self) -> bool {
        self.operate.is_some() || self.read.is_some()
    }

    fn check(&self, headers: &HeaderMap, needed: Right) -> Result<Right, Problem> {
        if !self.any_token() {
            return Ok(Right::Operate);
        }
        let Some(token) = bearer(headers) else {
            return Err(unauthorized("a bearer token is needed"));
        };
        match self.right_of(token) {
            Some(Right::Operate) => Ok(Right::Operate),
            Some(Right::Read) if needed == Right::Read => Ok(Right::Read),
            Some(Right::Read) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "the read token gives no orders; the operate token does",
            )),
            None => Err(self.wrong_token()),
        }
    }

    fn right_of(&self, token: &[u8]) -> Option<Right> {
        let hash = Hash::of(token);
        let is =
            |known: &Option<Hash>| known.as_ref().map_or(Choice::from(0), |known| known.0.ct_eq(&hash.0));
        // Both are compared in any case.
        let (operate, read) = (is(&self.operate), is(&self.read));
        if operate.into() {
            Some(Right::Operate)
        } else if read.into() {
            Some(Right::Read)
        } else {
            None
        }
    }

    fn wrong_token(&self) -> Problem {
        let now = Instant::now();
        let mut window = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(window.since) >= WINDOW {
            *window = Window { since: now, wrong: 0 };
        }
        window.wrong = window.wrong.saturating_add(1);
        if window.wrong <= WRONG_TOKENS {
            return unauthorized("the bearer token is wrong");
        }
        let left = WINDOW.saturating_sub(now.duration_since(window.since));
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens; the right one is still taken")
            .with_header(header::RETRY_AFTER, HeaderValue::from(left.as_secs().saturating_add(1)))
    }
}

fn unauthorized(detail: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sendfuse\""))
}

/// The token of the one `Authorization: Bearer` header, if that is what there is.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) =
        only(headers, &header::AUTHORIZATION)?.as_bytes().split_at_checked("Bearer ".len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

/// The header's value, if it is there exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Asks for the token that the request's method needs, and tells the handler what it is good for.
pub(super) async fn ask_for_token(
    State(access): State<Arc<Access>>,
    mut request: Request,
    next: Next,
) -> Response {
    let needed = match *request.method() {
        Method::GET | Method::HEAD => Right::Read,
        _ => Right::Operate,
    };
    match access.check(request.headers(), needed) {
        Ok(right) => {
            request.extensions_mut().insert(right);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Asks for a token only if there is a read token: Prometheus has to be given one on purpose.
pub(super) async fn ask_for_read_token_if_set(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    let allowed = match access.read {
        Some(_) => access.check(request.headers(), Right::Read).map(drop),
        None => Ok(()),
    };
    match allowed {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Refuses a foreign `Origin` always, and a foreign `Host` where no token protects us.
pub(super) async fn refuse_strangers(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    // Absent in HTTP/1.0, which no browser speaks.
    let host = match request.uri().authority() {
        Some(authority) => Some(authority.as_str().as_bytes()),
        None if headers.contains_key(header::HOST) => {
            Some(only(headers, &header::HOST).map_or(&b""[..], HeaderValue::as_bytes))
        }
        None => None,
    };
    if headers.contains_key(header::ORIGIN) && !is_own_origin(headers, host) {
        return Problem::new(StatusCode::FORBIDDEN, "a foreign Origin is refused").into_response();
    }
    if !access.any_token() && !host.is_none_or(is_loopback) {
        let detail = "without a token only loopback names are served: use localhost, 127.0.0.1 or [::1]";
        return Problem::new(StatusCode::FORBIDDEN, detail).into_response();
    }
    next.run(request).await
}

fn is_own_origin(headers: &HeaderMap, host: Option<&[u8]>) -> bool {
    let (Some(origin), Some(host)) = (only(headers, &header::ORIGIN), host) else {
        return false;
    };
    let origin = origin.as_bytes();
    let authority = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    authority.is_some_and(|authority| !authority.is_empty() && authority.eq_ignore_ascii_case(host))
}

/// Whether this `Host` (with or without a port) is a name that nobody else can point at us.
fn is_loopback(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else {
        return false;
    };
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, "")) => return v6.parse() == Ok(Ipv6Addr::LOCALHOST),
        Some((v6, rest)) => match rest.strip_prefix(':') {
            Some(port) if v6.parse() == Ok(Ipv6Addr::LOCALHOST) => ("localhost", Some(port)),
            _ => return false,
        },
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    port.is_none_or(|port| port.parse::<u16>().is_ok())
        && (name.eq_ignore_ascii_case("localhost")
            || name.parse::<Ipv4Addr>().is_ok_and(|ip| IpAddr::V4(ip).is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_and_no_others() {
        for ours in ["localhost", "LocalHost:8082", "127.0.0.1", "127.9.8.7:1", "[::1]", "[::1]:8082"] {
            assert!(is_loopback(ours.as_bytes()), "{ours}");
        }
        for foreign in [
            "",
            "evil.example",
            "localhost.evil.example",
            "evil.example:8082",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::2]",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "::1",
            "localhost:99999",
            "localhost:",
            "user@127.0.0.1",
            "127.1",
        ] {
            assert!(!is_loopback(foreign.as_bytes()), "{foreign:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_tokens_are_slowed_and_the_right_one_never() {
        let access = Access::new(Some("right"), None);
        let status = |token: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
            access
                .check(&headers, Right::Operate)
                .map(drop)
                .map_err(|problem| problem.into_response().status())
        };
        for _ in 0..WRONG_TOKENS {
            assert_eq!(status("wrong"), Err(StatusCode::UNAUTHORIZED));
        }
        assert_eq!(status("wrong"), Err(StatusCode::TOO_MANY_REQUESTS));
        assert_eq!(status("right"), Ok(()));
        tokio::time::advance(WINDOW).await;
        assert_eq!(status("wrong"), Err(StatusCode::UNAUTHORIZED));
    }

    #[tokio::test]
    async fn an_empty_token_is_none() {
        assert!(!Access::new(Some(""), Some("")).any_token());
    }
}
