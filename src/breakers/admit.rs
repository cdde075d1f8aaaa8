//! What the gate asks: may this send go out?

use std::sync::Arc;

use super::permit::Trial;
use super::{Breakers, Gate, Permit, Quiet, Traits};
use crate::breaker::{Admission, Generation, Rejection, Scope};
use crate::graph::ids::PhoneNumberId;
use crate::registry::{Admitted, Cell};
use crate::telemetry::events::SendEvent;
use crate::telemetry::labels::RejectReason;

impl Breakers {
    /// The ordinary path: a permit if the phone and its account are plainly closed. A local read without a lock, whatever the
    /// number of phones.
    pub fn admit_closed(&self, phone: PhoneNumberId) -> Option<Permit> {
        let generation = self.0.registry.plainly_closed(phone, || self.0.phones.get(phone).waba)?;
        Some(self.permit(phone, generation, Traits::default()))
    }

    /// If there is no breaker, closed or not: this moment, for sends that are found in a request when it is on its way already.
    pub fn quiet(&self) -> Option<Quiet> {
        let admitted = self.0.hearing.moment();
        self.0.registry.is_empty().then(|| Quiet { breakers: self.clone(), admitted })
    }

    /// Decides about one send. It passes only if each breaker that stands for it lets it
    /// pass, and is the trial of each that waits for one.
    pub fn admit(&self, phone: PhoneNumberId, traits: Traits) -> Gate {
        if let Some(permit) = self.admit_closed(phone) {
            return Gate::Forward(permit);
        }
        let (inner, settings, now) = (&self.0, self.0.settings.load(), self.now());
        let (generation, cells) = self.asked(phone, &traits);
        let class = traits.class;
        let mut permit = self.permit(phone, generation, traits);
        // Before any trial is taken, all are looked at.
        let holding = |(_, cell): &&(Scope, Arc<Cell>)| {
            cell.read(|breaker| breaker.admit(class, now)) == Admission::Reject
        };
        let holder = cells.iter().find(holding).or_else(|| {
            cells.iter().find(|(scope, cell)| {
                let admitted = cell.admit(class, now, &settings.policy);
                let (Admitted::Forward(generation)
                | Admitted::Trial(generation, _)
                | Admitted::Reject(generation)) = admitted;
                if *scope == Scope::from(phone) {
                    permit.generation = generation;
                }
                if let Admitted::Trial(generation, lease) = admitted {
                    self.announce_due(*scope, cell, &settings.policy);
                    permit.trials.push(Trial { scope: *scope, generation, lease });
                    permit.counted = Some(SendEvent::Trial);
                }
                // Somebody took the permit in between. What was taken for this send is given back.
                matches!(admitted, Admitted::Reject(_))
            })
        });
        let Some((scope, cell)) = holder else { return Gate::Forward(permit) };
        permit.give_back();
        if settings.observe {
            cell.counts.would_reject();
            inner.would_rejects.passed(phone, now);
            permit.counted = Some(SendEvent::WouldReject);
            return Gate::Forward(permit);
        }
        permit.counted = None;
        cell.counts.rejected();
        let rejection = cell.read(|breaker| Rejection::of(breaker, scope, class, now));
        inner.telemetry.emit(SendEvent::Reject(reject_reason(&rejection)));
        Gate::Reject(Box::new(rejection))
    }

    /// The breakers that a send of this phone is to be asked of, without those that are plainly closed; and the generation of the
    /// phone's own. An operator's order on the phone outranks whatever else holds its sends.
    fn asked(&self, phone: PhoneNumberId, traits: &Traits) -> (Generation, Vec<(Scope, Arc<Cell>)>) {
        let inner = &self.0;
        let own = inner.registry.get(phone.into());
        let (generation, is_ordered) = own.as_ref().map_or_else(Default::default, |cell| {
            cell.read(|breaker| (breaker.generation(), breaker.order_at(self.now()).is_some()))
        });
        let own = own.map(|cell| (phone.into(), cell));
        let others = [
            inner.phones.get(phone).waba.map(Scope::from),
            traits.country.map(|country| Scope::PhoneCountry(phone, country)),
            traits.token.map(Scope::Token),
        ];
        let others = others.into_iter().flatten().filter(|_| !is_ordered);
        let others = others.filter_map(|scope| Some((scope, inner.registry.get(scope)?)));
        let cells = own.into_iter().chain(others).filter(|(_, cell)| cell.plainly_closed().is_none());
        (generation, cells.collect())
    }

    fn permit(&self, phone: PhoneNumberId, generation: Generation, traits: Traits) -> Permit {
        Permit {
            breakers: self.clone(),
            phone,
            generation,
            traits,
            admitted_at: (!self.0.settings.load().rules.is_empty()).then(|| self.now()),
            trials: Vec::new(),
            admitted: self.0.hearing.moment(),
            counted: Some(SendEvent::Forward),
        }
    }
}

fn reject_reason(rejection: &Rejection) -> RejectReason {
    if rejection.is_rule() { RejectReason::Rule } else { RejectReason::of(rejection.code) }
}
