//! The tokens that probes ask with: those of the configuration, and those borrowed from the apps.
//!
//! Borrowed is the last token that Meta let pass on a phone's own node. It lives in memory only, and is forgotten when Meta
//! calls it invalid (190). Thousands of phones may share one token: it is kept once.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use http::{HeaderValue, Uri};
use quick_cache::sync::Cache;
use secrecy::{ExposeSecret, SecretString};

use super::credential::{Credential, Shown};
use crate::breakers::MOST_REFUSED_TOKENS;
use crate::graph::ids::{PhoneNumberId, TokenId, WabaId};

/// The version that a probe asks for, where the phone's app has not shown which one it uses.
pub const DEFAULT_VERSION: &str = "v23.0";

/// The most phones whose token is remembered; beyond, the least used are forgotten.
const MAX_PHONES: usize = 100_000;
/// The most tokens that are looked through for an equal one. Beyond, some may be kept twice.
const MAX_TOKENS: usize = 10_000;

/// What the configuration says about tokens. Can be replaced while the program runs.
#[derive(Default)]
pub struct TokenSettings {
    /// By the id of a phone or of a WABA; a phone's own comes first.
    pub tokens: HashMap<String, SecretString>,
    /// Whether tokens may be borrowed from the apps. (`borrow_token`, on by default.)
    pub borrow: bool,
}

/// The tokens that there are.
pub struct Tokens {
    settings: ArcSwap<TokenSettings>,
    borrowed: Cache<PhoneNumberId, Arc<Credential>>,
    /// Every borrowed token once, by its hash; a token that no phone uses any more is gone.
    known: Cache<u64, Weak<Credential>>,
    hasher: RandomState,
    /// Those that Meta refuses, as far as a rule holds their sends, with the node that they were shown on: to ask again with.
    refused: Cache<TokenId, (PhoneNumberId, Arc<Credential>)>,
}

/// What to ask Meta with.
#[derive(Clone)]
pub struct Token {
    secret: SecretString,
    proof: Option<SecretString>,
    version: Box<str>,
    /// Set if it was borrowed, with the node on which Meta let it pass.
    lent: Option<(PhoneNumberId, Arc<Credential>)>,
}

impl Token {
    /// The access token.
    pub fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// The `appsecret_proof` that the app sent with it: 64 hex digits.
    pub fn proof(&self) -> Option<&SecretString> {
        self.proof.as_ref()
    }

