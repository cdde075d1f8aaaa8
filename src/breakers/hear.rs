//! What webhooks say, turned into evidence.

use super::{Breakers, Settling};
use crate::breaker::{About, Event, Reason, Source};
use crate::graph::error::is_lock;
use crate::graph::ids::{PhoneNumberId, WamidKey};
use crate::graph::webhook::{Fact, Status, StatusKind, WebhookError};
use crate::telemetry::events::{HearingEvent, LeakEvent};

impl Breakers {
    /// Takes in what a webhook said, all facts of one post, and returns once every transition that it caused is durable (or
    /// could not be made so in time). To be awaited before the post is acknowledged.
    ///
    /// Cancel safe: all evidence is in before the first await.
    pub async fn hear(&self, facts: &[Fact]) {
        let settlings: Vec<Settling> = facts.iter().map(|fact| self.hear_one(fact)).collect();
        for settling in settlings {
            settling.await;
        }
    }

    fn hear_one(&self, fact: &Fact) -> Settling {
        match fact {
            Fact::Status(status) => {
                self.learn(status.phone, status.waba, true);
                if self.0.hearing.heard(status.phone) {
                    self.0.telemetry.emit(HearingEvent { id: status.phone, deaf: false });
                }
                self.hear_status(status)
            }
            Fact::Number { phone, number } => {
                self.0.pins.learn(*phone, *number);
                Settling::default()
            }
            Fact::Security(news) => {
                self.pin_changed(news);
                Settling::default()
            }
            Fact::Error(fact) => {
                self.learn(fact.phone, fact.waba, false);
                let about = About::Unknown { key: None, dated: fact.at };
                match is_lock(fact.error.code) {
                    true => self.locked_by_webhook(fact.phone, about, &fact.error),
                    false => Settling::default(),
                }
            }
        }
    }

    fn hear_status(&self, status: &Status) -> Settling {
        let inner = &self.0;
        let lock = status.errors.iter().find(|error| is_lock(error.code));
        // All else says nothing new to a closed breaker.
        if lock.is_none()
            && (status.kind == StatusKind::Other || inner.registry.plainly_closed(status.phone).is_some())
        {
            return Settling::default();
        }
        let key = (!status.wamid.is_empty()).then(|| inner.sends.key_of(status.phone, &status.wamid));
        let send = key.and_then(|key| inner.sends.get(key));
        let about = match send {
            Some(send) => About::Send { generation: send.generation, key },
            None => About::Unknown { key, dated: status.at },
        };
        match lock {
            Some(error) => {
                let settling = self.locked_by_webhook(status.phone, about, error);
                if let Some(key) = key {
                    self.count_leak(status.phone, key);
                }
                settling
            }
            None if status.kind == StatusKind::Failed => {
                self.apply_if_known(status.phone, Event::Failed { about })
            }
            None => self
                .apply_if_known(status.phone, Event::Proof { about, sent: status.kind == StatusKind::Sent }),
        }
    }

    fn locked_by_webhook(&self, phone: PhoneNumberId, about: About, error: &WebhookError) -> Settling {
        let reason = Reason {
            code: error.code,
            source: Source::Webhook,
            text: error.title.clone(),
            at: self.now(),
            fbtrace_id: None,
        };
        self.apply(phone, Event::Lock { about, reason })
    }

    /// A message that Meta accepted and failed for the lock, once each, while its phone is held.
    fn count_leak(&self, phone: PhoneNumberId, key: WamidKey) {
        let Some(cell) = self.0.registry.get(phone).filter(|cell| cell.plainly_closed().is_none()) else {
            return;
        };
        // One step, so that of two statuses that come at once only one counts.
        let is_first = self.0.sends.update(key, |send| !std::mem::replace(&mut send.leaked, true));
        if is_first == Some(true) {
            cell.counts.leaked();
            self.0.telemetry.emit(LeakEvent { id: phone });
        }
    }
}
