//! What webhooks say, turned into evidence.

use std::time::Duration;

use super::journal::Word;
use super::{Breakers, Reach, Rule, Settling, Traits};
use crate::breaker::{About, Event, Extent, Reason, Scope, Source};
use crate::graph::error::is_lock;
use crate::graph::ids::{PhoneNumberId, Wamid, WamidKey};
use crate::graph::webhook::{Fact, Status, StatusKind, WebhookError};
use crate::incident::Leak;
use crate::registry::Accepted;
use crate::store::Commit;
use crate::telemetry::events::HearingEvent;
use crate::time::Timestamp;

impl Breakers {
    /// Takes in what a webhook said, all facts of one post, and returns once every transition that it caused and every leak
    /// that it told of is durable (or could not be made so in time). To be awaited before the post is acknowledged.
    ///
    /// Cancel safe: all evidence is in before the first await.
    pub async fn hear(&self, facts: &[Fact]) {
        let mut leaks = None;
        // Delivered and 131031 for one message means open, whichever stands first in the post.
        let (locks, others): (Vec<_>, Vec<_>) = facts.iter().partition(|fact| tells_of_lock(fact));
        let settlings: Vec<Settling> =
            locks.into_iter().chain(others).map(|fact| self.hear_one(fact, &mut leaks)).collect();
        for settling in settlings {
            settling.await;
        }
        // The last one's receipt is good for those before it.
        leak_is_stored(leaks, self.settings().commit_timeout).await;
    }

    fn hear_one(&self, fact: &Fact, leaks: &mut Option<Commit>) -> Settling {
        match fact {
            Fact::Status(status) => {
                self.learn(status.phone, status.waba, true);
                if self.0.hearing.heard(status.phone) {
                    self.0.telemetry.emit(HearingEvent { id: status.phone, deaf: false });
                }
                self.hear_status(status, leaks)
            }
            Fact::Number { phone, number } => {
                self.0.pins.learn(*phone, *number);
                Settling::default()
            }
            Fact::Security(news) => {
                self.pin_changed(news);
                Settling::default()
            }
            Fact::Account(account) => self.hear_account(account),
            Fact::Error(fact) => {
                self.learn(fact.phone, fact.waba, false);
                let about = About::Unknown { key: None, dated: fact.at };
                if is_lock(fact.error.code) {
                    return self.locked_by_webhook(fact.phone, about, None, fact.at, &fact.error);
                }
                let Some(rule) = self.rule(fact.error.code) else { return Settling::default() };
                match self.reached(&rule, fact.phone, &Traits::default()) {
                    Some(scope) => {
                        let event = self.ruled(&rule, &fact.error, about);
                        self.apply(scope, Word { dated: fact.at, ..Word::from(event) })
                    }
                    None => Settling::default(),
                }
            }
        }
    }

    fn hear_status(&self, status: &Status, leaks: &mut Option<Commit>) -> Settling {
        let inner = &self.0;
        let lock = status.lock();
        let ruled = status.errors.iter().filter(|_| lock.is_none());
        let ruled = ruled.filter_map(|error| Some((self.rule(error.code)?, error))).next();
        // All else says nothing new to a closed breaker.
        let says_nothing = lock.is_none()
            && ruled.is_none()
            && (status.kind == StatusKind::Other || self.is_plainly_closed(status.phone));
        let observed = inner.would_rejects.has(status.phone);
        if says_nothing && !observed {
            return Settling::default();
        }
        let key = (!status.wamid.is_empty()).then(|| inner.sends.key_of(status.phone, &status.wamid));
        if let Some(key) = key.filter(|_| observed) {
            let kind = if lock.is_some() { StatusKind::Failed } else { status.kind };
            self.observe_status(status.phone, key, kind);
        }
        if says_nothing {
            return Settling::default();
        }
        let mut send = key.and_then(|key| inner.sends.get(key));
        if let (None, Some(key), Some(_)) = (send, key, lock) {
            inner.overtaking.keep(key, status, self.now());
            // Its answer may have come in between, and found nothing to take.
            send = inner.sends.get(key).filter(|_| inner.overtaking.take(key, self.now()).is_some());
        }
        // The send of a breaker that was forgotten since is judged by the date.
        let send = send.filter(|send| inner.registry.generation_holds(send.generation, send.at));
        let about = match send {
            Some(send) => About::Send { generation: send.generation, key },
            None => About::Unknown { key, dated: status.at },
        };
        let of_others = self.tell_others(status, key, send.as_ref(), ruled);
        let settling = match lock {
            Some(error) => {
                let wamid = Wamid::parse(&status.wamid);
                let settling = self.locked_by_webhook(status.phone, about, wamid, status.at, error);
                if let Some(key) = key {
                    *leaks = self.note_leak(status, key, error.code).or(leaks.take());
                }
                settling
            }
            None => {
                let rule = ruled.filter(|(rule, _)| rule.reach == Reach::Phone);
                let event = match rule {
                    Some((rule, error)) => self.ruled(&rule, error, about),
                    None => said(status, about, send.as_ref()),
                };
                match rule {
                    Some(_) => self.apply(status.phone.into(), word(status, event)),
                    None => self.apply_if_known(status.phone.into(), word(status, event)),
                }
            }
        };
        settling.and(of_others)
    }

