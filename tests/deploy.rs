//! What is shipped under `deploy/`: the program understands what stands there, and it fits the defaults.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use sendfuse::cli::{Cli, Command};
use sendfuse::config::Config;
use tempfile::TempDir;

const UNIT: &str = "systemd/sendfuse.service";
const SCRAPE: &str = "prometheus/scrape.yml";

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn text(file: &str) -> String {
    fs::read_to_string(deploy().join(file)).unwrap()
}

/// The values of a setting of the unit, those that only a comment proposes included.
fn settings(unit: &str, name: &str) -> Vec<String> {
    unit.lines()
        .filter_map(|line| line.trim_start_matches(['#', ' ']).strip_prefix(name)?.strip_prefix('='))
        .map(str::to_owned)
        .collect()
}

fn seconds(unit: &str, name: &str) -> Duration {
    let [value] = &settings(unit, name)[..] else { panic!("{name} is not there once") };
    Duration::from_secs(value.strip_suffix('s').unwrap().parse().unwrap())
}

#[test]
fn every_shipped_file_is_looked_at_here() {
    let found: BTreeSet<String> = fs::read_dir(deploy())
        .unwrap()
        .flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path().strip_prefix(deploy()).unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, BTreeSet::from([UNIT.to_owned(), SCRAPE.to_owned()]));
}

#[test]
fn the_unit_starts_the_proxy() {
    let starts = settings(&text(UNIT), "ExecStart");
    let [start] = &starts[..] else { panic!("one command: {starts:?}") };
    let Command::Run(run) = Cli::try_parse_from(start.split_whitespace()).unwrap().into_command() else {
        panic!("{start} is not run");
    };
    assert_eq!(run.config.unwrap(), Path::new("/etc/sendfuse/sendfuse.toml"));
}

#[test]
fn the_units_variables_are_settings() {
    let unit = text(UNIT);
    // Credentials are files in a directory that systemd calls %d.
    let credentials = TempDir::new().unwrap();
    for credential in settings(&unit, "LoadCredential") {
        let (name, _) = credential.split_once(':').unwrap();
        fs::write(credentials.path().join(name), "a-secret\n").unwrap();
    }
    let variables: Vec<(String, String)> = settings(&unit, "Environment")
        .iter()
        .map(|variable| variable.replace("%d", credentials.path().to_str().unwrap()))
        .map(|variable| variable.split_once('=').map(|(name, value)| (name.into(), value.into())).unwrap())
        .collect();
    assert_eq!(variables.len(), 4, "{variables:?}");

    let config = Config::load(None, variables.into_iter()).unwrap();
    let [state] = &settings(&unit, "StateDirectory")[..] else { panic!("no StateDirectory") };
    assert_eq!(config.store.path, Path::new("/var/lib").join(state), "the only place that it may write to");
    assert_eq!(config.webhook.app_secrets.len(), 1);
    assert!(config.admin.token.is_some());
}

#[test]
fn the_unit_leaves_room_for_the_defaults() {
    let (unit, config) = (text(UNIT), Config::default());
    // Open requests end first, then the sends whose app has hung up.
    assert!(seconds(&unit, "TimeoutStopSec") > config.proxy.drain_timeout * 2);
    let [files] = &settings(&unit, "LimitNOFILE")[..] else { panic!("no LimitNOFILE") };
    // One towards the app, one towards Meta.
    assert!(files.parse::<usize>().unwrap() > config.proxy.max_connections * 2);
    assert_eq!(settings(&unit, "RestartPreventExitStatus"), [sendfuse::cli::exit::USAGE.to_string()]);
}

#[test]
fn prometheus_scrapes_where_the_default_listens() {
    let target = format!("targets: [\"{}\"]", Config::default().admin.listen);
    assert!(text(SCRAPE).contains(&target), "{target} is missing");
}
