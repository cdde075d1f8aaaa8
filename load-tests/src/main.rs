//! Benchmarks of sendfuse beside other proxies.
//!
//! `cargo run --release -p load-tests -- containment` measures what a lock lets through, see [`containment`].
//!
//! `cargo run --release -p load-tests` measures the ordinary path, in one run: same origin, same load, interleaved
//! rounds. It prints one markdown table. The proxy under test has one core for itself, the
//! origin and the load share the other. Absolute figures wander from hour to hour with the machine; only the ratios
//! of one run mean something, and of them the CPU seconds per 100,000 requests are the steadiest.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool: the report is its output"
)]

mod containment;
mod load;
mod measure;
mod memory;
mod origin;
mod peers;
mod process;
mod report;

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::load::{Load, Shape, Target};
use crate::measure::Sample;
use crate::origin::Scheme;
use crate::peers::{Peer, Running};
use crate::report::{Round, Row};

/// A benchmark has nothing to recover from: every error ends it and is printed.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// sendfuse's own: what a memory costs depends on the allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The core that the proxy under test has for itself.
const PROXY_CORE: &str = "0";
/// The core that the origin and the load share.
const LOAD_CORE: &str = "1";
/// A scenario gives up after so many times the rounds asked for, however few of them were undisturbed.
const PATIENCE: usize = 3;

/// sendfuse beside nginx and beside no proxy at all.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Part>,
    /// Undisturbed rounds wanted of each scenario.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds measured of each proxy in each round, after a second of warm-up.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// The sendfuse binary; without it, it is built.
    #[arg(long, global = true)]
    sendfuse: Option<PathBuf>,
    /// A short run that is never rejected: shows that the benchmark works, not how good anything is.
    #[arg(long, global = true)]
    quick: bool,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// The simulated upstream, alone: answers every request with a send's answer.
    Origin {
        /// Milliseconds before each answer.
        #[arg(long, default_value_t = 0)]
        delay_ms: u64,
        /// Where the certificate authority of the TLS listener is written to.
        #[arg(long)]
        ca_out: PathBuf,
    },
    /// What reaches Meta after a lock: with sendfuse, with no proxy, with HAProxy as a breaker.
    Containment(containment::Arguments),
    /// The memory of accepted sends: a day at 1,000 a second. Fails beyond 100 MB.
    Memory,
}

/// What is asked of every peer.
struct Scenario {
    name: &'static str,
    scheme: Scheme,
    shape: Shape,
}

/// How long and how often.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    warm_up: Duration,
    window: Duration,
    reject_disturbed: bool,
}

