//! What Meta says, made of what a step says.

use super::run::Run;
use super::steps::{Ahead, Found, News};
use crate::breaker::Scope;
use crate::graph::class::Class;
use crate::graph::health::{Entity, Health, Unknown};
use crate::graph::ids::PhoneNumberId;
use crate::graph::webhook::{AccountNews, Fact, Restriction, Status, StatusKind, WebhookError};

impl Run {
    pub(super) fn news(&self, news: &News) -> AccountNews {
        match news {
            News::Disabled => AccountNews::Disabled,
            News::Reinstated => AccountNews::Reinstated,
            News::Restricted(list) => {
                let one = |(class, until): &(Class, Option<Ahead>)| Restriction {
                    class: *class,
                    until: until.map(|ahead| self.at(ahead)),
                };
                AccountNews::Restricted(list.iter().map(one).collect())
            }
            News::Deleted => AccountNews::Deleted,
            News::Offboarded => AccountNews::Offboarded,
            News::Reconnected => AccountNews::Reconnected,
            News::Rejected => AccountNews::ReviewRejected,
            News::Approved => AccountNews::ReviewApproved,
            News::Warning => AccountNews::Warning("SCHEDULE_FOR_DISABLE".to_owned()),
            News::Unreadable => AccountNews::Unreadable,
        }
    }

    /// `Other` stands for a failure that is no lock's.
    pub(super) fn status(
        &self,
        phone: PhoneNumberId,
        wamid: String,
        kind: StatusKind,
        dated: Option<Ahead>,
        names_waba: bool,
    ) -> Fact {
        let n = self.phones.iter().position(|known| *known == phone).unwrap();
        let (kind, errors) = match kind {
            StatusKind::Failed => (StatusKind::Failed, vec![lock()]),
            StatusKind::Other => (StatusKind::Failed, Vec::new()),
            kind => (kind, Vec::new()),
        };
        Fact::Status(Status {
            waba: names_waba.then(|| self.wabas[self.owners[n]]),
            phone,
            country: None,
            wamid,
            kind,
            at: dated.map(|ahead| self.at(ahead)),
            errors,
            recipient: None,
            biz_opaque_callback_data: None,
        })
    }

    pub(super) fn health(&self, scope: Scope, found: Found) -> Health {
        let (phone_blocks, account_blocks) = match found {
            Found::Unknown => return Health::Unknown(Unknown::NoAnswer),
            Found::Clear => (false, None),
            Found::Blocked { phone, account } => (phone, account),
        };
        let waba = match scope.phone() {
            Some(phone) => {
                let n = self.phones.iter().position(|known| *known == phone).unwrap();
                self.wabas[self.owners[n]].to_string()
            }
            None => scope.id().into_owned(),
        };
        let entity = |kind: &str, id: &str, blocks| Entity {
            kind: kind.to_owned(),
            id: Some(id.to_owned()),
            can_send_message: if blocks { "BLOCKED" } else { "AVAILABLE" }.to_owned(),
            errors: Vec::new(),
            blocks,
        };
        let phone = scope.phone().map(|phone| entity("PHONE_NUMBER", phone.as_str(), phone_blocks));
        let account = ["WABA", "BUSINESS", "APP"].map(|kind| {
            let blocks = account_blocks == Some(kind) || (scope.phone().is_none() && phone_blocks);
            entity(kind, if kind == "WABA" { &waba } else { "9" }, blocks)
        });
        let entities = phone.into_iter().chain(account).collect();
        if phone_blocks || account_blocks.is_some() {
            Health::Blocked(entities)
        } else {
            Health::Clear(entities)
        }
    }
}

pub(super) fn lock() -> WebhookError {
    WebhookError { code: 131_031, title: "Business Account locked".to_owned(), details: None }
}
