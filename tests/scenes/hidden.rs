//! What would hide a send from the look into it: parameters in two places, numbers spelt oddly, batches that only Meta can read. Each is
//! seen through, or goes on and is counted.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use sendfuse::config::{Clears, Rule, RuleExtent, RuleScope};
use sendfuse::simulator::{News, Profile};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::form_urlencoded::byte_serialize;

use super::harness::{OTHER, PHONE, Scene, json_request, request, text};
use super::wabas::ONE;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const PARTS: &str = "multipart/form-data; boundary=b";

const COUNTRY: Rule = Rule {
    code: 130_497,
    scope: RuleScope::PhoneCountry,
    extent: RuleExtent::All,
    clears: Clears::Time(Duration::from_secs(3600)),
};

/// Meta takes nothing of a phone's to Brazil, and that is held.
async fn without_brazil() -> Scene {
    let scene = Scene::with(|config| config.rules = vec![COUNTRY]);
    scene.meta.lock(PHONE, Profile::Sync403.lock().code(130_497).calling_code("55"));
    let mut message = text();
    message["to"] = json!("5511912345678");
    let path = format!("/v23.0/{PHONE}/messages");
    assert_eq!(scene.call(json_request("POST", &path, &message)).await.code(), 130_497);
    scene
}

fn operation(phone: &str, to: &str) -> String {
    let body = format!("messaging_product=whatsapp&to={to}&type=text&text=%7B%22body%22%3A%22hi%22%7D");
    json!({"method": "POST", "relative_url": format!("v23.0/{phone}/messages"), "body": body}).to_string()
}

fn encoded(batch: &str) -> String {
    byte_serialize(batch.as_bytes()).collect()
}

fn unread(scene: &Scene) -> f64 {
    scene.metric("sendfuse_unread_batches_total")
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_only_what_goes_to_another_country_reaches_meta() {
    let scene = without_brazil().await;
    let operations = [
        operation(PHONE, "5511912345678"),
        operation(PHONE, "%2B55+11+91234-5679"),
        operation(PHONE, "16505551234"),
    ];
    let body = format!("batch={}", encoded(&format!("[{}]", operations.join(","))));
    let answer = scene.call(request("POST", "/", FORM, body)).await;
    let codes: Vec<_> =
        answer.json.as_array().unwrap().iter().map(|result| result["code"].as_i64()).collect();
    assert_eq!(codes, [Some(403), Some(403), Some(200)], "{}", answer.json);
    let error = |place: usize| -> Value {
        serde_json::from_str(answer.json[place]["body"].as_str().unwrap()).unwrap()
    };
    assert_eq!([error(0)["error"]["code"].clone(), error(1)["error"]["code"].clone()], [130_497, 130_497]);
    assert_eq!(scene.arrived(PHONE), 2, "the one that tripped, and the third");
    assert_eq!((scene.meta.phone_counts(PHONE).accepted, scene.state(PHONE)), (1, "closed"));
}

#[tokio::test(start_paused = true)]
async fn a_country_is_seen_in_the_query_and_in_odd_spellings() {
    let scene = without_brazil().await;
    let path = format!("/v23.0/{PHONE}/messages");
    let message = |to: &str| {
        json!({"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": "hi"}}).to_string()
    };
    let nobody = r#"{"messaging_product":"whatsapp","type":"text","text":{"body":"hi"}}"#;
    for (query, content_type, body) in [
        ("", JSON, message("00 55 11 91234-5678")),
        ("", JSON, message("55.11.91234.5678")),
        ("", JSON, message("\u{ff0b}55 11 91234\u{2011}5678")),
        ("?to=5511912345678", JSON, nobody.to_owned()),
        (
            "?to=%2B5511912345678",
            FORM,
            "messaging_product=whatsapp&type=text&text=%7B%22body%22%3A%22hi%22%7D".to_owned(),
        ),
        (
            "?messaging_product=whatsapp&to=5511912345678&type=text&text=%7B%22body%22%3A%22hi%22%7D",
            FORM,
            String::new(),
        ),
        ("?to=5521912345678", JSON, message("5511912345678")),
    ] {
        let answer = scene.call(request("POST", &format!("{path}{query}"), content_type, body.clone())).await;
        assert!(answer.is_rejection(), "{query} {body}: {}", answer.json);
    }
    assert_eq!(scene.arrived(PHONE), 1);
    // Two countries: whose it is, is Meta's to say.
    let both =
        scene.call(request("POST", &format!("{path}?to=16505551234"), JSON, message("5511912345678"))).await;
    assert!(!both.is_rejection());
}

