//! Points in time as values.
//!
//! The decisions of this crate never read a clock: time is an argument to them. This is its type. It is wall-clock
//! time, because it is compared with what Meta writes into webhooks and because it outlives the process.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch. Arithmetic saturates, so absurd input cannot panic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// The last second that RFC 3339 can write with four digits of year.
const LAST_SECOND: u64 = 253_402_300_799;

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From whole seconds since the Unix epoch, as Meta writes them.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This time and `later` more.
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(later.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This time and `earlier` less.
    pub fn minus(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(earlier.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self::default().plus(time.duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

/// RFC 3339 in UTC, to the second: `2026-05-01T10:00:00Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = u64::try_from(self.0 / 1000).unwrap_or(0).min(LAST_SECOND);
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).fmt(f)
    }
}

/// Serde as RFC 3339 in UTC: as it is shown, with milliseconds where there are any, so that nothing is lost on the way back.
pub mod rfc3339 {
    use std::time::{Duration, UNIX_EPOCH};

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{LAST_SECOND, Timestamp};

    /// Writes `2026-05-01T10:00:00Z` or `2026-05-01T10:00:00.250Z`. Times that have no such form become the nearest that has.
    pub fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        match at.millis() % 1000 {
            0 => to.collect_str(at),
            _ => {
                let millis = u64::try_from(at.millis()).unwrap_or(0).min(LAST_SECOND * 1000);
                to.collect_str(&humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(millis)))
            }
        }
    }

    /// Reads what [`serialize`] writes.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        humantime::parse_rfc3339(&text).map(Timestamp::from).map_err(D::Error::custom)
    }

    /// The same for a time that may be missing: then it is null.
    pub mod option {
        use serde::{Deserialize, Deserializer, Serialize, Serializer};

        use super::Timestamp;

        #[derive(Serialize, Deserialize)]
        #[serde(transparent)]
        struct Written(#[serde(with = "super")] Timestamp);

        /// As the one without an option, or null.
        pub fn serialize<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
            at.map(Written).serialize(to)
        }

        /// Reads what [`serialize`] writes.
        pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
            Ok(Option::<Written>::deserialize(from)?.map(|written| written.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_and_back_loses_nothing() {
        #[derive(Serialize, Deserialize)]
        struct Both(
            #[serde(with = "rfc3339")] Timestamp,
            #[serde(with = "rfc3339::option")] Option<Timestamp>,
        );
        for (millis, text) in [
            (1_777_629_600_000, "\"2026-05-01T10:00:00Z\""),
            (1_777_629_600_250, "\"2026-05-01T10:00:00.250Z\""),
            (0, "\"1970-01-01T00:00:00Z\""),
        ] {
            let at = Timestamp::from_millis(millis);
            for (option, written) in [(Some(at), text), (None, "null")] {
                let json = serde_json::to_string(&Both(at, option)).unwrap();
                assert_eq!(json, format!("[{text},{written}]"));
                let Both(one, two) = serde_json::from_str(&json).unwrap();
                assert_eq!((one, two), (at, option));
            }
        }
        for absurd in [i64::MIN, -1, i64::MAX] {
            assert!(serde_json::to_string(&Both(Timestamp::from_millis(absurd), None)).is_ok());
        }
        assert!(serde_json::from_str::<Both>("[\"yesterday\",null]").is_err());
    }

    #[test]
    fn is_shown_as_rfc_3339_in_utc() {
        assert_eq!(Timestamp::from_seconds(1_777_629_600).to_string(), "2026-05-01T10:00:00Z");
    }

    #[test]
    fn absurd_times_saturate() {
        assert_eq!(Timestamp::from_millis(i64::MIN).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp::from_seconds(i64::MAX).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(Timestamp::from_millis(i64::MAX).plus(Duration::MAX), Timestamp::from_millis(i64::MAX));
        assert_eq!(Timestamp::from_millis(5).since(Timestamp::from_millis(9)), Duration::ZERO);
    }
}
