//! sendfuse: a circuit-breaking reverse proxy for the WhatsApp Cloud API.

pub mod admin;
pub mod app;
pub mod body;
pub mod breaker;
pub mod breakers;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod error;
pub mod graph;
pub mod prober;
pub mod registry;
pub mod server;
pub mod simulator;
pub mod stack;
pub mod store;
pub mod telemetry;
pub mod time;
pub mod upstream;
pub mod webhook;
