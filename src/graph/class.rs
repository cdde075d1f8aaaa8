//! What kind of message a send is. Meta restricts the two kinds separately.

use serde::{Deserialize, Serialize};

/// Who began the conversation that a message belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Templates and marketing messages: they may go to anybody at any time.
    BusinessInitiated,
    /// All else: only within 24 hours of the user's last message.
    CustomerInitiated,
}

/// `business-initiated`
impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::BusinessInitiated => "business-initiated",
            Self::CustomerInitiated => "customer-initiated",
        })
    }
}
