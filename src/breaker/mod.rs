//! What we decide.

use serde::{Deserialize, Serialize};

/// Counts a breaker's transitions. Only what was never opened is at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

/// Names one probe or one trial of a breaker; its outcome counts only while it is the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lease(pub u64);
