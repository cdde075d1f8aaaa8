//! Answers of the health status API: who blocks what.

use serde::{Deserialize, Serialize};

/// One entity of a health answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// `PHONE_NUMBER`, `WABA`, `BUSINESS`, `APP`, or what Meta invents next.
    pub kind: String,
    /// Its id, as text, where there is one.
    pub id: Option<String>,
    /// `AVAILABLE`, `LIMITED`, `BLOCKED`, …
    pub can_send_message: String,
    /// Its errors, on any node.
    pub errors: Vec<HealthError>,
    /// Whether this entity blocks messaging: `BLOCKED`, and not only by codes that are known to be no lock.
    pub blocks: bool,
}

/// An error of an entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthError {
    /// For instance 141014.
    pub code: i64,
    /// What is wrong.
    pub description: String,
    /// What Meta suggests.
    pub possible_solution: Option<String>,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// No entity blocks messaging.
    Clear(Vec<Entity>),
    /// At least one does.
    Blocked(Vec<Entity>),
    /// No answer that could be read. Unknown is never clear.
    Unknown(Unknown),
}

/// Why a probe knows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// There is no token to ask with.
    NoToken,
    /// 190: the token is dead.
    TokenInvalid,
    /// 10, 200–299: the token may not ask.
    NotPermitted,
    /// 80007, 4 and the other limits.
    RateLimited,
    /// Our own hourly budget is spent.
    OverBudget,
    /// Any other error of Graph's, or a 5xx.
    Failed,
    /// An answer that is no health answer.
    Unreadable,
    /// No connection, or no answer in time.
    NoAnswer,
    /// The lease ran out before an outcome came.
    LeaseOver,
}

/// Reads an answer of `GET /{phone}?fields=health_status`. Recomputed from the entities: the overall field is not looked at.
pub fn read(status: u16, body: &[u8]) -> Health {
    let _ = (status, body);
    todo!()
}
