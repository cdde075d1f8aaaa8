//! The program as its users have it: the real binary, real sockets, signals and files, in front of a simulated Meta.

mod durability;
mod protocols;
mod rig;
mod stopping;
