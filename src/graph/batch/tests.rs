//! Batches in every shape, and hostile ones.

use std::fmt::Write as _;

use proptest::prelude::*;
use url::form_urlencoded::byte_serialize;

use super::*;

const FORM: Option<&str> = Some("application/x-www-form-urlencoded");
const PARTS: Option<&str> = Some("multipart/form-data; boundary=b");
const JSON: Option<&str> = Some("application/json; charset=utf-8");

const ONE: &str = r#"{"method":"POST","relative_url":"v23.0/1/messages","body":"to=1"}"#;
const TWO: &str = r#"{ "method" : "POST", "relative_url" : "2/messages", "body" : "to=+1&text=%7B%7D" }"#;
const GET: &str =
    "{\"method\":\"GET\",\"relative_url\":\"me?fields=a,b\",\"x\":\"\u{1F600}ä\\ud83d\\ude00\\n\"}";

/// A request in every way in which it can carry this batch: query, content type, body.
fn carried(batch: &str) -> Vec<(Option<String>, Option<&'static str>, Vec<u8>)> {
    let encoded: String = byte_serialize(batch.as_bytes()).collect();
    let sparse = batch.replace('%', "%25").replace('&', "%26").replace('+', "%2B");
    let part = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let file = "--b\r\nContent-Disposition: form-data; name=\"batch\"; filename=\"x\"\r\n\r\n[]\r\n";
    let text = serde_json::to_string(batch).unwrap();
    let mut escaped = String::from("\"");
    for unit in batch.encode_utf16() {
        write!(escaped, "\\u{unit:04x}").unwrap();
    }
    escaped.push('"');
    vec![
        (Some(format!("batch={encoded}&access_token=EAAG")), None, Vec::new()),
        (Some("access_token=EAAG".into()), FORM, format!("x=%20+&batch={encoded}&y=").into()),
        (None, FORM, format!("access_token=EAAG&b%61tch={sparse}").into()),
        (
            None,
            PARTS,
            [&part("access_token", "EAAG"), &part("batch", batch), file, "--b--\r\n"].concat().into(),
        ),
        (None, JSON, format!(" {{\"access_token\":\"EAAG\", \"batch\" : {batch} ,\"x\":[{{}}]}}\n").into()),
        (None, None, format!("{{\"access_token\":\"EAAG\",\"b\\u0061tch\":{text}}}").into()),
        (None, JSON, format!("\u{FEFF}{{\"batch\":{escaped},\"access_token\":\"EAAG\"}}").into()),
        (Some("batch=[]".into()), JSON, format!("{{\"access_token\":\"EAAG\",\"batch\":{batch}}}").into()),
    ]
}

