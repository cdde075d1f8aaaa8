//! Arguments, one command, exit codes; nothing else.

use std::process::ExitCode;

use clap::Parser;
use sendfuse::cli::Cli;

/// The system's allocator costs a tenth of the send path's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(sendfuse::cli::execute(Cli::parse().into_command()))
}
