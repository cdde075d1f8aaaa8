//! The PIN guard's tries, and what releases them.

use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::{BreakerView, Breakers, PinOrder};
use crate::graph::ids::PhoneNumberId;
use crate::graph::pin::{Pin, Verdict};
use crate::graph::route::PinCall;
use crate::graph::webhook::{Security, SecurityEvent};
use crate::pin::{Guard, Held, MetaError, Standing, Try, Why};
use crate::telemetry::events::{PinEvent, PinTryEvent};
use crate::telemetry::labels::PinOutcome;
use crate::time::Timestamp;

/// What is to be done with a call that carries a PIN.
#[derive(Debug)]
pub enum PinGate {
    /// Forward it, and say what Meta answered.
    Forward(PinTry),
    /// Answer it with this.
    Hold(Box<Held>),
}

/// A try that goes to Meta. Until it is dropped no other of its phone goes out; dropped without an answer it proves nothing.
#[derive(Debug)]
pub struct PinTry {
    tried: Try,
    visit: Visit,
    _turn: Option<OwnedSemaphorePermit>,
}

/// Keeps a phone's guard while a try is on its way or waits for its turn.
#[derive(Debug)]
struct Visit {
    breakers: Breakers,
    phone: PhoneNumberId,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.breakers.0.pins.leave(self.phone);
    }
}

impl PinTry {
    /// Meta has answered. `error` is its error, if it is one.
    pub fn answered(self, verdict: Verdict, error: Option<MetaError>) {
        let Visit { breakers, phone } = &self.visit;
        let (inner, id) = (&breakers.0, *phone);
        let code = error.as_ref().map_or(0, |error| error.code);
        let (refused, was_blank) = inner.pins.with(id, |guard| {
            let was_blank = guard.is_blank();
            (guard.answered(self.tried, verdict, error), was_blank)
        });
        match (verdict, refused) {
            (Verdict::Refused, Some(different)) => {
                let holds = inner.settings.load().pin_attempts.used_up_by(different);
                inner.telemetry.emit(PinEvent::Refused { id, code, different, holds });
            }
            (Verdict::Wait(wait), _) => inner.telemetry.emit(PinEvent::Wait { id, code, wait }),
            (Verdict::Accepted, _) if !was_blank => inner.telemetry.emit(PinEvent::Accepted { id }),
            _ => {}
        }
    }
}

/// What is known of a phone's PINs, as the admin API shows it: no PIN, and nothing made from one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PinGuardView {
    /// `POST /{phone}/register`, where anything is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub register: Option<PinCallView>,
    /// `POST /{phone}`, which sets the PIN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<PinCallView>,
    /// An operator lets one more try through.
    pub allowed: bool,
}

/// What is known of the PINs of one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PinCallView {
    /// How many different PINs Meta has refused in a row, as far as they are remembered.
    pub refused: usize,
    /// Since when so many were refused that no other goes out.
    pub held_since: Option<String>,
    /// Until when Meta wants none.
    pub waits_until: Option<String>,
}

impl From<Standing> for PinCallView {
    fn from(standing: Standing) -> Self {
        let Standing { refused, held_since, waits_until } = standing;
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Self { refused, held_since: text(held_since), waits_until: text(waits_until) }
    }
}

impl Breakers {
    /// What is known of a phone's PINs; none if nothing is.
    pub(super) fn pin_guard(&self, phone: PhoneNumberId) -> Option<PinGuardView> {
        let (now, attempts) = (self.now(), self.0.settings.load().pin_attempts);
        self.0.pins.with(phone, |guard| {
            let of = |call| guard.standing(call, now, attempts).map(PinCallView::from);
            let (register, set) = (of(PinCall::Register), of(PinCall::Set));
            let is_known = register.is_some() || set.is_some();
            is_known.then_some(PinGuardView { register, set, allowed: guard.is_allowed() })
        })
    }

    /// Waits until no other PIN of the phone is on its way, and decides about this one by what came of those before.
    ///
    /// Cancel safe: who stops waiting leaves the queue.
    pub async fn admit_pin(&self, phone: PhoneNumberId, call: PinCall, pin: &Pin) -> PinGate {
        let inner = &self.0;
        let hash = inner.pins.hash(phone, pin);
        let semaphore = inner.pins.enter(phone);
        let visit = Visit { breakers: self.clone(), phone };
        // Nobody closes it, so there is a turn.
        let turn = semaphore.acquire_owned().await.ok();
        let settings = inner.settings.load();
        let now = self.now();
        let (tried, held) =
            inner.pins.with(phone, |guard| guard.admit(call, hash, now, settings.pin_attempts));
        match held {
            Some(held) if !settings.observe => {
                let outcome = match held.why {
                    Why::Refused => PinOutcome::Refused,
                    Why::Attempts(_) => PinOutcome::Held,
                    Why::Wait(_) => PinOutcome::Wait,
                };
                inner.telemetry.emit(PinTryEvent(outcome));
                return PinGate::Hold(held);
            }
            Some(_) => inner.telemetry.emit(PinTryEvent(PinOutcome::WouldHold)),
            None => inner.telemetry.emit(PinTryEvent(PinOutcome::Forward)),
        }
        PinGate::Forward(PinTry { tried, visit, _turn: turn })
    }

    /// An operator lets one more PIN of the phone through, whatever holds it. Means nothing where nothing is held.
    pub fn allow_pin(&self, phone: PhoneNumberId, order: &PinOrder) -> BreakerView {
        let allowed = self.0.pins.with(phone, Guard::allow);
        tracing::info!(
            phone = %phone, by = order.by, reason = order.reason, allowed,
            "an operator lets one more PIN try through"
        );
        self.view(phone)
    }

    /// Meta says what has become of a PIN. Only a change of it forgets what was refused.
    ///
    /// It names the phone by its display number. Where it is known whose that is, it is about that phone. Where not, it may be
    /// about any phone of the account whose own number is not known; what belongs to another account, or to nobody knows
    /// whom, stays as it is: an operator can still allow a try.
    pub(super) fn pin_changed(&self, news: &Security) {
        if news.event == SecurityEvent::PinResetRequest {
            return;
        }
        let inner = &self.0;
        let (at, skew) = (news.at.unwrap_or(self.now()), inner.settings.load().policy.skew);
        let is_known = news.number.is_some_and(|number| inner.pins.is_known(number));
        for id in inner.pins.phones() {
            let its_number = inner.pins.number(id);
            let concerned = match is_known {
                true => its_number == news.number,
                false => {
                    its_number.is_none() && news.waba.is_some() && inner.phones.get(id).waba == news.waba
                }
            };
            if concerned && inner.pins.with(id, |guard| guard.changed(at, skew)) {
                inner.telemetry.emit(PinEvent::Changed { id });
            }
        }
    }
}