    /// The version of the Graph API that the phone's app uses, else [`DEFAULT_VERSION`].
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl Tokens {
    /// No token borrowed yet.
    pub fn new(settings: TokenSettings) -> Self {
        Self {
            settings: ArcSwap::from_pointee(settings),
            borrowed: Cache::new(MAX_PHONES),
            known: Cache::new(MAX_TOKENS),
            hasher: RandomState::new(),
            refused: Cache::new(MOST_REFUSED_TOKENS),
        }
    }

    /// Puts other settings in the place of the old ones. If borrowing ends, what was borrowed is given up.
    pub fn replace(&self, settings: TokenSettings) {
        let borrow = settings.borrow;
        self.settings.store(Arc::new(settings));
        if !borrow {
            self.borrowed.clear();
            self.known.clear();
            self.refused.clear();
        }
    }

    /// Remembers the token of a request on `phone`'s own node. To be called when Meta has let it pass: answered 2xx, 131031
    /// or 368. Cheap while nothing changes: then it compares and allocates nothing. Says whether there is a token to be
    /// borrowed in it, new or known.
    pub fn learn(&self, phone: PhoneNumberId, uri: &Uri, authorization: Option<&HeaderValue>) -> bool {
        if !self.settings.load().borrow {
            return false;
        }
        let Some(shown) = Shown::in_request(uri, authorization) else { return false };
        if self.borrowed.get(&phone).is_some_and(|known| shown.is(&known)) {
            return true;
        }
        let hash = self.hasher.hash_one(&shown);
        let credential = match self.known.get(&hash).and_then(|known| known.upgrade()) {
            Some(known) if shown.is(&known) => known,
            _ => {
                let new = Arc::new(shown.keep());
                self.known.insert(hash, Arc::downgrade(&new));
                new
            }
        };
        self.borrowed.insert(phone, credential);
        true
    }

    /// The name of the token that a request shows.
    pub fn id_of(&self, uri: &Uri, authorization: Option<&HeaderValue>) -> Option<TokenId> {
        Some(TokenId(self.hasher.hash_one(Shown::in_request(uri, authorization)?.token())))
    }

    /// Meta refused the token of a request on this node (190), which has this name. Keeps it to ask again with, if it may be borrowed.
    pub fn refuse(&self, node: PhoneNumberId, uri: &Uri, authorization: Option<&HeaderValue>, id: TokenId) {
        if self.settings.load().borrow
            && let Some(shown) = Shown::in_request(uri, authorization)
        {
            self.refused.insert(id, (node, Arc::new(shown.keep())));
        }
    }

    /// A refused token, with the node to ask about.
    pub fn refused(&self, id: TokenId) -> Option<(PhoneNumberId, Token)> {
        let (node, lent) = self.refused.get(&id)?;
        Some((node, self.token(None, node, Some(lent))?))
    }

    /// Forgets a borrowed token that Meta calls invalid (190); a configured one stays. If the phone's app has shown another
    /// one since, that one stays too.
    pub fn forget(&self, refused: &Token) {
        if let Some((node, refused)) = &refused.lent {
            self.borrowed.remove_if(node, |borrowed| Arc::ptr_eq(borrowed, refused));
        }
    }

    /// Whether there is a token to ask about a phone with. Does not count as a use of it.
    pub fn has(&self, phone: PhoneNumberId, waba: Option<WabaId>) -> bool {
        let configured = || self.configured(phone.as_str()).or_else(|| self.configured(waba?.as_str()));
        self.borrowed.contains_key(&phone) || configured().is_some()
    }

    /// The token to ask about a phone with: its own of the configuration, its WABA's, else the borrowed one.
    pub fn for_phone(&self, phone: PhoneNumberId, waba: Option<WabaId>) -> Option<Token> {
        let configured = self.configured(phone.as_str()).or_else(|| self.configured(waba?.as_str()));
        self.token(configured, phone, self.borrowed.get(&phone))
    }

    /// The token to ask about an account with: its own of the configuration, else one that was borrowed on its own node or on one of
    /// these phones of its, else one of the configuration of theirs.
    pub fn for_account(&self, waba: WabaId, phones: &[PhoneNumberId]) -> Option<Token> {
        // Ids say nothing of what they are: what an app shows on an account's node is kept by that id.
        let own = PhoneNumberId::parse(waba.as_str()).ok()?;
        let mut nodes = [own].into_iter().chain(phones.iter().copied());
        let lent = nodes.find_map(|node| Some((node, self.borrowed.get(&node)?)));
        let configured = self.configured(waba.as_str()).or_else(|| {
            let mut phones = phones.iter().filter(|_| lent.is_none());
            phones.find_map(|phone| self.configured(phone.as_str()))
        });
        let (node, lent) = lent.map_or((own, None), |(node, lent)| (node, Some(lent)));
        self.token(configured, node, lent)
    }

    fn token(
        &self,
        configured: Option<SecretString>,
        node: PhoneNumberId,
        borrowed: Option<Arc<Credential>>,
    ) -> Option<Token> {
        let version =
            borrowed.as_ref().and_then(|lent| lent.version.as_deref()).unwrap_or(DEFAULT_VERSION).into();
        match (configured, borrowed) {
            (Some(secret), _) => Some(Token { secret, proof: None, version, lent: None }),
            (None, Some(lent)) => Some(Token {
                secret: lent.secret.clone(),
                proof: lent.proof.clone(),
                version,
                lent: Some((node, lent)),
            }),
            (None, None) => None,
        }
    }

    fn configured(&self, id: &str) -> Option<SecretString> {
        let settings = self.settings.load();
        settings.tokens.get(id).filter(|token| !token.expose_secret().is_empty()).cloned()
    }
}

macro_rules! prints_only_its_name {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}
prints_only_its_name!(Token, Tokens, TokenSettings);

#[cfg(test)]
mod tests {
    use super::*;

    const PROOF: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn phone(id: &str) -> PhoneNumberId {
        PhoneNumberId::parse(id).unwrap()
    }

    fn tokens(configured: &[(&str, &str)], borrow: bool) -> Tokens {
        Tokens::new(settings(configured, borrow))
    }

    fn settings(configured: &[(&str, &str)], borrow: bool) -> TokenSettings {
        let tokens = configured.iter().map(|(id, token)| ((*id).to_owned(), (*token).into())).collect();
        TokenSettings { tokens, borrow }
    }

    fn learn(tokens: &Tokens, id: &str, uri: &str, token: &str) {
        let header = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        tokens.learn(phone(id), &Uri::try_from(uri).unwrap(), Some(&header));
    }

    fn secret(tokens: &Tokens, id: &str, waba: Option<&str>) -> Option<String> {
        let waba = waba.map(|waba| WabaId::parse(waba).unwrap());
        let token = tokens.for_phone(phone(id), waba);
        assert_eq!(tokens.has(phone(id), waba), token.is_some());
        token.map(|token| token.secret().expose_secret().to_owned())
    }

    #[test]
    fn the_last_token_of_each_phone_is_borrowed() {
        let tokens = tokens(&[], true);
        assert_eq!(secret(&tokens, "1", None), None);
        learn(&tokens, "1", &format!("/v19.0/1/messages?appsecret_proof={PROOF}"), "one");
        learn(&tokens, "2", "/2/messages", "two");
        let one = tokens.for_phone(phone("1"), None).unwrap();
        assert_eq!(one.secret().expose_secret(), "one");
        assert_eq!(one.proof().unwrap().expose_secret(), PROOF);
        assert_eq!(one.version(), "v19.0");
        let two = tokens.for_phone(phone("2"), None).unwrap();
        assert_eq!((two.secret().expose_secret(), two.version()), ("two", DEFAULT_VERSION));
        assert!(two.proof().is_none());

        learn(&tokens, "1", "/v20.0/1/messages", "newer");
        let one = tokens.for_phone(phone("1"), None).unwrap();
        assert_eq!((one.secret().expose_secret(), one.version()), ("newer", "v20.0"));
        assert!(one.proof().is_none(), "a proof goes with its token");
    }

