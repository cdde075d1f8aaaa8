//! The command line: what can be typed, and what it does.
//!
//! `parse` turns arguments into values, `environment` does the same with the few variables that matter here. `run` is the
//! proxy, `simulator` is a Meta to test against. `client` carries out the commands that speak to a running sendfuse: `http` calls, `view` reads the answer, `show`
//! and `explain` write it for people.

pub mod client;
pub mod environment;
mod explain;
mod http;
pub mod parse;
mod run;
mod show;
mod signals;
mod simulator;
mod view;

use std::io::{IsTerminal, Write};

use tokio_util::sync::CancellationToken;

pub use parse::{Cli, Command};

use crate::demo::{self, Look};
use crate::telemetry::logs;
use environment::Environment;
use signals::Signals;

/// Exit codes. Scripts rely on them.
pub mod exit {
    /// Done; or the breaker is closed.
    pub const DONE: u8 = 0;
    /// Failed: the admin API cannot be reached, or it refuses.
    pub const FAILED: u8 = 1;
    /// Wrong usage or bad configuration.
    pub const USAGE: u8 = 2;
    /// The breaker is open.
    pub const OPEN: u8 = 3;
    /// The breaker is half-open.
    pub const HALF_OPEN: u8 = 4;
    /// An operator holds the breaker: forced open or bypassed.
    pub const HELD: u8 = 5;
}

/// Carries out a command, on a runtime of its own; gives the exit code.
pub fn execute(command: Command) -> u8 {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(err, "sendfuse: no runtime: {error}");
            return exit::FAILED;
        }
    };
    runtime.block_on(async {
        match command {
            Command::Run(args) => run::run(args.config.as_deref(), &mut out, &mut err).await,
            Command::Check(args) => run::check(args.config.as_deref(), &mut out, &mut err),
            Command::Demo => demo(&mut out, &mut err).await,
            Command::Simulator(args) => simulator::run(args, &mut out, &mut err).await,
            Command::Client(command) => {
                client::run(command, &Environment::of_this_process(), &mut out, &mut err).await
            }
        }
    })
}

/// Logs stay off unless `RUST_LOG` asks for them: they would stand between the lines.
async fn demo(out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let stop = CancellationToken::new();
    let filter = std::env::var("RUST_LOG").ok().filter(|filter| !filter.trim().is_empty());
    let logs = filter.map_or(Ok(()), |filter| logs::init(logs::Format::Text, Some(&filter)));
    if let Err(error) = logs {
        let _ = writeln!(err, "sendfuse: {error}");
        return exit::USAGE;
    }
    match Signals::new() {
        Ok(signals) => drop(tokio::spawn(signals.run(stop.clone()))),
        Err(error) => {
            let _ = writeln!(err, "sendfuse: no signals: {error}");
            return exit::FAILED;
        }
    }
    let look =
        Look { colours: Environment::of_this_process().colours, terminal: std::io::stdout().is_terminal() };
    match demo::run(out, look, stop).await {
        Ok(()) => exit::DONE,
        Err(failure) => {
            let _ = writeln!(err, "sendfuse: {failure}");
            exit::FAILED
        }
    }
}
