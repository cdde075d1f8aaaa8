//! The handshake by which Meta makes sure that a callback URL is wanted:
//! `GET …?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=…`, answered with the bare challenge.

use std::borrow::Cow;

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// The most bytes of a challenge that are sent back. Meta's are ten digits.
const MAX_CHALLENGE: usize = 1024;

/// A handshake, not yet believed.
pub(super) struct Handshake<'a> {
    token: Cow<'a, str>,
    /// What Meta wants to see in the answer.
    pub(super) challenge: String,
}

impl Handshake<'_> {
    /// Whether it carries this token. Takes the same time for every wrong token of the same length. The empty token is
    /// known to everyone, so nobody knows it.
    pub(super) fn knows(&self, token: &SecretString) -> bool {
        let expected = token.expose_secret().as_bytes();
        !expected.is_empty() && bool::from(self.token.as_bytes().ct_eq(expected))
    }
}

/// Reads a query. `None`: it is no handshake. Where a parameter comes twice, the first counts.
pub(super) fn read(query: &str) -> Option<Handshake<'_>> {
    let (mut mode, mut token, mut challenge) = (None, None, None);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let place = match &*name {
            "hub.mode" => &mut mode,
            "hub.verify_token" => &mut token,
            "hub.challenge" => &mut challenge,
            _ => continue,
        };
        place.get_or_insert(value);
    }
    let challenge = challenge.filter(|text| !text.is_empty() && text.len() <= MAX_CHALLENGE)?;
    (mode? == "subscribe").then_some(Handshake { token: token?, challenge: challenge.into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_meta_sends() {
        let query = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=vibe%20co%2Bding";
        let handshake = read(query).unwrap();
        assert_eq!(handshake.challenge, "1158201444");
        assert!(handshake.knows(&"vibe co+ding".into()));
        for wrong in ["", "vibe co+din", "vibe co+dinG", "vibe co+ding "] {
            assert!(!handshake.knows(&wrong.into()), "{wrong:?}");
        }
    }

    #[test]
    fn nobody_knows_the_empty_token() {
        let handshake = read("hub.mode=subscribe&hub.challenge=1&hub.verify_token=").unwrap();
        assert!(!handshake.knows(&"".into()));
    }

    #[test]
    fn anything_else_is_no_handshake() {
        let long = format!("hub.mode=subscribe&hub.verify_token=t&hub.challenge={}", "1".repeat(1025));
        for query in [
            "",
            "hub.mode=subscribe",
            "hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=t",
            "hub.challenge=1&hub.verify_token=t",
            "hub.mode=subscribe&hub.verify_token=t",
            "hub.mode=subscribe&hub.challenge=&hub.verify_token=t",
            "hub.mode=subscribe&hub.challenge=1",
            "%ff%00=%zz&&&=",
            &long,
        ] {
            assert!(read(query).is_none(), "{query:?}");
        }
    }
}
