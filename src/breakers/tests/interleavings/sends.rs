//! The sends of a run: admitted or held back, answered, hung up.

use std::borrow::Cow;

use super::meta::Answer;
use super::run::{Flight, Run};
use super::steps::{Locked, Naming, Sending};
use super::witness::{Cause, Sent};
use crate::breakers::{Gate, Permit, Traits};
use crate::graph::answer::Message;

impl Run {
    /// Says whether it was let out, and which send it is.
    pub(super) fn send(&mut self, sending: Sending) -> Option<usize> {
        let (phone, now, before) = (sending.phone, self.house.now(), self.stands());
        let gate = self.house.breakers.admit(self.house.phones[phone], Traits::default());
        let permit = match gate {
            Gate::Forward(permit) => Some(permit),
            Gate::Reject(_) => None,
        };
        let trial = permit.as_ref().is_some_and(Permit::is_trial);
        let send = self.sends.len();
        self.witnesses[phone].gated(before[phone], permit.is_some(), trial, send, now);
        self.house.collect();
        assert_eq!(self.stands(), before, "an admission is no transition");
        let Some(permit) = permit else {
            self.reached.held_back += 1;
            return None;
        };
        self.place += 1;
        let may_prove = !self.meta.locked[phone]
            || matches!(sending.locked, Locked::Both)
            || sending.naming == Naming::None;
        let answer = self.meta.takes(sending, now);
        let wamids = match &answer {
            Answer::Accepted(wamids) => wamids.clone(),
            Answer::Refused | Answer::Other => Vec::new(),
        };
        let trial_of = trial.then(|| self.witnesses[phone].half_open());
        let (known_to, accepted_at, generation) = (None, None, before[phone].generation);
        self.sends.push(Sent {
            phone,
            place: self.place,
            at: now,
            wamids,
            trial_of,
            known_to,
            is_remembered: false,
            generation,
            accepted_at,
            may_prove,
        });
        self.flights.push(Flight { send, permit, answer });
        Some(send)
    }

    pub(super) async fn answer(&mut self, n: usize) {
        let Flight { send, permit, answer } = self.flights.remove(n);
        let (before, now) = (self.stands(), self.house.now());
        let phone = self.sends[send].phone;
        match answer {
            Answer::Accepted(wamids) => {
                let message = |wamid| Message { wamid: Cow::Borrowed(wamid), recipient: None };
                let messages: Vec<_> = wamids.iter().map(String::as_str).map(message).collect();
                permit.accepted(&messages, None).await;
                let after = self.stand(phone);
                self.witnesses[phone].accepted(send, &self.sends[send], before[phone], after, now);
                self.sends[send].accepted_at = Some(now);
                // An opaque answer tells of no message.
                let named = !wamids.is_empty();
                self.sends[send].known_to = named.then_some(self.house.process);
                self.sends[send].is_remembered = named;
                self.reached.overtaken += u64::from(before[phone] != after);
            }
            Answer::Refused => {
                permit.locked(131_031, "locked".to_owned(), None).await;
                let after = self.stand(phone);
                self.witnesses[phone].refused(&self.sends[send], before[phone], after);
                self.witnesses[phone].ended(send);
            }
            Answer::Other => {
                permit.other().await;
                assert_eq!(self.stand(phone), before[phone], "another code proves nothing");
                self.witnesses[phone].ended(send);
            }
        }
        self.moved(before, Some(phone), Cause::Automation);
    }

    pub(super) fn hang_up(&mut self, n: usize) {
        let Flight { send, permit, .. } = self.flights.remove(n);
        let (before, phone) = (self.stands(), self.sends[send].phone);
        drop(permit);
        assert_eq!(self.stand(phone), before[phone], "no answer proves nothing");
        self.witnesses[phone].ended(send);
        self.moved(before, Some(phone), Cause::Automation);
    }

    /// One send, its answer and its statuses, as fast as Meta says them.
    pub(super) async fn talk(&mut self, sending: Sending, answer_last: bool) {
        let news = self.meta.news.len();
        let Some(send) = self.send(sending) else { return };
        if !answer_last {
            self.answer_of(send).await;
        }
        for news in news..self.meta.news.len() {
            self.wait((self.meta.news[news].at - self.house.now()).max(0)).await;
            self.post(&[news]).await;
        }
        self.answer_of(send).await;
    }

    async fn answer_of(&mut self, send: usize) {
        if let Some(n) = self.flights.iter().position(|flight| flight.send == send) {
            self.answer(n).await;
        }
    }
}
