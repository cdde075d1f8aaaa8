//! Metrics and log lines.

/// All metrics of one sendfuse. Cheap to clone.
#[derive(Clone)]
pub struct Telemetry;
