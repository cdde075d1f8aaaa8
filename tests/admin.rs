//! The admin API and the commands that speak to it, over real sockets, in front of breakers that are made up.

mod account_commands;
mod api;
mod commands;
mod fake;
mod incidents;
mod wabas;
