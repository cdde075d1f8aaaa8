//! What account events say, turned into evidence about the account's breaker.

use super::journal::Word;
use super::probing::Purpose;
use super::{Breakers, Settling};
use crate::breaker::{Account as AccountEvent, AccountSays, Event, Extent, Scope, Topic};
use crate::graph::error::ACCOUNT_LOCKED;
use crate::graph::webhook::{Account, AccountNews};
use crate::telemetry::events::AccountNewsEvent;
use crate::telemetry::labels::AccountLabel;

impl Breakers {
    pub(super) fn hear_account(&self, account: &Account) -> Settling {
        let scope = Scope::from(account.waba);
        let (label, text) = told(&account.news);
        self.0.telemetry.emit(AccountNewsEvent { waba: account.waba, label, text: &text });
        let reason = || self.webhook_reason(ACCOUNT_LOCKED, text.clone());
        let (topic, says) = match &account.news {
            AccountNews::Disabled => (Topic::Ban, AccountSays::Locked(reason())),
            AccountNews::Reinstated => (Topic::Ban, AccountSays::Reinstated(reason())),
            AccountNews::Restricted(list) => {
                (Topic::Restrictions, AccountSays::Restricted(Extent::restricted(list), reason()))
            }
            AccountNews::Deleted | AccountNews::Offboarded => {
                (Topic::Membership, AccountSays::Locked(reason()))
            }
            AccountNews::Reconnected => (Topic::Membership, AccountSays::Lifted),
            AccountNews::ReviewRejected => (Topic::Review, AccountSays::Locked(reason())),
            AccountNews::ReviewApproved => (Topic::Review, AccountSays::Lifted),
            AccountNews::Warning(_) => {
                self.check_after_warning(scope);
                return Settling::default();
            }
            AccountNews::Unreadable => return Settling::default(),
        };
        if !self.is_room_for(account.waba) {
            return Settling::default();
        }
        let event = Event::Account(AccountEvent { topic, dated: account.at, says });
        self.apply(scope, Word { dated: account.at, ..Word::from(event) })
    }

    fn check_after_warning(&self, scope: Scope) {
        match self.0.registry.closed(scope) {
            Some(generation) => self.ask(scope, Purpose::Order(generation)),
            None => drop(self.apply_if_known(scope, Event::CheckNow { asked: false })),
        }
    }
}

/// An event's label, and the event in words.
fn told(news: &AccountNews) -> (AccountLabel, String) {
    let (label, text) = match news {
        AccountNews::Disabled => (AccountLabel::Disabled, "account_update DISABLED_UPDATE: DISABLE"),
        AccountNews::Reinstated => (AccountLabel::Reinstated, "account_update DISABLED_UPDATE: REINSTATE"),
        AccountNews::Restricted(list) => {
            let restrictions = list.iter().map(|restriction| match restriction.until {
                Some(until) => format!("{} messages until {until}", restriction.class),
                None => format!("{} messages", restriction.class),
            });
            let restrictions: Vec<_> = restrictions.collect();
            let what = if restrictions.is_empty() { "none".to_owned() } else { restrictions.join(", ") };
            return (AccountLabel::Restricted, format!("account_update ACCOUNT_RESTRICTION: {what}"));
        }
        AccountNews::Deleted => (AccountLabel::Deleted, "account_update ACCOUNT_DELETED"),
        AccountNews::Offboarded => (AccountLabel::Offboarded, "account_update ACCOUNT_OFFBOARDED"),
        AccountNews::Reconnected => (AccountLabel::Reconnected, "account_update ACCOUNT_RECONNECTED"),
        AccountNews::ReviewRejected => (AccountLabel::ReviewRejected, "account_review_update REJECTED"),
        AccountNews::ReviewApproved => (AccountLabel::ReviewApproved, "account_review_update APPROVED"),
        AccountNews::Warning(what) => return (AccountLabel::Warning, what.clone()),
        AccountNews::Unreadable => {
            (AccountLabel::Unreadable, "it can mean two things, or has lost its contents")
        }
    };
    (label, text.to_owned())
}
