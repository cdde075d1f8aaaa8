//! Meta's identifiers: parsed once, then typed.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use siphasher::sip128::{Hasher128, SipHasher13};

/// The most digits that an id may have. Meta's have 15 to 17; this leaves room, and bounds what a stranger can make up.
pub const MAX_ID_DIGITS: usize = 20;

/// A decimal Graph node id, kept as its digits: `0123` and `123` are two ids, and no id overflows a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct NodeId {
    digits: [u8; MAX_ID_DIGITS],
    len: u8,
}

impl NodeId {
    fn parse(text: &[u8]) -> Option<Self> {
        if text.is_empty() || text.len() > MAX_ID_DIGITS || !text.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let mut digits = [0; MAX_ID_DIGITS];
        digits.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self { digits, len: u8::try_from(text.len()).ok()? })
    }

    fn as_str(&self) -> &str {
        let digits = self.digits.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(digits).unwrap_or_default()
    }
}

impl Hash for NodeId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The array is zero beyond `len`, so equal ids have equal arrays.
        self.digits.hash(state);
    }
}

/// Not an id: it is empty, longer than [`MAX_ID_DIGITS`], or has something else than digits in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 1 to {MAX_ID_DIGITS} decimal digits")]
pub struct MalformedId;

macro_rules! node_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(NodeId);

        impl $name {
            /// Takes 1 to [`MAX_ID_DIGITS`] ASCII digits.
            pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, MalformedId> {
                NodeId::parse(text.as_ref()).map(Self).ok_or(MalformedId)
            }

            /// The digits as they came.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = MalformedId;

            fn from_str(text: &str) -> Result<Self, MalformedId> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                Self::parse(text.as_bytes()).map_err(serde::de::Error::custom)
            }
        }
    };
}

node_id! {
    /// A business phone number's id (not the number that people dial).
    PhoneNumberId
}

node_id! {
    /// A WhatsApp Business Account's id.
    WabaId
}

/// The number that people dial, as its digits: `+1 555-078-3881` and `15550783881` are one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DisplayNumber(NodeId);

impl DisplayNumber {
    /// Takes the digits of a text, 1 to [`MAX_ID_DIGITS`] of them.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).take(MAX_ID_DIGITS + 1).collect();
        NodeId::parse(&digits).map(Self)
    }
}

impl fmt::Debug for DisplayNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// Names an access token without telling it: a hash under a key that dies with the process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub u64);

/// `t0123456789abcdef`: no id of Meta's looks like it.
impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{:016x}", self.0)
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for TokenId {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<Self, MalformedId> {
        let digits = text.strip_prefix('t').filter(|digits| digits.len() == 16).ok_or(MalformedId)?;
        u64::from_str_radix(digits, 16).map(Self).map_err(|_| MalformedId)
    }
}

/// A message's id as Meta gives it. It encodes the recipient's number, so it is masked wherever it is printed.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wamid(String);

/// The most bytes of a message id that are kept. Meta's have 56 to 80.
pub const MAX_WAMID_BYTES: usize = 256;

impl Wamid {
    /// Takes any text of 1 to [`MAX_WAMID_BYTES`] bytes: the inside is Meta's business.
    pub fn parse(text: &str) -> Option<Self> {
        (!text.is_empty() && text.len() <= MAX_WAMID_BYTES).then(|| Self(text.to_owned()))
    }

    /// The whole id. Only for those who may see recipients.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is left of it for those who may not: that there is one.
    pub fn masked(&self) -> Self {
        Self(self.to_string())
    }
}

impl fmt::Debug for Wamid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wamid.…")
    }
}

impl fmt::Display for Wamid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What a message is remembered by: a keyed 128-bit hash of its phone and its wamid. It does not give the recipient away, and
/// without the key nobody can make two messages collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WamidKey(u128);

impl WamidKey {
    /// The hash. All of its bits are as good as random.
    pub const fn bits(self) -> u128 {
        self.0
    }
}

/// The key of [`WamidKey`]s: random for each process.
#[derive(Clone, Copy)]
pub struct WamidHasher {
    key: [u8; 16],
}

impl WamidHasher {
    /// A hasher with this key.
    pub const fn new(key: [u8; 16]) -> Self {
        Self { key }
    }

    /// The key of one message of a phone's.
    pub fn key_of(&self, phone: PhoneNumberId, wamid: &str) -> WamidKey {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        // All of its bytes: always as many, so that no phone and wamid run together as another pair does.
        phone.hash(&mut hasher);
        hasher.write(wamid.as_bytes());
        WamidKey(hasher.finish128().as_u128())
    }
}

impl fmt::Debug for WamidHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WamidHasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_to_twenty_digits() {
        for good in ["1", "106540352242922", "00", "99999999999999999999"] {
            assert_eq!(PhoneNumberId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "1a", "-1", "+1", " 1", "١", "999999999999999999999"] {
            assert_eq!(PhoneNumberId::parse(bad), Err(MalformedId), "{bad:?}");
        }
    }

    #[test]
    fn a_display_number_is_its_digits() {
        let number = DisplayNumber::parse("15550783881").unwrap();
        assert_eq!(DisplayNumber::parse("+1 (555) 078-3881"), Some(number));
        assert_ne!(DisplayNumber::parse("15550783882"), Some(number));
        for none in ["", "+", "n/a", "123456789012345678901"] {
            assert_eq!(DisplayNumber::parse(none), None, "{none:?}");
        }
    }

    #[test]
    fn ids_are_text_in_json() {
        let id = PhoneNumberId::parse("106540352242922").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"106540352242922\"");
        assert_eq!(serde_json::from_str::<PhoneNumberId>("\"106540352242922\"").unwrap(), id);
        assert!(serde_json::from_str::<PhoneNumberId>("\"x\"").is_err());
    }

    #[test]
    fn a_wamid_never_prints_itself() {
        let wamid = Wamid::parse("wamid.HBgLMTY1MDM4Nzk0MzkVAgARGBI1RjQyNUE3NEYxMzAzMzQ5MkEA").unwrap();
        assert!(!format!("{wamid:?} {wamid}").contains("HBgL"));
    }

    #[test]
    fn keys_depend_on_phone_wamid_and_the_hashers_key() {
        let (one, two) = (WamidHasher::new([1; 16]), WamidHasher::new([2; 16]));
        let [phone, longer] = ["1", "12"].map(|id| PhoneNumberId::parse(id).unwrap());
        assert_eq!(one.key_of(phone, "2a"), one.key_of(phone, "2a"));
        assert_ne!(one.key_of(phone, "2a"), one.key_of(phone, "2b"));
        assert_ne!(one.key_of(phone, "2a"), two.key_of(phone, "2a"));
        assert_ne!(one.key_of(phone, "2a"), one.key_of(longer, "a"));
        assert_ne!(one.key_of(phone, "2a"), one.key_of(longer, "2a"));
    }
}
