//! The command line against a running process: what it prints, and its exit codes.

use sendfuse::simulator::{PHONE, Profile};
use serde_json::{Value, json};

use super::rig::{Ended, HEALTHY, Said, Scene, Sendfuse};

const TOKEN: &str = "operate-t0ken";
const READ_TOKEN: &str = "read-t0ken";

async fn running() -> (Scene, Sendfuse) {
    let scene = Scene::new(|_| {}).await;
    scene.configure(&format!(
        "admin.token = \"{TOKEN}\"\nadmin.read_token = \"{READ_TOKEN}\"\nbreaker.min_open = \"1h\""
    ));
    let sendfuse = scene.run().await;
    (scene, sendfuse)
}

/// A command with the operator's token.
async fn cli(scene: &Scene, sendfuse: &Sendfuse, line: &str) -> Ended {
    let url = format!("http://{}", sendfuse.admin);
    let environment = [("SENDFUSE_ADMIN_URL", &*url), ("SENDFUSE_ADMIN_TOKEN", TOKEN), ("USER", "ada")];
    scene.sendfuse(&line.split(' ').collect::<Vec<_>>(), &environment).await
}

#[track_caller]
fn assert_done(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}{}", ended.out, ended.err);
    assert_eq!(ended.err, "");
    for word in words {
        assert!(ended.out.contains(word), "no {word:?} in {}", ended.out);
    }
}

#[track_caller]
fn assert_failed(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}{}", ended.out, ended.err);
    assert_eq!(ended.out, "");
    for word in words {
        assert!(ended.err.contains(word), "no {word:?} in {}", ended.err);
    }
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
}

#[tokio::test]
async fn status_and_explain_tell_the_state_by_their_exit_code() {
    let (scene, sendfuse) = running().await;
    let run = async |line: &str| cli(&scene, &sendfuse, line).await;
    assert_done(&run("status").await, 0, &["all closed"]);
    assert_done(&run(&format!("status {PHONE}")).await, 0, &[PHONE, "closed"]);
    assert_done(&run(&format!("explain {PHONE}")).await, 0, &[PHONE, "its sends flow"]);
    assert_done(&run("status --json").await, 0, &["{\"items\":[]}"]);

    scene.meta.lock(PHONE, Profile::Sync403);
    assert_eq!(sendfuse.send(PHONE).await.said(), Said::Locked);
    assert_eq!(sendfuse.send(PHONE).await.said(), Said::Rejected);
    assert_done(&run("status").await, 3, &[PHONE, "open", "131031 Business Account locked (response)"]);
    assert_done(&run(&format!("status {PHONE}")).await, 3, &[PHONE, "open"]);
    assert_done(&run(&format!("status {HEALTHY}")).await, 0, &[HEALTHY, "closed"]);
    assert_done(
        &run(&format!("explain {PHONE}")).await,
        3,
        &["its sends are rejected", "in the answer to a send", "Rejected: 1 send.", "What would close it"],
    );
    let shown = run(&format!("status {PHONE} --json")).await;
    assert_done(&shown, 3, &[]);
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!((&shown["state"], &shown["rejected"]), (&json!("open"), &json!(1)));
    let listed: Value = serde_json::from_str(&run("status --json").await.out).unwrap();
    assert_eq!(listed["items"][0]["id"], PHONE);
}

#[tokio::test]
async fn half_open_is_exit_code_4() {
    let scene = Scene::new(|_| {}).await;
    scene.configure(&format!("admin.token = \"{TOKEN}\"\nbreaker.min_open = \"0s\""));
    let sendfuse = scene.run().await;
    scene.meta.lock(PHONE, Profile::Sync403);
    assert_eq!(sendfuse.send(PHONE).await.said(), Said::Locked);
    sendfuse.log.line_with(&["transition=\"half_open\""]).await;
    let run = async |line: &str| cli(&scene, &sendfuse, line).await;
    assert_done(&run(&format!("status {PHONE}")).await, 4, &["half_open"]);
    assert_done(&run(&format!("explain {PHONE}")).await, 4, &["half open", "as a trial"]);
    // Nothing is open.
    assert_done(&run("status").await, 0, &["half_open"]);
}

