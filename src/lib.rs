//! sendfuse: a circuit-breaking reverse proxy for the WhatsApp Cloud API.
//!
//! An app sends through it to Meta. When Meta locks a phone number (131031), that number's sends end here, everything else
//! flows on, and sends resume when recovery was shown. The README says what it does, `ARCHITECTURE.md` how; this is the map.
//! Imports go down, or sideways along the table in `tests/tidy.rs`.
//!
//! **Floor 0, facts and decisions**: values in, values out. No lock, clock, randomness or I/O.
//! - [`graph`]: what Meta says. Bytes become ids, routes, answers, errors, health, facts of webhooks.
//! - [`breaker`]: what we decide. (state, event, now) → (state, transitions); its page has the diagram and the invariants.
//! - [`incident`]: what is kept of a lock from trip to close, leaks included; and what observe mode has seen.
//! - [`time`]: a point in time.
//!
//! **Floor 1, memory**: the locks and atomics around the breakers. Never awaits.
//! - [`registry`]: who is open, which sends Meta accepted, what is known of phones.
//!
//! **Floor 2, one handle and the stack.**
//! - [`breakers`]: admit, hear, order. What is applied is committed, and then told.
//! - [`stack`]: the send path as a tower stack, composed in one function.
//!
//! **Floor 3, outside**: sockets, files, tasks.
//! - [`server`]: connections from apps, Meta and operators. [`upstream`]: connections to Meta.
//! - [`webhook`]: what Meta posts becomes evidence, and goes on to the app.
//! - [`prober`]: asks Meta how a phone is.
//! - [`store`]: where state outlives the process.
//! - [`admin`]: health, metrics, breakers, orders.
//!
//! **The roof.**
//! - [`app`]: a configuration becomes wired parts, and the parts run. [`app::Wired`] is the program without its sockets.
//! - [`cli`]: what can be typed. `main` does no more than call it.
//!
//! **Beside the stairs.**
//! - [`config`], [`telemetry`], [`error`], [`body`], [`clock`].
//! - [`simulator`]: a Meta of our own, to test against. [`demo`]: a lock from beginning to end, to watch.

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
pub mod incident;
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
