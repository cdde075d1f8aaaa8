//! Incidents and the report, over the admin API.

use serde_json::json;

use super::fake::{Server, WAMID};

const READ: &[(&str, &str)] = &[("authorization", "Bearer read")];
const OPERATE: &[(&str, &str)] = &[("authorization", "Bearer operate")];

fn ids(page: &serde_json::Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_newest_comes_first_and_pages_join() {
    let server = Server::open().await;
    let all = ["101-4-1777636800", "102-1-1777633200", "101-1-1777629600"];
    for limit in 1..=4 {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = server.get(&format!("/v1/incidents?limit={limit}{cursor}")).await.json();
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, all, "{limit}");
    }
    let of_phone = server.get("/v1/incidents?phone=101").await.json();
    assert_eq!(ids(&of_phone), [all[0], all[2]]);
    let first = server.get("/v1/incidents?phone=101&limit=1").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = server.get(&format!("/v1/incidents?phone=101&cursor={cursor}")).await.json();
    assert_eq!((ids(&rest), &rest["next_cursor"]), (vec![all[2]], &json!(null)));
    assert_eq!(server.get("/v1/incidents?phone=999").await.json()["items"], json!([]));
}

#[tokio::test]
async fn an_item_has_counts_and_the_incident_has_lists() {
    let server = Server::open().await;
    let page = server.get("/v1/incidents?limit=1").await.json();
    let item = &page["items"][0];
    for (field, value) in [
        ("scope", json!("phone")),
        ("scope_id", json!("101")),
        ("opened_at", json!("2026-05-01T12:00:00Z")),
        ("closed_at", json!(null)),
        ("leaked", json!(1)),
        ("counts", json!({"evidence": 1, "probes": 0, "trials": 1, "transitions": 0, "orders": 0})),
        ("evidence", json!(null)),
        ("leaks", json!(null)),
    ] {
        assert_eq!(item[field], value, "{field}: {item}");
    }
    let whole = server.get("/v1/incidents/101-4-1777636800").await.json();
    let mut fields: Vec<&String> = whole.as_object().unwrap().keys().collect();
    fields.sort();
    for field in [
        "id",
        "scope",
        "scope_id",
        "opened_at",
        "closed_at",
        "trip",
        "evidence",
        "probes",
        "trials",
        "transitions",
        "orders",
        "leaks",
        "leaked",
        "rejected",
        "would_reject",
        "left_out",
    ] {
        assert!(whole.get(field).is_some(), "{field}: {fields:?}");
    }
    assert_eq!(whole["trip"]["verdict"], "lock");
    let leak = json!({
        "wamid": WAMID, "accepted_at": "2026-05-01T12:00:00Z", "failed_at": "2026-05-01T12:00:00Z",
        "code": 131_031, "fbtrace_id": "Az8or2yhqkZfEZ-_4Qn_Bam",
        "biz_opaque_callback_data": "order-1234", "recipient": "…1234",
    });
    assert_eq!(whole["leaks"], json!([leak]));
    let finished = server.get("/v1/incidents/101-1-1777629600").await.json();
    assert_eq!(finished["closed_at"], "2026-05-01T10:01:40Z");
}

#[tokio::test]
async fn only_who_may_operate_sees_whole_message_ids() {
    let server = Server::guarded().await;
    for path in ["/v1/incidents", "/v1/incidents/101-4-1777636800"] {
        for (token, whole) in [(READ, false), (OPERATE, true)] {
            let answer = server.ask("GET", path, token, "").await;
            assert_eq!(answer.status, 200);
            let text = String::from_utf8(answer.body.to_vec()).unwrap();
            assert_eq!(text.contains(WAMID), whole, "{text}");
            assert_eq!(text.contains("HBgL"), whole, "{text}");
            assert_eq!(text.contains("order-1234"), whole && path.contains("101-4"), "{text}");
            assert!(text.contains("wamid."), "{text}");
            assert_eq!(text.contains("…1234"), path.contains("101-4"), "a masked recipient is for all");
        }
        server.get(path).await.problem(401);
    }
    let open = Server::open().await;
    let answer = open.get("/v1/incidents/101-4-1777636800").await;
    assert_eq!(answer.json()["leaks"][0]["wamid"], WAMID);
}

#[tokio::test]
async fn what_is_malformed_or_not_there_is_a_problem() {
    let server = Server::open().await;
    for (path, status) in [
        ("/v1/incidents/101-4-1777636801", 404),
        ("/v1/incidents/101-5-1777636800", 404),
        ("/v1/incidents/999-4-1777636800", 404),
        ("/v1/incidents/101", 400),
        ("/v1/incidents/101-4", 400),
        ("/v1/incidents/101-4-1777636800-1", 400),
        ("/v1/incidents/101--1777636800", 400),
        ("/v1/incidents/x-4-1777636800", 400),
        ("/v1/incidents/101-99999999999999999999-1", 400),
        ("/v1/incidents/..%2F", 400),
        ("/v1/incidents?cursor=x", 400),
        ("/v1/incidents?cursor=1-2", 400),
        ("/v1/incidents?cursor=1-1-1&cursor=1-1-1", 400),
        ("/v1/incidents?limit=0", 400),
        ("/v1/incidents?limit=1001", 400),
        ("/v1/incidents?phone=x", 400),
        ("/v1/incidents?state=open", 400),
    ] {
        server.get(path).await.problem(status);
    }
    server.order("/v1/incidents", &[], "{}").await.problem(405);
}

#[tokio::test]
async fn the_report_sums_up() {
    let server = Server::guarded().await;
    let answer = server.ask("GET", "/v1/report", READ, "").await;
    let sums = json!({"total": 41_220, "failed": 41_207, "delivered": 10, "unknown": 3});
    let mut phone = sums.clone();
    phone["id"] = json!("101");
    assert_eq!(
        answer.json(),
        json!({"since": "2026-05-01T10:00:00Z", "until": "2026-05-01T10:00:00Z",
               "would_reject": sums, "phones": [phone]})
    );
    server.get("/v1/report").await.problem(401);
}
