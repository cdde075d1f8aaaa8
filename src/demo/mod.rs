//! `sendfuse demo`: a lock from beginning to end, to watch without an account.
//!
//! A simulated Meta over TLS, a real sendfuse before it, and an app with three numbers, all in this process and on this
//! machine. What is told is what was observed: answers that the app got, what the admin API says, what arrived at the
//! simulated Meta. If something does not happen as told, the demo fails. What Meta does stands in `src/simulator/timelines/demo.timeline`.
//!
//! | file | subject |
//! |---|---|
//! | `stage` | sets the three up and ends them |
//! | `caller` | the app, and whoever asks the admin API: an HTTP client and what it got |
//! | `tell` | lines for people: actors, colours, pace |
//! | `story`, `locked`, `failing` | what happens: sends, a lock of an account that Meta answers at once, a lock of one number that Meta tells later |
//! | `recovery` | probe, trial, close: the same after every lock |
//! | `summary` | what it came to, and what to do next |

mod caller;
mod failing;
mod locked;
mod recovery;
mod stage;
mod story;
mod summary;
mod tell;

use std::io::{self, Write};

use tokio_util::sync::CancellationToken;

pub use tell::Look;

use stage::Stage;
use story::Story;
use tell::Tell;

/// Why the demo did not come to its end. One line, for people.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It could not begin.
    #[error("the demo cannot be set up: {0}")]
    Stage(String),
    /// Something did not happen as it was told.
    #[error("the demo did not go as told: {0}")]
    NotAsTold(String),
    /// Nobody can read on.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// Plays the demo, and tells it to `out`. Ends early, and well, when `stop` is cancelled; either way nothing of it is left
/// running or on the disk.
pub async fn run(out: &mut dyn Write, look: Look, stop: CancellationToken) -> Result<(), Failure> {
    let stage = Stage::set_up().await?;
    let mut tell = Tell::new(out, look);
    let played = tokio::select! {
        played = async { Story::new(&stage, &mut tell)?.play().await } => Some(played),
        () = stop.cancelled() => None,
    };
    stage.tear_down().await;
    match played {
        Some(played) => played,
        None => Ok(tell.plain("\nStopped. Nothing is left behind.")?),
    }
}

/// What is told must hold.
fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::NotAsTold(otherwise())) }
}