    /// What a status says to the breakers of the phone's account and of the recipient's country. The lock of one phone says nothing of
    /// the others, unless the message is a trial of their account; a rule says what it says. All else means nothing to those that are
    /// closed.
    fn tell_others(
        &self,
        status: &Status,
        key: Option<WamidKey>,
        send: Option<&Accepted>,
        ruled: Option<(Rule, &WebhookError)>,
    ) -> Settling {
        let inner = &self.0;
        // The generations of these are not kept with each send: the time of its acceptance is.
        let about = About::Unknown { key, dated: send.map(|send| send.at).or(status.at) };
        let country = send.and_then(|send| send.country).or(status.country);
        let traits = Traits { country, ..Traits::default() };
        let waba = inner.phones.get(status.phone).waba.map(Scope::from);
        let country = country.map(|country| Scope::PhoneCountry(status.phone, country));
        let ruled = ruled.and_then(|(rule, error)| {
            Some((self.reached(&rule, status.phone, &traits)?, self.ruled(&rule, error, about)))
        });
        let mut settling = Settling::default();
        for scope in [waba, country].into_iter().flatten() {
            let event = match (&ruled, status.lock()) {
                (Some((reached, event)), _) if *reached == scope => event.clone(),
                _ if inner.registry.closed(scope).is_some() => continue,
                (_, Some(error)) if matches!(scope, Scope::Waba(_)) => {
                    let reason = self.reason(error);
                    Event::Lock { about, reason, extent: Extent::default(), only_trial: true }
                }
                (_, Some(_)) => Event::Failed { about },
                (_, None) => said(status, about, send),
            };
            settling = settling.and(self.apply(scope, word(status, event)));
        }
        settling
    }

    /// A failure that a rule makes evidence.
    fn ruled(&self, rule: &Rule, error: &WebhookError, about: About) -> Event {
        Event::Lock { about, reason: self.reason(error), extent: rule.extent(self.now()), only_trial: false }
    }

    /// Where the configuration has one phone's lock hold for its whole account.
    pub(super) fn spread(
        &self,
        phone: PhoneNumberId,
        about: About,
        dated: Option<Timestamp>,
        reason: &Reason,
    ) -> Settling {
        let inner = &self.0;
        let settings = inner.settings.load();
        let Some(waba) = inner.phones.get(phone).waba.filter(|_| settings.spread) else {
            return Settling::default();
        };
        // What is late news for the phone is late news for its account.
        let cell = inner.registry.get(phone.into());
        if cell.is_some_and(|cell| cell.read(|breaker| !breaker.is_news(&about, &settings.policy))) {
            return Settling::default();
        }
        let about = About::Unknown { key: about.key(), dated };
        let (reason, extent) = (reason.clone(), Extent::default());
        self.apply(waba.into(), Event::Lock { about, reason, extent, only_trial: false })
    }

    pub(super) fn is_plainly_closed(&self, phone: PhoneNumberId) -> bool {
        self.0.registry.plainly_closed(phone, || self.0.phones.get(phone).waba).is_some()
    }