    #[test]
    fn a_request_without_a_token_teaches_nothing() {
        let tokens = tokens(&[], true);
        learn(&tokens, "1", "/1", "one");
        assert!(!tokens.learn(phone("1"), &Uri::from_static("/1/messages"), None));
        assert_eq!(secret(&tokens, "1", None).as_deref(), Some("one"));
    }

    #[test]
    fn a_shared_token_is_kept_once_and_a_known_one_not_again() {
        let tokens = tokens(&[], true);
        for id in ["1", "2", "1"] {
            learn(&tokens, id, "/v23.0/1", "shared");
        }
        let [one, two] = ["1", "2"].map(|id| tokens.borrowed.get(&phone(id)).unwrap());
        assert!(Arc::ptr_eq(&one, &two));
        learn(&tokens, "1", "/v23.0/1", "shared");
        assert!(Arc::ptr_eq(&one, &tokens.borrowed.get(&phone("1")).unwrap()));
    }

    #[test]
    fn the_number_of_phones_is_bounded() {
        let tokens = tokens(&[], true);
        for id in 0..MAX_PHONES + 5_000 {
            learn(&tokens, &id.to_string(), "/1", "shared");
        }
        assert!(tokens.borrowed.len() <= MAX_PHONES);
        assert_eq!(tokens.known.len(), 1);
    }

    #[test]
    fn a_refused_token_is_forgotten_and_nothing_of_it_stays() {
        let tokens = tokens(&[], true);
        learn(&tokens, "1", "/1", "dead");
        let dead = tokens.for_phone(phone("1"), None).unwrap();
        let trace = Arc::downgrade(&dead.lent.as_ref().unwrap().1);
        tokens.forget(&dead);
        assert_eq!(secret(&tokens, "1", None), None);
        drop(dead);
        assert!(trace.upgrade().is_none());
    }

    #[test]
    fn a_newer_token_survives_the_refusal_of_the_older() {
        let tokens = tokens(&[], true);
        learn(&tokens, "1", "/1", "dead");
        let dead = tokens.for_phone(phone("1"), None).unwrap();
        learn(&tokens, "1", "/1", "fresh");
        tokens.forget(&dead);
        assert_eq!(secret(&tokens, "1", None).as_deref(), Some("fresh"));
    }

    #[test]
    fn configured_tokens_come_first_and_are_never_forgotten() {
        let tokens = tokens(&[("1", "own"), ("77", "wabas"), ("3", "")], true);
        for id in ["1", "2", "3"] {
            learn(&tokens, id, &format!("/v19.0/{id}?appsecret_proof={PROOF}"), "borrowed");
        }
        assert_eq!(secret(&tokens, "1", Some("77")).as_deref(), Some("own"));
        assert_eq!(secret(&tokens, "2", Some("77")).as_deref(), Some("wabas"));
        assert_eq!(secret(&tokens, "2", Some("78")).as_deref(), Some("borrowed"));
        assert_eq!(secret(&tokens, "3", None).as_deref(), Some("borrowed"));
        let own = tokens.for_phone(phone("1"), None).unwrap();
        assert_eq!(own.version(), "v19.0");
        assert!(own.proof().is_none(), "the proof is of another token");
        tokens.forget(&own);
        assert_eq!(secret(&tokens, "1", None).as_deref(), Some("own"));
        tokens.replace(settings(&[], true));
        assert_eq!(secret(&tokens, "1", Some("77")).as_deref(), Some("borrowed"));
    }

    #[test]
    fn nothing_is_borrowed_where_that_is_switched_off() {
        let tokens = tokens(&[], false);
        learn(&tokens, "1", "/1", "one");
        assert_eq!(secret(&tokens, "1", None), None);
        tokens.replace(settings(&[], true));
        learn(&tokens, "1", "/1", "one");
        assert_eq!(secret(&tokens, "1", None).as_deref(), Some("one"));
        tokens.replace(settings(&[], false));
        tokens.replace(settings(&[], true));
        assert_eq!(secret(&tokens, "1", None), None, "what was borrowed is given up");
    }

    #[test]
    fn nothing_prints_a_secret() {
        let tokens = tokens(&[("1", "s3cret")], true);
        learn(&tokens, "2", &format!("/2?appsecret_proof={PROOF}"), "s3cret");
        let settings = settings(&[("1", "s3cret")], true);
        let found = ["1", "2"].map(|id| tokens.for_phone(phone(id), None));
        let printed = format!("{tokens:?} {settings:?} {found:?}");
        assert!(!printed.contains("s3cret") && !printed.contains("0123"), "{printed}");
    }
}
