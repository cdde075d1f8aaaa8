//! What sendfuse says of itself in a run: its configuration, its log's transitions, its count of trials.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::meta::APP_SECRET;
use super::plan::Plan;
use crate::Result;

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transition {
    /// The phone's index.
    pub(super) phone: usize,
    /// When the line was written, from the beginning of the run. The transition is older, by the time of its commit.
    pub(super) at: Duration,
    /// What it means for sends.
    pub(super) to: State,
}

/// What a breaker does with sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// They pass.
    Closed,
    /// None passes.
    Open,
    /// Trials pass.
    HalfOpen,
}

/// As shipped, but for addresses and secrets, and a log for machines.
///
/// Meta lets an app ask health at least 200 times an hour *for each WABA*, while `probe.budget_per_hour` is one for the
/// whole process: as in any installation with many accounts, it is set to what so many WABAs are granted.
pub(super) fn config(plan: &Plan, upstream: SocketAddr, [proxy, webhook, admin]: [SocketAddr; 3]) -> String {
    let budget = 200 * plan.locked().max(1);
    let (breaker, probe) = (plan.sendfuse.breaker, plan.sendfuse.probe);
    format!(
        r#"[proxy]
listen = "{proxy}"

[upstream]
url = "http://{upstream}"

[webhook]
listen = "{webhook}"
app_secrets = ["{APP_SECRET}"]

[admin]
listen = "{admin}"

[log]
format = "json"

[breaker]
{breaker}

[probe]
budget_per_hour = {budget}
{probe}
"#
    )
}

/// The transitions in the log of a run that began at `began`. Lines that are none are passed over.
pub(super) fn transitions(log: &str, ids: &[String], began: SystemTime) -> Vec<Transition> {
    log.lines().filter_map(|line| transition(line, ids, began)).collect()
}

fn transition(line: &str, ids: &[String], began: SystemTime) -> Option<Transition> {
    let line: Value = serde_json::from_str(line).ok()?;
    line.get("transition")?;
    let id = line["id"].as_str()?;
    let phone = ids.iter().position(|known| known == id)?;
    let to = match line["to"].as_str()? {
        "closed" => State::Closed,
        "half_open" => State::HalfOpen,
        _ => State::Open,
    };
    let at = humantime::parse_rfc3339(line["timestamp"].as_str()?).ok()?;
    Some(Transition { phone, at: at.duration_since(began).unwrap_or_default(), to })
}

/// How many trials there were, from its metrics.
pub(super) fn trials(metrics: &str) -> Result<u64> {
    let line =
        metrics.lines().find_map(|line| line.strip_prefix(r#"sendfuse_sends_total{admission="trial"} "#));
    Ok(line.ok_or("sendfuse's metrics do not count trials")?.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transitions_are_found_between_other_lines() {
        let log = r#"{"timestamp":"2026-05-01T10:00:01.500000Z","level":"INFO","message":"listening"}
not json
{"timestamp":"2026-05-01T10:00:02.250000Z","level":"WARN","message":"…","scope":"phone","id":"8","transition":"trip","from":"closed","to":"open"}
{"timestamp":"2026-05-01T10:00:03Z","level":"INFO","message":"…","scope":"phone","id":"9","transition":"half_open","from":"open","to":"half_open"}
{"timestamp":"2026-05-01T10:00:04Z","level":"INFO","message":"…","scope":"phone","id":"7","transition":"close","from":"half_open","to":"closed"}
"#;
        let began = humantime::parse_rfc3339("2026-05-01T10:00:00Z").expect("time");
        let found = transitions(log, &["9".to_owned(), "8".to_owned()], began);
        let at = Duration::from_millis;
        assert_eq!(
            found,
            [
                Transition { phone: 1, at: at(2250), to: State::Open },
                Transition { phone: 0, at: at(3000), to: State::HalfOpen },
            ]
        );
    }

    #[test]
    fn trials_are_read_from_the_metrics() {
        let metrics = "# HELP x y\nsendfuse_sends_total{admission=\"forward\"} 10\nsendfuse_sends_total{admission=\"trial\"} 3\n";
        assert_eq!(trials(metrics).expect("there"), 3);
        assert!(trials("").is_err());
    }

    #[test]
    fn the_configuration_is_one_that_sendfuse_takes() {
        let plan = crate::containment::plan::tests::plan();
        let [upstream, own @ ..] = [1, 2, 3, 4].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        for tuning in [super::super::SHORT, super::super::AS_SHIPPED] {
            let plan = Plan { sendfuse: tuning, ..plan.clone() };
            let file = tempfile::NamedTempFile::new().expect("file");
            std::fs::write(file.path(), config(&plan, upstream, own)).expect("written");
            let loaded = sendfuse::config::Config::load(Some(file.path()), std::iter::empty());
            let config = loaded.expect("loads");
            assert_eq!(config.probe.budget_per_hour, 1600);
            assert_eq!(config.store.kind, sendfuse::config::StoreKind::Embedded);
        }
    }
}