#[tokio::test(start_paused = true)]
async fn a_country_trips_by_the_query_too() {
    let scene = Scene::with(|config| config.rules = vec![COUNTRY]);
    scene.meta.lock(PHONE, Profile::Sync403.lock().code(130_497).calling_code("55"));
    let path = format!("/v23.0/{PHONE}/messages?to=5511912345678");
    let message = json!({"messaging_product": "whatsapp", "type": "text", "text": {"body": "hi"}});
    assert_eq!(scene.call(json_request("POST", &path, &message)).await.code(), 130_497);
    assert!(scene.call(json_request("POST", &path, &message)).await.is_rejection());
}

#[tokio::test(start_paused = true)]
async fn a_class_that_the_query_leaves_open_is_held_as_either() {
    let scene = Scene::of_wabas();
    scene.meet(ONE).await;
    scene.tell(News::RestrictedBusinessInitiated).await;
    let path = format!("/v23.0/{ONE}/messages");
    for query in ["type=template", "category=utility", "template=%7B%22name%22%3A%22x%22%7D&type=template"] {
        let answer = scene.call(json_request("POST", &format!("{path}?{query}"), &text())).await;
        assert!(answer.is_rejection(), "{query}: {}", answer.json);
    }
    let answer =
        scene.call(json_request("POST", &format!("{path}?access_token=EAAGx&type=text"), &text())).await;
    assert!(!answer.is_rejection(), "a reply in both");
}

/// Calls with a send of [`PHONE`] in them that cannot be seen through, or not wholly.
fn odd() -> Vec<Request<Full<Bytes>>> {
    let batch = format!("[{}]", operation(PHONE, "16505551234"));
    let veiled = format!(
        "[{},{}]",
        json!({"name": "a", "method": "GET", "relative_url": format!("{PHONE}?fields=id"), "omit_response_on_success": false}),
        operation("{result=a:$.id}", "16505551234")
    );
    let part =
        |head: &str, batch: &str| format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{batch}\r\n");
    let mut several = request("POST", "/", JSON, format!("batch={}", encoded(&batch)));
    several.headers_mut().append(header::CONTENT_TYPE, header::HeaderValue::from_static(FORM));
    let mut other = request("POST", "/", "image/jpeg", format!("b%61tch={}", encoded(&batch)));
    other.headers_mut().append(header::CONTENT_TYPE, header::HeaderValue::from_static(FORM));
    vec![
        request("POST", "/", FORM, format!("batch={}", encoded(&veiled))),
        request("POST", "/", FORM, format!("batch[]={}", encoded(&batch))),
        request("POST", "/v23.0/", FORM, format!("batch%5B0%5D={}", encoded(&batch))),
        request("POST", "/", PARTS, part("name=\"batch\"", &batch)),
        request("POST", &format!("/v23.0/{OTHER}"), PARTS, part("name=\"batch\"", &batch)),
        request("POST", &format!("/v23.0/{OTHER}"), FORM, format!("pin=123456&batch[]={}", encoded(&batch))),
        request(
            "POST",
            &format!("/?batch={}", encoded(&batch)),
            JSON,
            r#"{"batch":[{"method":"GET","relative_url":"me"}]}"#,
        ),
        several,
        other,
    ]
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_seen_through_passes_as_it_came_and_is_counted() {
    for open in [false, true] {
        let scene = Scene::new();
        if open {
            scene.trip(PHONE).await;
        }
        for (place, odd) in odd().into_iter().enumerate() {
            let (head, body) = odd.into_parts();
            let sent = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
            let before = unread(&scene);
            scene.call(Request::from_parts(head, Full::new(sent.clone()))).await;
            let got =
                scene.meta.recorded().into_iter().rev().find(|got| !got.target.contains("health_status"));
            assert_eq!(got.unwrap().body_sha256, <[u8; 32]>::from(Sha256::digest(&sent)), "{place}");
            assert_eq!(unread(&scene) - before, 1.0, "{place} {open}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_php_would_read_is_held() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    let batch = format!("[{}]", operation(PHONE, "16505551234"));
    let part =
        |head: &str| format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{batch}\r\n--b--\r\n");
    for (target, content_type, body) in [
        ("/", PARTS, part("name='batch'")),
        ("/", PARTS, part("name=batch")),
        ("/", PARTS, part("x=y;\r\n\tname=\"batch\"")),
        ("/", PARTS, part("name=\"batch\"").replace('\r', "")),
        ("/", "application/x-www-form-urlencoded, charset=utf-8", format!("batch={}", encoded(&batch))),
        // Judged by its own method, whatever it asks to be taken for.
        ("/?method=get", FORM, format!("batch={}", encoded(&batch))),
        ("/?batch=%5B%7B%22method%22%3A%22GET%22%7D%5D", FORM, format!("batch={}", encoded(&batch))),
    ] {
        let answer = scene.call(request("POST", target, content_type, body.clone())).await;
        assert_eq!(answer.json[0]["code"], 403, "{target} {body}: {}", answer.json);
    }
    assert_eq!((scene.arrived(PHONE), unread(&scene)), (1, 1.0), "the last could be another to Meta");
}
