//! The admin API.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use sendfuse::admin::Access;
use sendfuse::graph::health::Health;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::ServiceExt;

use super::fake::{Fake, Server, blocked, router};

const BECAUSE: &str = r#"{"reason":"drill"}"#;

#[tokio::test]
async fn health_readiness_metrics_and_config_are_served() {
    let server = Server::open().await;
    for path in ["/healthz", "/readyz"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{path}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    let metrics = server.get("/metrics").await;
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!((metrics.status, &metrics.body[..]), (200, &b"sendfuse_up 1\n"[..]));
    let config = server.get("/v1/config").await;
    assert_eq!((config.status, config.json()), (200, json!({"mode": "enforce"})));
    let head = server.ask("HEAD", "/healthz", &[], "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn what_is_not_ready_is_alive_and_says_why() {
    let server = Server::start_as(Access::new(None, None), Err("draining".to_owned())).await;
    assert_eq!(server.get("/readyz").await.problem(503), "draining");
    assert_eq!(server.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn tokens_open_what_they_should() {
    // Which tokens are set; what is asked for; the answers to: none, a wrong one, the read token, the operate token.
    let (get, reset, metrics) =
        (("GET", "/v1/breakers"), ("POST", "/v1/breakers/101/reset"), ("GET", "/metrics"));
    let config = ("GET", "/v1/config");
    for (operate, read, (method, path), expected) in [
        (None, None, get, [200, 200, 200, 200]),
        (None, None, reset, [200, 200, 200, 200]),
        (None, None, metrics, [200, 200, 200, 200]),
        (Some("operate"), None, get, [401, 401, 401, 200]),
        (Some("operate"), None, config, [401, 401, 401, 200]),
        (Some("operate"), None, reset, [401, 401, 401, 200]),
        (Some("operate"), None, metrics, [200, 200, 200, 200]),
        (Some("operate"), Some("read"), get, [401, 401, 200, 200]),
        (Some("operate"), Some("read"), config, [401, 401, 200, 200]),
        (Some("operate"), Some("read"), reset, [401, 401, 403, 200]),
        (Some("operate"), Some("read"), metrics, [401, 401, 200, 200]),
        (None, Some("read"), get, [401, 401, 200, 401]),
        (None, Some("read"), reset, [401, 401, 403, 401]),
        (Some("operate"), Some("read"), ("GET", "/healthz"), [200, 200, 200, 200]),
        (Some("operate"), Some("read"), ("GET", "/readyz"), [200, 200, 200, 200]),
        (Some("operate"), Some("read"), ("GET", "/v1/wabas"), [401, 401, 200, 200]),
        (Some("operate"), Some("read"), ("POST", "/v1/wabas/201/reset"), [401, 401, 403, 200]),
        (Some("operate"), Some("read"), ("GET", "/v1/nothing"), [401, 401, 404, 404]),
        (Some("operate"), Some("read"), ("GET", "/"), [404, 404, 404, 404]),
    ] {
        let server = Server::start(Access::new(operate, read)).await;
        let tokens = [None, Some("Bearer operatf"), Some("bearer  read"), Some("Bearer operate")];
        for (token, expected) in tokens.into_iter().zip(expected) {
            let mut headers = vec![("content-type", "application/json")];
            headers.extend(token.map(|token| ("authorization", token)));
            let answer =
                server.ask(method, path, &headers, if method == "POST" { BECAUSE } else { "" }).await;
            let case = format!("{operate:?} {read:?} {method} {path} {token:?}");
            assert_eq!(answer.status, expected, "{case}");
            if expected != 200 {
                answer.problem(expected);
            }
            let challenge = if expected == 401 { "Bearer realm=\"sendfuse\"" } else { "" };
            assert_eq!(answer.header("www-authenticate"), challenge, "{case}");
        }
        let expected =
            usize::from(path.ends_with("/reset")) * expected.iter().filter(|status| **status == 200).count();
        assert_eq!(server.fake.orders().len(), expected, "a refused order was carried out");
    }
}

#[tokio::test]
async fn only_one_bearer_header_is_a_token() {
    let server = Server::guarded().await;
    for bad in [
        &[("authorization", "operate")][..],
        &[("authorization", "Basic operate")],
        &[("authorization", "Beareroperate")],
        &[("authorization", "Bearer ")],
        &[("authorization", "Bearer operate"), ("authorization", "Bearer operate")],
    ] {
        server.ask("GET", "/v1/breakers", bad, "").await.problem(401);
    }
}

#[tokio::test]
async fn wrong_tokens_are_slowed_and_the_right_ones_are_not() {
    let server = Server::guarded().await;
    let with = async |token| server.ask("GET", "/v1/breakers", &[("authorization", token)], "").await;
    for _ in 0..10 {
        with("Bearer wrong").await.problem(401);
    }
    let slowed = with("Bearer wrong").await;
    slowed.problem(429);
    assert!((1..=60).contains(&slowed.header("retry-after").parse::<u32>().unwrap()), "{slowed:?}");
    assert_eq!(with("Bearer read").await.status, 200);
    assert_eq!(with("Bearer operate").await.status, 200);
    // Having no token is no guess.
    server.get("/v1/breakers").await.problem(401);
}

#[tokio::test]
async fn a_foreign_origin_is_refused_always() {
    for (server, host) in
        [(Server::open().await, "localhost:8082"), (Server::guarded().await, "admin.example")]
    {
        for (origin, allowed) in [
            ("http://localhost:8082", host == "localhost:8082"),
            ("https://admin.example", host == "admin.example"),
            ("HTTPS://ADMIN.EXAMPLE", false),
            ("https://Admin.Example", host == "admin.example"),
            ("https://evil.example", false),
            ("http://localhost", false),
            ("null", false),
            ("", false),
            ("http://", false),
        ] {
            for path in ["/healthz", "/metrics", "/v1/breakers", "/nothing"] {
                let headers = [("host", host), ("origin", origin), ("authorization", "Bearer operate")];
                let answer = server.ask("GET", path, &headers, "").await;
                if allowed {
                    assert_eq!(answer.status, if path == "/nothing" { 404 } else { 200 }, "{origin} {path}");
                } else {
                    assert!(answer.problem(403).contains("Origin"), "{origin} {path}");
                }
            }
        }
        let two = [("host", host), ("origin", "http://localhost:8082"), ("origin", "https://evil.example")];
        server.ask("GET", "/healthz", &two, "").await.problem(403);
    }
}

#[tokio::test]
async fn without_a_token_a_foreign_host_is_refused() {
    let (open, guarded) = (Server::open().await, Server::guarded().await);
    for host in ["localhost", "localhost:8082", "127.0.0.1", "127.3.2.1:80", "[::1]:8082"] {
        assert_eq!(open.ask("GET", "/v1/breakers", &[("host", host)], "").await.status, 200, "{host}");
    }
    for host in ["evil.example", "evil.example:8082", "10.0.0.1", "localhost.evil.example", ""] {
        let own = format!("http://{host}");
        for headers in [&[("host", host)][..], &[("host", host), ("origin", &own)]] {
            open.ask("GET", "/v1/breakers", headers, "").await.problem(403);
            open.ask("POST", "/v1/breakers/101/reset", headers, BECAUSE).await.problem(403);
        }
        let headers = [("host", host), ("authorization", "Bearer read")];
        assert_eq!(guarded.ask("GET", "/v1/breakers", &headers, "").await.status, 200, "{host}");
    }
    assert!(open.fake.orders().is_empty());
}

#[tokio::test]
async fn the_target_of_a_request_outranks_its_host_header() {
    let server = Server::open().await;
    for (request, status) in [
        // No browser speaks HTTP/1.0; simple health checkers do.
        ("GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.0 200"),
        (
            "GET http://evil.example/healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
            "HTTP/1.1 403",
        ),
        (
            "GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\nconnection: close\r\n\r\n",
            "HTTP/1.1 403",
        ),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(status), "{request}: {answer}");
    }
}

#[tokio::test]
async fn breakers_are_listed_filtered_and_paged() {
    let server = Server::open().await;
    for (query, ids, next) in [
        ("", &["101", "102", "103", "104", "106"][..], json!(null)),
        ("?limit=1000", &["101", "102", "103", "104", "106"], json!(null)),
        ("?limit=2", &["101", "102"], json!("102")),
        ("?limit=2&cursor=102", &["103", "104"], json!("104")),
        ("?cursor=104&limit=2", &["106"], json!(null)),
        ("?limit=5", &["101", "102", "103", "104", "106"], json!(null)),
        ("?cursor=106", &[], json!(null)),
        ("?state=open", &["101", "106"], json!(null)),
        ("?state=half_open", &["102"], json!(null)),
        ("?state=forced_open", &["103"], json!(null)),
        ("?state=bypassed", &["104"], json!(null)),
        ("?state=closed", &["105"], json!(null)),
        ("?waba=2", &["106"], json!(null)),
        ("?waba=1&state=open", &["101"], json!(null)),
        ("?waba=9", &[], json!(null)),
    ] {
        let answer = server.get(&format!("/v1/breakers{query}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{query}");
        let page = answer.json();
        let items: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
        assert_eq!(items, ids, "{query}");
        assert_eq!(page["next_cursor"], next, "{query}");
    }
}

#[tokio::test]
async fn a_query_with_a_mistake_is_refused() {
    let server = Server::open().await;
    for query in [
        "state=ajar",
        "state=OPEN",
        "state=",
        "waba=x",
        "waba=",
        "cursor=x",
        "cursor=",
        "cursor=123456789012345678901",
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=%2B5",
        "limit=ten",
        "limit=",
        "limit=99999999999999999999999",
        "colour=red",
        "limit=1&limit=2",
        "state=open&state=open",
        "%FF=1",
    ] {
        server.get(&format!("/v1/breakers?{query}")).await.problem(400);
    }
}

#[tokio::test]
async fn one_breaker_has_its_generation_as_its_tag() {
    let server = Server::open().await;
    let answer = server.get("/v1/breakers/101").await;
    assert_eq!((answer.status, answer.header("etag")), (200, "\"7\""));
    let breaker = answer.json();
    assert_eq!(breaker["state"], "open");
    assert_eq!(breaker["reason"]["source"], "webhook");
    assert_eq!(breaker["override"], json!(null));
    assert_eq!(breaker["conditions"][0]["name"], "no_token");

    let unheard_of = server.get("/v1/breakers/999").await;
    assert_eq!((unheard_of.header("etag"), &unheard_of.json()["state"]), ("\"0\"", &json!("closed")));

    for (tag, status) in
        [("\"7\"", 304), ("W/\"7\"", 304), ("\"1\", \"7\"", 304), ("*", 304), ("\"8\"", 200), ("7", 200)]
    {
        let answer = server.ask("GET", "/v1/breakers/101", &[("if-none-match", tag)], "").await;
        assert_eq!((answer.status, answer.header("etag")), (status, "\"7\""), "{tag}");
        assert_eq!(answer.body.is_empty(), status == 304, "{tag}");
    }
    for bad in ["x", "12x", "123456789012345678901", "%2B1", "-1", "%FF", "1%2F2"] {
        server.get(&format!("/v1/breakers/{bad}")).await.problem(400);
        server.order(&format!("/v1/breakers/{bad}/reset"), &[], BECAUSE).await.problem(400);
    }
}

#[tokio::test]
async fn orders_are_carried_out_and_the_breaker_is_shown_as_it_then_is() {
    let server = Server::open().await;
    let mut generation = 7;
    for (action, body, state, log) in [
        (
            "open",
            r#"{"reason":" drill ","for":"2h","by":"ann"}"#,
            "forced_open",
            "open because drill by ann for Some(7200s)",
        ),
        (
            "bypass",
            r#"{"reason":"drill","for":"1500ms"}"#,
            "bypassed",
            "bypass because drill by operator for Some(1.5s)",
        ),
        ("lift", BECAUSE, "open", "lift because drill by operator for None"),
        (
            "open",
            r#"{"reason":"drill","for":null,"by":" "}"#,
            "forced_open",
            "open because drill by operator for None",
        ),
        ("reset", BECAUSE, "closed", "reset because drill by operator for None"),
        ("probe", BECAUSE, "open", "probe because drill by operator"),
    ] {
        generation += 1;
        let answer = server.order(&format!("/v1/breakers/101/{action}"), &[], body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("etag"), format!("\"{generation}\""));
        let breaker = answer.json();
        assert_eq!((&breaker["state"], &breaker["generation"]), (&json!(state), &json!(generation)));
        assert_eq!(server.fake.orders().last().unwrap(), log);
    }
}

/// It is about no breaker, so none moves; but whoever looked at another one has it refused like any order.
#[tokio::test]
async fn a_pin_is_allowed_with_a_reason() {
    let server = Server::open().await;
    for (headers, status) in
        [(vec![], 200), (vec![("if-match", "\"7\"")], 200), (vec![("if-match", "\"6\"")], 412)]
    {
        let answer = server.order("/v1/breakers/105/allow_pin", &headers, BECAUSE).await;
        assert_eq!((answer.status, answer.header("etag")), (status, "\"7\""), "{headers:?}");
    }
    assert_eq!(server.fake.orders(), ["allow_pin because drill by operator"; 2]);
}

#[tokio::test]
async fn a_probe_answers_with_its_outcome() {
    let server = Server::open().await;
    let nothing = json!({"outcome": "unknown", "unknown": "no_token", "entities": []});
    let entity = json!({"kind": "WABA", "id": "202", "can_send_message": "BLOCKED", "blocks": true,
        "errors": [{"code": 141_010, "description": "no payment", "possible_solution": "pay"}]});
    for (health, probe) in [
        (None, nothing),
        (Some(Health::Clear(Vec::new())), json!({"outcome": "clear", "unknown": null, "entities": []})),
        (Some(blocked()), json!({"outcome": "blocked", "unknown": null, "entities": [entity]})),
    ] {
        if let Some(health) = health {
            server.fake.set_health(health);
        }
        let answer = server.order("/v1/breakers/101/probe", &[], BECAUSE).await;
        let breaker = answer.json();
        assert_eq!((answer.status, &breaker["probe"], &breaker["id"]), (200, &probe, &json!("101")));
    }
}

#[tokio::test]
async fn an_order_with_a_mistake_changes_nothing() {
    let server = Server::open().await;
    let long_reason = format!(r#"{{"reason":"{}"}}"#, "ü".repeat(501));
    let long_by = format!(r#"{{"reason":"x","by":"{}"}}"#, "ü".repeat(101));
    let too_large = format!(r#"{{"reason":"x"}}{}"#, " ".repeat(16 * 1024));
    for (action, body, status) in [
        ("reset", "", 400),
        ("reset", "{}", 400),
        ("reset", r#"{"reason":null}"#, 400),
        ("reset", r#"{"reason":""}"#, 400),
        ("reset", r#"{"reason":" \n\t "}"#, 400),
        ("reset", r#"{"reason":5}"#, 400),
        ("reset", r#"{"reason":"x""#, 400),
        ("reset", r#"{"reason":"x"} y"#, 400),
        ("reset", r#"{"reason":"x","reason":"y"}"#, 400),
        ("reset", r#"{"reason":"x","colour":"red"}"#, 400),
        ("reset", r#"{"reason":"x","by":["ann"]}"#, 400),
        ("reset", r#"["x",null,"ann"]"#, 400),
        ("reset", "null", 400),
        ("reset", "\u{feff}{\"reason\":\"x\"}", 400),
        ("reset", r#"{"reason":"x","for":"2h"}"#, 400),
        ("lift", r#"{"reason":"x","for":"2h"}"#, 400),
        ("probe", r#"{"reason":"x","for":"2h"}"#, 400),
        ("allow_pin", r#"{"reason":"x","for":"2h"}"#, 400),
        ("allow_pin", "{}", 400),
        ("open", r#"{"reason":"x","for":"2"}"#, 400),
        ("open", r#"{"reason":"x","for":2}"#, 400),
        ("bypass", r#"{"reason":"x","for":""}"#, 400),
        ("bypass", r#"{"reason":"x","for":"0s"}"#, 400),
        ("bypass", r#"{"reason":"x","for":"2 fortnights"}"#, 400),
        ("reset", &long_reason, 400),
        ("reset", &long_by, 400),
        ("reset", &too_large, 413),
    ] {
        server.order(&format!("/v1/breakers/101/{action}"), &[], body).await.problem(status);
    }
    let not_utf8 = server.ask(
        "POST",
        "/v1/breakers/101/reset",
        &[("content-type", "application/json")],
        &b"{\"reason\":\"\xFF\"}"[..],
    );
    not_utf8.await.problem(400);
    assert!(server.fake.orders().is_empty(), "{:?}", server.fake.orders());

    let longest = format!(r#"{{"reason":"{}","by":"{}"}}"#, "ü".repeat(500), "ü".repeat(100));
    assert_eq!(server.order("/v1/breakers/101/reset", &[], &longest).await.status, 200);
}

#[tokio::test]
async fn an_orders_content_type_does_not_matter() {
    let server = Server::open().await;
    let with = |kind: Option<&'static str>, body: &'static str| {
        let headers: Vec<_> = kind.map(|kind| ("content-type", kind)).into_iter().collect();
        let server = &server;
        async move { server.ask("POST", "/v1/breakers/101/reset", &headers, body).await }
    };
    for kind in [None, Some("application/json"), Some("application/x-www-form-urlencoded")] {
        assert_eq!(with(kind, BECAUSE).await.status, 200, "curl -d sends a form's type");
        with(kind, "").await.problem(400);
    }
}

#[tokio::test]
async fn an_order_can_be_fenced() {
    let server = Server::open().await;
    for (tag, status) in [
        ("\"6\"", 412),
        ("\"8\", \"9\"", 412),
        ("W/\"7\"", 412),
        ("\"07\"", 412),
        ("\"seven\"", 412),
        ("7", 400),
        ("\"7", 400),
        ("", 400),
        ("*, \"7\"", 400),
    ] {
        let answer = server.order("/v1/breakers/101/reset", &[("if-match", tag)], BECAUSE).await;
        answer.problem(status);
        if status == 412 {
            assert_eq!((answer.header("etag"), &answer.json()["generation"]), ("\"7\"", &json!(7)), "{tag}");
        }
    }
    assert!(server.fake.orders().is_empty());
    for (tag, then) in [("\"7\"", 8), ("\"7\", \"8\"", 9), ("*", 10)] {
        let answer = server.order("/v1/breakers/101/reset", &[("if-match", tag)], BECAUSE).await;
        assert_eq!((answer.status, &answer.json()["generation"]), (200, &json!(then)), "{tag}");
    }
    server.order("/v1/breakers/101/probe", &[("if-match", "\"7\"")], BECAUSE).await.problem(412);
    assert_eq!(server.order("/v1/breakers/101/probe", &[("if-match", "\"10\"")], BECAUSE).await.status, 200);
}

#[tokio::test]
async fn an_order_that_has_begun_is_carried_out_though_the_operator_hangs_up() {
    let fake = Fake::new();
    let slow = fake.slow_down();
    let router = router(fake.clone(), Access::new(None, None), Ok(()));
    let request = Request::post("/v1/breakers/101/reset").header("content-type", "application/json");
    let answer = router.oneshot(request.body(Body::from(BECAUSE)).unwrap());
    tokio::select! {
        answer = answer => panic!("answered before it was carried out: {answer:?}"),
        () = slow.begun.notified() => {}
    }
    // The answer's future is dropped now, as the server drops it when the connection breaks.
    slow.go_on.notify_one();
    tokio::time::timeout(Duration::from_secs(20), slow.done.notified()).await.unwrap();
    assert_eq!(fake.orders(), ["reset because drill by operator for None"]);
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_is_there_405() {
    let server = Server::open().await;
    for path in [
        "/",
        "/openapi.json",
        "/v1",
        "/v1/",
        "/v1/wabas/",
        "/v1/wabas/201/",
        "/v1/wabas/201/allow_pin",
        "/v1/wabas/201/reset/again",
        "/v1/replicas",
        "/v1/events",
        "/v1/replicas",
        "/v1/breakers/",
        "/v1/breakers/101/",
        "/v1/breakers/101/allow_pins",
        "/v1/breakers/101/frobnicate",
        "/v1/breakers/101/reset/again",
        "/v2/breakers",
        "/%68ealthz",
    ] {
        for method in ["GET", "POST"] {
            let answer = server.ask(method, path, &[("content-type", "application/json")], BECAUSE).await;
            answer.problem(404);
            assert_eq!(answer.json()["instance"], path);
        }
    }
    for (method, path, allow) in [
        ("POST", "/healthz", "GET,HEAD"),
        ("DELETE", "/metrics", "GET,HEAD"),
        ("POST", "/v1/breakers", "GET,HEAD"),
        ("PUT", "/v1/breakers/101?secret=x", "GET,HEAD"),
        ("POST", "/v1/wabas", "GET,HEAD"),
        ("PUT", "/v1/wabas/201", "GET,HEAD"),
        ("GET", "/v1/wabas/201/probe", "POST"),
        ("POST", "/v1/config", "GET,HEAD"),
        ("GET", "/v1/breakers/101/reset", "POST"),
        ("FROB", "/v1/breakers/101/probe", "POST"),
        ("OPTIONS", "/v1/breakers", "GET,HEAD"),
    ] {
        let answer = server.ask(method, path, &[], "").await;
        answer.problem(405);
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
}

#[tokio::test]
async fn a_panic_inside_is_a_problem_too() {
    let server = Server::open().await;
    server.order("/v1/breakers/101/reset", &[], r#"{"reason":"panic"}"#).await.problem(500);
    assert_eq!(server.get("/healthz").await.status, 200);
}
