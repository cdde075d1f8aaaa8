//! The whole program against a simulated Meta, in virtual time: each row of the state table, each promise.
//!
//! Nothing here touches a socket or waits in wall time: apps, Meta and its webhooks are joined to the program by pipes in
//! memory, and a paused clock jumps to whatever is due next.

mod harness;
mod kept;
mod messages;
mod wabas;

mod account_events;
mod account_hostile;
mod account_orders;
mod account_phones;
mod account_recovery;
mod accounts;
mod batch;
mod batch_accounts;
mod containment;
mod deaf;
mod diagnosis;
mod extent;
mod forwarders;
mod half_open;
mod hangup;
mod hidden;
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
mod restrictions;
mod rules;
mod timelines;
mod trials;
mod trips;
mod trouble;
mod watch;
mod webhook_trips;
mod week;
