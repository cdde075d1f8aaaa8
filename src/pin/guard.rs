//! What is known of one phone's PINs, and what is done about the next.

use std::time::Duration;

use crate::graph::ids::PhoneNumberId;
use crate::graph::pin::{PinHash, Verdict};
use crate::graph::reply::Reply;
use crate::graph::route::PinCall;
use crate::time::Timestamp;

/// The most refused PINs that are remembered; of more, the last.
pub(super) const MOST_REFUSED: usize = 16;

/// So many different refused PINs in a row hold the next (`pin_guard.max_attempts`); 1 to 16, as many as are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts(usize);

impl Attempts {
    /// The nearest number that is possible.
    pub fn new(attempts: usize) -> Self {
        Self(attempts.clamp(1, MOST_REFUSED))
    }

    /// Whether so many hold the next.
    pub const fn used_up_by(self, different: usize) -> bool {
        different >= self.0
    }
}

impl Default for Attempts {
    fn default() -> Self {
        Self(2)
    }
}

/// See the [module](super).
#[derive(Debug, Default)]
pub struct Guard {
    register: Known,
    set: Known,
    /// An operator lets one more try through.
    allowed: bool,
    /// When Meta last reported a change: a refusal of a try from before it says nothing about the PIN of today.
    changed: Option<Timestamp>,
}

/// What is known from the answers to one of the calls.
#[derive(Debug, Default)]
struct Known {
    /// Different PINs, refused in a row.
    refused: Vec<PinHash>,
    /// The last refusal.
    last: Option<MetaError>,
    wait: Option<(Timestamp, MetaError)>,
}

/// An error that Meta has answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaError {
    /// The HTTP status.
    pub status: http::StatusCode,
    /// The number that decides.
    pub code: i64,
    /// When it came.
    pub at: Timestamp,
    /// Its words; none if they were too long to be kept, or have the PIN in them.
    pub words: Option<MetaWords>,
}

/// What an answer said, word for word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaWords {
    /// `error.message`
    pub message: String,
    /// The whole body, without its `Content-Encoding`.
    pub body: Vec<u8>,
    /// Its `Content-Type`.
    pub content_type: Option<http::HeaderValue>,
}

/// What is known of one of the calls, without any PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How many different PINs Meta has refused in a row, as far as they are remembered.
    pub refused: usize,
    /// Since when these are so many that no other goes out: the last of them.
    pub held_since: Option<Timestamp>,
    /// Until when Meta looks at none.
    pub waits_until: Option<Timestamp>,
}

/// A try on its way.
#[derive(Clone, Copy, Debug)]
pub struct Try {
    call: PinCall,
    pin: PinHash,
    began: Timestamp,
}

/// Why a try is answered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Meta has refused this very PIN.
    Refused,
    /// So many different ones were refused.
    Attempts(usize),
    /// Meta looks at none for so many seconds; at least 1.
    Wait(u64),
}

/// A try that is answered here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Why.
    pub why: Why,
    /// What Meta has said last.
    pub error: MetaError,
}

impl Guard {
    /// Decides about a try: why it is to be answered here, if it is. What Meta says to it, if it goes out all the same, belongs to the [`Try`].
    pub fn admit(
        &mut self,
        call: PinCall,
        pin: PinHash,
        now: Timestamp,
        attempts: Attempts,
    ) -> (Try, Option<Box<Held>>) {
        let held = self.known(call).held(pin, now, attempts);
        let held = held.filter(|_| !std::mem::take(&mut self.allowed));
        (Try { call, pin, began: now }, held.map(Box::new))
    }

    /// Meta has answered a try. `error` is its error, if it is one. Says how many different PINs are refused now, if this one was.
    pub fn answered(&mut self, tried: Try, verdict: Verdict, error: Option<MetaError>) -> Option<usize> {
        let is_late = self.changed.is_some_and(|changed| tried.began <= changed);
        match (verdict, error) {
            (Verdict::Accepted, _) => *self = Self { changed: self.changed, ..Self::default() },
            (Verdict::Refused, Some(error)) if !is_late => {
                let known = self.known(tried.call);
                known.refuse(tried.pin);
                known.last = Some(error);
                return Some(known.refused.len());
            }
            (Verdict::Wait(wait), Some(error)) => {
                self.known(tried.call).wait = Some((error.at.plus(wait), error));
            }
            _ => {}
        }
        None
    }

    /// An operator lets one more try through. Says whether there is anything to allow.
    pub fn allow(&mut self) -> bool {
        self.allowed = !self.is_blank();
        self.allowed
    }

