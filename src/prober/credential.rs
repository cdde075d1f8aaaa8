//! What an app shows to Graph to be let in: read from a request, kept as a secret.

use std::borrow::Cow;
use std::fmt;

use http::{HeaderValue, Uri};
use secrecy::{ExposeSecret, SecretString};

/// The longest token that is kept, in bytes. Meta's have some 200 to 400.
const MAX_TOKEN: usize = 4096;

/// A token, and how it was used. Zeroed when dropped, never printed.
pub(super) struct Credential {
    pub(super) secret: SecretString,
    /// `appsecret_proof`: goes with its token, and some apps are not let in without it.
    pub(super) proof: Option<SecretString>,
    /// `v23.0`, as in the path.
    pub(super) version: Option<Box<str>>,
}

/// The parts of a [`Credential`], still in the request that they came with.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Shown<'a> {
    token: Cow<'a, str>,
    proof: Option<&'a str>,
    version: Option<&'a str>,
}

impl<'a> Shown<'a> {
    /// What a request shows: the token in `authorization`, else in the parameter `access_token`. `None`: none that can be
    /// used again. Allocates only for a parameter that is percent-encoded.
    pub(super) fn in_request(uri: &'a Uri, authorization: Option<&'a HeaderValue>) -> Option<Self> {
        let (mut parameter, mut proof) = (None, None);
        for pair in uri.query().unwrap_or_default().split('&') {
            match pair.split_once('=') {
                Some(("access_token", value)) => parameter = Some(value),
                Some(("appsecret_proof", value)) => proof = Some(value),
                _ => {}
            }
        }
        let token = match authorization.and_then(in_header) {
            Some(token) => Cow::Borrowed(token),
            None => decoded(parameter?)?,
        };
        let usable = !token.is_empty()
            && token.len() <= MAX_TOKEN
            && token.bytes().all(|byte| byte.is_ascii_graphic());
        let is_proof = |text: &&str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        usable.then_some(Self { token, proof: proof.filter(is_proof), version: version(uri.path()) })
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    pub(super) fn is(&self, credential: &Credential) -> bool {
        self.token == credential.secret.expose_secret()
            && self.proof == credential.proof.as_ref().map(|proof| proof.expose_secret())
            && self.version == credential.version.as_deref()
    }

    pub(super) fn keep(self) -> Credential {
        Credential {
            secret: SecretString::from(&*self.token),
            proof: self.proof.map(SecretString::from),
            version: self.version.map(Box::from),
        }
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

/// `Bearer x` or `OAuth x`: Graph takes both.
fn in_header(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.trim().split_once(' ')?;
    let known = ["bearer", "oauth"].iter().any(|name| scheme.eq_ignore_ascii_case(name));
    known.then(|| token.trim_start())
}

fn decoded(parameter: &str) -> Option<Cow<'_, str>> {
    if !parameter.contains(['%', '+']) {
        return Some(Cow::Borrowed(parameter));
    }
    let (value, _) = url::form_urlencoded::parse(parameter.as_bytes()).next()?;
    Some(Cow::Owned(value.into_owned()))
}

/// `v23.0`, if the path begins with such a segment.
fn version(path: &str) -> Option<&str> {
    let segment = path.split('/').find(|segment| !segment.is_empty())?;
    let (major, minor) = segment.strip_prefix('v')?.split_once('.')?;
    let is_number =
        |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(major) && is_number(minor)).then_some(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(uri: &str, authorization: Option<&str>) -> Option<(String, bool, Option<String>)> {
        let header = authorization.map(|value| HeaderValue::from_str(value).unwrap());
        let uri = Uri::try_from(uri).unwrap();
        Shown::in_request(&uri, header.as_ref())
            .map(|shown| (shown.token.to_string(), shown.proof.is_some(), shown.version.map(str::to_owned)))
    }

    fn token(authorization: &str) -> Option<String> {
        shown("/v23.0/1", Some(authorization)).map(|(token, ..)| token)
    }

    #[test]
    fn tokens_come_in_two_schemes() {
        for good in ["Bearer EAAG", "bearer EAAG", "OAuth EAAG", "OAUTH  EAAG"] {
            assert_eq!(token(good).as_deref(), Some("EAAG"), "{good:?}");
        }
        for bad in ["", "EAAG", "Basic EAAG", "Bearer", "Bearer ", "Bearer a b", "Bearer a\tb"] {
            assert_eq!(token(bad), None, "{bad:?}");
        }
        assert_eq!(token(&format!("Bearer {}", "E".repeat(4097))), None);
        let bytes = HeaderValue::from_bytes(b"Bearer \xff").unwrap();
        assert!(Shown::in_request(&Uri::from_static("/1"), Some(&bytes)).is_none());
    }

    #[test]
    fn or_as_a_parameter() {
        let query = |query: &str| shown(&format!("/v23.0/1?{query}"), None).map(|(token, ..)| token);
        assert_eq!(query("a=b&access_token=EAAG&c").as_deref(), Some("EAAG"));
        assert_eq!(query("access_token=123%7Cabc").as_deref(), Some("123|abc"));
        for bad in
            ["", "access_token", "access_token=", "xaccess_token=E", "access_token=a%0Ab", "access_token=%ff"]
        {
            assert_eq!(query(bad), None, "{bad:?}");
        }
        let (token, ..) = shown("/1?access_token=parameter", Some("Bearer header")).unwrap();
        assert_eq!(token, "header");
    }

    #[test]
    fn a_proof_is_64_hex_digits() {
        let has_proof =
            |proof: &str| shown(&format!("/1?appsecret_proof={proof}"), Some("Bearer E")).unwrap().1;
        assert!(has_proof(&"0aF".repeat(22)[..64]));
        assert!(!has_proof(&"0".repeat(63)));
        assert!(!has_proof(&"g".repeat(64)));
        assert!(!has_proof(&"0".repeat(65)));
    }

    #[test]
    fn the_version_is_the_first_segment() {
        let version = |path: &str| shown(path, Some("Bearer E")).unwrap().2;
        assert_eq!(version("/v23.0/1/messages").as_deref(), Some("v23.0"));
        assert_eq!(version("//v9.0/1").as_deref(), Some("v9.0"));
        for none in
            ["/1/messages", "/v23/1", "/v.0/1", "/v2x.0/1", "/v1234.0/1", "/%7623.0/1", "/1/v23.0", "/"]
        {
            assert_eq!(version(none), None, "{none}");
        }
    }
}
