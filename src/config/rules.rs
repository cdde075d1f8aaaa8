//! The rules that single values follow: each turns what was given into a value, or into the sentence that refuses it.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::duration;
use super::read::Given;

/// The most bytes of a file that the configuration names, or of the configuration itself.
const LARGEST_FILE: u64 = 1 << 20;

/// The shortest `probe.watch`: one number would use 60 of Meta's 200 checks an hour.
const SHORTEST_WATCH: Duration = Duration::from_secs(60);

/// Statuses on which clients log in again (401, 407) or send again (the others).
const MISLEADING_STATUSES: [u16; 8] = [401, 407, 408, 417, 421, 425, 426, 429];

/// The keys of features that this version does not have, each with the only value that it takes, as TOML.
pub(super) const NOT_YET: [(&str, &str); 2] = [("store.url", "\"\""), ("notify.webhooks", "[]")];

/// One of a few words.
pub(super) fn one_of<T: Copy>(words: &[(&str, T)]) -> impl Fn(&Given) -> Result<T, String> {
    move |given| {
        let text = given.text()?;
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            format!("must be {}", names.join(" or "))
        })
    }
}

/// `true` or `false`.
pub(super) fn yes_or_no(given: &Given) -> Result<bool, String> {
    given.boolean().ok_or_else(|| "must be true or false".to_owned())
}

/// A whole number within a range.
pub(super) fn count<T: TryFrom<i64>>(range: RangeInclusive<i64>) -> impl Fn(&Given) -> Result<T, String> {
    move |given| {
        given
            .integer()
            .filter(|number| range.contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| format!("must be a whole number, {} to {}", range.start(), range.end()))
    }
}

/// A duration that may be zero.
pub(super) fn any_duration(given: &Given) -> Result<Duration, String> {
    // A bare number in the file deserves the rule about units, not one about quotes.
    duration::parse(given.text().unwrap_or_default()).map_err(|rule| rule.to_string())
}

/// A duration that makes no sense when it is zero.
pub(super) fn some_duration(given: &Given) -> Result<Duration, String> {
    let duration = any_duration(given)?;
    if duration.is_zero() { Err("must be longer than zero".to_owned()) } else { Ok(duration) }
}

/// How often phones that send are looked at; `"off"` is not at all.
pub(super) fn watch(given: &Given) -> Result<Option<Duration>, String> {
    if given.text() == Ok("off") {
        return Ok(None);
    }
    match any_duration(given) {
        Ok(duration) if duration < SHORTEST_WATCH => {
            let shortest = duration::show(SHORTEST_WATCH);
            Err(format!("must be \"off\", or a duration of at least {shortest}"))
        }
        Ok(duration) => Ok(Some(duration)),
        Err(rule) => Err(format!("must be \"off\", or a duration: {rule}")),
    }
}

/// Where to listen.
pub(super) fn address(given: &Given) -> Result<SocketAddr, String> {
    given.text()?.parse().map_err(|_| {
        "must be an IP address and a port, as in \"127.0.0.1:8080\" or \"[::1]:8080\"".to_owned()
    })
}

/// The status of a rejection. SDKs take 200 for success, and 429 and 5xx for "try again".
pub(super) fn reject_status(given: &Given) -> Result<u16, String> {
    count::<u16>(400..=499)(given).ok().filter(|status| !MISLEADING_STATUSES.contains(status)).ok_or_else(
        || {
            let not: Vec<String> = MISLEADING_STATUSES.iter().map(u16::to_string).collect();
            format!(
                "must be a status of 400 to 499 that no client retries or logs in again on: not {}",
                not.join(", ")
            )
        },
    )
}

/// The path of a callback URL. Only characters that are written in one way in every URL.
pub(super) fn url_path(given: &Given) -> Result<String, String> {
    let text = given.text()?;
    let good = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    if text.starts_with('/') && text.chars().all(good) {
        Ok(text.to_owned())
    } else {
        Err("must begin with / and go on with letters, digits and -._~/".to_owned())
    }
}

/// Graph's base URL. A path would make calls arrive elsewhere than the app said.
pub(super) fn base_url(given: &Given) -> Result<Url, String> {
    let rule = || "must be http:// or https://, a host and perhaps a port, and nothing else".to_owned();
    let url = http_url(given.text()?).ok_or_else(rule)?;
    if url.path() == "/" && url.query().is_none() { Ok(url) } else { Err(rule()) }
}

/// An app's own endpoint; empty is none.
pub(super) fn relay_url(given: &Given) -> Result<Option<Url>, String> {
    let text = given.text()?;
    if text.is_empty() {
        return Ok(None);
    }
    http_url(text)
        .map(Some)
        .ok_or_else(|| "must be an http:// or https:// URL without user, password and fragment".to_owned())
}

fn http_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    // Port 0 cannot be called.
    (matches!(url.scheme(), "http" | "https") && url.has_host() && plain && url.port() != Some(0))
        .then_some(url)
}

/// A directory, which need not be there yet.
pub(super) fn directory(given: &Given) -> Result<PathBuf, String> {
    match given.text()? {
        "" => Err("must not be empty".to_owned()),
        text => Ok(PathBuf::from(text)),
    }
}

/// A file that can be read; empty is none.
pub(super) fn readable_file(given: &Given) -> Result<Option<PathBuf>, String> {
    let text = given.text()?;
    if text.is_empty() {
        return Ok(None);
    }
    let path = PathBuf::from(text);
    read_file(&path)?;
    Ok(Some(path))
}

/// The bytes of a file that the configuration names.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot be read: {error}"))?;
    if u64::try_from(bytes.len()).is_ok_and(|size| size <= LARGEST_FILE) {
        Ok(bytes)
    } else {
        Err(format!("is larger than {LARGEST_FILE} bytes"))
    }
}
