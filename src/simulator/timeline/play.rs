//! Doing what a timeline says, at its times.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::{Moment, Phones, Step, Timeline};
use crate::simulator::{FaultRule, Simulator, webhooks};

impl Simulator {
    /// Has happen what a timeline says, from now on, on tokio's time; done with its last step. Does not keep the simulator
    /// alive. Needs to be polled, for instance by `tokio::spawn`; dropped: what has not happened yet does not.
    pub fn play(&self, timeline: Timeline) -> impl Future<Output = ()> + Send + 'static {
        let (inner, began) = (Arc::downgrade(&self.inner), Instant::now());
        async move {
            for moment in &timeline.moments {
                // To the next millisecond, as tokio's clock has it: nothing happens too early.
                sleep(moment.at.saturating_sub(began.elapsed())).await;
                let Some(simulator) = webhooks::upgrade(&inner) else { return };
                simulator.act(&timeline.phones, moment);
            }
        }
    }

    fn act(&self, named: &BTreeMap<String, Vec<String>>, moment: &Moment) {
        let ids = |phones: &Phones| match phones {
            Phones::Ids(ids) => ids.clone(),
            Phones::Named(name) => named.get(name).cloned().unwrap_or_default(),
        };
        let wabas = |phones| {
            let mut state = self.state();
            ids(phones).iter().filter_map(|id| state.waba(id)).collect::<BTreeSet<String>>()
        };
        for step in &moment.steps {
            match step {
                Step::Lock(phones, lock) => ids(phones).iter().for_each(|id| self.lock(id, lock.clone())),
                Step::Unlock(phones) => ids(phones).iter().for_each(|id| self.unlock(id)),
                Step::LockWaba(phones, lock) => {
                    wabas(phones).iter().for_each(|waba| self.lock_waba(waba, lock.clone()));
                }
                Step::UnlockWaba(phones) => wabas(phones).iter().for_each(|waba| self.unlock_waba(waba)),
                Step::Wabas(phones, each) => drop(self.add_wabas(ids(phones), *each)),
                Step::Statuses(delay) => self.set_status_delay(*delay),
                Step::Health(phones, health) => {
                    ids(phones).iter().for_each(|id| self.set_health(id, health.clone()));
                }
                Step::Fault(None, rule) => self.fault(rule.clone()),
                Step::Fault(Some(phones), rule) => {
                    for id in ids(phones) {
                        self.fault(FaultRule { phone: Some(id), ..rule.clone() });
                    }
                }
                Step::ClearFaults(None) => self.clear_faults(None),
                Step::ClearFaults(Some(phones)) => {
                    ids(phones).iter().for_each(|id| self.clear_faults(Some(id)));
                }
                Step::RevokeToken(token) => self.revoke_token(token),
                Step::RestoreToken(token) => self.restore_token(token),
                Step::Event(phones, event) => {
                    wabas(phones).iter().for_each(|waba| self.account_event(waba, event.clone()));
                }
                Step::Webhook { waba, field, value } => self.webhook(waba, field, value.clone()),
            }
        }
    }
}
