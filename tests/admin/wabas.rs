//! `/v1/wabas`: the breakers of whole accounts, over the admin API.

use http::StatusCode;
use serde_json::{Value, json};

use super::fake::{Server, blocked};

const BECAUSE: &str = r#"{"reason":"drill"}"#;

/// Beside the breakers of phones, one of a WABA in each state: 201 and 206 are open, 202 half open, 203 forced open, 204 bypassed,
/// 205 closed but remembered.
async fn server() -> Server {
    let server = Server::open().await;
    let states = ["open", "half_open", "forced_open", "bypassed", "closed", "open"];
    for (state, id) in states.into_iter().zip(201..) {
        server.fake.set_waba(&id.to_string(), state);
    }
    server
}

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn only_wabas_are_listed_filtered_and_paged() {
    let server = server().await;
    for (query, expected, next) in [
        ("", &["201", "202", "203", "204", "206"][..], json!(null)),
        ("?limit=2", &["201", "202"], json!("202")),
        ("?limit=2&cursor=202", &["203", "204"], json!("204")),
        ("?cursor=204&limit=2", &["206"], json!(null)),
        // Where the last page ended, not whether that one is still there.
        ("?cursor=200", &["201", "202", "203", "204", "206"], json!(null)),
        ("?state=open", &["201", "206"], json!(null)),
        ("?state=open&limit=1", &["201"], json!("201")),
        ("?state=half_open", &["202"], json!(null)),
        ("?state=forced_open", &["203"], json!(null)),
        ("?state=bypassed", &["204"], json!(null)),
        ("?state=closed", &["205"], json!(null)),
    ] {
        let page = server.get(&format!("/v1/wabas{query}")).await.json();
        assert_eq!((ids(&page), &page["next_cursor"]), (expected.to_vec(), &next), "{query}");
        assert!(page["items"].as_array().unwrap().iter().all(|item| item["scope"] == "waba"), "{page}");
    }
    let phones = server.get("/v1/breakers?limit=1000").await.json();
    assert_eq!(ids(&phones), ["101", "102", "103", "104", "106"], "and among phones there are none");
    for query in [
        "waba=201",
        "waba=",
        "phone=101",
        "state=ajar",
        "cursor=x",
        "limit=0",
        "limit=1001",
        "limit=1&limit=1",
    ] {
        server.get(&format!("/v1/wabas?{query}")).await.problem(400);
    }
}

#[tokio::test]
async fn one_has_its_phones_and_its_generation_as_its_tag() {
    let server = server().await;
    let answer = server.get("/v1/wabas/201").await;
    assert_eq!((answer.status, answer.header("etag")), (200, "\"7\""));
    let breaker = answer.json();
    for (field, value) in [
        ("scope", json!("waba")),
        ("id", json!("201")),
        ("waba_id", json!("201")),
        ("phones", json!(["101", "105"])),
        ("state", json!("open")),
    ] {
        assert_eq!(breaker[field], value, "{field}: {breaker}");
    }
    let fresh = server.ask("GET", "/v1/wabas/201", &[("if-none-match", "\"7\"")], "").await;
    assert_eq!((fresh.status, fresh.body.len()), (304, 0));
    // The ids of a phone and of a WABA may be alike: each has its own breaker.
    for path in ["/v1/wabas/101", "/v1/wabas/999"] {
        let unheard_of = server.get(path).await;
        let (etag, breaker) = (unheard_of.header("etag"), unheard_of.json());
        assert_eq!((etag, &breaker["scope"], &breaker["state"]), ("\"0\"", &json!("waba"), &json!("closed")));
    }
    let phone = server.get("/v1/breakers/101").await.json();
    assert_eq!((&phone["scope"], phone.get("phones")), (&json!("phone"), None));
    for bad in ["x", "12x", "123456789012345678901", "%2B1", "-1", "%FF", "1%2F2"] {
        server.get(&format!("/v1/wabas/{bad}")).await.problem(400);
        for action in ["reset", "open", "bypass", "lift", "probe"] {
            server.order(&format!("/v1/wabas/{bad}/{action}"), &[], BECAUSE).await.problem(400);
        }
    }
    assert!(server.fake.orders().is_empty());
}

