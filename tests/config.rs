//! Configuration: what loads, what is refused and how it is said, what is shown, when it is loaded again.

mod code_rules;
mod sources;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use sendfuse::config::{
    Cause, Clears, Config, HttpVersion, LogFormat, Mode, NoWebhooks, Problems, Rule, RuleExtent, RuleScope,
    Secret, Spread, StoreKind, Tls, Watcher,
};
use tempfile::TempDir;

/// Stands for a secret; must turn up nowhere.
const MARK: &str = "EAAGhushhushhush";

fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, Problems> {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("sendfuse.toml");
    fs::write(&file, text).unwrap();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(&file), env)
}

/// The mistakes, one a string, sorted; the configuration file's directory is left out.
fn mistakes(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    let problems = load(text, env).expect_err("must be refused");
    let mut lines: Vec<String> = problems
        .iter()
        .map(|problem| match problem.at.rsplit_once('/') {
            Some((_, at)) if at.starts_with("sendfuse.toml") => format!("{at}: {}", problem.rule),
            _ => problem.to_string(),
        })
        .collect();
    lines.sort();
    lines
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

/// The paths of all keys beneath `value`; what is empty is a key itself.
fn paths(value: &serde_json::Value, above: &str, found: &mut BTreeSet<String>) {
    match value.as_object() {
        Some(object) if !object.is_empty() => {
            for (key, value) in object {
                paths(value, &format!("{above}/{key}"), found);
            }
        }
        _ => drop(found.insert(above.to_owned())),
    }
}

#[test]
fn nothing_at_all_is_the_defaults() {
    assert_eq!(Config::load(None, std::iter::empty()).unwrap(), Config::default());
    assert_eq!(load("", &[]).unwrap(), Config::default());
}

#[test]
fn the_reference_is_exactly_the_defaults() {
    let file = shipped().join("sendfuse.toml");
    assert_eq!(Config::load(Some(&file), std::iter::empty()).unwrap(), Config::default());
    let reference: toml::Table = toml::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let (mut written, mut in_effect) = (BTreeSet::new(), BTreeSet::new());
    paths(&serde_json::to_value(reference).unwrap(), "", &mut written);
    paths(&Config::default().to_json_redacted(), "", &mut in_effect);
    assert_eq!(in_effect.difference(&written).collect::<Vec<_>>(), Vec::<&String>::new());
    let only_written: Vec<_> = written.difference(&in_effect).map(String::as_str).collect();
    assert_eq!(
        only_written,
        [
            "/admin/read_token_file",
            "/admin/token_file",
            "/webhook/app_secrets_file",
            "/webhook/verify_token_file"
        ]
    );
}

#[test]
fn every_shipped_configuration_loads() {
    let mut found = 0;
    for entry in fs::read_dir(shipped()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            Config::load(Some(&path), std::iter::empty())
                .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            found += 1;
        }
    }
    assert!(found > 0, "no configuration is shipped");
}

