//! What cannot work is refused at the start: with the exit code that scripts rely on, and words that help.

use std::path::Path;

use sendfuse::simulator::{PHONE, Profile};

use super::rig::{Ended, Said, Scene};

async fn scene() -> Scene {
    Scene::new(|_| {}).await
}

/// It was refused with this code, and stderr says all of it; nothing on stdout.
#[track_caller]
fn assert_refused(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}", ended.err);
    assert_eq!(ended.out, "");
    for word in words {
        assert!(ended.err.contains(word), "no {word:?} in {}", ended.err);
    }
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
}

/// As [`assert_refused`], in one line.
#[track_caller]
fn assert_refused_in_a_line(ended: &Ended, code: i32, words: &[&str]) {
    assert_refused(ended, code, words);
    assert_eq!(ended.err.trim_end().lines().count(), 1, "{}", ended.err);
}

#[tokio::test]
async fn a_bad_configuration_is_exit_2_and_every_mistake_is_named() {
    let scene = scene().await;
    let config = scene.configure(
        "mode = \"maybe\"\nbreaker.min_open = \"60\"\nbreaker.reject_status = 200\nprobe.intervall = \"1s\"",
    );
    let config = config.to_str().unwrap();
    let environment = [("SENDFUSE__PROXY__DRAIN_TIMEOUT", "soon"), ("SENDFUSE__BREAKER__MIN_OPN", "1s")];
    for command in
        [vec!["run", "--config", config], vec!["--config", config], vec!["check", "--config", config]]
    {
        let ended = scene.sendfuse(&command, &environment).await;
        let mistakes = [
            "mode = \"maybe\"",
            "breaker.min_open = \"60\"",
            "breaker.reject_status = 200",
            "probe.intervall",
            "SENDFUSE__PROXY__DRAIN_TIMEOUT = \"soon\"",
            "SENDFUSE__BREAKER__MIN_OPN",
        ];
        assert_refused(&ended, 2, &mistakes);
    }
    assert!(!scene.file("data").exists(), "nothing was begun");
}

#[tokio::test]
async fn a_missing_or_broken_file_is_exit_2() {
    let scene = scene().await;
    for command in ["run", "check"] {
        let ended = scene.sendfuse(&[command, "--config", "not-there.toml"], &[]).await;
        assert_refused(&ended, 2, &["not-there.toml", "cannot be read"]);
        scene.write("broken.toml", "mode = \n");
        let ended = scene.sendfuse(&[command, "--config", "broken.toml"], &[]).await;
        assert_refused(&ended, 2, &["broken.toml:1:"]);
        let environment =
            [("SENDFUSE__UPSTREAM__CA_FILE", "no-ca.pem"), ("SENDFUSE__ADMIN__TOKEN_FILE", "no-token")];
        let ended = scene.sendfuse(&[command], &environment).await;
        assert_refused(
            &ended,
            2,
            &["SENDFUSE__UPSTREAM__CA_FILE", "SENDFUSE__ADMIN__TOKEN_FILE", "cannot be read"],
        );
    }
}

#[tokio::test]
async fn unknown_variables_and_commands_are_exit_2() {
    let scene = scene().await;
    for command in ["run", "check"] {
        let ended = scene.sendfuse(&[command], &[("SENDFUSE__BREAKER__MIN_OPN", "1s")]).await;
        assert_refused(&ended, 2, &["SENDFUSE__BREAKER__MIN_OPN", "SENDFUSE__BREAKER__MIN_OPEN"]);
    }
    assert_refused(&scene.sendfuse(&["frobnicate"], &[]).await, 2, &["frobnicate"]);
    assert_refused(&scene.sendfuse(&["run", "--confg", "x"], &[]).await, 2, &["--confg"]);
}

#[tokio::test]
async fn admin_beyond_loopback_needs_a_token() {
    let scene = scene().await;
    scene.configure("");
    let beyond = ("SENDFUSE__ADMIN__LISTEN", "0.0.0.0:0");
    let ended = scene.refused(&[beyond]).await;
    assert_refused(&ended, 2, &["0.0.0.0:0", "without admin.token", "loopback"]);
    let ended = scene.sendfuse(&["check"], &[beyond]).await;
    assert_refused(&ended, 2, &["without admin.token"]);
    let sendfuse = scene.run_with(&[beyond, ("SENDFUSE__ADMIN__TOKEN", "t0ken")]).await;
    assert!(sendfuse.admin.ip().is_unspecified());
}

#[tokio::test]
async fn a_bad_log_filter_is_exit_2() {
    let scene = scene().await;
    scene.configure("");
    assert_refused_in_a_line(
        &scene.refused(&[("RUST_LOG", "sendfuse=loud")]).await,
        2,
        &["RUST_LOG", "info"],
    );
}

#[tokio::test]
async fn a_port_that_is_taken_is_exit_1_in_one_line() {
    let scene = scene().await;
    scene.configure("");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for listener in ["SENDFUSE__PROXY__LISTEN", "SENDFUSE__WEBHOOK__LISTEN", "SENDFUSE__ADMIN__LISTEN"] {
        let ended = scene.refused(&[(listener, &address)]).await;
        assert_refused_in_a_line(&ended, 1, &["cannot listen on", &address, "in use"]);
    }
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_is_exit_1_in_one_line() {
    let scene = scene().await;
    scene.configure("");
    let file = scene.write("a-file", "");
    let inside = file.join("data");
    let inside = inside.to_str().unwrap();
    let ended = scene.refused(&[("SENDFUSE__STORE__PATH", inside)]).await;
    assert_refused_in_a_line(&ended, 1, &[inside, "data directory", "store.path"]);
}

#[tokio::test]
async fn a_second_sendfuse_on_the_same_directory_is_exit_1() {
    let scene = scene().await;
    scene.configure("");
    let first = scene.run().await;
    let ended = scene.refused(&[]).await;
    assert_refused_in_a_line(&ended, 1, &["sendfuse.redb", "in use by another sendfuse"]);
    // The first does not mind.
    assert_eq!(first.send(PHONE).await.said(), Said::Accepted);
}

#[tokio::test]
async fn a_damaged_store_is_named_and_left_as_it_is() {
    let scene = scene().await;
    scene.configure("");
    // A real one, with a lock in it.
    let sendfuse = scene.run().await;
    scene.meta.lock(PHONE, Profile::Sync403);
    assert_eq!(sendfuse.send(PHONE).await.said(), Said::Locked);
    sendfuse.kill().await;
    let file = scene.file("data/sendfuse.redb");
    let good = std::fs::read(&file).unwrap();
    let damage: [(&str, Vec<u8>); 4] = [
        ("empty", Vec::new()),
        ("something else", b"once upon a time\n".repeat(100)),
        ("cut off", good[..good.len() / 2].to_vec()),
        ("zeroed inside", {
            let mut bytes = good.clone();
            let inside = bytes.len() / 8;
            bytes[64..inside].fill(0);
            bytes
        }),
    ];
    for (what, bytes) in damage {
        std::fs::write(&file, &bytes).unwrap();
        let ended = scene.refused(&[]).await;
        assert_refused_in_a_line(
            &ended,
            1,
            &[file.to_str().unwrap(), "restore it from a backup", "move it away"],
        );
        assert!(same(&file, &bytes), "{what}: the file was touched");
    }
    // Put back, it is what it was.
    std::fs::write(&file, &good).unwrap();
    assert_eq!(scene.run().await.breaker(PHONE).await["state"], "open");
}

fn same(file: &Path, bytes: &[u8]) -> bool {
    std::fs::read(file).unwrap() == bytes
}