const CONNECTIONS: usize = 64;
const SCENARIOS: [Scenario; 3] = [
    Scenario { name: "TLS 1.3 origin, c = 64", scheme: Scheme::Tls, shape: Shape::Closed },
    Scenario { name: "plain origin, c = 64", scheme: Scheme::Plain, shape: Shape::Closed },
    Scenario {
        name: "TLS 1.3 origin, 1,000/s",
        scheme: Scheme::Tls,
        shape: Shape::Open { per_second: 1_000 },
    },
];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Some(Part::Origin { delay_ms, ca_out }) => serve_origin(Duration::from_millis(*delay_ms), ca_out),
        Some(Part::Containment(part)) => {
            containment::run(part, arguments.sendfuse.as_deref(), arguments.quick)
        }
        Some(Part::Memory) => memory::run(),
        None => benchmark(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load-tests: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One thread: the origin and the load have one core between them anyway.
fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn serve_origin(delay: Duration, ca_out: &Path) -> Result<()> {
    runtime()?.block_on(async {
        let origin = origin::Origin::bind(delay).await?;
        std::fs::write(ca_out, origin.ca_pem())?;
        println!("{} {}", origin.plain_address(), origin.tls_address());
        origin.serve().await
    })
}

fn benchmark(arguments: &Arguments) -> Result<()> {
    let effort = if arguments.quick {
        let window = Duration::from_secs(1);
        Effort { rounds: 1, warm_up: Duration::from_millis(200), window, reject_disturbed: false }
    } else {
        let window = Duration::from_secs(arguments.seconds.max(1));
        Effort {
            rounds: arguments.rounds.max(1),
            warm_up: Duration::from_secs(1),
            window,
            reject_disturbed: true,
        }
    };
    let binary = match &arguments.sendfuse {
        Some(path) => path.clone(),
        None => process::build_sendfuse()?,
    };
    // Before anything is started: what this process starts inherits its core.
    let pinned = pin_self();
    if !pinned {
        eprintln!("no taskset or a single core: nothing is pinned, and the figures mean little");
    }
    let scratch = tempfile::Builder::new().prefix("load-tests-").tempdir()?;
    let upstream = OriginProcess::start(scratch.path())?;

    let mut everyone = vec![Peer::direct()];
    match Peer::nginx() {
        Some(nginx) => everyone.push(nginx),
        None => eprintln!("nginx is not installed: left out (apt-get install nginx)"),
    }
    everyone.push(Peer::sendfuse(&binary)?);

    let runtime = runtime()?;
    let mut rows = Vec::new();
    for scenario in &SCENARIOS {
        let address = upstream.address(scenario.scheme);
        let mut running = Vec::new();
        for peer in &everyone {
            let directory = tempfile::tempdir_in(scratch.path())?;
            let core = pinned.then_some(PROXY_CORE);
            let proxy = peer.start(scenario.scheme, address, &upstream.ca_file, directory, core)?;
            running.push(proxy);
        }
        let rounds = runtime.block_on(run_rounds(scenario, effort, &running, &upstream))?;
        for (index, peer) in everyone.iter().enumerate() {
            rows.push(Row::of(scenario.name, peer.name(), &rounds, index, everyone.as_slice()));
        }
    }
    println!("{}", report::table(&rows));
    println!("\nPeers: {}.", everyone.iter().map(Peer::describe).collect::<Vec<_>>().join("; "));
    match rows.iter().map(|row| row.errors).sum::<u64>() {
        0 => Ok(()),
        errors => {
            Err(format!("{errors} requests failed: the figures above are of a proxy that does not work")
                .into())
        }
    }
}

/// Rounds of one scenario, each peer once in each of them, until enough were undisturbed or patience is over.
async fn run_rounds(
    scenario: &Scenario,
    effort: Effort,
    running: &[Running],
    upstream: &OriginProcess,
) -> Result<Vec<Round>> {
    let mut rounds = Vec::new();
    let attempts = if effort.reject_disturbed { effort.rounds * PATIENCE } else { effort.rounds };
    for attempt in 1..=attempts {
        // Who is first differs from round to round: being measured after another must favour no one.
        let mut samples: Vec<(usize, Sample)> = Vec::new();
        for (index, proxy) in
            running.iter().enumerate().cycle().skip(attempt % running.len()).take(running.len())
        {
            samples.push((index, one_sample(scenario, effort, proxy, upstream).await?));
        }
        samples.sort_by_key(|(index, _)| *index);
        let samples: Vec<Sample> = samples.into_iter().map(|(_, sample)| sample).collect();
        let disturbed = samples.iter().map(Sample::disturbance).fold(0.0, f64::max);
        let clean = !effort.reject_disturbed || disturbed <= measure::MAX_DISTURBANCE;
        let verdict = if clean { "kept" } else { "thrown away" };
        eprintln!(
            "{}: round {attempt}, others took up to {:.0} % of the machine: {verdict}",
            scenario.name,
            disturbed * 100.0
        );
        rounds.push(Round { samples, clean });
        if rounds.iter().filter(|round| round.clean).count() >= effort.rounds {
            break;
        }
    }
    Ok(rounds)
}

async fn one_sample(
    scenario: &Scenario,
    effort: Effort,
    proxy: &Running,
    upstream: &OriginProcess,
) -> Result<Sample> {
    let own = [std::process::id(), upstream.child.id()];
    let tls = match (proxy.pid(), scenario.scheme) {
        // Without a proxy the load itself has to speak the origin's TLS.
        (None, Scheme::Tls) => Some(load::trusting(&upstream.ca_file)?),
        _ => None,
    };
    let load = Load {
        target: Target { address: proxy.address(), tls },
        connections: CONNECTIONS,
        shape: scenario.shape,
        warm_up: effort.warm_up,
        window: effort.window,
    };
    let outcome = load::run(load, || measure::Snapshot::take(proxy.pid(), &own)).await?;
    Ok(Sample::new(outcome, effort.window, proxy.pid().map(measure::resident_bytes).transpose()?))
}

/// Moves this process to the load's core. False where there is no second core or no `taskset`.
fn pin_self() -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let pid = std::process::id().to_string();
    let taskset =
        Command::new("taskset").args(["-a", "-p", "-c", LOAD_CORE, &pid]).stdout(Stdio::null()).status();
    cores > 1 && taskset.is_ok_and(|status| status.success())
}

/// The origin in a process of its own, so that its work is not the load's.
struct OriginProcess {
    child: Child,
    plain: std::net::SocketAddr,
    tls: std::net::SocketAddr,
    ca_file: PathBuf,
}

impl OriginProcess {
    fn start(directory: &Path) -> Result<Self> {
        let ca_file = directory.join("origin-ca.pem");
        let mut child = Command::new(std::env::current_exe()?)
            .arg("origin")
            .arg("--ca-out")
            .arg(&ca_file)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            std::io::BufReader::new(stdout).read_line(&mut line)?;
        }
        let (plain, tls) = line.trim().split_once(' ').ok_or("the origin did not start")?;
        Ok(Self { child, plain: plain.parse()?, tls: tls.parse()?, ca_file })
    }

    fn address(&self, scheme: Scheme) -> std::net::SocketAddr {
        match scheme {
            Scheme::Plain => self.plain,
            Scheme::Tls => self.tls,
        }
    }
}

impl Drop for OriginProcess {
    fn drop(&mut self) {
        // Errors mean that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
