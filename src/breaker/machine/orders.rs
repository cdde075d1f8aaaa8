//! What operators order. Automation goes on beneath.

use super::super::evidence::Source;
use super::super::state::{Breaker, Override, OverrideOrder, Shown};
use super::super::{Applied, Context, TransitionKind};

impl Breaker {
    pub(super) fn reset(&mut self, text: String, cx: &Context<'_>, out: &mut Applied) {
        if self.is_plainly_closed() {
            return;
        }
        let from = self.shown(cx.now);
        self.order = None;
        self.close(0, cx);
        self.step(TransitionKind::Reset, from, Source::Operator, text, cx, out);
    }

    pub(super) fn hold(&mut self, order: Override, cx: &Context<'_>, out: &mut Applied) {
        let from = self.shown(cx.now);
        let text = format!("{} by {}: {}", order.order.name(), order.by, order.reason);
        let kind = match order.order {
            OverrideOrder::Open => TransitionKind::ForceOpen,
            OverrideOrder::Bypass => TransitionKind::Bypass,
        };
        self.order = Some(Box::new(order));
        self.step(kind, from, Source::Operator, text, cx, out);
    }

    pub(super) fn lift(&mut self, source: Source, text: String, cx: &Context<'_>, out: &mut Applied) {
        let Some(order) = self.order.take() else { return };
        let from = order.order.shown();
        self.step(TransitionKind::Lift, from, source, text, cx, out);
    }

    pub(super) fn drop_expired_order(&mut self, cx: &Context<'_>, out: &mut Applied) {
        if self.order.is_some() && self.order_at(cx.now).is_none() {
            self.lift(Source::Timer, "the order's time is over".to_owned(), cx, out);
        }
    }
}

impl OverrideOrder {
    /// As operators write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Bypass => "bypass",
        }
    }

    const fn shown(self) -> Shown {
        match self {
            Self::Open => Shown::ForcedOpen,
            Self::Bypass => Shown::Bypassed,
        }
    }
}
