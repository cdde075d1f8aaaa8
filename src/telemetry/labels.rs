//! The values that labels can have. They are enums, so no request can invent a series.

use crate::breaker::{ScopeKind, Source, TransitionKind, TrialOutcome};
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
        /// A health check found a block, before any send did.
        Health = "health",
        /// A rule of the configuration made another code one like these.
        Rule = "rule",
        /// An operator holds the breaker open.
        Operator = "operator",
    }
}

impl RejectReason {
    /// By the code that opened the breaker; none: an operator.
    pub const fn of(code: Option<i64>) -> Self {
        match code {
            Some(ACCOUNT_LOCKED) => Self::AccountLocked,
            Some(POLICY_BLOCK) => Self::PolicyBlock,
            Some(_) => Self::Health,
            None => Self::Operator,
        }
    }
}

label! {
    /// What an account event says.
    AccountLabel = "event" {
        /// `DISABLED_UPDATE`, `DISABLE`
        Disabled = "disabled",
        /// `DISABLED_UPDATE`, `REINSTATE`
        Reinstated = "reinstated",
        /// `ACCOUNT_RESTRICTION`
        Restricted = "restricted",
        /// `ACCOUNT_DELETED`
        Deleted = "deleted",
        /// `ACCOUNT_OFFBOARDED`
        Offboarded = "offboarded",
        /// `ACCOUNT_RECONNECTED`
        Reconnected = "reconnected",
        /// `account_review_update`, `REJECTED`
        ReviewRejected = "review_rejected",
        /// `account_review_update`, `APPROVED`
        ReviewApproved = "review_approved",
        /// Something to come or to look at.
        Warning = "warning",
        /// It can mean two things, or has lost its contents.
        Unreadable = "unreadable",
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
    /// What became of a call that carries a PIN.
    PinOutcome = "outcome" {
        /// It went on to Meta.
        Forward = "forward",
        /// Answered here: Meta has refused this PIN.
        Refused = "refused",
        /// Answered here: Meta has refused so many others.
        Held = "held",
        /// Answered here: Meta looks at none for a while.
        Wait = "wait",
        /// It went on to Meta, but only because the mode is observe.
        WouldHold = "would_hold",
    }
}

label! {
    /// How a request to the webhook listener ended.
    WebhookResult = "result" {
        /// A post was heard, and answered 200 here.
        Accepted = "accepted",
        /// A post was heard, and the app said 2xx to it.
        Relayed = "relayed",
        /// A post was heard, and the app said something else to it: Meta will repeat it.
        AppRefused = "app_refused",
        /// A post was heard or a handshake came, and the app gave no answer: Meta will repeat it.
        RelayFailed = "relay_failed",
        /// Signed, but not readable; answered 200 here or by the app.
        Unreadable = "unreadable",
        /// No signature, a malformed one, or two that differ.
        Unsigned = "unsigned",
        /// No configured secret makes this signature of this body. Also when none is configured.
        Forged = "forged",
        /// Larger than 3 MiB.
        TooLarge = "too_large",
        /// The body was not there in time.
        TimedOut = "timed_out",
        /// The body ended early.
        Broken = "broken",
        /// The bodies that are being read already fill the memory set aside for them: Meta will repeat it.
        Busy = "busy",
        /// A handshake with the right token.
        Handshake = "handshake",
        /// A handshake with a wrong one, or a `GET` that is none.
        HandshakeRefused = "handshake_refused",
        /// Another path or method.
        Misdirected = "misdirected",
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

/// The breaker's own words are labels as they are.
macro_rules! label_of_the_breaker {
    ($type:ident = $key:literal) => {
        impl Label for $type {
            const KEY: &'static str = $key;
            const ALL: &'static [Self] = &Self::ALL;

            fn name(self) -> &'static str {
                self.name()
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

label_of_the_breaker!(ScopeKind = "scope");
label_of_the_breaker!(TransitionKind = "transition");
label_of_the_breaker!(Source = "source");
label_of_the_breaker!(TrialOutcome = "outcome");
