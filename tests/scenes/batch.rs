//! Sends in Graph batches: held in their place, watched in the answer, and everything around them left alone.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use sendfuse::config::Mode;
use sendfuse::simulator::{Encoding, Fault, FaultRule, Profile, Recorded, Requests};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::form_urlencoded::byte_serialize;

use super::harness::{Answer, OTHER, PHONE, Scene, TOKEN, request};

const FORM: &str = "application/x-www-form-urlencoded";
const PARTS: &str = "multipart/form-data; boundary=b";
const MESSAGE: &str = "messaging_product=whatsapp&to=16505551234&type=text&text=%7B%22body%22%3A%22hi%22%7D";

/// A send as an operation, with these fields beside.
fn send_of(phone: &str, fields: &str) -> String {
    format!(r#"{{"method":"POST", "relative_url":"v23.0/{phone}/messages", "body":"{MESSAGE}"{fields}}}"#)
}

fn receipt_of(phone: &str) -> String {
    send_of(phone, "").replace(MESSAGE, "messaging_product=whatsapp&status=read&message_id=wamid.u")
}

fn profile_of(phone: &str, fields: &str) -> String {
    format!(r#"{{"method":"GET","relative_url":"{phone}/whatsapp_business_profile"{fields}}}"#)
}

/// The five ways to carry a batch: target, content type and body.
fn carried(operations: &[&str]) -> Vec<(String, &'static str, String)> {
    let batch = format!("[{}]", operations.join(","));
    let encoded: String = byte_serialize(batch.as_bytes()).collect();
    let part = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let parts = [part("access_token", TOKEN), part("batch", &batch), part("file", "x"), "--b--\r\n".into()];
    vec![
        ("/".into(), FORM, format!("access_token={TOKEN}&batch={encoded}&x=y")),
        ("/v23.0/".into(), PARTS, parts.concat()),
        ("/me".into(), "application/json", format!("{{\"x\": 1,\"batch\" : {batch} }}")),
        (format!("/v23.0/{OTHER}"), "application/json", format!("{{\"batch\":{}}}", json!(batch))),
        (format!("/v23.0?batch={encoded}&access_token={TOKEN}"), FORM, String::new()),
    ]
}

fn call((target, content_type, body): &(String, &'static str, String)) -> Request<Full<Bytes>> {
    request("POST", target, content_type, body.clone())
}

async fn form(scene: &Scene, operations: &[&str]) -> Answer {
    scene.call(call(&carried(operations)[0])).await
}

/// The last request of an app's that Meta got.
fn last(scene: &Scene) -> Recorded {
    let mut recorded = scene.meta.recorded();
    recorded.retain(|request| !request.target.contains("health_status"));
    recorded.pop().unwrap()
}

/// Asserts that this is, to the byte, what Meta got last.
#[track_caller]
fn assert_got(scene: &Scene, (target, _, body): &(String, &'static str, String)) {
    let got = last(scene);
    assert_eq!(&got.target, target);
    assert_eq!(got.body_sha256, <[u8; 32]>::from(Sha256::digest(body)), "{body}");
    let length = got.header("content-length").next().map(<[u8]>::to_vec);
    assert_eq!(length.unwrap_or_else(|| b"0".to_vec()), body.len().to_string().into_bytes());
}

fn codes(answer: &Answer) -> Vec<i64> {
    let results = answer.json.as_array().unwrap_or_else(|| panic!("{}", answer.json));
    results.iter().map(|result| result["code"].as_i64().unwrap_or_default()).collect()
}

/// The JSON in the body of a result.
fn body(answer: &Answer, place: usize) -> Value {
    serde_json::from_str(answer.json[place]["body"].as_str().unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn while_nothing_is_open_all_goes_through_to_the_byte() {
    let scene = Scene::new();
    let (one, two, receipt, get) =
        (send_of(PHONE, ""), send_of(OTHER, ""), receipt_of(PHONE), profile_of(OTHER, ""));
    for carried in carried(&[&one, &two, &receipt, &get]) {
        let answer = scene.call(call(&carried)).await;
        assert_eq!(codes(&answer), [200; 4], "{}", answer.json);
        assert_got(&scene, &carried);
    }
    assert_eq!((scene.arrived(PHONE), scene.arrived(OTHER)), (5, 5));
    assert_eq!(scene.metric("sendfuse_sends_total{admission=\"forward\"}"), 10.0, "each send counts");
}

#[tokio::test(start_paused = true)]
async fn a_held_send_is_answered_in_its_place_and_the_others_go_on() {
    let (one, two, three) = (send_of(OTHER, ""), send_of(PHONE, ""), profile_of(PHONE, ""));
    for place in 0..5 {
        let scene = Scene::new();
        scene.trip(PHONE).await;
        let whole = &carried(&[&two, &one, &two, &three, &two])[place];
        let answer = scene.call(call(whole)).await;
        assert_eq!((answer.status, codes(&answer)), (200, vec![403, 200, 403, 200, 403]), "{}", answer.json);
        assert_got(&scene, &carried(&[&one, &three])[place]);
        for held in [0, 2, 4] {
            let error = &body(&answer, held)["error"];
            assert_eq!((&error["code"], &error["type"]), (&json!(131_031), &json!("OAuthException")));
            assert!(error["error_data"]["details"].as_str().unwrap().starts_with("Held back by sendfuse"));
            let headers = answer.json[held]["headers"].as_array().unwrap();
            let header = |name: &str| {
                headers.iter().find(|header| header["name"] == name).map(|header| header["value"].clone())
            };
            assert_eq!(header("Content-Type"), Some(json!("application/json; charset=UTF-8")));
            assert_eq!(header("x-sendfuse-state"), Some(json!("open")));
        }
        assert!(body(&answer, 1)["messages"][0]["id"].is_string(), "Meta's own");
        assert_eq!((scene.arrived(PHONE), scene.arrived(OTHER)), (1, 1), "only the one that tripped");
        assert_eq!(scene.breaker(PHONE).rejected, 3);
        assert_eq!(scene.metric("sendfuse_rejected_sends_total{reason=\"131031\"}"), 3.0);
    }
}

#[tokio::test(start_paused = true)]
async fn references_to_what_goes_on_still_hold() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    let first = send_of(OTHER, r#","name":"a","omit_response_on_success":false"#);
    let refers = receipt_of(OTHER).replace("wamid.u", "{result=a:$.messages[0].id}");
    let answer = form(&scene, &[&send_of(PHONE, ""), &first, &refers]).await;
    assert_eq!(codes(&answer), [403, 200, 200], "{}", answer.json);
    assert_eq!(scene.meta.phone_counts(OTHER).read_receipts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_compressed_answer_is_merged_too() {
    for encoding in [Encoding::Gzip, Encoding::Br, Encoding::Deflate, Encoding::Zstd] {
        let scene = Scene::new();
        scene.trip(PHONE).await;
        let faults = [Fault::Encoding { encoding }, Fault::Chunked { sizes: vec![7] }];
        for fault in faults {
            scene.meta.fault(FaultRule { phone: None, on: Requests::Others, times: None, fault });
        }
        let answer = form(&scene, &[&send_of(PHONE, ""), &send_of(OTHER, "")]).await;
        assert_eq!(codes(&answer), [403, 200], "{encoding:?}");
        assert_eq!(answer.header("content-encoding"), None);
        assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_nothing_but_held_sends_is_answered_here() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    let before = scene.meta.counts().requests;
    let held = send_of(PHONE, "");
    for carried in carried(&[&held, &held]) {
        let answer = scene.call(call(&carried)).await;
        assert_eq!((answer.status, codes(&answer)), (200, vec![403, 403]));
        assert_eq!(answer.header("content-type"), Some("application/json; charset=UTF-8"));
    }
    assert_eq!(scene.meta.counts().requests, before);
}

#[tokio::test(start_paused = true)]
async fn whoever_depends_on_a_held_send_is_told_so_and_not_sent() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    let operations = [
        // Needs one that comes later.
        profile_of(OTHER, r#","depends_on":["c"]"#),
        send_of(PHONE, r#","name":"a""#),
        send_of(OTHER, r#","name":"b","depends_on":"a""#),
        profile_of(OTHER, r#","name":"c","x":"{result=a:$.id}""#)
            .replace("profile\"", "profile?x={result=b:$.messages[0].id}\""),
        send_of(OTHER, r#","name":"d""#),
        profile_of(OTHER, r#","depends_on":"d""#),
    ];
    let whole: Vec<&str> = operations.iter().map(String::as_str).collect();
    let answer = form(&scene, &whole).await;
    assert_eq!(codes(&answer), [424, 403, 424, 424, 0, 200], "{}", answer.json);
    assert_eq!(answer.json[4], Value::Null, "Meta leaves out what others need");
    for (place, needs) in [(0, "c"), (2, "a"), (3, "b")] {
        let error = &body(&answer, place)["error"];
        assert_eq!((&error["code"], &error["type"]), (&json!(999_424), &json!("SendfuseException")));
        let details = error["error_data"]["details"].as_str().unwrap();
        assert!(details.contains(&format!("{needs:?}")), "{details}");
    }
    assert_got(&scene, &carried(&whole[4..])[0]);
}

#[tokio::test(start_paused = true)]
async fn only_successes_are_left_out_and_headers_only_where_they_are_unwanted() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    let omitted = r#","omit_response_on_success":true"#;
    let (one, two) = (send_of(PHONE, omitted), send_of(OTHER, omitted));
    let body = json!({"include_headers": false, "batch": format!("[{two},{one},{two}]")});
    let answer = scene.call(super::harness::json_request("POST", "/", &body)).await;
    assert_eq!((&answer.json[0], &answer.json[2]), (&Value::Null, &Value::Null));
    assert_eq!(answer.json[1]["code"], 403);
    assert!(answer.json[1].get("headers").is_none(), "{}", answer.json[1]);
    assert!(answer.json[1]["body"].is_string());
    assert_eq!(scene.meta.phone_counts(OTHER).accepted, 2);
}

#[tokio::test(start_paused = true)]
async fn a_lock_in_a_result_opens_before_the_answer_is_released() {
    for (others_open, status) in [(false, 400), (true, 403)] {
        let scene = Scene::new();
        if others_open {
            // With a breaker open somewhere, requests are read before they go on.
            scene.trip("306540352242922").await;
        }
        scene.lock(PHONE, if status == 400 { Profile::Sync400 } else { Profile::Sync403 });
        let mut carried = carried(&[&send_of(OTHER, ""), &send_of(PHONE, ""), &profile_of(PHONE, "")]);
        let answer = scene.call(call(&carried.swap_remove(0))).await;
        assert_eq!(codes(&answer), [200, status, 200]);
        let breaker = scene.breaker(PHONE);
        assert_eq!((breaker.state, breaker.reason.unwrap().source), ("open", "response"));
        assert_eq!(scene.state(OTHER), "closed", "nobody else's");
        assert!(scene.send(PHONE).await.is_rejection());
        assert_eq!(scene.arrived(PHONE), 1);
        assert_eq!(
            scene.metric("sendfuse_graph_errors_total{code=\"131031\"}"),
            if others_open { 2.0 } else { 1.0 }
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_in_a_result_opens_even_if_the_answer_breaks_off_or_the_app_hangs_up() {
    let scene = Scene::new();
    scene.lock(PHONE, Profile::Sync403);
    let fault = |fault| FaultRule { phone: None, on: Requests::Others, times: Some(1), fault };
    scene.meta.fault(fault(Fault::HalfBody));
    let filler = profile_of(OTHER, "");
    let answer = form(&scene, &[&send_of(PHONE, ""), &filler, &filler, &filler, &filler, &filler]).await;
    assert_eq!((answer.status, scene.state(PHONE)), (502, "open"));

    let scene = Scene::new();
    scene.lock(PHONE, Profile::Sync403);
    scene.meta.fault(fault(Fault::Delay { delay: Duration::from_secs(5) }));
    let operations = carried(&[&send_of(PHONE, "")]).swap_remove(0);
    let going = tokio::spawn({
        let scene = scene.clone();
        async move { scene.call(call(&operations)).await }
    });
    scene.until_arrived(PHONE, 1).await;
    going.abort();
    scene.advance(Duration::from_secs(6)).await;
    assert_eq!(scene.state(PHONE), "open");
}

#[tokio::test(start_paused = true)]
async fn accepted_messages_are_remembered_with_the_generation_they_went_out_under() {
    for others_open in [false, true] {
        let scene = Scene::new();
        if others_open {
            scene.trip(OTHER).await;
        }
        scene.lock(PHONE, Profile::Async);
        let answer = form(&scene, &[&send_of(PHONE, ""), &send_of(PHONE, "")]).await;
        assert_eq!(codes(&answer), [200, 200]);
        scene.until_state(PHONE, "open").await;
        scene.advance(Duration::from_secs(5)).await;
        let breaker = scene.breaker(PHONE);
        assert_eq!((breaker.reason.unwrap().source, breaker.leaked), ("webhook", 2), "{others_open}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_trial_may_come_in_a_batch() {
    let scene = Scene::new();
    scene.half_open(PHONE).await;
    let (one, get) = (send_of(PHONE, ""), profile_of(PHONE, ""));
    let answer = form(&scene, &[&get, &one, &one]).await;
    assert_eq!(codes(&answer), [200, 200, 403], "the first is the trial");
    scene.until_state(PHONE, "closed").await;
    assert_eq!(scene.metric("sendfuse_trials_total{outcome=\"confirmed\"}"), 1.0);
    assert_eq!(codes(&form(&scene, &[&one, &one]).await), [200, 200]);
}

#[tokio::test(start_paused = true)]
async fn a_trial_without_a_result_gives_its_place_back() {
    let scene = Scene::new();
    scene.half_open(PHONE).await;
    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Stall).times(1));
    let one = send_of(PHONE, "");
    let answer = form(&scene, &[&one]).await;
    assert_eq!(answer.json, json!([null]), "Meta's own null stays");
    assert_eq!(
        (scene.state(PHONE), scene.metric("sendfuse_trials_total{outcome=\"abandoned\"}")),
        ("half_open", 1.0)
    );
    // Whoever depends on a held operation takes no place.
    let needs = send_of(PHONE, r#","depends_on":"x""#);
    scene.trip(OTHER).await;
    let held = send_of(OTHER, r#","name":"x""#);
    assert_eq!(codes(&form(&scene, &[&held, &needs, &one]).await), [403, 424, 200]);
    scene.until_state(PHONE, "closed").await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_cannot_be_read_is_metas_to_answer() {
    for open in [false, true] {
        let scene = Scene::new();
        if open {
            scene.trip(PHONE).await;
        }
        let one = send_of(PHONE, "");
        let many = vec![one.as_str(); 51];
        let mut requests = carried(&many);
        requests.extend(carried(&["{\"method\":"]));
        requests.push(("/".into(), "application/json", format!("{{\"batch\":{{\"x\":{one}}}}}")));
        for carried in requests {
            let answer = scene.call(call(&carried)).await;
            assert_eq!(answer.status, 400, "{}", answer.json);
            assert!(answer.json["error"]["code"].is_number());
            assert_got(&scene, &carried);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_as_a_whole_goes_back_as_it_is() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    let rule = FaultRule {
        phone: None,
        on: Requests::Others,
        times: None,
        fault: Fault::Error { status: 401, code: 190 },
    };
    scene.meta.fault(rule);
    let answer = form(&scene, &[&send_of(PHONE, ""), &send_of(OTHER, "")]).await;
    assert_eq!((answer.status, answer.code()), (401, 190));
}

#[tokio::test(start_paused = true)]
async fn read_receipts_and_other_calls_pass_in_every_state() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    let (receipt, get) = (receipt_of(PHONE), profile_of(PHONE, ""));
    for carried in carried(&[&receipt, &get]) {
        let answer = scene.call(call(&carried)).await;
        assert_eq!(codes(&answer), [200, 200], "{}", answer.json);
        assert_got(&scene, &carried);
    }
    assert_eq!(scene.meta.phone_counts(PHONE).read_receipts, 5);
    // Nor is another call on a node a batch.
    let pin = json!({"pin": "123456", "x": send_of(PHONE, "")});
    let answer = scene.call(super::harness::json_request("POST", &format!("/v23.0/{PHONE}"), &pin)).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(start_paused = true)]
async fn each_operation_keeps_its_own_token() {
    let scene = Scene::set(|stage| stage.meta.tokens = vec![TOKEN.into(), "EAAGown".into()]);
    scene.trip("306540352242922").await;
    let own = r#","access_token":"EAAGown""#;
    let wrong = r#","access_token":"EAAGwrong""#;
    let held = send_of("306540352242922", own);
    let answer =
        form(&scene, &[&held, &send_of(PHONE, own), &send_of(OTHER, wrong), &send_of(OTHER, "")]).await;
    assert_eq!(codes(&answer), [403, 200, 401, 200]);
    // A probe of the phone can ask with what its send was let in with.
    scene.lock(PHONE, Profile::Sync403);
    assert_eq!(codes(&form(&scene, &[&send_of(PHONE, own)]).await), [403]);
    scene.advance(Duration::from_secs(1)).await;
    assert_eq!(scene.probes(PHONE), 1);
    let probe =
        scene.meta.recorded().into_iter().rev().find(|one| one.target.contains("health_status")).unwrap();
    assert_eq!(probe.header("authorization").next(), Some(&b"Bearer EAAGown"[..]));
    assert!(probe.target.starts_with("/v23.0/"), "{}", probe.target);
}

#[tokio::test(start_paused = true)]
async fn a_body_in_many_pieces_is_looked_into_as_it_passes() {
    for (length, state, unread) in [(300_000, "open", 0.0), (4 * 1024 * 1024, "closed", 1.0)] {
        let scene = Scene::new();
        scene.lock(PHONE, Profile::Sync403);
        let mut long = carried(&[&send_of(PHONE, "")]).swap_remove(2);
        long.2 = long.2.replace("\"x\": 1", &format!("\"x\": \"{}\"", "x".repeat(length)));
        assert_eq!(codes(&scene.call(call(&long)).await), [403]);
        assert_got(&scene, &long);
        assert_eq!(scene.state(PHONE), state);
        assert_eq!(scene.metric("sendfuse_unread_batches_total"), unread);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_long_passes_unread_and_is_counted() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    let padding = "x".repeat(4 * 1024 * 1024);
    let mut long = carried(&[&send_of(PHONE, "")]).swap_remove(2);
    long.2 = long.2.replace("\"x\": 1", &format!("\"x\": \"{padding}\""));
    let answer = scene.call(call(&long)).await;
    assert_eq!(codes(&answer), [403], "Meta's own word");
    assert_got(&scene, &long);
    assert_eq!(scene.arrived(PHONE), 2);
    assert_eq!(scene.metric("sendfuse_unread_batches_total"), 1.0);
    let mut compressed = request("POST", "/", FORM, &b"\x1f\x8b\x08 compressed"[..]);
    compressed.headers_mut().insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
    scene.call(compressed).await;
    assert_eq!(scene.metric("sendfuse_unread_batches_total"), 2.0);
}

#[tokio::test(start_paused = true)]
async fn what_can_be_read_is_looked_into_whatever_its_coding_is_said_to_be() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    for coding in ["Identity", "", "gzip", "br, gzip"] {
        for whole in &carried(&[&send_of(PHONE, "")]) {
            let mut request = call(whole);
            let value = header::HeaderValue::from_static(coding);
            request.headers_mut().insert(header::CONTENT_ENCODING, value);
            assert_eq!(codes(&scene.call(request).await), [403], "{coding}");
        }
    }
    assert_eq!(scene.arrived(PHONE), 1);
}

#[tokio::test(start_paused = true)]
async fn observe_mode_holds_nothing() {
    let scene = Scene::with(|config| config.mode = Mode::Observe);
    scene.trip(PHONE).await;
    let whole = carried(&[&send_of(PHONE, ""), &send_of(OTHER, "")]).swap_remove(0);
    let answer = scene.call(call(&whole)).await;
    assert_eq!(codes(&answer), [403, 200]);
    assert_got(&scene, &whole);
    assert_eq!(scene.breaker(PHONE).would_reject, 1);
}

#[tokio::test(start_paused = true)]
async fn on_a_phones_own_path_batches_and_pins_are_told_apart() {
    let post = |body: &str| request("POST", &format!("/v23.0/{OTHER}"), "application/json", body.to_owned());
    let long = format!(r#"{{"pin":"000001","x":"{}"}}"#, "x".repeat(100 * 1024));
    for open in [false, true] {
        let scene = Scene::new();
        if open {
            scene.trip(PHONE).await;
        }
        let refused = Fault::Error { status: 400, code: 133_005 };
        scene.meta.fault(FaultRule {
            phone: Some(OTHER.into()),
            on: Requests::Others,
            times: Some(1),
            fault: refused,
        });
        let pin = r#"{ "pin": "000001" }"#;
        let held = |answer: &Answer| answer.header("x-sendfuse-pin").map(str::to_owned);
        let metas = scene.call(post(pin)).await;
        assert_eq!((metas.code(), held(&metas)), (133_005, None), "{open}");
        let got = last(&scene);
        assert_eq!(got.body_sha256, <[u8; 32]>::from(Sha256::digest(pin)));
        assert_eq!(held(&scene.call(post(pin)).await).as_deref(), Some("refused"), "{open}");
        // A batch carries no PIN: what stands beside it is none.
        let batch = format!(r#"{{"pin":"000001","batch":[{}]}}"#, send_of(OTHER, ""));
        let answer = scene.call(post(&batch)).await;
        assert_eq!((codes(&answer), held(&answer)), (vec![200], None), "{open}");
        assert_eq!((scene.arrived(OTHER), last(&scene).body_bytes), (1, batch.len() as u64), "{open}");
        for neither in [long.as_str(), r#"{ "webhook_configuration" : {} }"#, "", "not JSON"] {
            assert_eq!(held(&scene.call(post(neither)).await), None, "{open} {neither:.80}");
            assert_eq!(last(&scene).body_sha256, <[u8; 32]>::from(Sha256::digest(neither)), "{neither:.80}");
        }
        // One that is too long to have a PIN may be a batch.
        let batch = format!(
            r#"{{"x":"{}","batch":[{},{}]}}"#,
            "x".repeat(100 * 1024),
            send_of(OTHER, ""),
            send_of(PHONE, "")
        );
        let expected = if open { [200, 403] } else { [200, 200] };
        assert_eq!(codes(&scene.call(post(&batch)).await), expected);
        assert_eq!(scene.metric("sendfuse_sends_total{admission=\"reject\"}"), f64::from(u8::from(open)));
    }
}
