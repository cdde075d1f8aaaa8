//! The values that labels can have. They are enums, so no request can invent a series.

use crate::graph::error::{ACCOUNT_LOCKED, POLICY_BLOCK};
use crate::graph::health::{Health, Unknown};

/// The values of one label.
pub(super) trait Label: Copy + 'static {
    /// The label's name.
    const KEY: &'static str;
    /// Each value once, in the order of [`Label::index`].
    const ALL: &'static [Self];

    fn name(self) -> &'static str;

    fn index(self) -> usize;
}

macro_rules! label {
    ($(#[$doc:meta])* $label:ident = $key:literal { $($(#[$value_doc:meta])* $value:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $label {
            $($(#[$value_doc])* $value,)+
        }

        impl $label {
            /// As it is written in metrics and logs.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)+
                }
            }
        }

        impl Label for $label {
            const KEY: &'static str = $key;
            const ALL: &'static [Self] = &[$(Self::$value),+];

            fn name(self) -> &'static str {
                self.name()
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

label! {
    /// What the gate said to a send.
    Admission = "admission" {
        /// Goes on to Meta.
        Forward = "forward",
        /// Goes on as the trial of a half-open breaker.
        Trial = "trial",
        /// Answered here.
        Reject = "reject",
        /// Goes on, but only because the mode is observe.
        WouldReject = "would_reject",
    }
}

label! {
    /// Why a send was rejected.
    RejectReason = "reason" {
        /// The account is locked.
        AccountLocked = "131031",
        /// Temporarily blocked for policy violations.
        PolicyBlock = "368",
        /// An operator holds the breaker open.
        Operator = "operator",
    }
}

impl RejectReason {
    /// By the code that opened the breaker; none, or one that opens nothing: an operator.
    pub const fn of(code: Option<i64>) -> Self {
        match code {
            Some(ACCOUNT_LOCKED) => Self::AccountLocked,
            Some(POLICY_BLOCK) => Self::PolicyBlock,
            _ => Self::Operator,
        }
    }
}

label! {
    /// A breaker's move, or an operator's order on it.
    Transition = "transition" {
        /// closed → open
        Trip = "trip",
        /// open → half-open
        HalfOpen = "half_open",
        /// half-open → open
        Reopen = "reopen",
        /// half-open → closed, by what was shown.
        Close = "close",
        /// any → closed, by an operator.
        Reset = "reset",
        /// Held open by an operator.
        ForceOpen = "force_open",
        /// Held closed by an operator.
        Bypass = "bypass",
        /// `force_open` or `bypass` is over: lifted, or expired.
        Lift = "lift",
    }
}

label! {
    /// Where a transition or its evidence comes from.
    Source = "source" {
        /// The answer to a send.
        Response = "response",
        /// A webhook.
        Webhook = "webhook",
        /// A health check.
        Probe = "probe",
        /// An order.
        Operator = "operator",
        /// Time that has passed.
        Timer = "timer",
    }
}

label! {
    /// What a breaker is about.
    Scope = "scope" {
        /// One phone.
        Phone = "phone",
    }
}

label! {
    /// What a piece of evidence says.
    Verdict = "verdict" {
        /// 131031 or 368.
        Lock = "lock",
        /// Meta took the message in: not yet a proof of anything.
        Accepted = "accepted",
        /// `sent`, `delivered` or `read`.
        Delivered = "delivered",
        /// Any other error: about the message, not about the account.
        OtherError = "other_error",
    }
}

label! {
    /// How a probe ended.
    ProbeOutcome = "outcome" {
        /// No entity blocks messaging.
        Clear = "clear",
        /// At least one does.
        Blocked = "blocked",
        /// There is no token to ask with.
        UnknownNoToken = "unknown_no_token",
        /// The token is dead.
        UnknownTokenInvalid = "unknown_token_invalid",
        /// The token may not ask.
        UnknownNotPermitted = "unknown_not_permitted",
        /// One of Meta's limits.
        UnknownRateLimited = "unknown_rate_limited",
        /// Our own budget is spent.
        UnknownOverBudget = "unknown_over_budget",
        /// Another error of Graph's.
        UnknownFailed = "unknown_failed",
        /// Not a health answer.
        UnknownUnreadable = "unknown_unreadable",
        /// No connection, or no answer in time.
        UnknownNoAnswer = "unknown_no_answer",
        /// The lease ran out.
        UnknownLeaseOver = "unknown_lease_over",
    }
}

impl From<&Health> for ProbeOutcome {
    fn from(health: &Health) -> Self {
        match health {
            Health::Clear(_) => Self::Clear,
            Health::Blocked(_) => Self::Blocked,
            Health::Unknown(Unknown::NoToken) => Self::UnknownNoToken,
            Health::Unknown(Unknown::TokenInvalid) => Self::UnknownTokenInvalid,
            Health::Unknown(Unknown::NotPermitted) => Self::UnknownNotPermitted,
            Health::Unknown(Unknown::RateLimited) => Self::UnknownRateLimited,
            Health::Unknown(Unknown::OverBudget) => Self::UnknownOverBudget,
            Health::Unknown(Unknown::Failed) => Self::UnknownFailed,
            Health::Unknown(Unknown::Unreadable) => Self::UnknownUnreadable,
            Health::Unknown(Unknown::NoAnswer) => Self::UnknownNoAnswer,
            Health::Unknown(Unknown::LeaseOver) => Self::UnknownLeaseOver,
        }
    }
}

label! {
    /// How a trial ended.
    TrialOutcome = "outcome" {
        /// Its `sent`, `delivered` or `read` came.
        Confirmed = "confirmed",
        /// It failed with 131031 or 368.
        Locked = "locked",
        /// It failed with another code, which proves nothing.
        OtherError = "other_error",
        /// Nobody waited for its answer, or there was none.
        Abandoned = "abandoned",
        /// Accepted, but its lease was over before a status came.
        TimedOut = "timed_out",
    }
}

label! {
    /// How a request to the webhook listener ended.
    WebhookResult = "result" {
        /// Taken in and answered here.
        Accepted = "accepted",
        /// Taken in, and the app has answered.
        Relayed = "relayed",
        /// Taken in, but the app could not be reached.
        RelayFailed = "relay_failed",
        /// Bad signature, or none.
        Unauthorized = "unauthorized",
        /// Signed, but nothing that we can read.
        Unreadable = "unreadable",
        /// Beyond the limit.
        TooLarge = "too_large",
        /// Its body did not come in time.
        TimedOut = "timed_out",
        /// A handshake that was answered.
        Handshake = "handshake",
        /// A handshake with a wrong token, or none.
        HandshakeRefused = "handshake_refused",
    }
}

label! {
    /// What became of a changed configuration.
    ReloadResult = "result" {
        /// It is in force.
        Applied = "applied",
        /// It has mistakes; the one before it stays in force.
        Refused = "refused",
    }
}