#[tokio::test]
async fn orders_are_carried_out() {
    let (scene, sendfuse) = running().await;
    let run = async |line: &str| cli(&scene, &sendfuse, line).await;
    let send = async || sendfuse.send(PHONE).await.said();

    assert_done(
        &run(&format!("open {PHONE} --reason audit --for 2h")).await,
        0,
        &["open:", "forced_open until", "generation 1"],
    );
    assert_eq!(send().await, Said::Rejected);
    assert_done(&run(&format!("status {PHONE}")).await, 5, &["forced_open", "ada: audit"]);
    assert_done(&run(&format!("explain {PHONE}")).await, 5, &["Order: open by ada", "audit"]);
    assert_done(
        &run(&format!("lift {PHONE} --reason over --by bob")).await,
        0,
        &["is closed", "generation 2"],
    );
    assert_eq!(send().await, Said::Accepted);

    scene.meta.lock(PHONE, Profile::Sync403);
    assert_eq!(send().await, Said::Locked);
    let probed = run(&format!("probe {PHONE} --reason look")).await;
    assert_done(&probed, 0, &["health: clear", "PHONE_NUMBER", "is open"]);
    assert_done(&run(&format!("bypass {PHONE} --reason urgent")).await, 0, &["bypassed", "generation 4"]);
    assert_eq!(send().await, Said::Locked, "the operator has it so");
    assert_done(&run(&format!("status {PHONE}")).await, 5, &["bypassed"]);
    scene.meta.unlock(PHONE);
    let late = run(&format!("reset {PHONE} --reason well --if-match 3")).await;
    assert_failed(&late, 1, &["generation 4", "nothing was changed"]);
    let reset = run(&format!("reset {PHONE} --reason well --if-match 4 --json")).await;
    assert_done(&reset, 0, &[]);
    let reset: Value = serde_json::from_str(&reset.out).unwrap();
    assert_eq!((&reset["state"], &reset["generation"]), (&json!("closed"), &json!(5)));
    assert_eq!(send().await, Said::Accepted);

    // A reason is asked for before anybody is called.
    for order in ["reset", "open", "bypass", "lift", "probe"] {
        let ended = run(&format!("{order} {PHONE}")).await;
        assert_eq!(ended.code, Some(2), "{order}");
        assert!(ended.err.contains("--reason"), "{}", ended.err);
    }
    assert_eq!(sendfuse.log.text().matches("an operator has").count(), 0);
}

#[tokio::test]
async fn the_token_comes_from_the_environment_or_a_file() {
    let (scene, sendfuse) = running().await;
    let url = format!("http://{}", sendfuse.admin);
    let run = async |line: &str, more: &[(&str, &str)]| {
        let environment: Vec<_> = [("SENDFUSE_ADMIN_URL", &*url)].iter().chain(more).copied().collect();
        scene.sendfuse(&line.split(' ').collect::<Vec<_>>(), &environment).await
    };
    let order = format!("open {PHONE} --reason x");
    let file = scene.write("token", format!("{TOKEN}\n"));
    let file = ("SENDFUSE_ADMIN_TOKEN_FILE", file.to_str().unwrap());
    let token = |token| ("SENDFUSE_ADMIN_TOKEN", token);

    assert_done(&run(&order, &[file]).await, 0, &["forced_open"]);
    assert_done(&run("status", &[token(READ_TOKEN)]).await, 0, &[PHONE]);
    assert_failed(&run(&order, &[token(READ_TOKEN)]).await, 1, &[]);
    assert_failed(&run("status", &[]).await, 1, &["SENDFUSE_ADMIN_TOKEN"]);
    let wrong = run("status", &[token("wr0ng")]).await;
    assert_failed(&wrong, 1, &["SENDFUSE_ADMIN_TOKEN"]);
    assert!(!wrong.err.contains("wr0ng"), "{}", wrong.err);
    assert_failed(&run("status", &[file, token(TOKEN)]).await, 2, &["both set"]);
    assert_failed(&run("status", &[("SENDFUSE_ADMIN_TOKEN_FILE", "not-there")]).await, 2, &["not-there"]);
    assert_failed(&run("status --admin-url ftp://x", &[]).await, 2, &["admin URL"]);
}

#[tokio::test]
async fn a_sendfuse_that_is_not_there_is_exit_code_1() {
    let (scene, sendfuse) = running().await;
    let gone = format!("http://{}", sendfuse.admin);
    sendfuse.kill().await;
    for line in [vec!["status"], vec!["status", PHONE], vec!["reset", PHONE, "--reason", "x"]] {
        let ended = scene.sendfuse(&line, &[("SENDFUSE_ADMIN_URL", &gone)]).await;
        assert_failed(&ended, 1, &[&gone, "cannot be reached", "Is sendfuse running?"]);
    }
}

#[tokio::test]
async fn check_prints_what_is_in_effect_without_secrets() {
    let scene = Scene::new(|_| {}).await;
    scene.write("secret", "from-a-file-s3cret\n");
    let config = scene.configure(
        "admin.token = \"admin-s3cret\"\nwebhook.verify_token_file = \"secret\"\nbreaker.min_open = \"90s\"\n\
         webhook.app_secrets = [\"app-s3cret\"]\nprobe.tokens.\"106540352242922\" = \"EAAs3cret\"\n\
         webhook.relay_to = \"https://app.test/hook?key=query-s3cret\"",
    );
    let environment =
        [("SENDFUSE__BREAKER__REJECT_STATUS", "451"), ("SENDFUSE__ADMIN__READ_TOKEN", "read-s3cret")];
    let ended = scene.sendfuse(&["check", "--config", config.to_str().unwrap()], &environment).await;
    let expected =
        ["min_open = \"90s\"", "reject_status = 451", "mode = \"enforce\"", "https://app.test/hook"];
    assert_done(&ended, 0, &expected);
    assert!(!ended.out.contains("s3cret"), "{}", ended.out);
    // Without any argument it is the defaults.
    assert_done(
        &scene.sendfuse(&["check"], &[]).await,
        0,
        &["https://graph.facebook.com", "listen = \"127.0.0.1:8080\""],
    );
    assert!(!scene.file("data").exists(), "a check begins nothing");
}
