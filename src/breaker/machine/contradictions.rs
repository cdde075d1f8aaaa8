//! Whether health and messages agree.

use super::super::Context;
use super::super::evidence::Reason;
use super::super::state::{Contradiction, ContradictionKind, Lock, Said};
use crate::graph::health::Health;

impl Lock {
    /// A trial met the lock. If health said clear before, they disagree; if it said blocked, they agree.
    pub(super) fn failed_against_health(&mut self, reason: &Reason, cx: &Context<'_>) {
        let message = Said { at: cx.now, text: reason.to_string() };
        match &self.health {
            Some((_, Health::Clear(_))) => self.disagree(ContradictionKind::ClearButFailing, message, cx),
            Some(_) | None => self.agree(ContradictionKind::BlockedButDelivered),
        }
    }

    /// A message got through. If health said blocked before, they disagree; if it said clear, they agree.
    pub(super) fn delivered_against_health(&mut self, text: &str, cx: &Context<'_>) {
        let message = Said { at: cx.now, text: text.to_owned() };
        match &self.health {
            Some((_, Health::Blocked(_))) => {
                self.disagree(ContradictionKind::BlockedButDelivered, message, cx);
            }
            Some(_) | None => self.agree(ContradictionKind::ClearButFailing),
        }
    }

    pub(super) fn disagree(&mut self, kind: ContradictionKind, message: Said, cx: &Context<'_>) {
        let Some((at, health)) = &self.health else { return };
        let before = self.contradiction.take().filter(|before| before.kind == kind);
        let (since, count) = before.map_or((cx.now, 0), |before| (before.since, before.count));
        let health = Said { at: *at, text: health.to_string() };
        self.contradiction = Some(Box::new(Contradiction { kind, since, count: count + 1, health, message }));
    }

    /// Health and messages agree again, as far as this kind goes.
    pub(super) fn agree(&mut self, kind: ContradictionKind) {
        self.contradiction.take_if(|contradiction| contradiction.kind == kind);
    }
}
