//! The whole program against a simulated Meta, in virtual time: each row of the state table, each promise.
//!
//! Nothing here touches a socket or waits in wall time: apps, Meta and its webhooks are joined to the program by pipes in
//! memory, and a paused clock jumps to whatever is due next.

mod harness;
mod kept;
mod messages;

mod batch;
mod containment;
mod deaf;
mod half_open;
mod hangup;
mod incidents;
mod late_news;
mod leaks;
mod metrics;
mod orders;
mod pins;
mod precision;
mod probes;
mod rejection;
mod report;
mod rules;
mod timelines;
mod trials;
mod trips;
mod trouble;
mod watch;
mod webhook_trips;
mod week;
