//! A send's right to go out, which comes back with what became of it.

use super::{Breakers, Settling, Traits};
use crate::breaker::{About, Event, Extent, Generation, Lease, Reason, Scope, Source};
use crate::graph::answer::Message;
use crate::graph::country::Country;
use crate::graph::ids::{PhoneNumberId, TokenId};
use crate::incident::Outcomes;
use crate::registry::{Accepted, Inline, Moment, Observed};
use crate::telemetry::events::SendEvent;
use crate::time::Timestamp;

/// An admitted send. Give it back with one of the methods; a trial's permit that is dropped instead is *abandoned*: it
/// proves nothing, and the next send may be the trial.
#[derive(Debug)]
pub struct Permit {
    pub(super) breakers: Breakers,
    pub(super) phone: PhoneNumberId,
    /// That of the phone's own breaker.
    pub(super) generation: Generation,
    /// What it is, as far as that was looked into.
    pub(super) traits: Traits,
    /// When it was admitted; only where there are rules.
    pub(super) admitted_at: Option<Timestamp>,
    /// The trials that it is: at most one of each breaker that stands for it.
    pub(super) trials: Vec<Trial>,
    /// When it was admitted, in the order of the statuses.
    pub(super) admitted: Moment,
    /// How it is counted in the end.
    pub(super) counted: Option<SendEvent>,
}

/// A send that is a breaker's trial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    pub(super) scope: Scope,
    /// That of this breaker.
    pub(super) generation: Generation,
    pub(super) lease: Lease,
}

/// A moment in which no phone had a breaker: what went out in it was admitted, whoever's send it turns out to be.
pub struct Quiet {
    pub(super) breakers: Breakers,
    pub(super) admitted: Moment,
}

impl Quiet {
    /// The permit of a send of this phone that went out in that moment.
    pub fn permit(&self, phone: PhoneNumberId) -> Permit {
        Permit {
            breakers: self.breakers.clone(),
            phone,
            generation: Generation::default(),
            traits: Traits::default(),
            admitted_at: None,
            trials: Vec::new(),
            admitted: self.admitted,
            counted: Some(SendEvent::Forward),
        }
    }
}

impl Permit {
    /// Whether this send is the trial.
    pub const fn is_trial(&self) -> bool {
        !self.trials.is_empty()
    }

    /// It is no trial after all.
    pub(super) fn give_back(&mut self) {
        for Trial { scope, lease, .. } in self.trials.drain(..) {
            // Settles by itself.
            drop(self.breakers.apply_if_known(scope, Event::TrialEnded { lease, abandoned: true }));
        }
    }

    /// It was no send after all, but a read receipt: only the answer shows it where nobody looked at the body. Not counted.
    pub fn no_send(mut self) {
        if self.is_would_reject() {
            self.breakers.0.would_rejects.change(self.phone, Outcomes::withdrawn);
        }
        self.counted = None;
    }