#[test]
fn every_key_can_be_set() {
    let directory = TempDir::new().unwrap();
    let pem = directory.path().join("x.pem");
    fs::write(&pem, "x").unwrap();
    let pem_text = pem.display();
    let config = load(
        &format!(
            r#"
            mode = "observe"
            rule = [{{ code = 190, scope = "token", clears = "both", hold = "15m" }}]
            [proxy]
            listen = "[::]:1"
            tls = {{ cert = "{pem_text}", key = "{pem_text}" }}
            header_timeout = "1s"
            max_connections = 2
            drain_timeout = "0s"
            [upstream]
            url = "http://127.0.0.1:9000"
            ca_file = "{pem_text}"
            connect_timeout = "3ms"
            response_timeout = "4m"
            http = "2"
            [webhook]
            listen = "0.0.0.0:2"
            path = "/hook/x"
            app_secrets = ["one", "two"]
            verify_token = "my token"
            relay_to = "https://app.example/hook?key=k"
            deaf_after = "5h"
            source = []
            [admin]
            listen = "0.0.0.0:3"
            token = "operate"
            read_token = "read"
            [breaker]
            trip_after = 6
            min_open = "0s"
            half_open = false
            trials_to_close = 7
            trial_timeout = "8s"
            no_webhooks = "hold"
            trial_grace = "9s"
            reject_status = 404
            retry_after = true
            skew = "14ms"
            spread = "waba"
            [probe]
            interval = "10s"
            max_interval = "1h30m"
            timeout = "11s"
            borrow_token = false
            tokens = {{ 12345678901234567890 = "probe" }}
            watch = "off"
            budget_per_hour = 12
            [store]
            kind = "memory"
            path = "/elsewhere"
            url = ""
            commit_timeout = "13ms"
            [notify]
            webhooks = []
            [pin_guard]
            max_attempts = 10
            [metrics]
            max_phones = 0
            [log]
            format = "json"
            "#
        ),
        &[],
    )
    .unwrap();

    let mut expected = Config::default();
    let seconds = Duration::from_secs;
    expected.mode = Mode::Observe;
    expected.rules = vec![Rule {
        code: 190,
        scope: RuleScope::Token,
        extent: RuleExtent::All,
        clears: Clears::Both(seconds(900)),
    }];
    expected.proxy.listen = "[::]:1".parse().unwrap();
    expected.proxy.tls = Some(Tls { cert: pem.clone(), key: pem.clone() });
    expected.proxy.header_timeout = seconds(1);
    expected.proxy.max_connections = 2;
    expected.proxy.drain_timeout = seconds(0);
    expected.upstream.url = "http://127.0.0.1:9000".parse().unwrap();
    expected.upstream.ca_file = Some(pem.clone());
    expected.upstream.connect_timeout = Duration::from_millis(3);
    expected.upstream.response_timeout = seconds(240);
    expected.upstream.http = HttpVersion::Http2;
    expected.webhook.listen = "0.0.0.0:2".parse().unwrap();
    expected.webhook.path = "/hook/x".to_owned();
    expected.webhook.app_secrets = vec![Secret::new("one"), Secret::new("two")];
    expected.webhook.verify_token = Some(Secret::new("my token"));
    expected.webhook.relay_to = Some("https://app.example/hook?key=k".parse().unwrap());
    expected.webhook.deaf_after = seconds(18_000);
    expected.admin.listen = "0.0.0.0:3".parse().unwrap();
    expected.admin.token = Some(Secret::new("operate"));
    expected.admin.read_token = Some(Secret::new("read"));
    expected.breaker.trip_after = 6;
    expected.breaker.min_open = seconds(0);
    expected.breaker.half_open = false;
    expected.breaker.trials_to_close = 7;
    expected.breaker.trial_timeout = seconds(8);
    expected.breaker.no_webhooks = NoWebhooks::Hold;
    expected.breaker.trial_grace = seconds(9);
    expected.breaker.reject_status = 404;
    expected.breaker.retry_after = true;
    expected.breaker.skew = Duration::from_millis(14);
    expected.breaker.spread = Spread::Waba;
    expected.probe.interval = seconds(10);
    expected.probe.max_interval = seconds(5400);
    expected.probe.timeout = seconds(11);
    expected.probe.borrow_token = false;
    expected.probe.tokens.insert("12345678901234567890".to_owned(), Secret::new("probe"));
    expected.probe.budget_per_hour = 12;
    expected.store.kind = StoreKind::Memory;
    expected.store.path = "/elsewhere".into();
    expected.store.commit_timeout = Duration::from_millis(13);
    expected.pin_guard.max_attempts = 10;
    expected.metrics.max_phones = 0;
    expected.log.format = LogFormat::Json;
    assert_eq!(config, expected);

    // What is shown loads again, and but for what is hidden it is the same.
    expected.admin.read_token = None;
    let shown = load(&expected.to_toml_redacted(), &[]).unwrap();
    let hidden = || Secret::new("***");
    expected.admin.token = Some(hidden());
    expected.webhook.app_secrets = vec![hidden(), hidden()];
    expected.webhook.verify_token = Some(hidden());
    expected.webhook.relay_to = Some("https://app.example/hook?***".parse().unwrap());
    expected.probe.tokens.insert("12345678901234567890".to_owned(), hidden());
    assert_eq!(shown, expected);
}

