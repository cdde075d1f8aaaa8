//! What Meta says: bytes in, values out. Nothing here waits, locks, reads a clock or decides.

pub mod answer;
pub mod batch;
pub mod class;
pub mod country;
pub mod error;
mod form;
pub mod health;
#[cfg(test)]
mod hostile;
pub mod ids;
mod lenient;
pub mod message;
pub mod numbers;
pub mod pin;
mod receipt;
mod recipient;
pub mod reply;
pub mod route;
pub mod webhook;
