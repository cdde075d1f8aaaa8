//! Entity tags: a breaker's tag is its generation, quoted.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::breaker::Generation;

/// The tag of a breaker at this generation.
pub(super) fn tag_of(generation: Generation) -> HeaderValue {
    HeaderValue::try_from(format!("\"{}\"", generation.0)).unwrap_or(HeaderValue::from_static("\"\""))
}

/// What an `If-Match` or `If-None-Match` header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tags {
    /// `*`: whatever there is.
    Any,
    /// Any of these: (weak, what stands between the quotes).
    OneOf(Vec<(bool, String)>),
}

/// The header is no list of entity tags.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Tags {
    /// Reads all fields of this name together. None if there are none.
    pub(super) fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Malformed> {
        let mut fields = Vec::new();
        for value in headers.get_all(name) {
            fields.push(value.to_str().map_err(|_| Malformed)?);
        }
        match fields.as_slice() {
            [] => Ok(None),
            [only] if only.trim() == "*" => Ok(Some(Self::Any)),
            fields => parse_list(&fields.join(",")).map(|tags| Some(Self::OneOf(tags))),
        }
    }

    /// For `If-Match`: a weak tag matches nothing (RFC 9110, 13.1.1).
    pub(super) fn match_strongly(&self, generation: Generation) -> bool {
        self.matches(generation, false)
    }

    /// For `If-None-Match`: weak or not is all the same (RFC 9110, 13.1.2).
    pub(super) fn match_weakly(&self, generation: Generation) -> bool {
        self.matches(generation, true)
    }

    fn matches(&self, generation: Generation, weakly: bool) -> bool {
        let current = generation.0.to_string();
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.iter().any(|(weak, tag)| (weakly || !weak) && *tag == current),
        }
    }
}

/// A comma may stand inside the quotes, so the list is not simply split.
fn parse_list(mut rest: &str) -> Result<Vec<(bool, String)>, Malformed> {
    let mut tags = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return if tags.is_empty() { Err(Malformed) } else { Ok(tags) };
        }
        let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
        let (tag, after) = quoted.strip_prefix('"').and_then(|tag| tag.split_once('"')).ok_or(Malformed)?;
        if tag.contains([' ', '\t']) {
            return Err(Malformed);
        }
        tags.push((weak, tag.to_owned()));
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return Err(Malformed);
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::IF_MATCH;

    use super::*;

    fn read(fields: &[&str]) -> Result<Option<Tags>, Malformed> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(IF_MATCH, HeaderValue::from_str(field).unwrap());
        }
        Tags::read(&headers, &IF_MATCH)
    }

    #[test]
    fn lists_weak_tags_and_the_star() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[" * "]), Ok(Some(Tags::Any)));
        let (six, seven) = (Generation(6), Generation(7));
        for matching in [&["\"7\""][..], &["\"6\" , \"7\""], &["\"6\"", "\"7\""], &["\"a,b\",,\"7\""]] {
            let tags = read(matching).unwrap().unwrap();
            assert!(tags.match_strongly(seven) && tags.match_weakly(seven), "{matching:?}");
            assert!(!tags.match_strongly(Generation(8)), "{matching:?}");
        }
        let weak = read(&["W/\"6\""]).unwrap().unwrap();
        assert!(weak.match_weakly(six) && !weak.match_strongly(six));
        assert!(!read(&["\"07\""]).unwrap().unwrap().match_strongly(seven));
    }

    #[test]
    fn what_is_no_tag_is_malformed() {
        for bad in
            ["7", "", ",", "\"7", "7\"", "\"7\" \"8\"", "\"7\"x", "w/\"7\"", "W/", "*, \"7\"", "\"7 8\""]
        {
            assert_eq!(read(&[bad]), Err(Malformed), "{bad:?}");
        }
        assert_eq!(read(&["*", "*"]), Err(Malformed));
    }
}
