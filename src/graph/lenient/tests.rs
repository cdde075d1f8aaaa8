//! Odd JSON, and what is made of it.

use super::*;

#[derive(Debug, Default, PartialEq)]
struct Sample {
    number: Option<i64>,
    text: Option<String>,
    inner: Option<Box<Sample>>,
    list: Vec<Option<i64>>,
    is_list: bool,
}

impl<'de> Object<'de> for Sample {
    fn field<M: MapAccess<'de>>(&mut self, name: &[u8], value: Value<'_, M>) -> Result<(), M::Error> {
        match name {
            b"number" => self.number = value.integer()?,
            b"text" => self.text = value.text()?.map(Cow::into_owned),
            b"inner" => self.inner = value.object()?.map(Box::new),
            b"list" => {
                self.is_list =
                    value.list(|item: Option<Sample>| self.list.push(item.and_then(|item| item.number)))?;
            }
            _ => value.skip()?,
        }
        Ok(())
    }
}

fn sample(text: &str) -> Sample {
    document(text).unwrap_or_else(|| panic!("no object: {text}"))
}

#[test]
fn numbers_come_in_many_spellings() {
    for (json, number) in [
        ("131031", Some(131_031)),
        ("\"131031\"", Some(131_031)),
        ("\" 131031 \"", Some(131_031)),
        ("\"13103\\u0031\"", Some(131_031)),
        ("131031.0", Some(131_031)),
        ("\"131031.00\"", Some(131_031)),
        ("-1", Some(-1)),
        ("131031.5", None),
        ("1e999", None),
        ("99999999999999999999", None),
        ("\"\"", None),
        ("\"(#131031)\"", None),
        ("null", None),
        ("true", None),
        ("[131031]", None),
        ("{\"code\":131031}", None),
    ] {
        assert_eq!(sample(&format!("{{\"number\":{json}}}")).number, number, "{json}");
    }
}

#[test]
fn texts_are_borrowed_where_they_can_be() {
    assert!(matches!(text("\"plain ü\""), Some(Cow::Borrowed("plain ü"))));
    assert!(matches!(text("42"), Some(Cow::Borrowed("42"))));
    assert_eq!(text(r#""a\/b\u00fc\n""#).as_deref(), Some("a/bü\n"));
    assert_eq!(text("\"\"").as_deref(), Some(""));
    for other in ["null", "true", "{}", "[]"] {
        assert_eq!(text(other), None, "{other}");
    }
}

#[test]
fn half_a_surrogate_pair_hides_nothing() {
    for half in ["\\ud83d", "\\uDE00", "\\ud83d\\ud83d", "\\ud83d\\n", "\\\\ud83d\\ude00", "\\ude00\\ud83d"] {
        let body =
            format!(r#"{{"text":"cut {half}","{half}":1,"inner":"{half}","list":"{half}","number":7}}"#);
        let read = sample(&text_of(body.as_bytes()));
        assert_eq!(read.number, Some(7), "{half}");
        assert!(
            read.text.is_some_and(|text| text.starts_with("cut ") && text.contains('\u{FFFD}')),
            "{half}"
        );
    }
    for whole in [r#""\ud83d\ude00\uD83D\uDE00""#, r#""\u00fc\\ud83d\/""#, r#""\""#, r#""\u""#] {
        assert!(matches!(text_of(whole.as_bytes()), Cow::Borrowed(_)), "{whole}");
    }
}

#[test]
fn values_of_another_kind_are_absent_and_the_rest_counts() {
    for odd in ["null", "1", "-1", "0.5", "\"x\"", "\"\\n\"", "true", "[1,{\"a\":[]}]"] {
        let read = sample(&format!("{{\"inner\":{odd},\"number\":7}}"));
        assert_eq!((read.inner, read.number), (None, Some(7)), "{odd}");
    }
    for odd in ["null", "1", "\"x\"", "true", "{\"a\":[1]}"] {
        let read = sample(&format!("{{\"list\":{odd},\"number\":7}}"));
        assert_eq!((read.is_list, read.number), (false, Some(7)), "{odd}");
    }
    let read = sample(r#"{"list":[{"number":1},null,[],{"number":"2"}]}"#);
    assert_eq!(read.list, [Some(1), None, None, Some(2)]);
}

#[test]
fn the_last_of_two_equal_keys_counts() {
    assert_eq!(sample(r#"{"number":1,"number":2}"#).number, Some(2));
}

#[test]
fn what_is_no_object_is_refused() {
    for bad in
        ["", " ", "{", "{\"number\":1", "{\"number\":1}}", "[]", "null", "\"x\"", "<html>", "{number:1}"]
    {
        assert_eq!(document::<Sample>(bad), None, "{bad}");
    }
}

#[test]
fn depth_costs_no_stack() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let read = sample(&format!("{{\"odd\":{deep},\"text\":{deep},\"number\":{deep},\"list\":[{{}}]}}"));
    assert_eq!(read.list, [None]);
    let read = sample(&format!("{{\"inner\":{deep},\"list\":{deep},\"number\":7}}"));
    assert_eq!(read.number, Some(7));
}

#[test]
fn marks_and_bad_bytes_are_seen_through() {
    assert_eq!(text_of(b"\xEF\xBB\xBF{}"), "{}");
    assert_eq!(text_of(b"\"\xFF\""), "\"\u{FFFD}\"");
}

#[test]
fn a_cut_falls_between_characters() {
    assert_eq!(cut("abc", 5), "abc");
    assert_eq!(cut("abc", 2), "ab");
    assert_eq!(cut("aü", 2), "a");
}
