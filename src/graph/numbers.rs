//! Answers of `GET /{waba}/phone_numbers`: which phones an account has.

use serde::de::MapAccess;

use super::ids::PhoneNumberId;
use super::lenient::{self, Object, Value};

/// One page of an account's phones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// The ids of the phones, in Meta's order.
    pub phones: Vec<PhoneNumberId>,
    /// Where the next page begins, if Meta says that there is one. It is opaque, and may hold any character.
    pub after: Option<String>,
}

/// The most phones of a page that are kept. Meta gives an account some twenty, and few have thousands.
const MAX_PHONES: usize = 5_000;
/// The most bytes of a cursor. Meta's have some hundred.
const MAX_CURSOR: usize = 1024;

/// Reads one page. `None`: an error, or no such answer. What has no id is passed over. The last page has a cursor too, but no
/// `paging.next`; a cursor that is too long ends the list.
pub fn read(body: &[u8]) -> Option<Numbers> {
    let text = lenient::text_of(body);
    let page = lenient::document::<Page>(&text)?;
    if page.any_error || !page.any_data {
        return None;
    }
    let after = page.paging.cursors.after.filter(|after| page.paging.any_next && after.len() <= MAX_CURSOR);
    Some(Numbers { phones: page.phones, after })
}

/// The fields of an answer.
#[derive(Default)]
struct Page {
    any_error: bool,
    any_data: bool,
    phones: Vec<PhoneNumberId>,
    paging: Paging,
}

impl<'de> Object<'de> for Page {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"error" => {
                // Whatever it holds: an answer with data has no such field.
                self.any_error = true;
                value.skip()?;
            }
            b"data" => {
                let phones = &mut self.phones;
                self.any_data = value.list(|phone: Option<Phone>| {
                    let id = phone.and_then(|phone| phone.id).filter(|_| phones.len() < MAX_PHONES);
                    phones.extend(id);
                })?;
            }
            b"paging" => self.paging = value.object()?.unwrap_or_default(),
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// An element of `data`.
#[derive(Default)]
struct Phone {
    id: Option<PhoneNumberId>,
}

impl<'de> Object<'de> for Phone {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"id" => self.id = value.text()?.and_then(|id| PhoneNumberId::parse(id.as_bytes()).ok()),
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// `paging`
#[derive(Default)]
struct Paging {
    cursors: Cursors,
    any_next: bool,
}

impl<'de> Object<'de> for Paging {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"cursors" => self.cursors = value.object()?.unwrap_or_default(),
            // A URL with the token in it: that it is there is all that is wanted.
            b"next" => self.any_next = value.text()?.is_some_and(|next| !next.is_empty()),
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// `paging.cursors`
#[derive(Default)]
struct Cursors {
    after: Option<String>,
}

impl<'de> Object<'de> for Cursors {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"after" => self.after = value.text()?.map(String::from).filter(|after| !after.is_empty()),
            _ => value.skip()?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(body: &str) -> Option<Vec<String>> {
        read(body.as_bytes()).map(|page| page.phones.iter().map(ToString::to_string).collect())
    }

    fn after(paging: &str) -> Option<String> {
        read(format!(r#"{{"data":[],"paging":{paging}}}"#).as_bytes()).unwrap().after
    }

    #[test]
    fn metas_own_answer() {
        let page = read(
            br#"{"data":[{"verified_name":"Lucky Shrub","display_phone_number":"+1 555-078-3881","quality_rating":"GREEN",
                "throughput":{"level":"STANDARD"},"id":"106540352242922"},{"id":"206540352242922"}],
                "paging":{"cursors":{"before":"QVFI","after":"QVFJ"},"next":"https://graph.facebook.com/v23.0/1/phone_numbers?after=QVFJ"}}"#,
        );
        let phones = ["106540352242922", "206540352242922"].map(|id| PhoneNumberId::parse(id).unwrap());
        assert_eq!(page, Some(Numbers { phones: phones.into(), after: Some("QVFJ".to_owned()) }));
    }

    #[test]
    fn odd_phones_hide_no_others() {
        for data in [
            r#"{"id":1},{"id":"2"}"#,
            r#"null,{"id":"1"},7,[],{"id":null},{"id":"x"},{"id":"-3"},{"id":{}},{"id":"2"}"#,
            r#"{"id":"1","health_status":{"entities":[{"id":"9"}]}},{"id":"2","waba":{"id":"8"}}"#,
            r#"{"id":"123456789012345678901"},{"id":"1"},{"name":"\ud83d","id":"2"}"#,
        ] {
            assert_eq!(ids(&format!(r#"{{"data":[{data}]}}"#)), Some(vec!["1".into(), "2".into()]), "{data}");
        }
        assert_eq!(ids(r#"{"data":[]}"#), Some(vec![]));
    }

    #[test]
    fn what_is_no_such_answer() {
        for body in [
            "",
            "[]",
            "{}",
            "<html>",
            r#"{"data":{"id":"1"}}"#,
            r#"{"data":null}"#,
            r#"{"id":"1"}"#,
            r#"{"error":{"code":190}}"#,
            r#"{"data":[{"id":"1"}],"error":{"code":190}}"#,
            r#"{"error":null,"data":[{"id":"1"}]}"#,
            r#"{"data":[{"id":"1"}]"#,
            r#"{"data":[{"id":"1"}]} more"#,
        ] {
            assert_eq!(ids(body), None, "{body}");
        }
    }

    #[test]
    fn the_next_page_is_the_one_that_meta_names() {
        let next = r#""next":"https://x""#;
        assert_eq!(after(&format!(r#"{{"cursors":{{"after":"A=&/"}},{next}}}"#)).as_deref(), Some("A=&/"));
        for last in [
            r#"{"cursors":{"after":"A"}}"#.to_owned(),
            r#"{"cursors":{"after":"A"},"next":null}"#.to_owned(),
            r#"{"cursors":{"after":"A"},"next":""}"#.to_owned(),
            format!(r#"{{"cursors":{{"before":"A"}},{next}}}"#),
            format!(r#"{{"cursors":{{"after":""}},{next}}}"#),
            format!(r#"{{"cursors":"A",{next}}}"#),
            format!(r#"{{"cursors":{{"after":"{}"}},{next}}}"#, "A".repeat(MAX_CURSOR + 1)),
            "null".to_owned(),
        ] {
            assert_eq!(after(&last), None, "{last}");
        }
    }

    #[test]
    fn a_long_list_is_cut() {
        let phones = vec![r#"{"id":"1"}"#; MAX_PHONES + 1].join(",");
        assert_eq!(ids(&format!(r#"{{"data":[{phones}]}}"#)).unwrap().len(), MAX_PHONES);
    }
}
