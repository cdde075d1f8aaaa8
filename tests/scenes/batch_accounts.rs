//! Batches whose sends belong to a locked account, or are of the class that is held: each operation is judged by what it is.

use sendfuse::simulator::{News, Profile};
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::harness::{Answer, Scene, json_request};
use super::wabas::{ALL, ONE, SECOND, STRANGER, THREE, TWO, WABA};

fn form(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn operation(phone: &str, edge: &str, body: &str) -> Value {
    json!({"method": "POST", "relative_url": format!("v23.0/{phone}/{edge}"), "body": body})
}

fn reply(phone: &str) -> Value {
    let text = [
        ("messaging_product", "whatsapp"),
        ("to", "16505551234"),
        ("type", "text"),
        ("text", "{\"body\":\"hi\"}"),
    ];
    operation(phone, "messages", &form(&text))
}

fn template_body() -> String {
    let template = ("template", "{\"name\":\"summer\",\"language\":{\"code\":\"en_US\"}}");
    form(&[("messaging_product", "whatsapp"), ("to", "16505551234"), ("type", "template"), template])
}

fn template(phone: &str) -> Value {
    operation(phone, "messages", &template_body())
}

fn marketing(phone: &str) -> Value {
    operation(phone, "marketing_messages", &template_body())
}

fn encrypted(phone: &str) -> Value {
    let body = form(&[("messaging_product", "whatsapp"), ("encrypted_contents", "eyJhbGciOiJ")]);
    operation(phone, "messages_encrypted", &body)
}

fn receipt(phone: &str) -> Value {
    let fields = [("messaging_product", "whatsapp"), ("status", "read"), ("message_id", "wamid.u")];
    operation(phone, "messages", &form(&fields))
}

fn profile(phone: &str) -> Value {
    json!({"method": "GET", "relative_url": format!("{phone}/whatsapp_business_profile")})
}

fn with(mut operation: Value, fields: Value) -> Value {
    operation.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    operation
}

async fn batch(scene: &Scene, operations: &[Value]) -> Answer {
    scene.call(json_request("POST", "/v23.0/", &json!({"batch": operations}))).await
}

fn codes(answer: &Answer) -> Vec<i64> {
    let results = answer.json.as_array().unwrap_or_else(|| panic!("{}", answer.json));
    results.iter().map(|result| result["code"].as_i64().unwrap_or_default()).collect()
}

fn details(answer: &Answer, place: usize) -> String {
    let body: Value = serde_json::from_str(answer.json[place]["body"].as_str().unwrap()).unwrap();
    body["error"]["error_data"]["details"].as_str().unwrap().to_owned()
}

async fn met() -> Scene {
    let scene = Scene::of_wabas();
    scene.meet_all().await;
    scene
}

#[tokio::test(start_paused = true)]
async fn all_phones_of_a_locked_account_are_held_in_their_places() {
    let scene = met().await;
    scene.disable(Profile::Sync403).await;
    let operations = [reply(ONE), reply(STRANGER), profile(ONE), template(TWO), receipt(TWO), reply(THREE)];
    let answer = batch(&scene, &operations).await;
    assert_eq!((answer.status, codes(&answer)), (200, vec![403, 200, 200, 403, 200, 403]), "{}", answer.json);
    for place in [0, 3, 5] {
        let details = details(&answer, place);
        assert!(details.contains(&format!("with all phones of the account {WABA}")), "{details}");
    }
    assert_eq!(ALL.map(|phone| scene.arrived(phone)), [1; 3]);
    assert_eq!((scene.arrived(STRANGER), scene.meta.phone_counts(TWO).read_receipts), (2, 1));
    assert_eq!(scene.waba().rejected, 3);
}

#[tokio::test(start_paused = true)]
async fn each_is_judged_by_its_class() {
    let expected = [
        (News::RestrictedBusinessInitiated, [200, 403, 403, 403, 200, 200]),
        (News::RestrictedCustomerInitiated, [403, 200, 200, 403, 200, 200]),
        (News::Restricted, [403, 403, 403, 403, 200, 200]),
    ];
    for (news, expected) in expected {
        let scene = met().await;
        scene.tell(news).await;
        let operations =
            [reply(ONE), template(ONE), marketing(ONE), encrypted(TWO), receipt(ONE), template(STRANGER)];
        let answer = batch(&scene, &operations).await;
        assert_eq!(codes(&answer), expected, "{news:?}: {}", answer.json);
        if news == News::RestrictedBusinessInitiated {
            let details = details(&answer, 1);
            assert!(details.contains("business-initiated messages only"), "{details}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_depends_on_a_held_template_is_not_sent_and_who_depends_on_a_reply_is() {
    let scene = met().await;
    scene.tell(News::RestrictedBusinessInitiated).await;
    let operations = [
        with(template(ONE), json!({"name": "held"})),
        with(reply(ONE), json!({"name": "goes", "omit_response_on_success": false})),
        with(reply(TWO), json!({"depends_on": "held"})),
        with(reply(STRANGER), json!({"depends_on": "goes"})),
        with(template(STRANGER), json!({"depends_on": "held"})),
        profile(TWO),
    ];
    let answer = batch(&scene, &operations).await;
    assert_eq!(codes(&answer), [403, 200, 424, 200, 424, 200], "{}", answer.json);
    assert_eq!([ONE, TWO, STRANGER].map(|phone| scene.arrived(phone)), [2, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn one_operation_is_the_trial_of_the_account() {
    let scene = met().await;
    scene.waba_half_open().await;
    let answer = batch(&scene, &[profile(ONE), reply(TWO), reply(ONE), reply(STRANGER), reply(TWO)]).await;
    assert_eq!(codes(&answer), [200, 200, 403, 200, 403], "{}", answer.json);
    scene.advance(SECOND).await;
    assert_eq!(scene.waba().state, "closed");
    assert_eq!(codes(&batch(&scene, &[reply(ONE), reply(TWO)]).await), [200, 200]);
}

#[tokio::test(start_paused = true)]
async fn a_reply_of_a_restricted_account_is_no_trial_in_a_batch() {
    let scene = met().await;
    scene.tell(News::RestrictedBusinessInitiated).await;
    scene.until_waba("half_open").await;
    let answer = batch(&scene, &[reply(ONE), reply(TWO), template(THREE), template(ONE)]).await;
    assert_eq!(codes(&answer), [200, 200, 200, 403], "{}", answer.json);
    assert_eq!(scene.waba().trials, 1);
    scene.until_waba("closed").await;
}
