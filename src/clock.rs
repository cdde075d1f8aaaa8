//! Where the shell reads the time. Decisions take it as an argument.

use std::time::SystemTime;

use crate::time::Timestamp;

/// A source of wall-clock time.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The machine's.
    System,
    /// `base`, and what tokio's clock has counted since `start`: follows a paused runtime in tests.
    Virtual {
        /// The time at `start`.
        base: Timestamp,
        /// Tokio's time when the clock was made.
        start: tokio::time::Instant,
    },
}

impl Clock {
    /// A clock that starts at `base` now and follows tokio's.
    pub fn starting_at(base: Timestamp) -> Self {
        Self::Virtual { base, start: tokio::time::Instant::now() }
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => SystemTime::now().into(),
            Self::Virtual { base, start } => base.plus(start.elapsed()),
        }
    }
}
