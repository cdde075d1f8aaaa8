//! What a proxy has used and what others took from the machine meanwhile, read from `/proc`.

use std::time::Duration;

use crate::Result;
use crate::load::Outcome;

/// A measurement in which others took a larger share of the machine than this proves nothing.
pub(crate) const MAX_DISTURBANCE: f64 = 0.08;
/// Clock ticks in a second: `USER_HZ`, 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time used up to a moment, in clock ticks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Snapshot {
    /// By the proxy and its children.
    proxy: u64,
    /// By the load and the origin.
    own: u64,
    machine: Machine,
}

/// The first line of `/proc/stat`, in clock ticks over all cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Machine {
    /// user + nice + system: what processes used, interrupts apart.
    busy: u64,
    /// Taken by the hypervisor.
    steal: u64,
    total: u64,
}

impl Snapshot {
    /// Reads the counters now. `proxy` is followed to its children, `own` are single processes.
    pub(crate) fn take(proxy: Option<u32>, own: &[u32]) -> Result<Self> {
        let mut snapshot =
            Self { machine: machine(&std::fs::read_to_string("/proc/stat")?)?, ..Self::default() };
        for pid in proxy.map(family).unwrap_or_default() {
            snapshot.proxy += process_ticks(pid)?;
        }
        for pid in own {
            snapshot.own += process_ticks(*pid)?;
        }
        Ok(snapshot)
    }
}

/// One peer, one window.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Answers in a second.
    pub(crate) per_second: f64,
    /// Median latency in µs.
    pub(crate) p50_micros: f64,
    /// 99th percentile of the latency in µs.
    pub(crate) p99_micros: f64,
    /// CPU seconds of the proxy for 100,000 requests; without a proxy none.
    pub(crate) cpu_seconds: Option<f64>,
    /// Resident memory of the proxy and its children right after the window.
    pub(crate) resident_bytes: Option<u64>,
    /// Requests that failed.
    pub(crate) errors: u64,
    disturbance: f64,
}

impl Sample {
    /// Puts the figures of one window together.
    pub(crate) fn new(outcome: Outcome, window: Duration, resident_bytes: Option<u64>) -> Self {
        let (before, after) = (outcome.before, outcome.after);
        let requests = outcome.latencies.len() as f64;
        let proxy_seconds = (after.proxy - before.proxy) as f64 / TICKS_PER_SECOND;
        Self {
            per_second: requests / window.as_secs_f64(),
            p50_micros: outcome.latencies.value_at_quantile(0.5) as f64,
            p99_micros: outcome.latencies.value_at_quantile(0.99) as f64,
            cpu_seconds: (resident_bytes.is_some() && requests > 0.0)
                .then(|| proxy_seconds / requests * 100_000.0),
            resident_bytes,
            errors: outcome.errors,
            disturbance: disturbance(before, after),
        }
    }

    /// The share of the machine, 0 to 1, that went to the hypervisor or to processes that are no part of this.
    pub(crate) fn disturbance(&self) -> f64 {
        self.disturbance
    }
}

fn disturbance(before: Snapshot, after: Snapshot) -> f64 {
    let total = after.machine.total.saturating_sub(before.machine.total).max(1) as f64;
    let busy = after.machine.busy.saturating_sub(before.machine.busy);
    let ours = (after.proxy + after.own).saturating_sub(before.proxy + before.own);
    let steal = after.machine.steal.saturating_sub(before.machine.steal) as f64;
    let foreign = busy.saturating_sub(ours) as f64;
    (steal / total).max(foreign / total)
}

/// Resident memory of a process and its children. Pages that they share count twice.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    let mut kibibytes = 0;
    for pid in family(pid) {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        kibibytes += line.trim().trim_end_matches(" kB").parse::<u64>()?;
    }
    Ok(kibibytes * 1024)
}

/// A process and all that it has started. nginx works in a child.
fn family(pid: u32) -> Vec<u32> {
    let mut members = vec![pid];
    let mut next = 0;
    while let Some(parent) = members.get(next).copied() {
        next += 1;
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        members.extend(
            children.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()),
        );
    }
    members
}

fn process_ticks(pid: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_err(|error| format!("process {pid} is gone: {error}"))?;
    ticks_of(&stat).ok_or_else(|| format!("/proc/{pid}/stat is unreadable").into())
}

/// utime + stime: the 14th and 15th field. The second, the name, may hold spaces and brackets.
fn ticks_of(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// The first line: `cpu user nice system idle iowait irq softirq steal guest guest_nice`; guests are in user already.
fn machine(stat: &str) -> Result<Machine> {
    let line =
        stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).ok_or("/proc/stat is unreadable")?;
    let fields = line.split_whitespace().map(str::parse).collect::<std::result::Result<Vec<u64>, _>>()?;
    let [user, nice, system, idle, iowait, irq, softirq, steal, ..] = fields[..] else {
        return Err("/proc/stat is too short".into());
    };
    let busy = user + nice + system;
    Ok(Machine { busy, steal, total: busy + idle + iowait + irq + softirq + steal })
}

#[cfg(test)]
impl Sample {
    /// A sample of which only the rate matters.
    pub(crate) fn of_rate(per_second: f64) -> Self {
        Self {
            per_second,
            p50_micros: 1.0,
            p99_micros: 1.0,
            cpu_seconds: None,
            resident_bytes: None,
            errors: 0,
            disturbance: 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_an_awkward_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 7 8 20 0 1 0 100 0 0";
        assert_eq!(ticks_of(stat), Some(300));
        assert_eq!(ticks_of("42 (short) S 1"), None);
    }

    #[test]
    fn the_machine_line_leaves_guests_out() {
        let machine = machine("cpu  10 2 8 70 3 1 1 5 4 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n").expect("parsed");
        assert_eq!(machine, Machine { busy: 20, steal: 5, total: 100 });
    }

    #[test]
    fn only_what_others_took_disturbs() {
        let before = Snapshot::default();
        let after = Snapshot { proxy: 30, own: 40, machine: Machine { busy: 90, steal: 5, total: 200 } };
        assert!((disturbance(before, after) - 0.10).abs() < 1e-9, "20 of 200 were used by others");
        let stolen = Snapshot { proxy: 30, own: 40, machine: Machine { busy: 70, steal: 50, total: 200 } };
        assert!((disturbance(before, stolen) - 0.25).abs() < 1e-9);
    }

    #[test]
    fn this_process_can_be_read() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).expect("memory") > 0);
        Snapshot::take(Some(pid), &[pid]).expect("snapshot");
    }
}