    /// The PIN was changed elsewhere at `at`: what was refused until then, and no later than `skew` after it, is forgotten.
    /// Says whether that is anything.
    pub fn changed(&mut self, at: Timestamp, skew: Duration) -> bool {
        self.changed = self.changed.max(Some(at));
        let mut forgotten = false;
        for known in [&mut self.register, &mut self.set] {
            if known.last.take_if(|error| error.at <= at.plus(skew)).is_some() {
                known.refused.clear();
                forgotten = true;
            }
        }
        self.allowed &= !self.is_blank();
        forgotten
    }

    /// Whether it knows nothing, so that nothing is lost with it.
    pub const fn is_blank(&self) -> bool {
        self.register.is_blank() && self.set.is_blank()
    }

    /// When Meta said last what it knows.
    pub fn told(&self) -> Option<Timestamp> {
        let told = |known: &Known| known.errors().map(|error| error.at).max();
        told(&self.register).max(told(&self.set))
    }

    /// How it stands about one of the calls; none if nothing is known that matters.
    pub fn standing(&self, call: PinCall, now: Timestamp, attempts: Attempts) -> Option<Standing> {
        let known = match call {
            PinCall::Register => &self.register,
            PinCall::Set => &self.set,
        };
        let refused = known.refused.len();
        let standing = Standing {
            refused,
            held_since: known.last.as_ref().map(|error| error.at).filter(|_| attempts.used_up_by(refused)),
            waits_until: known.wait.as_ref().map(|(until, _)| *until).filter(|until| *until > now),
        };
        (standing.refused > 0 || standing.waits_until.is_some()).then_some(standing)
    }

    /// Whether an operator lets one more try through.
    pub const fn is_allowed(&self) -> bool {
        self.allowed
    }

    const fn known(&mut self, call: PinCall) -> &mut Known {
        match call {
            PinCall::Register => &mut self.register,
            PinCall::Set => &mut self.set,
        }
    }
}

impl Known {
    const fn is_blank(&self) -> bool {
        self.last.is_none() && self.wait.is_none()
    }

    fn errors(&self) -> impl Iterator<Item = &MetaError> {
        self.last.iter().chain(self.wait.iter().map(|(_, error)| error))
    }

    fn held(&mut self, pin: PinHash, now: Timestamp, attempts: Attempts) -> Option<Held> {
        self.wait.take_if(|(until, _)| *until <= now);
        if let Some((until, error)) = &self.wait {
            let seconds = until.since(now).as_millis().div_ceil(1000);
            let why = Why::Wait(u64::try_from(seconds).unwrap_or(u64::MAX));
            return Some(Held { why, error: error.clone() });
        }
        let error = self.last.as_ref()?;
        let why = match self.refused.len() {
            _ if self.refused.contains(&pin) => Why::Refused,
            count if attempts.used_up_by(count) => Why::Attempts(count),
            _ => return None,
        };
        Some(Held { why, error: error.clone() })
    }

    fn refuse(&mut self, pin: PinHash) {
        if self.refused.contains(&pin) {
            return;
        }
        if self.refused.len() >= MOST_REFUSED {
            self.refused.remove(0);
        }
        self.refused.push(pin);
    }
}

impl Held {
    /// Meta's own words, where it is for them that the try is answered here.
    pub fn meta(&self) -> Option<&MetaWords> {
        self.error.words.as_ref().filter(|_| self.why == Why::Refused)
    }

    /// The JSON body where it is ours: Meta's code and message, and what to do about this phone. `request_id` names the request.
    pub fn body(&self, phone: PhoneNumberId, request_id: &str) -> Vec<u8> {
        let MetaError { code, at, words, .. } = &self.error;
        let details = match self.why {
            Why::Refused => format!("Held back by sendfuse: Meta refused this PIN at {at}."),
            Why::Attempts(count) => format!(
                "Held back by sendfuse: Meta refused {count} different PINs in a row, the last at {at}. Another wrong one may lock \
                 the number's registration. POST /v1/breakers/{phone}/allow_pin on sendfuse's admin API lets one more try through; \
                 so does a change of the PIN that Meta's security webhook reports."
            ),
            Why::Wait(seconds) => {
                format!(
                    "Held back by sendfuse: since {at} Meta wants no PIN for a while. {seconds} s remain."
                )
            }
        };
        let unnamed = format!("(#{code}) Two-step verification PIN refused");
        let reply = Reply {
            message: words.as_ref().map_or(&*unnamed, |words| &words.message),
            r#type: "OAuthException",
            code: *code,
            details: &details,
            is_transient: false,
            request_id,
        };
        reply.body()
    }
}