    /// A message is remembered. If its failure has overtaken its answer, that is heard now: as a leak, and where its date was not
    /// enough to open, as evidence about a send of ours.
    pub(super) fn hear_overtaking(
        &self,
        phone: PhoneNumberId,
        key: WamidKey,
        now: Timestamp,
    ) -> Option<Settling> {
        let failure = self.0.overtaking.take(key, now)?;
        let mut leak = None;
        // Also beneath an order, where automation goes on. To an open breaker it says nothing more.
        let cell = self.0.registry.get(phone.into());
        let is_open = cell.is_some_and(|cell| cell.read(|breaker| breaker.next_check().is_some()));
        let settling = match is_open {
            false => self.hear_status(&failure, &mut leak),
            true => {
                if self.0.would_rejects.has(phone) {
                    self.observe_status(phone, key, StatusKind::Failed);
                }
                leak = failure.lock().and_then(|error| self.note_leak(&failure, key, error.code));
                Settling::default()
            }
        };
        let patience = self.settings().commit_timeout;
        Some(Settling::on(self.0.runtime.spawn(async move {
            settling.await;
            leak_is_stored(leak, patience).await;
        })))
    }

    fn locked_by_webhook(
        &self,
        phone: PhoneNumberId,
        about: About,
        wamid: Option<Wamid>,
        dated: Option<Timestamp>,
        error: &WebhookError,
    ) -> Settling {
        let reason = self.reason(error);
        // A known send's own time is worth more than the date of its failure.
        let accepted_at = about.key().and_then(|key| self.0.sends.get(key)).map(|send| send.at);
        let spread = self.spread(phone, about, accepted_at.or(dated), &reason);
        let event = Event::Lock { about, reason, extent: Extent::default(), only_trial: false };
        self.apply(phone.into(), Word { wamid, dated, ..Word::from(event) }).and(spread)
    }

    fn reason(&self, error: &WebhookError) -> Reason {
        self.webhook_reason(error.code, error.title.clone())
    }

    pub(super) fn webhook_reason(&self, code: i64, text: String) -> Reason {
        Reason { code, source: Source::Webhook, text, at: self.now(), fbtrace_id: None }
    }

    /// A message failed for the lock. If Meta had accepted it here it is a leak, once.
    fn note_leak(&self, status: &Status, key: WamidKey, code: i64) -> Option<Commit> {
        // One step, so that of two statuses that come at once only one counts.
        let first = |send: &mut Accepted| (!std::mem::replace(&mut send.leaked, true)).then_some(*send);
        let send = self.0.sends.update(key, first).flatten()?;
        let leak = Leak {
            wamid: Wamid::parse(&status.wamid)?,
            accepted_at: send.at,
            // Meta's dates are in whole seconds: the second of the acceptance may have begun before it.
            failed_at: status.at.map_or_else(|| self.now(), |at| at.max(send.at)),
            code,
            fbtrace_id: send.fbtrace_id.map(|id| id.as_str().to_owned()),
            biz_opaque_callback_data: status.biz_opaque_callback_data.clone(),
            recipient: send.recipient.map(|it| it.as_str().to_owned()).or_else(|| status.recipient.clone()),
        };
        self.leaked(status.phone.into(), &send, leak)
    }
}

/// Waits until a leak is on stable storage. Late or failed: the store goes on trying, and says so.
async fn leak_is_stored(commit: Option<Commit>, patience: Duration) {
    if let Some(commit) = commit {
        drop(tokio::time::timeout(patience, commit).await);
    }
}

/// What a status says, with what the breaker need not know.
fn word(status: &Status, event: Event) -> Word {
    Word { wamid: Wamid::parse(&status.wamid), dated: status.at, ..Word::from(event) }
}

/// What a status without a lock says.
fn said(status: &Status, about: About, send: Option<&Accepted>) -> Event {
    match status.kind {
        StatusKind::Failed => Event::Failed { about },
        kind => {
            let class = send.and_then(|send| send.class);
            Event::Proof { about, sent: kind == StatusKind::Sent, class }
        }
    }
}

fn tells_of_lock(fact: &Fact) -> bool {
    match fact {
        Fact::Status(status) => status.lock().is_some(),
        Fact::Error(fact) => is_lock(fact.error.code),
        Fact::Account(account) => account.news.locks(),
        Fact::Number { .. } | Fact::Security(_) => false,
    }
}
