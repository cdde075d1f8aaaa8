//! A send's right to go out, which comes back with what became of it.

use super::{Breakers, Settling};
use crate::breaker::{About, Event, Generation, Lease, Reason, Source};
use crate::graph::answer::Message;
use crate::graph::ids::PhoneNumberId;
use crate::incident::Outcomes;
use crate::registry::{Accepted, Inline, Moment, Observed};
use crate::telemetry::events::SendEvent;

/// An admitted send. Give it back with one of the methods; a trial's permit that is dropped instead is *abandoned*: it
/// proves nothing, and the next send may be the trial.
#[derive(Debug)]
pub struct Permit {
    pub(super) breakers: Breakers,
    pub(super) phone: PhoneNumberId,
    pub(super) generation: Generation,
    pub(super) trial: Option<Lease>,
    /// When it was admitted, in the order of the statuses.
    pub(super) admitted: Moment,
    /// How it is counted in the end.
    pub(super) counted: Option<SendEvent>,
}

impl Permit {
    /// Whether this send is the trial.
    pub const fn is_trial(&self) -> bool {
        self.trial.is_some()
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
            let accepted = Accepted { at, generation, fbtrace_id, recipient, leaked: false, observed };
            inner.sends.remember(key, accepted);
            key
        });
        match self.trial.take() {
            None => {
                let settlings = keys.filter_map(|key| self.breakers.hear_overtaking(self.phone, key));
                // Each runs by itself: the last to be begun is the one to wait for.
                settlings.fold(Settling::default(), |_, last| last)
            }
            Some(lease) => {
                let keys: Vec<_> = keys.collect();
                let event = Event::TrialAccepted { lease, generation, keys: keys.clone() };
                let settling = self.breakers.apply_if_known(self.phone, event);
                // What they mean to the trial is heard; as leaks they are not counted yet.
                for key in keys {
                    drop(self.breakers.hear_overtaking(self.phone, key));
                }
                settling
            }
        }
    }

    /// Meta answered 131031 or 368. The answer must not be released before the settling is done.
    pub fn locked(mut self, code: i64, text: String, fbtrace_id: Option<String>) -> Settling {
        self.trial = None;
        self.note_failed();
        let at = self.breakers.now();
        let reason = Reason { code, source: Source::Response, text, at, fbtrace_id };
        let about = About::Send { generation: self.generation, key: None };
        self.breakers.apply(self.phone, Event::Lock { about, reason })
    }

    /// Meta answered another error, which is about this message and not about the account.
    pub fn refused(self) -> Settling {
        self.note_failed();
        self.other()
    }

    /// Meta answered something that cannot be read.
    pub fn other(mut self) -> Settling {
        match self.trial.take() {
            None => Settling::default(),
            Some(lease) => {
                self.breakers.apply_if_known(self.phone, Event::TrialEnded { lease, abandoned: false })
            }
        }
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
        if let Some(lease) = self.trial {
            // Settles by itself.
            drop(self.breakers.apply_if_known(self.phone, Event::TrialEnded { lease, abandoned: true }));
        }
    }
}