fn changed(batch: &Batch<'_>, held: &[bool]) -> String {
    let (Changed::Query(bytes) | Changed::Body(bytes)) = batch.without(held);
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_batch_is_found_wherever_it_is() {
    for (query, content_type, body) in carried(&format!("[{ONE},\n {GET} , {TWO}]")) {
        let shown = String::from_utf8_lossy(&body).into_owned();
        assert!(may_be(query.as_deref(), content_type), "{query:?} {content_type:?}");
        let batch = Batch::read(query.as_deref(), content_type, &body);
        let batch = batch.unwrap_or_else(|error| panic!("{error:?} {query:?} {shown}"));
        let phones: Vec<_> = (0..4).map(|at| batch.phone(at).map(|phone| phone.to_string())).collect();
        assert_eq!(phones, [Some("1".to_owned()), None, Some("2".to_owned()), None], "{shown}");
        assert_eq!(batch.access_token.as_deref(), Some("EAAG"), "{shown}");
        assert!(batch.sends() && batch.include_headers);
    }
}

#[test]
fn what_stays_stays_to_the_byte() {
    let whole = [ONE, GET, TWO];
    for held in 0_u8..7 {
        let held: Vec<bool> = (0..3).map(|at| held & (1 << at) != 0).collect();
        let kept: Vec<&str> =
            whole.iter().zip(&held).filter(|(_, held)| !**held).map(|(text, _)| *text).collect();
        let expected = carried(&format!("[ {}]", kept.join(",")));
        for ((query, content_type, body), expected) in
            carried(&format!("[ {}]", whole.join(","))).iter().zip(expected)
        {
            let batch = Batch::read(query.as_deref(), *content_type, body).unwrap();
            let expected = if batch.place.in_query {
                expected.0.unwrap()
            } else {
                String::from_utf8(expected.2).unwrap()
            };
            assert_eq!(changed(&batch, &held), expected, "{held:?}");
        }
    }
}

#[test]
fn a_malformed_batch_is_none() {
    let many = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
    let read = |batch: &str| {
        let readable: Vec<bool> = carried(batch)
            .iter()
            // The one with a second batch in its query, which the body outranks.
            .take(7)
            .map(|(query, content_type, body)| Batch::read(query.as_deref(), *content_type, body).is_ok())
            .collect();
        assert!(readable.iter().all(|one| *one == readable[0]), "{batch} {readable:?}");
        readable[0]
    };
    for bad in ["", "null", "{}", "[]", "7", "[{]", "[{}", "[{},]", "[,{}]", "[{}]]", "[{}] x", &many(51)] {
        assert!(!read(bad), "{bad}");
    }
    for good in ["[{}]", "[null]", "[7, \"x\"]", &many(50)] {
        assert!(read(good), "{good}");
    }
    for (content_type, body) in [
        (JSON, format!("{{\"batch\":[{ONE}],}}")),
        (JSON, format!("{{\"batch\":[{ONE}]")),
        (JSON, format!("[{{\"batch\":[{ONE}]}}]")),
        (JSON, format!("{{\"x\":{{\"batch\":[{ONE}]}}}}")),
        (FORM, format!("{{\"batch\":[{ONE}]}}")),
        (PARTS, format!("--b\r\nContent-Disposition: form-data; name=\"batch\"\r\n\r\n[{ONE}]\r\n")),
        (Some("multipart/form-data"), format!("batch=[{ONE}]")),
    ] {
        assert!(Batch::read(None, content_type, body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn only_what_can_carry_parameters_may_be_one() {
    for content_type in ["image/jpeg", "application/octet-stream", "application/pdf", "video/mp4"] {
        assert!(!may_be(Some("x=batch"), Some(content_type)), "{content_type}");
        assert!(may_be(Some("b%61tch="), Some(content_type)), "{content_type}");
    }
    for content_type in
        [None, Some(""), JSON, FORM, PARTS, Some("text/plain"), Some("Application/VND.api+JSON")]
    {
        assert!(may_be(None, content_type), "{content_type:?}");
    }
}

#[test]
fn what_may_be_one_to_meta_is_told_from_what_is_none() {
    let encoded: String = byte_serialize(format!("[{ONE}]").as_bytes()).collect();
    let part = |head: &str| format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n[{ONE}]\r\n");
    let torn = part("name=\"batch\"");
    let json = format!("{{\"batch\":[{ONE}]}}");
    let read = |query: &str, content_type, body: &str| {
        assert!(may_be(Some(query), content_type));
        Batch::read(Some(query), content_type, body.as_bytes()).map(|batch| batch.may_hide_sends())
    };
    for (query, content_type, body) in [
        ("", FORM, format!("batch[]={encoded}")),
        ("", FORM, format!("batch[0]={encoded}")),
        ("", FORM, format!("b%61tch%5B0%5D[method]={encoded}")),
        ("", FORM, format!("+batch={encoded}")),
        ("", FORM, "batch=%7B%7D".to_owned()),
        (&format!("batch[0]={encoded}"), JSON, String::new()),
        (&format!("batch[0]={encoded}"), Some("image/jpeg"), String::new()),
        ("", PARTS, torn.clone()),
        ("", PARTS, part("name=\"batch[]\"") + "--b--"),
        ("", PARTS, torn.replace("--b", "--c") + "--c--"),
        ("", Some("multipart/form-data"), torn + "--b--"),
        ("", JSON, format!("batch={encoded}")),
        ("", None, format!("b%61tch={encoded}")),
        ("", JSON, json.replace("]}", "]")),
        ("", JSON, json.replace('[', "{\"x\":").replace(']', "}")),
        ("", FORM, format!("batch=[{}]", vec!["{}"; 51].join(","))),
        (&format!("batch={encoded}"), JSON, "{\"batch\":[]}".to_owned()),
        ("", JSON, "[{\"batch\":[]}]".to_owned()),
    ] {
        assert_eq!(read(query, content_type, &body), Err(NoBatch::Unreadable), "{query} {body}");
    }
    for (query, content_type, body) in [
        ("", FORM, "x=batch&batches[]=1&batch"),
        ("x=batch", JSON, "{\"x\":\"batch\",\"batch_id\":1}"),
        ("", JSON, "{}"),
        ("", None, ""),
        ("", PARTS, "--b\r\nContent-Disposition: form-data; name=x\r\n\r\nbatch\r\n--b--"),
    ] {
        let read = read(query, content_type, body);
        assert!(matches!(read, Err(NoBatch::Other)), "{query} {body} {read:?}");
    }
    for (query, content_type, body, hides) in [
        ("", FORM, format!("batch={encoded}"), false),
        ("", PARTS, part("name='batch'") + "--b--", false),
        ("", PARTS, part("\r\n name=batch").replace('\r', "") + "--b--", false),
        // PHP would have the body's, but Graph is not only PHP.
        (&format!("batch={encoded}"), FORM, format!("batch={encoded}"), true),
        (&format!("batch={encoded}"), JSON, json, true),
        ("", FORM, format!("batch[0]=x&batch={encoded}"), true),
        (
            "",
            JSON,
            r#"{"batch":[{"relative_url":"{result=a:$.id}/messages","body":"to=1"}]}"#.to_owned(),
            true,
        ),
        ("", JSON, r#"{"batch":[{"relative_url":"{result=a:$.id}/media"}]}"#.to_owned(), false),
    ] {
        assert_eq!(read(query, content_type, &body), Ok(hides), "{query} {body}");
    }
}

#[test]
fn headers_may_be_unwanted() {
    for (flag, wanted) in [("false", false), ("0", false), ("true", true), ("x", true)] {
        let body = format!("include_headers={flag}&batch=[{{}}]");
        assert_eq!(Batch::read(None, FORM, body.as_bytes()).unwrap().include_headers, wanted, "{flag}");
        let body = format!("{{\"include_headers\":\"{flag}\",\"batch\":[{{}}]}}");
        assert_eq!(Batch::read(None, JSON, body.as_bytes()).unwrap().include_headers, wanted, "{flag}");
    }
    assert!(!Batch::read(None, JSON, b"{\"include_headers\":false,\"batch\":[{}]}").unwrap().include_headers);
}

#[test]
fn whoever_needs_a_held_one_is_known() {
    let body = br#"{"batch":[{"name":"a"},{"name":"b","depends_on":"a"},{"relative_url":"{result=b:$.id}"},{"depends_on":["x"]}]}"#;
    let batch = Batch::read(None, JSON, body).unwrap();
    let needs = |held: &[bool]| -> Vec<_> { (0..5).map(|at| batch.held_need(at, held)).collect() };
    assert_eq!(needs(&[true, false, false, false]), [None, Some("a"), None, None, None]);
    assert_eq!(needs(&[true, true, false, false]), [None, Some("a"), Some("b"), None, None]);
    assert_eq!(needs(&[false, false, true, true]), [None; 5]);
}

#[test]
fn a_null_is_success_where_the_result_was_to_be_left_out() {
    let body = br#"{"batch":[{"name":"a"},{"name":"b","omit_response_on_success":false},{"omit_response_on_success":"true"},
        {"depends_on":["a","b"]},{"name":"c"}]}"#;
    let batch = Batch::read(None, JSON, body).unwrap();
    let success: Vec<_> = (0..6).map(|at| batch.null_is_success(at)).collect();
    assert_eq!(success, [true, false, true, false, false, false]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes, nothing panics; and what can be read can be cut, and read again.
    #[test]
    fn hostile_batches_panic_nothing(
        pick in 0_usize..8,
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..6, "[\\[\\]{}\",:\\\\%&=ua0 ]{0,3}"), 0..4),
        held in prop::collection::vec(any::<bool>(), 50),
    ) {
        let (query, content_type, mut body) = carried(&format!("[{ONE}, {GET},{TWO},{ONE}]")).swap_remove(pick);
        let mut query = query.unwrap_or_default();
        for (at, length, text) in edits {
            let from = at.index(body.len() + 1);
            let to = (from + length).min(body.len());
            drop(body.splice(from..to, text.bytes()));
            let from = query.floor_char_boundary(at.index(query.len() + 1));
            query.insert_str(from, &text);
        }
        if let Ok(batch) = Batch::read(Some(&query), content_type, &body) {
            let mut held = held;
            held.truncate(batch.operations.len());
            held[0] = false;
            let kept = held.iter().filter(|held| !**held).count();
            let (query, body) = match batch.without(&held) {
                Changed::Query(bytes) => (String::from_utf8(bytes).unwrap(), body.clone()),
                Changed::Body(bytes) => (query.clone(), bytes),
            };
            let again = Batch::read(Some(&query), content_type, &body).map(|batch| batch.operations.len());
            prop_assert_eq!(again, Ok(kept));
        }
    }

    #[test]
    fn arbitrary_bytes_panic_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for content_type in [None, FORM, PARTS] {
            let query = String::from_utf8_lossy(&bytes).into_owned();
            let _ = Batch::read(Some(&query), content_type, &bytes);
        }
        if let Some(results) = Results::read(&bytes) {
            for place in 0..3 {
                let _ = results.outcome(place);
            }
            let _ = results.merged(&[None, Some("x".into()), None]);
        }
    }
}
