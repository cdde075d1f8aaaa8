//! The trials of a half-open breaker: whose message it is, what came early, and until when it waits.

use super::super::Context;
use super::super::evidence::About;
use super::super::policy::NoWebhooks;
use super::super::state::{Early, HalfOpen, Lease};
use super::{DATE_STEP, WAITING};
use crate::graph::class::Class;
use crate::graph::ids::WamidKey;
use crate::time::Timestamp;

impl HalfOpen {
    pub(super) fn is_trial(&self, about: &About) -> bool {
        match about.key() {
            Some(_) => self.trial_of(about).is_some(),
            None => self.trial.is_some() && matches!(about, About::Send { .. }),
        }
    }

    /// The permit that a message went out by, if it is a trial's.
    pub(super) fn trial_of(&self, about: &About) -> Option<Lease> {
        let key = about.key()?;
        self.trial_keys.iter().find(|(known, _)| *known == key).map(|(_, lease)| *lease)
    }

    /// Whether a status is about a trial of this half-open: one of its messages, or, where the trial's answer named none,
    /// a message that nobody knows and that Meta sent after the trial began. (Delivered and read may be an old one's; and one of
    /// a class that flows needed no trial.)
    pub(super) fn is_trials_message(&self, about: &About, sent: bool, class: Option<Class>) -> bool {
        if self.trial_of(about).is_some() {
            return true;
        }
        let nameless = self.trial.filter(|trial| trial.accepted.is_some_and(|accepted| accepted.nameless));
        match (nameless, about) {
            (Some(trial), About::Unknown { key, dated: Some(dated) }) if sent => {
                let counted = key.is_some_and(|key| self.counted.contains(&key));
                let is_held = self.lock.extent.holds(class);
                !counted && is_held && dated.plus(DATE_STEP) > trial.started
            }
            _ => false,
        }
    }

    /// Frees the permit of a confirmed trial, unless another trial has it by now, and forgets its messages: `delivered` and
    /// `read` after `sent` must not count again.
    pub(super) fn forget_trial(&mut self, key: Option<WamidKey>) {
        let named = self.trial_keys.iter().find(|(known, _)| Some(*known) == key).map(|(_, lease)| *lease);
        let current = self.trial.map(|trial| trial.lease);
        let lease = named.or(current);
        self.trial_keys.retain(|(_, of)| Some(*of) != lease);
        if lease == current {
            self.trial = None;
        }
    }

    /// Keeps a status of an unknown message while a trial's answer is on its way. Says whether it was kept.
    pub(super) fn keep_early(&mut self, about: &About, early: Early) -> bool {
        let (About::Unknown { key: Some(key), .. }, Some(trial)) = (about, self.trial) else { return false };
        if trial.accepted.is_some() {
            return false;
        }
        let kind = std::mem::discriminant(&early);
        if self.early.iter().any(|(known, it)| known == key && std::mem::discriminant(it) == kind) {
            return true;
        }
        if self.early.len() >= WAITING {
            self.early.remove(0);
        }
        self.early.push((*key, early));
        true
    }

    /// Takes what came early for these messages. The rest waits on: it may be about another trial.
    pub(super) fn take_early(&mut self, keys: &[WamidKey]) -> Vec<(WamidKey, Early)> {
        self.early.extract_if(.., |(key, _)| keys.contains(key)).collect()
    }

    pub(super) fn trial_deadline(&self) -> Timestamp {
        self.trial.map_or(self.entered_at, |trial| trial.until)
    }

    /// When an accepted trial counts as confirmed, where no webhook can confirm it and the policy says so.
    pub(super) fn unheard_deadline(&self, cx: &Context<'_>) -> Option<Timestamp> {
        let accepted = self.trial?.accepted?;
        (!cx.heard && cx.policy.no_webhooks == NoWebhooks::Close)
            .then(|| accepted.at.plus(cx.policy.trial_grace))
    }
}
