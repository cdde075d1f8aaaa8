//! The client commands: exit codes, and what is printed.

use clap::Parser;
use secrecy::SecretString;
use sendfuse::admin::Access;
use sendfuse::cli::client;
use sendfuse::cli::environment::Environment;
use sendfuse::cli::parse::{Cli, Command};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::fake::{Server, blocked};

/// Exit code, stdout, stderr.
pub(super) type Done = (u8, String, String);

pub(super) async fn run(url: &str, environment: Environment, line: &str) -> Done {
    let environment = Environment { admin_url: Some(url.to_owned()), ..environment };
    let words = ["sendfuse"].into_iter().chain(line.split(' '));
    let Command::Client(command) = Cli::try_parse_from(words).unwrap().into_command() else {
        panic!("{line} is no client command");
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = client::run(command, &environment, &mut out, &mut err).await;
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

pub(super) async fn plain(server: &Server, line: &str) -> Done {
    run(&server.url(), Environment::default(), line).await
}

fn with_token(token: &str) -> Environment {
    Environment { admin_token: Some(SecretString::from(token)), ..Environment::default() }
}

/// Exactly one line, said by us.
fn one_line(err: &str) -> &str {
    assert!(err.starts_with("sendfuse: ") && err.ends_with('\n') && err.lines().count() == 1, "{err:?}");
    err
}

#[tokio::test]
async fn exit_codes_tell_the_state() {
    let server = Server::open().await;
    for (phone, code) in [("105", 0), ("999", 0), ("101", 3), ("102", 4), ("103", 5), ("104", 5)] {
        for command in ["status", "explain"] {
            for json in ["", " --json"] {
                let (got, out, err) = plain(&server, &format!("{command} {phone}{json}")).await;
                assert_eq!((got, &*err), (code, ""), "{command} {phone}");
                assert!(out.contains(phone), "{out}");
            }
        }
    }
}

#[tokio::test]
async fn status_is_3_if_any_is_open() {
    let server = Server::open().await;
    assert_eq!(plain(&server, "status").await.0, 3);
    for state in ["half_open", "forced_open", "bypassed"] {
        server.fake.keep("101");
        server.fake.set_state("101", state);
        let (code, out, _) = plain(&server, "status").await;
        assert_eq!(code, 0, "{state}");
        assert!(out.contains(state), "{out}");
    }
    server.fake.set_state("101", "closed");
    assert_eq!(plain(&server, "status").await, (0, "all closed\n".to_owned(), String::new()));
    assert_eq!(plain(&server, "status --json").await.1, "{\"items\":[]}\n");
}

#[tokio::test]
async fn status_is_a_table() {
    let server = Server::open().await;
    let (_, out, _) = plain(&server, "status").await;
    let expected = "\
SCOPE  ID   STATE        EXTENT  REASON                                        SINCE                 NEXT CHECK            REJECTED  LEAKED  CONDITIONS
phone  101  open         all     131031 Business  [2JAccount locked (webhook)  2026-05-01T10:00:00Z  2026-05-01T10:00:42Z  118       2       no_token
phone  102  half_open    all     131031 Business  [2JAccount locked (webhook)  2026-05-01T10:00:00Z  -                     118       2       no_token
phone  103  forced_open  all     ann: drill                                    2026-05-01T10:00:00Z  -                     118       2       no_token
phone  104  bypassed     all     ann: drill                                    2026-05-01T10:00:00Z  -                     118       2       no_token
phone  106  open         all     131031 Business  [2JAccount locked (webhook)  2026-05-01T10:00:00Z  2026-05-01T10:00:42Z  118       2       no_token
";
    assert_eq!(out, expected);
    let (_, out, _) = plain(&server, "status 105").await;
    let row = out.lines().nth(1).unwrap();
    assert_eq!(
        row.split_whitespace().collect::<Vec<_>>(),
        ["phone", "105", "closed", "-", "-", "-", "-", "118", "2", "no_token"]
    );
}

#[tokio::test]
async fn colours_come_only_where_they_are_wanted() {
    let server = Server::open().await;
    let coloured = || Environment { colours: true, ..Environment::default() };
    for line in ["status", "explain 101", "reset 101 --reason x"] {
        let (_, out, _) = run(&server.url(), coloured(), line).await;
        assert!(out.contains("\x1b["), "{out:?}");
        let (_, out, _) = plain(&server, line).await;
        assert!(!out.contains('\x1b'), "{out:?}");
    }
    let (_, out, _) = run(&server.url(), coloured(), "status --json").await;
    assert!(!out.contains('\x1b'), "{out:?}");
}

#[tokio::test]
async fn status_reads_every_page() {
    let server = Server::open().await;
    for id in 10_000..12_500 {
        server.fake.set_state(&id.to_string(), "half_open");
    }
    let (code, out, err) = plain(&server, "status").await;
    assert_eq!((code, &*err, out.lines().count()), (3, "", 1 + 5 + 2_500));
    let (_, out, _) = plain(&server, "status --json").await;
    let all: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(all["items"].as_array().unwrap().len(), 5 + 2_500);
}

#[tokio::test]
async fn explain_speaks_in_sentences() {
    let server = Server::open().await;
    let (_, out, _) = plain(&server, "explain 101").await;
    let expected = "\
Phone 101 (of WABA 1) is open: its sends are rejected.
Not closed since 2026-05-01T10:00:00Z.
Why: 131031 Business  [2JAccount locked, in a webhook at 2026-05-01T10:00:00Z.
Rejected: 118 sends. Leaked: 2 sends that Meta accepted after the lock began, and then failed.
So far: 3 probes, 1 trial.
Next check: 2026-05-01T10:00:42Z.
Note: no token, 4 times since 2026-05-01T10:00:00Z: there is no token to probe with.
What would close it: a health check that finds nothing, then a delivered trial.
Generation 7, incident inc-1.
";
    assert_eq!(out, expected);
    let (_, out, _) = plain(&server, "explain 103").await;
    assert!(out.contains("Order: open by ann, until 2026-05-01T12:00:00Z: drill.\n"), "{out}");
    let (_, out, _) = plain(&server, "explain 999").await;
    assert!(
        out.starts_with("Phone 999 is closed: nothing was ever heard of it here, so its sends flow.\n"),
        "{out}"
    );
    assert!(!out.contains("What would close it"), "{out}");
}

#[tokio::test]
async fn explain_says_what_observe_mode_saw() {
    let server = Server::open().await;
    for (phone, seen) in [("101", true), ("102", false)] {
        server.fake.set_would_reject(phone, 41_220);
        let (_, out, _) = plain(&server, &format!("explain {phone}")).await;
        let sentence = "Observed: 41,207 of 41,220 would have failed anyway; of 3 nothing is known.\n";
        assert_eq!(out.contains(sentence), seen, "{out}");
    }
}

#[tokio::test]
async fn json_is_what_the_api_says() {
    let server = Server::open().await;
    let breaker = server.get("/v1/breakers/101").await.json();
    for command in ["status 101", "explain 101"] {
        let (_, out, _) = plain(&server, &format!("{command} --json")).await;
        assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), breaker);
        assert!(out.ends_with("}\n") && out.lines().count() == 1, "{out}");
    }
    let (code, out, _) = plain(&server, "reset 101 --reason x --json").await;
    assert_eq!(code, 0);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["state"], json!("closed"));
}

#[tokio::test]
async fn orders_arrive_as_they_were_given() {
    let server = Server::open().await;
    for (line, user, out, log) in [
        (
            "reset 101 --reason x",
            None,
            "reset: 101 is closed, generation 8\n",
            "reset because x by operator for None",
        ),
        (
            "open 101 --reason x --for 2h",
            Some("bob"),
            "open: 101 is forced_open until 2026-05-01T12:00:00Z, generation 9\n",
            "open because x by bob for Some(7200s)",
        ),
        (
            "bypass 101 --reason x --by ann",
            Some("bob"),
            "bypass: 101 is bypassed until 2026-05-01T12:00:00Z, generation 10\n",
            "bypass because x by ann for None",
        ),
        (
            "lift 101 --reason x --if-match 10",
            None,
            "lift: 101 is open, generation 11\n",
            "lift because x by operator for None",
        ),
        (
            "probe 101 --reason x",
            None,
            "health: unknown (no token)\nprobe: 101 is open, generation 12\n",
            "probe because x by operator",
        ),
    ] {
        let environment = Environment { user: user.map(str::to_owned), ..Environment::default() };
        let done = run(&server.url(), environment, line).await;
        assert_eq!(done, (0, out.to_owned(), String::new()), "{line}");
        assert_eq!(server.fake.orders().last().unwrap(), log);
    }
    server.fake.set_health(blocked());
    let (code, out, _) = plain(&server, "probe 101 --reason x").await;
    assert_eq!(code, 0);
    assert!(
        out.starts_with("health: blocked\n  WABA 202: BLOCKED\n    141010 no payment Meta suggests: pay\n"),
        "{out}"
    );
}

#[tokio::test]
async fn an_order_for_another_generation_fails() {
    let server = Server::open().await;
    let (code, out, err) = plain(&server, "reset 101 --reason x --if-match 6").await;
    assert_eq!((code, &*out), (1, ""));
    assert!(one_line(&err).contains("generation 7"), "{err}");
    assert!(server.fake.orders().is_empty());
}

#[tokio::test]
async fn tokens_come_from_the_environment_or_its_file() {
    let server = Server::guarded().await;
    let url = server.url();
    assert_eq!(run(&url, with_token("read"), "status").await.0, 3);
    let (code, _, err) = run(&url, with_token("read"), "reset 101 --reason x").await;
    assert!(code == 1 && one_line(&err).contains("read token"), "{err}");
    assert_eq!(run(&url, with_token("operate"), "reset 101 --reason x").await.0, 0);

    for environment in [with_token("wr0ng"), Environment::default()] {
        for line in ["status", "status --json", "explain 101", "reset 101 --reason x"] {
            let (code, out, err) = run(&url, clone(&environment), line).await;
            assert_eq!((code, &*out), (1, ""), "{line}");
            assert!(one_line(&err).contains("SENDFUSE_ADMIN_TOKEN") && !err.contains("wr0ng"), "{err}");
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let from_file = || Environment { admin_token_file: Some(file.clone()), ..Environment::default() };
    let (code, _, err) = run(&url, from_file(), "status").await;
    assert!(code == 2 && one_line(&err).contains("cannot be read"), "{err}");
    std::fs::write(&file, " \n").unwrap();
    assert_eq!(run(&url, from_file(), "status").await.0, 2);
    std::fs::write(&file, "operate\n").unwrap();
    assert_eq!(run(&url, from_file(), "reset 101 --reason x").await.0, 0);
    let both = Environment { admin_token_file: Some(file.clone()), ..with_token("operate") };
    assert_eq!(run(&url, both, "status").await.0, 2);
    let (code, _, err) = run(&url, with_token("br\noken"), "status").await;
    assert!(code == 2 && !one_line(&err).contains("oken\""), "{err}");
}

fn clone(environment: &Environment) -> Environment {
    Environment { admin_token: environment.admin_token.clone(), ..Environment::default() }
}

#[tokio::test]
async fn what_cannot_be_reached_is_one_clear_line() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (code, out, err) = run(&url, with_token("s3cret"), "status").await;
    assert_eq!((code, &*out), (1, ""));
    assert!(one_line(&err).contains(&url) && err.contains("refused") && !err.contains("s3cret"), "{err}");

    let server = Server::open().await;
    let (code, _, err) = plain(&server, &format!("status --admin-url {}/elsewhere", server.url())).await;
    assert_eq!(code, 1);
    assert!(one_line(&err).contains("nothing at this path"), "{err}");

    for bad in ["127.0.0.1:8082", "ftp://x", "http://ann:s3cret@x", "http://x?s3cret"] {
        let (code, _, err) = plain(&server, &format!("status --admin-url {bad}")).await;
        assert!(code == 2 && !one_line(&err).contains("s3cret"), "{err}");
    }
}

#[tokio::test]
async fn what_is_no_sendfuse_is_named_so() {
    let router = axum::Router::new()
        .route("/v1/wabas", axum::routing::get(async || r#"{"items":[],"next_cursor":null}"#))
        .route("/v1/breakers", axum::routing::get(async || r#"{"items":[],"next_cursor":""}"#))
        .fallback(async || "<html>hello</html>");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    for line in ["status", "status 101", "explain 101", "reset 101 --reason x"] {
        let (code, out, err) = run(&url, Environment::default(), line).await;
        assert_eq!((code, &*out), (1, ""), "{line}");
        assert!(one_line(&err).contains("does not answer as sendfuse"), "{err}");
    }
}

#[tokio::test]
async fn a_slash_after_the_url_is_as_good_as_none() {
    let server = Server::start(Access::new(Some("operate"), None)).await;
    let (code, _, _) = run(&format!("{}/", server.url()), with_token("operate"), "status").await;
    assert_eq!(code, 3);
}
