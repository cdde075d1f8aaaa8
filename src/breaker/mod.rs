//! What we decide: one breaker is one [`Breaker`], and [`Breaker::apply`] is the only door to another state.
//!
//! ```text
//!   131031 / 368; a probe's block     clear probe, min_open and back-off over; a delivery
//!   closed ───────────────▶ open ───────────────────────────────────────▶ half-open
//!     ▲ ▲        trip        │ ▲ ▲            half_open                     │  │  │
//!     │ └────────────────────┘ │ └──────────────────────────────────────────┘  │  │
//!     │   reset; close         │            reopen: 131031 / 368 about a trial,   │
//!     │   (half_open = false)  │            or newer                          │  │
//!     │                        └ probe: blocked, unknown                      │  │
//!     └───────────────────────────────────────────────────────────────────────┘  │
//!       close: `trials_to_close` trials delivered; reset                 trial ──┘
//! ```
//!
//! An open or half-open breaker has an *extent*: it may hold one class of messages only, and then the other flows. Evidence widens
//! it, and Meta's lists of restrictions date it anew. Where one class may go on and the other has to wait for its date, the first is
//! on trial alone; once that is confirmed the breaker is open for the other. Each change of the extent is a step of its own.
//!
//! Over these lies the operator's override: `forced_open` rejects and `bypassed` admits whatever is beneath, and beneath it
//! the machine goes on.
//!
//! Invariants, each held by the model test:
//! - the generation grows by one with each transition and never otherwise, and it never shrinks;
//! - evidence about sends that were admitted before the last close or reset, or that is dated before it, opens nothing;
//! - only a trial of this half-open closes it, and there is at most one permit out;
//! - without an operator there are some 30 transitions an hour at most, whatever Meta says: where a recovery has just failed,
//!   nothing leads to half-open before the back-off is over, not even a delivery;
//! - an open or half-open breaker always has a next due time or waits for a send: no lease can wedge it;
//! - a clock that goes back delays nothing for longer than the policy's own waits.
//!
//! Time, jitter and what is known of the phone come in with the event. Nothing here waits, locks or reads a clock.

mod backoff;
mod event;
mod evidence;
pub mod explain;
mod extent;
mod machine;
mod policy;
mod rejection;
mod scope;
mod state;
#[cfg(test)]
mod tests;

pub use backoff::{Jitter, wait};
pub use event::{
    Account, AccountSays, Applied, Context, Event, Note, Topic, Transition, TransitionKind, TrialOutcome,
};
pub use evidence::{About, Reason, Source};
pub use extent::{Extent, Hold};
pub use policy::{NoWebhooks, Policy};
pub use rejection::Rejection;
pub use scope::{MalformedScope, Scope, ScopeKind};
pub use state::{
    Admission, Breaker, Contradiction, ContradictionKind, Fence, Generation, IncidentStart, Lease, Lock,
    Override, OverrideOrder, Said, Shown,
};