    /// Meta accepted it, as these messages: none where the answer is sealed. `fbtrace_id`: its id of the call, if the answer has
    /// one. The settling is to be awaited before the answer is released: a status may have overtaken the answer.
    pub fn accepted(mut self, messages: &[Message<'_>], fbtrace_id: Option<&str>) -> Settling {
        let inner = &self.breakers.0;
        let at = self.breakers.now();
        inner.hearing.accepted(self.phone, self.admitted, at);
        let would_reject = self.is_would_reject();
        let (generation, fbtrace_id) = (self.generation, fbtrace_id.and_then(Inline::new));
        let keys = messages.iter().enumerate().map(|(n, message)| {
            // One send is one would-be rejection, however many messages it makes: its first one stands for it.
            let observed = if would_reject && n == 0 { Observed::WouldReject } else { Observed::None };
            let key = inner.sends.key_of(self.phone, &message.wamid);
            let recipient = message.recipient.as_deref().and_then(Inline::new);
            let accepted = Accepted {
                at,
                generation,
                fbtrace_id,
                recipient,
                class: self.traits.class,
                country: self.traits.country,
                leaked: false,
                observed,
            };
            inner.sends.remember(key, accepted);
            key
        });
        let keys: Vec<_> = keys.collect();
        // Each runs by itself: the last to be begun is the one to wait for.
        let mut settling = Settling::default();
        for Trial { scope, generation, lease } in self.trials.drain(..) {
            let proves = matches!(scope, Scope::Token(_));
            let event = Event::TrialAccepted { lease, generation, keys: keys.clone(), proves };
            settling = settling.and(self.breakers.apply_if_known(scope, event));
        }
        for key in keys {
            if let Some(overtaking) = self.breakers.hear_overtaking(self.phone, key, at) {
                settling = settling.and(overtaking);
            }
        }
        settling
    }

    /// Meta answered 131031 or 368. The answer must not be released before the settling is done.
    pub fn locked(mut self, code: i64, text: String, fbtrace_id: Option<String>) -> Settling {
        self.note_failed();
        let at = self.breakers.now();
        let reason = Reason { code, source: Source::Response, text, at, fbtrace_id };
        let extent = Extent::default();
        let about = About::Send { generation: self.generation, key: None };
        let mut settling = self.breakers.spread(self.phone, about, Some(at), &reason);
        // What it was the trial of beside its phone's breaker.
        for Trial { scope, generation, lease } in self.trials.drain(..) {
            let event = match scope {
                Scope::Phone(_) => continue,
                Scope::Waba(_) => {
                    let (about, reason) = (About::Send { generation, key: None }, reason.clone());
                    Event::Lock { about, reason, extent, only_trial: true }
                }
                // It says nothing of a country or of a token.
                Scope::PhoneCountry(..) | Scope::Token(_) => Event::TrialEnded { lease, abandoned: false },
            };
            settling = settling.and(self.breakers.apply_if_known(scope, event));
        }
        let event = Event::Lock { about, reason, extent, only_trial: false };
        settling.and(self.breakers.apply(self.phone.into(), event))
    }

    /// Where its recipient is, if that was not looked into before.
    pub fn to(&mut self, country: Option<Country>) {
        self.traits.country = self.traits.country.or(country);
    }

    /// Its access token, as far as what Meta says of that can be held: [`Breakers::token_refused`].
    pub const fn by(&mut self, token: Option<TokenId>) {
        self.traits.token = token;
    }

    /// Meta answered another error, which is about this message and nothing else, unless a rule says so. The answer must not be
    /// released before the settling is done.
    pub fn refused(mut self, code: i64, text: String, fbtrace_id: Option<String>) -> Settling {
        self.note_failed();
        let breakers = self.breakers.clone();
        let rule = breakers.rule(code);
        let reached = rule.and_then(|rule| Some((rule, breakers.reached(&rule, self.phone, &self.traits)?)));
        let Some((rule, scope)) = reached else { return self.other() };
        let trial = self.trials.extract_if(.., |trial| trial.scope == scope).next();
        let about = match (trial, scope) {
            (Some(Trial { generation, .. }), _) => About::Send { generation, key: None },
            (None, Scope::Phone(_)) => About::Send { generation: self.generation, key: None },
            (None, _) => About::Unknown { key: None, dated: self.admitted_at },
        };
        let at = breakers.now();
        let reason = Reason { code, source: Source::Response, text, at, fbtrace_id };
        let event = Event::Lock { about, reason, extent: rule.extent(at), only_trial: false };
        breakers.apply(scope, event).and(self.other())
    }

    /// Meta answered no, and nobody can read why.
    pub fn failed(self) -> Settling {
        self.note_failed();
        self.other()
    }

    /// Meta answered something that cannot be read.
    pub fn other(mut self) -> Settling {
        let ended = |settling: Settling, Trial { scope, lease, .. }| {
            let event = Event::TrialEnded { lease, abandoned: false };
            settling.and(self.breakers.apply_if_known(scope, event))
        };
        self.trials.drain(..).fold(Settling::default(), ended)
    }

    const fn is_would_reject(&self) -> bool {
        matches!(self.counted, Some(SendEvent::WouldReject))
    }

    fn note_failed(&self) {
        if self.is_would_reject() {
            self.breakers.0.would_rejects.change(self.phone, |outcomes| outcomes.failed(false));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(event) = self.counted.take() {
            self.breakers.0.telemetry.emit(event);
        }
        self.give_back();
    }
}
