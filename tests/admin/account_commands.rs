//! The client commands and WABAs: what holds a phone beside its own breaker, and `--waba`.

use sendfuse::breakers::DiagnosisView;
use sendfuse::graph::health::{Entity, Health};
use serde_json::{Value, json};

use super::commands::plain;
use super::fake::{Server, blocked};

/// WABA 201 is in this state, and holds phone 105, whose own breaker is closed.
async fn held(state: &'static str) -> Server {
    let server = Server::open().await;
    server.fake.set_waba("201", state);
    server.fake.change("phone/105", |view| view.held_by = Some("waba/201".into()));
    server
}

fn entities(health: Health) -> Vec<Entity> {
    let (Health::Blocked(entities) | Health::Clear(entities)) = health else { panic!("{health:?}") };
    entities
}

#[tokio::test]
async fn the_one_that_holds_counts() {
    for (account, code) in [("open", 3), ("half_open", 4), ("forced_open", 5)] {
        let server = held(account).await;
        for command in ["status", "explain"] {
            for json in ["", " --json"] {
                let (got, out, err) = plain(&server, &format!("{command} 105{json}")).await;
                assert_eq!((got, &*err), (code, ""), "{command} {account}: {out}");
            }
            let (got, out, _) = plain(&server, &format!("{command} 201 --waba")).await;
            assert_eq!((got, out.contains("201")), (code, true), "{command} {account}: {out}");
        }
        // What is open holds everything, whatever its account says; a half-open one lets trials out, unless its account does not.
        for (phone, code) in [("101", 3), ("102", code)] {
            server.fake.change(&format!("phone/{phone}"), |view| view.held_by = Some("waba/201".into()));
            let (got, out, _) = plain(&server, &format!("status {phone}")).await;
            assert_eq!(got, code, "{phone} in {account}: {out}");
        }
    }
    // Closed in between.
    assert_eq!(plain(&held("closed").await, "status 105").await.0, 0);
    let server = held("bypassed").await;
    assert_eq!(plain(&server, "status 201 --waba").await.0, 5);
    assert_eq!(plain(&server, "status 201").await.0, 0, "a phone with that id is another");
}

#[tokio::test]
async fn status_shows_wabas_too() {
    let server = held("open").await;
    server.fake.keep("201");
    server.fake.change("waba/201", |view| view.extent = Some("business_initiated"));
    let (code, out, _) = plain(&server, "status").await;
    let expected = "\
SCOPE  ID   STATE  EXTENT              REASON                                        SINCE                 NEXT CHECK            REJECTED  LEAKED  CONDITIONS
waba   201  open   business_initiated  131031 Business  [2JAccount locked (webhook)  2026-05-01T10:00:00Z  2026-05-01T10:00:42Z  118       2       no_token
";
    assert_eq!((code, &*out), (3, expected));
    let (code, out, _) = plain(&server, "status --json").await;
    let items: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &items["items"][0]["scope"]), (3, &json!("waba")));

    let server = held("half_open").await;
    let (_, out, _) = plain(&server, "status 105").await;
    let rows: Vec<Vec<&str>> = out.lines().map(|row| row.split_whitespace().take(3).collect()).collect();
    assert_eq!(rows, [["SCOPE", "ID", "STATE"], ["phone", "105", "closed"], ["waba", "201", "half_open"]]);
}

