//! What Meta says: bytes in, values out. Nothing here waits, locks, reads a clock or decides.

pub mod answer;
pub mod error;
pub mod health;
pub mod ids;
pub mod route;
pub mod webhook;
