//! The signals that end the process: SIGTERM and SIGINT.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit;

/// The signals, ours from the moment this is made.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Must be called within a tokio runtime.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The first signal cancels `stop`. The second does not wait for what that takes: it ends the process.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        self.next().await;
        tracing::info!("stopping: open requests may end");
        stop.cancel();
        self.next().await;
        std::process::exit(exit::FAILED.into());
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