#[tokio::test]
async fn explain_tells_who_holds_a_phone_and_what_was_found() {
    let server = held("open").await;
    server.fake.change("waba/201", |view| {
        view.extent = Some("business_initiated");
        view.phones = Some((101..=112).map(|phone| phone.to_string()).collect());
        view.conditions.clear();
        let (at, text) = ("2026-05-01T10:00:01Z".into(), "in words".into());
        view.diagnosis = Some(DiagnosisView { at, text, entities: entities(blocked()) });
    });
    server.fake.change("phone/105", |view| view.conditions.clear());
    let (_, out, _) = plain(&server, "explain 105").await;
    let expected = "\
Phone 105 (of WABA 1) is closed itself, but WABA 201, which is open, holds its sends: see below.
Rejected: 118 sends. Leaked: 2 sends that Meta accepted after the lock began, and then failed.
Generation 7.

WABA 201 is open: the templates and marketing messages of all its phones are rejected; the replies of all its phones flow.
Phones known to be its: 101, 102, 103, 104, 105, 106, 107, 108, 109, 110 and 2 more.
Not closed since 2026-05-01T10:00:00Z.
Why: 131031 Business  [2JAccount locked, in a webhook at 2026-05-01T10:00:00Z.
Diagnosis at 2026-05-01T10:00:01Z: WABA 202 blocks messaging: 141010 no payment. Meta suggests: pay.
Rejected: 118 sends. Leaked: 2 sends that Meta accepted after the lock began, and then failed.
So far: 3 probes, 1 trial.
Next check: 2026-05-01T10:00:42Z.
What would close it: a health check that finds nothing, then a delivered trial.
Generation 7, incident inc-1.
";
    assert_eq!(out, expected);
    server.fake.change("phone/101", |view| {
        view.held_by = Some("waba/201".into());
        let at = "2026-05-01T10:00:01Z".into();
        view.diagnosis =
            Some(DiagnosisView { at, text: "nothing blocks messaging".into(), entities: Vec::new() });
    });
    let (_, out, _) = plain(&server, "explain 101").await;
    let first = "Phone 101 (of WABA 1) is open: its sends are rejected. WABA 201, which is open, holds them too: see below.\n";
    assert!(out.starts_with(first), "{out}");
    assert!(out.contains("Diagnosis at 2026-05-01T10:00:01Z: nothing blocks messaging.\n"), "{out}");

    server.fake.change("phone/102", |view| view.extent = Some("customer_initiated"));
    let (_, out, _) = plain(&server, "explain 102").await;
    let first = "Phone 102 (of WABA 1) is half open: of its replies one at a time goes out as a trial, the others are rejected; \
                 its templates and marketing messages flow.\n";
    assert!(out.starts_with(first), "{out}");
    let (_, out, _) = plain(&server, "explain 999 --waba").await;
    assert!(out.starts_with("WABA 999 is closed: the sends of all its phones flow.\n"), "{out}");
}

#[tokio::test]
async fn orders_are_for_wabas_too() {
    let server = held("open").await;
    for (line, out, log) in [
        (
            "open 201 --waba --reason x --for 2h",
            "open: WABA 201 is forced_open until 2026-05-01T12:00:00Z, generation 8\n",
            "open because x by operator for Some(7200s)",
        ),
        (
            "bypass --waba 201 --reason x",
            "bypass: WABA 201 is bypassed until 2026-05-01T12:00:00Z, generation 9\n",
            "bypass because x by operator for None",
        ),
        (
            "lift 201 --waba --reason x --if-match 9",
            "lift: WABA 201 is open, generation 10\n",
            "lift because x by operator for None",
        ),
        (
            "reset 201 --waba --reason x --by ann",
            "reset: WABA 201 is closed, generation 11\n",
            "reset because x by ann for None",
        ),
        (
            "probe 201 --waba --reason x",
            "health: unknown (no token)\nprobe: WABA 201 is open, generation 12\n",
            "probe because x by operator",
        ),
    ] {
        assert_eq!(plain(&server, line).await, (0, out.to_owned(), String::new()), "{line}");
        assert_eq!(server.fake.orders().last().unwrap(), log);
    }
    assert_eq!(plain(&server, "reset 201 --waba --reason x --if-match 6").await.0, 1);
    assert_eq!(server.fake.orders().len(), 5);
    assert_eq!(server.get("/v1/breakers/201").await.json()["generation"], 0, "no phone was meant");
}