#[test]
fn the_environment_outranks_the_file() {
    let text =
        "mode = \"enforce\"\n[breaker]\nmin_open = \"nonsense\"\ntrip_after = 5\n[upstream]\nhttp = \"2\"";
    let config = load(
        text,
        &[
            ("SENDFUSE__MODE", "observe"),
            ("SENDFUSE__BREAKER__MIN_OPEN", "2m"),
            ("SENDFUSE__BREAKER__HALF_OPEN", "false"),
            ("SENDFUSE__UPSTREAM__HTTP", "1"),
            ("SENDFUSE__WEBHOOK__APP_SECRETS", "['one', 'two']"),
            ("SENDFUSE__ADMIN__TOKEN", "12345"),
            ("SENDFUSE__PROBE__TOKENS", "{ 1 = 'a', 2 = { env = 'META_TOKEN' } }"),
            ("SENDFUSE__PROBE__TOKENS__3", "c"),
            ("SENDFUSE__PIN_GUARD__MAX_ATTEMPTS", "2"),
            ("SENDFUSE__BREAKER__SPREAD", "phone"),
            ("SENDFUSE__RULE", "[]"),
            ("META_TOKEN", "b"),
            ("SENDFUSE_ADMIN_URL", "http://x"),
            ("SENDFUSE_ADMIN_TOKEN_FILE", "y"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.mode, Mode::Observe);
    assert_eq!(config.breaker.min_open, Duration::from_secs(120));
    assert_eq!((config.breaker.trip_after, config.breaker.half_open), (5, false));
    assert_eq!(config.upstream.http, HttpVersion::Http1);
    assert_eq!(config.webhook.app_secrets, [Secret::new("one"), Secret::new("two")]);
    assert_eq!(config.admin.token, Some(Secret::new("12345")));
    let tokens: Vec<(&str, &str)> =
        config.probe.tokens.iter().map(|(id, token)| (id.as_str(), token.expose())).collect();
    assert_eq!(tokens, [("1", "a"), ("2", "b"), ("3", "c")]);
}

#[test]
fn tls_can_come_from_the_environment_whole_or_in_parts() {
    let file = shipped().join("sendfuse.toml").display().to_string();
    let tls = Some(Tls { cert: file.clone().into(), key: file.clone().into() });
    let whole = format!("{{ cert = '{file}', key = '{file}' }}");
    assert_eq!(load("", &[("SENDFUSE__PROXY__TLS", &whole)]).unwrap().proxy.tls, tls);
    let parts = [("SENDFUSE__PROXY__TLS__CERT", file.as_str()), ("SENDFUSE__PROXY__TLS__KEY", &file)];
    assert_eq!(load("[proxy]\ntls = { cert = \"/none\", key = \"/none\" }", &parts).unwrap().proxy.tls, tls);
    assert_eq!(load(&format!("[proxy]\ntls = {whole}"), &[]).unwrap().proxy.tls, tls);
}

#[test]
fn secrets_come_from_files_and_variables_too() {
    let directory = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (token, list) = (write("token", "from-file\r\n"), write("list", "one\r\n\n two \n"));
    let text = format!(
        "[admin]\ntoken = \"\"\ntoken_file = \"{token}\"\n\
         [webhook]\nverify_token_file = \"{token}\"\napp_secrets = []\napp_secrets_file = \"{list}\"\n\
         [probe.tokens]\n1 = {{ file = \"{token}\" }}\n2 = {{ env = \"T\" }}"
    );
    let secret = |text: &str| Some(Secret::new(text));
    let config = load(&text, &[("T", "from-env")]).unwrap();
    assert_eq!(config.admin.token, secret("from-file"));
    assert_eq!(config.webhook.verify_token, secret("from-file"));
    assert_eq!(config.webhook.app_secrets, [Secret::new("one"), Secret::new("two")]);
    assert_eq!(config.probe.tokens.get("1").cloned(), secret("from-file"));
    assert_eq!(config.probe.tokens.get("2").cloned(), secret("from-env"));

    // A variable outranks the file's other way of giving the same; an empty one does not take the secret away.
    let over = |value| load(&text, &[("T", "t"), ("SENDFUSE__ADMIN__TOKEN", value)]).unwrap().admin.token;
    assert_eq!(over("stronger"), secret("stronger"));
    assert_eq!(over(""), secret("from-file"));
    let other = [("SENDFUSE__ADMIN__TOKEN_FILE", token.as_str())];
    assert_eq!(load("[admin]\ntoken = \"weaker\"", &other).unwrap().admin.token, secret("from-file"));
}

const DURATION: &str =
    "a duration is a whole number and its unit, ms, s, m, h or d, as in \"90s\" or \"1h30m\"";
const ADDRESS: &str = "must be an IP address and a port, as in \"127.0.0.1:8080\" or \"[::1]:8080\"";
const BASE_URL: &str = "must be http:// or https://, a host and perhaps a port, and nothing else";
const RELAY_URL: &str = "must be an http:// or https:// URL without user, password and fragment";
const STATUS: &str = "must be a status of 400 to 499 that no client retries or logs in again on: \
                      not 401, 407, 408, 417, 421, 425, 426, 429";

#[test]
fn a_bad_value_is_refused_with_path_value_and_rule() {
    for (section, key, value, rule) in [
        ("breaker", "min_open", "60", DURATION),
        ("breaker", "min_open", "\"60\"", DURATION),
        ("breaker", "min_open", "\"-1s\"", DURATION),
        ("breaker", "min_open", "\"366d\"", "a duration is at most 365d"),
        ("breaker", "trial_timeout", "\"0s\"", "must be longer than zero"),
        ("breaker", "trip_after", "0", "must be a whole number, 1 to 1000"),
        ("breaker", "trip_after", "-1", "must be a whole number, 1 to 1000"),
        ("breaker", "trip_after", "1.5", "must be a whole number, 1 to 1000"),
        ("breaker", "trip_after", "\"1\"", "must be a whole number, 1 to 1000"),
        ("breaker", "trials_to_close", "0", "must be a whole number, 1 to 1000"),
        ("breaker", "half_open", "\"yes\"", "must be true or false"),
        ("breaker", "no_webhooks", "\"open\"", "must be \"close\" or \"hold\""),
        ("breaker", "reject_status", "200", STATUS),
        ("breaker", "reject_status", "401", STATUS),
        ("breaker", "reject_status", "429", STATUS),
        ("breaker", "reject_status", "500", STATUS),
        ("breaker", "reject_status", "65939", STATUS),
        ("probe", "budget_per_hour", "0", "must be a whole number, 1 to 1000000"),
        ("probe", "interval", "\"16m\"", "must be at most probe.max_interval"),
        ("proxy", "listen", "\"localhost:80\"", ADDRESS),
        ("proxy", "listen", "\"127.0.0.1\"", ADDRESS),
        ("proxy", "listen", "80", "must be a string in quotes"),
        ("proxy", "max_connections", "0", "must be a whole number, 1 to 1000000"),
        ("upstream", "url", "\"ftp://x\"", BASE_URL),
        ("upstream", "url", "\"graph.facebook.com\"", BASE_URL),
        ("upstream", "url", "\"https://graph.facebook.com/v23.0\"", BASE_URL),
        ("upstream", "url", "\"https://\"", BASE_URL),
        ("upstream", "url", "\"\"", BASE_URL),
        ("upstream", "http", "\"3\"", "must be \"auto\" or \"1\" or \"2\""),
        ("webhook", "path", "\"webhook\"", "must begin with / and go on with letters, digits and -._~/"),
        ("webhook", "path", "\"/{x}\"", "must begin with / and go on with letters, digits and -._~/"),
        ("webhook", "relay_to", "\"app:3000\"", RELAY_URL),
        ("webhook", "relay_to", "\"http://x/#a\"", RELAY_URL),
        ("webhook", "deaf_after", "\"10\"", DURATION),
        (
            "store",
            "kind",
            "\"redis\"",
            "not supported by this version, which knows \"embedded\" and \"memory\"",
        ),
        ("store", "kind", "\"sqlite\"", "must be \"embedded\" or \"memory\""),
        ("store", "path", "\"\"", "must not be empty"),
        ("store", "commit_timeout", "\"0ms\"", "must be longer than zero"),
        ("pin_guard", "max_attempts", "0", "must be a whole number, 1 to 10"),
        ("pin_guard", "max_attempts", "11", "must be a whole number, 1 to 10"),
        ("pin_guard", "max_attempts", "\"2\"", "must be a whole number, 1 to 10"),
        ("metrics", "max_phones", "-1", "must be a whole number, 0 to 1000000"),
        ("log", "format", "\"xml\"", "must be \"text\" or \"json\""),
        (
            "admin",
            "listen",
            "\"0.0.0.0:8082\"",
            "without admin.token (or admin.token_file) it must be a loopback address, as 127.0.0.1: anyone who reaches \
             it could order breakers about",
        ),
        (
            "admin",
            "listen",
            "\"127.0.0.1:8080\"",
            "is taken by proxy.listen: each listener needs an address of its own",
        ),
    ] {
        let found = mistakes(&format!("[{section}]\n{key} = {value}"), &[]);
        assert_eq!(found, [format!("{section}.{key} = {value}: {rule}")]);
    }
    assert_eq!(mistakes("mode = \"on\"", &[]), ["mode = \"on\": must be \"enforce\" or \"observe\""]);
}

#[test]
fn a_bad_value_is_refused_without_it_where_it_may_tell_a_secret() {
    for (text, expected) in [
        ("[upstream]\nurl = \"https://me:EAAGhushhushhush@x\"", format!("upstream.url: {BASE_URL}")),
        ("[upstream]\nurl = \"https://x/?t=EAAGhushhushhush\"", format!("upstream.url: {BASE_URL}")),
        ("[webhook]\nrelay_to = \"https://me:EAAGhushhushhush@x\"", format!("webhook.relay_to: {RELAY_URL}")),
        ("[webhook]\nrelay_to = \"ftp://x/?t=EAAGhushhushhush\"", format!("webhook.relay_to: {RELAY_URL}")),
        (
            "[webhook]\napp_secrets = \"EAAGhushhushhush\"",
            "webhook.app_secrets: must be a list of strings, as in [\"…\"]".into(),
        ),
        (
            "[webhook]\napp_secrets = [\"EAAGhushhushhush\", 1]",
            "webhook.app_secrets: must be a list of strings, as in [\"…\"]".into(),
        ),
        (
            "[webhook]\napp_secrets = [\"EAAGhushhushhush\", \"\"]",
            "webhook.app_secrets: must not be empty".into(),
        ),
        (
            "[webhook]\nverify_token = \" EAAGhushhushhush\"",
            "webhook.verify_token: must be one line without spaces around it".into(),
        ),
        ("[admin]\ntoken = [\"EAAGhushhushhush\"]", "admin.token: must be a string in quotes".into()),
        (
            "[admin]\ntoken = \"EAAGhushhushhush é\"",
            "admin.token: must be visible ASCII without spaces".into(),
        ),
        (
            "[admin]\ntoken_file = [\"EAAGhushhushhush\"]",
            "admin.token_file: must be a string in quotes".into(),
        ),
        (
            "[admin]\nread_token = \"EAAGhushhushhush\"",
            "admin.read_token: needs admin.token beside it: orders would be less guarded than reading".into(),
        ),
        (
            "[admin]\ntoken = \"EAAGhushhushhush\"\nread_token = \"EAAGhushhushhush\"",
            "admin.read_token: must differ from admin.token: who may only read could give orders".into(),
        ),
        (
            "[admin]\ntoken = \"EAAGhushhushhush\"\ntoken_file = \"f\"",
            "admin.token: is given as admin.token_file too: use one of them".into(),
        ),
        ("[probe]\ntokens = \"EAAGhushhushhush\"", "probe.tokens: must be a table of ids and tokens".into()),
        (
            "[probe.tokens]\n1 = [\"EAAGhushhushhush\"]",
            "probe.tokens.\"1\": must be \"…\", { env = \"…\" } or { file = \"…\" }".into(),
        ),
        (
            "[probe.tokens]\n1 = { env = \"X\", file = \"EAAGhushhushhush\" }",
            "probe.tokens.\"1\": must be \"…\", { env = \"…\" } or { file = \"…\" }".into(),
        ),
        (
            "[probe.tokens]\n1 = { token = \"EAAGhushhushhush\" }",
            "probe.tokens.\"1\": must be \"…\", { env = \"…\" } or { file = \"…\" }".into(),
        ),
        (
            "[probe.tokens]\n1 = \"EAAGhushhushhush \"",
            "probe.tokens.\"1\": must be visible ASCII without spaces".into(),
        ),
        ("[probe.tokens]\n1 = \"\"", "probe.tokens.\"1\": must not be empty".into()),
        ("[probe.tokens]\n1 = { env = \"NO\" }", "probe.tokens.\"1\": the variable NO is not set".into()),
        (
            "[probe.tokens]\n1 = { env = \"EMPTY\" }",
            "probe.tokens.\"1\": the variable EMPTY must not be empty".into(),
        ),
        (
            "[probe.tokens]\nEAAGhushhushhushEAAGhushhushhush = \"1\"",
            "probe.tokens.\"***\": the key must be a phone's or WABA's id, 1 to 20 digits".into(),
        ),
        (
            "[probe.tokens]\nabc = \"EAAGhushhushhush\"",
            "probe.tokens.abc: the key must be a phone's or WABA's id, 1 to 20 digits".into(),
        ),
        (
            "[store]\nurl = \"redis://:EAAGhushhushhush@x\"",
            "store.url: not supported by this version, which knows only \"\"".into(),
        ),
        (
            "[webhook.source]\nsecret = \"EAAGhushhushhush\"",
            "webhook.source: must be a list of tables, each as [[webhook.source]]".into(),
        ),
        (
            "[webhook]\nsource = [\"EAAGhushhushhush\"]",
            "webhook.source: must be a list of tables, each as [[webhook.source]]".into(),
        ),
        (
            "[[webhook.source]]\nname = \"x\"\npath = \"/x\"\nheader = \"x\"\nsecret = \" EAAGhushhushhush\"",
            "webhook.source[0].secret: must be one line without spaces around it".into(),
        ),
        (
            "[[webhook.source]]\nname = \"x\"\npath = \"/x\"\nheader = \"x\"\nsecret = [\"EAAGhushhushhush\"]",
            "webhook.source[0].secret: must be a string in quotes".into(),
        ),
        (
            "[[webhook.source]]\nname = \"x\"\npath = \"/x\"\nheader = \"x\"\nsecret = \"EAAGhushhushhush\"\nsecret_file = \"f\"",
            "webhook.source[0].secret: is given as webhook.source[0].secret_file too: use one of them".into(),
        ),
    ] {
        let found = mistakes(text, &[("EMPTY", "")]);
        assert_eq!(found, [expected], "{text}");
        assert!(!format!("{found:?}{:?}", load(text, &[("EMPTY", "")])).contains(MARK), "{text}");
    }
}

#[test]
fn features_that_are_not_there_are_refused() {
    assert_eq!(
        mistakes("[notify]\nwebhooks = [\"https://x\"]", &[]),
        ["notify.webhooks: not supported by this version, which knows only []"]
    );
    assert_eq!(
        mistakes("", &[("SENDFUSE__STORE__URL", "redis://x")]),
        ["SENDFUSE__STORE__URL: not supported by this version, which knows only \"\""]
    );
}

#[test]
fn watching_is_off_or_has_a_pace() {
    let watch = |text: &str| load("", &[("SENDFUSE__PROBE__WATCH", text)]).map(|config| config.probe.watch);
    for (text, expected) in [
        ("off", None),
        ("1m", Some(Duration::from_secs(60))),
        ("10m", Some(Duration::from_secs(600))),
        ("90d", Some(Duration::from_secs(90 * 86_400))),
    ] {
        assert_eq!(watch(text).unwrap(), expected);
        let shown = load(&format!("[probe]\nwatch = \"{text}\""), &[]).unwrap().to_json_redacted();
        assert_eq!(shown["probe"]["watch"], *text);
    }
    for (text, expected) in [
        ("\"59s\"", "probe.watch = \"59s\": must be \"off\", or a duration of at least 1m".to_owned()),
        ("\"0s\"", "probe.watch = \"0s\": must be \"off\", or a duration of at least 1m".to_owned()),
        ("\"on\"", format!("probe.watch = \"on\": must be \"off\", or a duration: {DURATION}")),
        ("10", format!("probe.watch = 10: must be \"off\", or a duration: {DURATION}")),
        ("false", format!("probe.watch = false: must be \"off\", or a duration: {DURATION}")),
    ] {
        assert_eq!(mistakes(&format!("[probe]\nwatch = {text}"), &[]), [expected]);
    }
}

#[test]
fn unknown_keys_are_refused_wherever_they_are() {
    for (text, expected) in [
        (
            "[breaker]\nmin_opn = \"1s\"",
            "breaker.min_opn: there is no such key; did you mean breaker.min_open?",
        ),
        ("[breeker]\nmin_open = \"1s\"", "breeker: there is no such key; did you mean breaker?"),
        (
            "[probe]\nmin_open = \"1s\"",
            "probe.min_open: there is no such key; did you mean breaker.min_open?",
        ),
        ("listener = 1", "listener: there is no such key"),
        ("\"proxy.listen\" = 1", "\"proxy.listen\": there is no such key; did you mean proxy.listen?"),
        (
            "[proxy]\ntls = { crt = \"x\" }",
            "proxy.tls.crt: there is no such key; did you mean proxy.tls.cert?",
        ),
        ("breaker = 1", "breaker: must be a table"),
        ("[[breaker]]\nmin_open = \"1s\"", "breaker: must be a table"),
        ("\"a\\nb\" = 1", "\"a\\nb\": there is no such key"),
    ] {
        assert_eq!(mistakes(text, &[]), [expected]);
    }
}

#[test]
fn the_environment_is_judged_by_the_same_rules() {
    for (name, value, expected) in [
        ("SENDFUSE__BREAKER__MIN_OPEN", "60", format!("SENDFUSE__BREAKER__MIN_OPEN = \"60\": {DURATION}")),
        ("SENDFUSE__BREAKER__TRIP_AFTER", "x", "SENDFUSE__BREAKER__TRIP_AFTER = \"x\": must be a whole number, 1 to 1000".into()),
        (
            "SENDFUSE__BREAKER__MIN_OPN",
            "1s",
            "SENDFUSE__BREAKER__MIN_OPN: there is no such variable; did you mean SENDFUSE__BREAKER__MIN_OPEN?".into(),
        ),
        ("SENDFUSE__Mode", "observe", "SENDFUSE__Mode: there is no such variable; did you mean SENDFUSE__MODE?".into()),
        ("SENDFUSE__", "1", "SENDFUSE__: there is no such variable".into()),
        ("SENDFUSE__BREAKER", "{ min_open = '1s' }", "SENDFUSE__BREAKER: there is no such variable".into()),
        ("SENDFUSE__PROXY__TLS", "EAAGhushhushhush", "SENDFUSE__PROXY__TLS: must be a TOML inline table, as in { … = \"…\" }".into()),
        ("SENDFUSE__PROBE__TOKENS", "EAAGhushhushhush", "SENDFUSE__PROBE__TOKENS: must be a TOML inline table, as in { … = \"…\" }".into()),
        (
            "SENDFUSE__PROBE__TOKENS__X",
            "EAAGhushhushhush",
            "SENDFUSE__PROBE__TOKENS__X: the key must be a phone's or WABA's id, 1 to 20 digits".into(),
        ),
        ("SENDFUSE__WEBHOOK__APP_SECRETS", "EAAGhushhushhush", "SENDFUSE__WEBHOOK__APP_SECRETS: must be a list of strings, as in [\"…\"]".into()),
        ("SENDFUSE__WEBHOOK__APP_SECRETS", "['']", "SENDFUSE__WEBHOOK__APP_SECRETS: must not be empty".into()),
        ("SENDFUSE__ADMIN__TOKEN", "EAAGhushhushhush x", "SENDFUSE__ADMIN__TOKEN: must be visible ASCII without spaces".into()),
    ] {
        assert_eq!(mistakes("", &[(name, value)]), [expected], "{name}={value}");
    }
}

#[test]
fn a_file_that_is_named_must_be_readable() {
    let directory = TempDir::new().unwrap();
    let empty = directory.path().join("empty");
    fs::write(&empty, "\n").unwrap();
    let (empty, here) = (empty.display(), directory.path().display());
    let gone = "cannot be read: No such file or directory (os error 2)";
    for (text, expected) in [
        ("[admin]\ntoken_file = \"/no/such\"".to_owned(), format!("admin.token_file: {gone}")),
        ("[webhook]\napp_secrets_file = \"/no/such\"".into(), format!("webhook.app_secrets_file: {gone}")),
        (
            "[probe.tokens]\n1 = { file = \"/no/such\" }".into(),
            format!("probe.tokens.\"1\": the file \"/no/such\" {gone}"),
        ),
        ("[upstream]\nca_file = \"/no/such\"".into(), format!("upstream.ca_file = \"/no/such\": {gone}")),
        (format!("[admin]\ntoken_file = \"{empty}\""), "admin.token_file: must not be empty".into()),
        (
            format!("[webhook]\nverify_token_file = \"{empty}\""),
            "webhook.verify_token_file: must not be empty".into(),
        ),
        (
            format!("[webhook]\napp_secrets_file = \"{empty}\""),
            "webhook.app_secrets_file: must not be empty".into(),
        ),
        (
            format!("[upstream]\nca_file = \"{here}\""),
            format!("upstream.ca_file = \"{here}\": cannot be read: Is a directory (os error 21)"),
        ),
        (format!("[proxy]\ntls = {{ cert = \"{empty}\" }}"), "proxy.tls: needs both cert and key".into()),
        ("[proxy]\ntls.key = \"/no/such\"".into(), format!("proxy.tls.key = \"/no/such\": {gone}")),
        (
            "[admin]\nlisten = \"0.0.0.0:1\"\ntoken_file = \"/no/such\"".into(),
            format!("admin.token_file: {gone}"),
        ),
    ] {
        assert_eq!(mistakes(&text, &[]), [expected], "{text}");
    }
    let problems = Config::load(Some(Path::new("/no/such.toml")), std::iter::empty()).unwrap_err();
    assert_eq!(problems.to_string(), format!("/no/such.toml: {gone}"));
}

#[test]
fn a_call_must_not_lead_back_here() {
    for (text, expected) in [
        ("[upstream]\nurl = \"http://localhost:8080\"", "upstream.url: leads back to proxy.listen"),
        (
            "[webhook]\nrelay_to = \"http://127.0.0.1:8081/webhook\"",
            "webhook.relay_to: leads back to webhook.listen",
        ),
        (
            "[webhook]\nlisten = \"0.0.0.0:80\"\nrelay_to = \"http://127.0.0.1/\"",
            "webhook.relay_to: leads back to webhook.listen",
        ),
    ] {
        assert_eq!(mistakes(text, &[]), [expected]);
    }
    assert!(load("[webhook]\nrelay_to = \"http://127.0.0.1:3000/webhook\"", &[]).is_ok());
}

#[test]
fn all_mistakes_are_named_at_once() {
    let text = "oops = 1\n[breaker]\nmin_open = 60\ntrip_after = 0\n[probe]\ninterval = \"2h\"\nmax_interval = \"x\"\n\
                [admin]\nlisten = \"0.0.0.0:8082\"\n[store]\nkind = \"redis\"";
    let env = [("SENDFUSE__PROXY__LISTEN", "here"), ("SENDFUSE__NOPE", "1")];
    let found = mistakes(text, &env);
    let places: Vec<&str> = found.iter().map(|line| line.split([' ', ':']).next().unwrap()).collect();
    assert_eq!(
        places,
        [
            "SENDFUSE__NOPE",
            "SENDFUSE__PROXY__LISTEN",
            "admin.listen",
            "breaker.min_open",
            "breaker.trip_after",
            "oops",
            "probe.max_interval",
            "store.kind"
        ]
    );
}

#[test]
fn syntax_errors_are_named_by_line_and_column_and_show_nothing() {
    let text =
        "mode = enforce\n[admin]\ntoken = EAAGhushhushhush\nread_token = \"EAAGhushhushhush\nlisten = 1";
    let found = mistakes(text, &[]);
    let places: Vec<&str> = found.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["sendfuse.toml:1:8", "sendfuse.toml:3:9", "sendfuse.toml:4:31"]);
    assert!(!found.concat().contains(MARK));
    assert_eq!(
        mistakes("[admin]\ntoken = 99999999999999999999", &[]),
        ["sendfuse.toml:2:9: must be a number of at most 64 bits"]
    );
    assert_eq!(
        mistakes("mode = \"observe\"\nmode = \"enforce\"", &[]),
        ["sendfuse.toml:2:1: duplicate key: it is given above already, so remove one of the two"]
    );
}

/// The shipped file has both lists, empty.
#[test]
fn a_rule_after_the_shipped_configuration_is_told_what_to_remove() {
    let shipped = fs::read_to_string(shipped().join("sendfuse.toml")).unwrap();
    let first = shipped.lines().count() + 1;
    let text = format!("{shipped}[[rule]]\ncode = 131048\n  [[webhook.source]] # Dualhook\nname = \"b\"\n");
    let said = |line: usize, column, header, empty| {
        let rule = format!("{header} takes the place of the line `{empty}` above, so remove that one");
        format!("sendfuse.toml:{line}:{column}: duplicate key: {rule}")
    };
    assert_eq!(
        mistakes(&text, &[]),
        [said(first, 3, "[[rule]]", "rule = []"), said(first + 2, 13, "[[webhook.source]]", "source = []")]
    );
}

#[test]
fn what_is_shown_has_every_key_and_no_secret() {
    let text = format!(
        "[webhook]\napp_secrets = [\"{MARK}a\"]\nverify_token = \"{MARK}b\"\nrelay_to = \"https://x/y?t={MARK}\"\n\
         [admin]\ntoken = \"{MARK}c\"\nread_token = \"{MARK}d\"\n[probe.tokens]\n1 = \"{MARK}e\""
    );
    let config = load(&text, &[]).unwrap();
    let (toml, json) = (config.to_toml_redacted(), config.to_json_redacted());
    for shown in [toml.clone(), json.to_string(), format!("{config:?}"), format!("{config:#?}")] {
        assert!(!shown.contains(MARK), "{shown}");
        assert!(shown.contains("***") && shown.contains("https://x/y?***"), "{shown}");
    }
    assert_eq!(serde_json::to_value(toml::from_str::<toml::Table>(&toml).unwrap()).unwrap(), json);
    assert_eq!(json["admin"]["token"], "***");
    assert_eq!(json["webhook"]["app_secrets"], serde_json::json!(["***"]));
    assert_eq!(json["probe"]["tokens"], serde_json::json!({ "1": "***" }));
    assert_eq!(json["upstream"]["url"], "https://graph.facebook.com");
    assert_eq!(json["breaker"]["min_open"], "1m");
    assert_eq!(Config::default().to_json_redacted()["admin"]["token"], "");
    assert!(
        toml.starts_with("mode = \"enforce\"\nrule = []\n\n[proxy]\nlisten = \"127.0.0.1:8080\"\n"),
        "{toml}"
    );
}

proptest! {
    /// Any text, and any text that looks like a configuration, is taken or refused, and what is refused names a mistake.
    #[test]
    fn no_text_panics(
        text in prop_oneof![
            any::<String>(),
            proptest::collection::vec(
                (
                    prop::sample::select(vec![
                        "mode", "proxy.listen", "proxy.tls", "proxy.tls.cert", "upstream.url", "webhook.relay_to",
                        "webhook.path", "webhook.app_secrets", "admin.token", "admin.token_file", "breaker.min_open",
                        "breaker.trip_after", "probe.tokens", "probe.tokens.1", "probe.interval", "store", "rule", "x.y",
                    ]),
                    prop_oneof![
                        any::<i64>().prop_map(|number| number.to_string()),
                        any::<f64>().prop_map(|number| format!("{number:?}")),
                        any::<String>().prop_map(|text| format!("{text:?}")),
                        "[0-9]{1,30}(ms|s|m|h|d)".prop_map(|text| format!("{text:?}")),
                        "https?://[a-z@:0-9/?#\\[\\]]{0,20}".prop_map(|text| format!("{text:?}")),
                        Just("[]".to_owned()), Just("{}".to_owned()), Just("{ env = \"X\" }".to_owned()), Just("1979-05-27".to_owned()),
                    ],
                ),
                0..6,
            )
            .prop_map(|lines| lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect()),
        ],
        name in "SENDFUSE__(BREAKER__MIN_OPEN|PROBE__TOKENS(__1)?|PROXY__TLS|WEBHOOK__APP_SECRETS|[A-Z_é]{0,9})",
        value in any::<String>(),
    ) {
        match load(&text, &[(&name, &value)]) {
            Ok(config) => drop((config.to_toml_redacted(), config.to_json_redacted())),
            Err(problems) => {
                prop_assert!(problems.iter().count() > 0);
                prop_assert!(problems.to_string().lines().count() == problems.iter().count());
            }
        }
    }
}

/// Longer than a change takes to be told.
const LONG: Duration = Duration::from_secs(20);
/// How long we listen to silence: several times what a change takes.
const SILENCE: Duration = Duration::from_millis(800);

/// The next change of the file. Another test of this process may raise SIGHUP meanwhile.
async fn file_changed(watcher: &mut Watcher) {
    while watcher.changed().await != Cause::File {}
}

fn watched(text: &str) -> (TempDir, PathBuf, Watcher) {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("sendfuse.toml");
    fs::write(&file, text).unwrap();
    let watcher = Watcher::new(Some(file.clone())).unwrap();
    (directory, file, watcher)
}

async fn must_change(watcher: &mut Watcher) {
    tokio::time::timeout(LONG, file_changed(watcher)).await.expect("a change");
}

async fn must_be_silent(watcher: &mut Watcher) {
    tokio::time::timeout(SILENCE, file_changed(watcher)).await.expect_err("no change");
}

#[tokio::test]
async fn a_write_a_replacement_and_a_rewrite_after_it_are_seen() {
    let (directory, file, mut watcher) = watched("a");
    fs::write(&file, "b").unwrap();
    must_change(&mut watcher).await;
    let new = directory.path().join("new");
    fs::write(&new, "c").unwrap();
    fs::rename(&new, &file).unwrap();
    must_change(&mut watcher).await;
    fs::write(&file, "d").unwrap();
    must_change(&mut watcher).await;
}

#[tokio::test]
async fn reading_rewriting_the_same_and_removing_are_no_change() {
    let (directory, file, mut watcher) = watched("a");
    for _ in 0..3 {
        assert_eq!(fs::read(&file).unwrap(), b"a");
    }
    must_be_silent(&mut watcher).await;
    fs::write(&file, "a").unwrap();
    fs::write(directory.path().join("neighbour"), "x").unwrap();
    must_be_silent(&mut watcher).await;
    fs::remove_file(&file).unwrap();
    must_be_silent(&mut watcher).await;
    fs::write(&file, "b").unwrap();
    must_change(&mut watcher).await;
}

#[tokio::test]
async fn a_swapped_symbolic_link_is_seen() {
    // As Kubernetes mounts a config map: sendfuse.toml -> ..data/sendfuse.toml, ..data -> one of several directories.
    let directory = TempDir::new().unwrap();
    let within = |name: &str| directory.path().join(name);
    for version in ["1", "2", "3"] {
        fs::create_dir(within(version)).unwrap();
        fs::write(within(version).join("sendfuse.toml"), version).unwrap();
    }
    std::os::unix::fs::symlink("1", within("..data")).unwrap();
    std::os::unix::fs::symlink("..data/sendfuse.toml", within("sendfuse.toml")).unwrap();
    let mut watcher = Watcher::new(Some(within("sendfuse.toml"))).unwrap();
    for version in ["2", "3"] {
        std::os::unix::fs::symlink(version, within("..data_tmp")).unwrap();
        fs::rename(within("..data_tmp"), within("..data")).unwrap();
        must_change(&mut watcher).await;
    }
}

#[tokio::test]
async fn a_file_behind_a_link_into_another_directory_is_seen() {
    let (here, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (link, target) = (here.path().join("sendfuse.toml"), elsewhere.path().join("real.toml"));
    fs::write(&target, "a").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let mut watcher = Watcher::new(Some(link)).unwrap();
    fs::write(&target, "b").unwrap();
    must_change(&mut watcher).await;
}

#[tokio::test]
async fn a_change_is_not_lost_when_the_wait_is_dropped() {
    let (_directory, file, mut watcher) = watched("a");
    fs::write(&file, "b").unwrap();
    // Each time long enough to notice, too short to tell. One write stirs more than once.
    for _ in 0..4 {
        let wait = tokio::time::timeout(Duration::from_millis(100), file_changed(&mut watcher));
        wait.await.expect_err("settling");
    }
    must_change(&mut watcher).await;
}

#[tokio::test]
async fn a_hangup_is_a_cause_with_and_without_a_file() {
    let (_directory, _file, mut with) = watched("a");
    let mut without = Watcher::new(None).unwrap();
    let me = std::process::id().to_string();
    assert!(std::process::Command::new("kill").args(["-HUP", &me]).status().unwrap().success());
    for watcher in [&mut with, &mut without] {
        assert_eq!(tokio::time::timeout(LONG, watcher.changed()).await.expect("a signal"), Cause::Signal);
    }
}

#[tokio::test]
async fn a_directory_that_is_not_there_cannot_be_watched() {
    assert!(Watcher::new(Some(PathBuf::from("/no/such/directory/sendfuse.toml"))).is_err());
}
