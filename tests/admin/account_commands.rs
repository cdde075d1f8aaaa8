//! The client commands and WABAs: what holds a phone beside its own breaker, and `--waba`.

use sendfuse::breakers::{AlsoHeld, DiagnosisView, PinCallView, PinGuardView};
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

#[tokio::test]
async fn an_id_that_only_a_waba_has_is_that_wabas() {
    let server = held("open").await;
    for command in ["status", "explain"] {
        for json in ["", " --json"] {
            let (code, out, _) = plain(&server, &format!("{command} 201{json}")).await;
            assert_eq!((code, out.to_lowercase().contains("waba")), (3, true), "{command}: {out}");
        }
    }
    server.fake.set_waba("105", "open");
    assert_eq!(plain(&server, "status 105 --waba").await.0, 3);
    server.fake.change("phone/105", |view| view.held_by = None);
    assert_eq!(plain(&server, "explain 105").await.0, 0, "a phone that is known is meant");
    assert_eq!(plain(&server, "reset 201 --reason x").await.0, 0);
    assert_eq!(server.get("/v1/wabas/201").await.json()["state"], "open", "orders guess nothing");
}

fn also(scope: &str, state: &'static str) -> AlsoHeld {
    AlsoHeld { scope: scope.parse().unwrap(), state }
}

#[tokio::test]
async fn what_holds_some_of_a_phones_sends_is_shown_and_counts() {
    let server = Server::open().await;
    for (states, code) in
        [(["open", "half_open"], 3), (["half_open", "forced_open"], 4), (["forced_open", "forced_open"], 5)]
    {
        let [one, other] = states;
        let scopes = vec![also("phone_country/105.BR", one), also("token/t0123456789abcdef", other)];
        server.fake.change("phone/105", |view| view.also_held = scopes);
        for command in ["status", "explain"] {
            assert_eq!(plain(&server, &format!("{command} 105")).await.0, code, "{command} {states:?}");
        }
    }
    server.fake.change("phone/105", |view| {
        view.conditions.clear();
        view.also_held =
            vec![also("phone_country/105.BR", "open"), also("token/t0123456789abcdef", "half_open")];
    });
    let (_, out, _) = plain(&server, "explain 105").await;
    let expected = "\
Phone 105 (of WABA 1) is closed: its sends flow, but for some: see below.
Rejected: 118 sends. Leaked: 2 sends that Meta accepted after the lock began, and then failed.
Held beside: its messages to BR. 105.BR is open; `sendfuse explain 105.BR` says why.
Held beside: its sends with one access token. t0123456789abcdef is half open; `sendfuse explain t0123456789abcdef` says why.
Generation 7.
";
    assert_eq!(out, expected);
    let (_, out, _) = plain(&server, "status 105").await;
    let lines: Vec<&str> = out.lines().skip(2).collect();
    let expected = [
        "its messages to BR: 105.BR is open",
        "its sends with one access token: t0123456789abcdef is half open",
    ];
    assert_eq!(lines, expected);
    let view = server.get("/v1/breakers/105").await.json();
    assert_eq!(
        view["also_held"][0],
        json!({"scope": "phone_country", "scope_id": "105.BR", "state": "open"})
    );
    // Each is explained by its own id.
    for (scope, first) in [
        ("phone_country/105.BR", "105.BR (of WABA 1) is open: the sends of phone 105 to BR are rejected.\n"),
        ("token/t0123456789abcdef", "Token t0123456789abcdef is open: the sends with it are rejected.\n"),
    ] {
        server.fake.set(scope, "open");
        server
            .fake
            .change(scope, |view| view.waba_id = view.waba_id.take().filter(|_| view.scope != "token"));
        let (code, out, _) = plain(&server, &format!("explain {}", scope.split_once('/').unwrap().1)).await;
        assert!(code == 3 && out.starts_with(first), "{out}");
    }
    // What holds all is what counts.
    server.fake.change("phone/102", |view| view.also_held = vec![also("phone_country/102.BR", "open")]);
    assert_eq!(plain(&server, "status 102").await.0, 4);
}

#[tokio::test]
async fn pins_are_told_of_and_allowed() {
    let server = Server::open().await;
    let call = |refused, held: Option<&str>, waits: Option<&str>| PinCallView {
        refused,
        held_since: held.map(str::to_owned),
        waits_until: waits.map(str::to_owned),
    };
    server.fake.change("phone/105", |view| {
        let register = Some(call(2, Some("2026-05-01T10:00:01Z"), None));
        let set = Some(call(0, None, Some("2026-05-01T11:00:00Z")));
        view.pin_guard = Some(PinGuardView { register, set, allowed: false });
    });
    let (code, out, _) = plain(&server, "explain 105").await;
    let expected = "\
PINs for register: Meta has refused 2 different ones in a row; since 2026-05-01T10:00:01Z no other goes out, until one is changed or allowed (`sendfuse allow_pin`).
PINs to be set: Meta wants none until 2026-05-01T11:00:00Z.
";
    assert!(out.contains(expected), "{out}");
    assert_eq!(code, 0, "no send is held for it");
    server.fake.change("phone/105", |view| {
        let register = Some(call(1, None, None));
        view.pin_guard = Some(PinGuardView { register, set: None, allowed: true });
    });
    let (_, out, _) = plain(&server, "explain 105").await;
    let expected = "PINs for register: Meta has refused one.\nAn operator lets one more PIN through.\n";
    assert!(out.contains(expected), "{out}");

    for line in ["allow_pin 105 --reason x --by ann", "allow-pin 105 --reason x --by ann"] {
        assert_eq!(
            plain(&server, line).await,
            (0, "allow_pin: 105 may try one more PIN\n".into(), "".into())
        );
        assert_eq!(server.fake.orders().last().unwrap(), "allow_pin because x by ann");
    }
    let (code, out, _) = plain(&server, "allow_pin 101 --reason x").await;
    assert_eq!((code, &*out), (0, "allow_pin: nothing to allow, for no PIN of 101 was refused\n"));
    let (_, out, _) = plain(&server, "allow_pin 105 --reason x --json").await;
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["pin_guard"]["allowed"], true);
}
