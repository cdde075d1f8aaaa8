//! The command line: what can be typed, and the commands that speak to a running sendfuse through its admin API.
//!
//! `parse` turns arguments into values, `environment` does the same with the few variables that matter here. `client`
//! carries a command out: `http` calls, `view` reads the answer, `show` and `explain` write it for people.


pub mod client;
pub mod environment;
mod explain;
mod http;
pub mod parse;
mod show;
mod view;

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