#[tokio::test]
async fn orders_need_a_reason_can_be_fenced_and_are_carried_out() {
    let server = server().await;
    let mut generation = 7;
    for (action, body, state, log) in [
        (
            "open",
            r#"{"reason":"drill","for":"2h","by":"ann"}"#,
            "forced_open",
            "open because drill by ann for Some(7200s)",
        ),
        ("bypass", BECAUSE, "bypassed", "bypass because drill by operator for None"),
        ("lift", BECAUSE, "open", "lift because drill by operator for None"),
        ("reset", BECAUSE, "closed", "reset because drill by operator for None"),
        ("probe", BECAUSE, "open", "probe because drill by operator"),
    ] {
        let path = format!("/v1/wabas/201/{action}");
        server.order(&path, &[], "{}").await.problem(400);
        let stale = server.order(&path, &[("if-match", &format!("\"{}\"", generation - 1))], body).await;
        stale.problem(412);
        assert_eq!(stale.json()["generation"], json!(generation));
        let answer = server.order(&path, &[("if-match", &format!("\"{generation}\""))], body).await;
        generation += 1;
        assert_eq!((answer.status, answer.header("etag")), (200, &*format!("\"{generation}\"")), "{action}");
        let breaker = answer.json();
        assert_eq!((&breaker["scope"], &breaker["id"]), (&json!("waba"), &json!("201")));
        assert_eq!((&breaker["state"], &breaker["generation"]), (&json!(state), &json!(generation)));
        assert_eq!(server.fake.orders().last().unwrap(), log);
    }
    assert_eq!(server.fake.orders().len(), 5, "and no refused one");
    server.order("/v1/wabas/201/reset", &[], r#"{"reason":"x","for":"2h"}"#).await.problem(400);
    // PINs are phones'.
    let answer = server.order("/v1/wabas/201/allow_pin", &[], BECAUSE).await;
    answer.problem(StatusCode::NOT_FOUND.as_u16());
    assert_eq!(server.fake.orders().len(), 5);
    assert_eq!(
        server.get("/v1/breakers/201").await.json()["generation"],
        0,
        "a phone with that id is another"
    );
}

#[tokio::test]
async fn a_probe_answers_with_its_outcome() {
    let server = server().await;
    server.fake.set_health(blocked());
    let answer = server.order("/v1/wabas/201/probe", &[], BECAUSE).await.json();
    assert_eq!((&answer["scope"], &answer["probe"]["outcome"]), (&json!("waba"), &json!("blocked")));
    assert_eq!(answer["probe"]["entities"][0]["errors"][0]["code"], 141_010);
}

#[tokio::test]
async fn a_phone_says_who_holds_it() {
    let server = server().await;
    assert_eq!(server.get("/v1/breakers/105").await.json().get("held_by"), None);
    server.fake.change("phone/105", |view| view.held_by = Some("waba/201".into()));
    assert_eq!(server.get("/v1/breakers/105").await.json()["held_by"], "waba/201");
    let list = server.get("/v1/breakers?state=closed").await.json();
    assert_eq!(list["items"][0]["held_by"], "waba/201");
}

#[tokio::test]
async fn incidents_are_filtered_by_waba() {
    let server = Server::open().await;
    server.fake.begin_incident("101");
    let of = async |query: &str| {
        let page = server.get(&format!("/v1/incidents?{query}")).await.json();
        ids(&page).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of("waba=101").await, ["101-1-1777640400"]);
    assert_eq!(of("phone=101").await, ["101-4-1777636800", "101-1-1777629600"], "the same id, but a phone's");
    assert_eq!(of("limit=1").await, ["101-1-1777640400"], "without a filter all are there");
    assert_eq!(of("waba=201").await, [""; 0]);
    let whole = server.get("/v1/incidents/101-1-1777640400").await.json();
    assert_eq!((&whole["scope"], &whole["scope_id"]), (&json!("waba"), &json!("101")));
    for bad in ["waba=", "waba=x", "waba=1&waba=1"] {
        server.get(&format!("/v1/incidents?{bad}")).await.problem(400);
    }
}
