//! The program as its users have it: the real binary, real sockets, signals and files, in front of a simulated Meta.

mod accounts;
mod bad_input;
mod commands;
mod containment;
mod crowds;
mod durability;
mod leaks;
mod protocols;
mod reload;
mod rig;
mod secrecy;
mod stopping;
