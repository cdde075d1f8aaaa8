//! The integration tests: one binary, and this is its table of contents.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod admin;
mod config;
mod demo;
mod deploy;
mod numbers;
mod process;
mod scenes;
mod server;
mod simulator;
mod simulator_command;
mod store;
mod tidy;
mod transparency;
mod webhook;
