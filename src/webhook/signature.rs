//! `X-Hub-Signature-256: sha256=<64 hex digits>`: HMAC-SHA256 of the raw body, keyed with the app secret. Forwarders sign in the same way,
//! in a header of their own.
//!
//! Over the raw bytes: Meta signs the text that it sends, with its `\u00e4` and `\/`; JSON written anew would not fit.

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName};
use sha2::Sha256;

/// Where Meta's signature is.
pub(super) const META: HeaderName = HeaderName::from_static("x-hub-signature-256");

/// A signature as a stranger claims it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim([u8; 32]);

/// Meta's signature in these headers. `None`: it is missing or malformed, or there are two that differ.
pub(super) fn metas(headers: &HeaderMap) -> Option<Claim> {
    claimed(headers, &META, |value| decode(value.strip_prefix(b"sha256=")?))
}

/// A forwarder's, which may be bare digits: Dualhook writes `sha256=` before them, others do not.
pub(super) fn forwarders(headers: &HeaderMap, name: &HeaderName) -> Option<Claim> {
    claimed(headers, name, |value| decode(value.strip_prefix(b"sha256=").unwrap_or(value)))
}

fn claimed(
    headers: &HeaderMap,
    name: &HeaderName,
    decode: impl Fn(&[u8]) -> Option<[u8; 32]>,
) -> Option<Claim> {
    let mut claims = headers.get_all(name).iter().map(|value| decode(value.as_bytes()));
    let first = claims.next()??;
    claims.all(|other| other == Some(first)).then_some(Claim(first))
}

impl Claim {
    /// Whether one of the secrets makes this signature of this body. Each comparison takes constant time.
    pub(super) fn made_by_any<'a>(&self, mut secrets: impl Iterator<Item = &'a [u8]>, body: &[u8]) -> bool {
        secrets.any(|secret| {
            Hmac::<Sha256>::new_from_slice(secret)
                .is_ok_and(|mac| mac.chain_update(body).verify_slice(&self.0).is_ok())
        })
    }
}

fn decode(hex: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if hex.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = pair.iter().try_fold(0, |sum, digit| Some(sum << 4 | nibble(*digit)?))?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    // RFC 4231, test case 2: checks our reading of the header against numbers that are not ours.
    const KEY: &[u8] = b"Jefe";
    const BODY: &[u8] = b"what do ya want for nothing?";
    const MAC: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (META, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn any_of_several_secrets_will_do() {
        let claim = metas(&headers(&[&format!("sha256={MAC}")])).unwrap();
        assert!(claim.made_by_any([KEY].into_iter(), BODY));
        assert!(claim.made_by_any([b"another".as_slice(), KEY].into_iter(), BODY));
        assert!(!claim.made_by_any([b"another".as_slice()].into_iter(), BODY));
        assert!(!claim.made_by_any(std::iter::empty(), BODY));
        assert!(!claim.made_by_any([KEY].into_iter(), &BODY[..BODY.len() - 1]));
    }

    #[test]
    fn hex_may_be_in_either_case() {
        let claim = metas(&headers(&[&format!("sha256={}", MAC.to_uppercase())])).unwrap();
        assert!(claim.made_by_any([KEY].into_iter(), BODY));
    }

    #[test]
    fn the_same_signature_twice_is_one() {
        let (good, other) = (format!("sha256={MAC}"), format!("sha256={}", "0".repeat(64)));
        assert!(metas(&headers(&[&good, &good])).is_some());
        assert_eq!(metas(&headers(&[&good, &other])), None);
        assert_eq!(metas(&headers(&[&good, "rubbish"])), None);
        assert_eq!(metas(&headers(&["rubbish", &good])), None);
        assert_eq!(metas(&headers(&[&format!("{good}, {good}")])), None);
    }

    #[test]
    fn malformed_is_missing() {
        let cases = [
            String::new(),
            MAC.to_owned(),
            "sha256=".to_owned(),
            format!("sha1={MAC}"),
            format!("sha256={}", &MAC[1..]),
            format!("sha256={MAC}0"),
            format!("sha256={}g", &MAC[1..]),
            format!("sha256=+{}", &MAC[1..]),
            format!("sha256= {}", &MAC[1..]),
        ];
        for case in &cases {
            assert_eq!(metas(&headers(&[case])), None, "{case:?}");
        }
        assert_eq!(metas(&HeaderMap::new()), None);
        let bytes = HeaderValue::from_bytes(b"sha256=\xff\xfe").unwrap();
        assert_eq!(metas(&HeaderMap::from_iter([(META, bytes)])), None);
    }

    #[test]
    fn a_forwarder_may_leave_out_what_it_signs_by() {
        let name = HeaderName::from_static("x-forwarder");
        let forwarded = |value: &str| {
            let headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_str(value).unwrap())]);
            assert_eq!(metas(&headers), None, "it is not Meta's header");
            forwarders(&headers, &name).is_some_and(|claim| claim.made_by_any([KEY].into_iter(), BODY))
        };
        assert!(forwarded(&format!("sha256={MAC}")) && forwarded(MAC));
        for bad in ["", "sha256=", &format!("sha1={MAC}"), &format!("sha256=sha256={MAC}"), &MAC[1..], "v1,x"]
        {
            assert!(!forwarded(bad), "{bad}");
        }
        assert_eq!(forwarders(&headers(&[MAC]), &name), None, "it is not the forwarder's header");
    }
}
