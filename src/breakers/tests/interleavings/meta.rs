//! Meta, as far as a number's sends go: what really becomes of each of them, and when.

use super::steps::{Free, Locked, Naming, PHONES, Sending};
use crate::graph::ids::PhoneNumberId;
use crate::graph::webhook::{ErrorFact, Fact, Status, StatusKind, WebhookError};
use crate::time::Timestamp;

/// Meta retries a webhook for so long.
const RETRIED: i64 = 7 * 24 * 3_600_000;

/// What Meta answers to a send.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Refused,
    /// As these messages; none, if the answer does not say.
    Accepted(Vec<String>),
    Other,
}

/// What a webhook says of one message, or of none.
#[derive(Clone, Debug)]
pub(super) struct News {
    pub(super) phone: usize,
    /// The message; none, if it is an error without one.
    pub(super) wamid: Option<String>,
    pub(super) kind: StatusKind,
    /// Whether it is 131031.
    pub(super) is_lock: bool,
    /// When it really happened, in milliseconds.
    pub(super) at: i64,
    /// When Meta says that it did: by Meta's clock, in whole seconds.
    pub(super) dated: Timestamp,
}

impl News {
    pub(super) const fn is_good(&self) -> bool {
        matches!(self.kind, StatusKind::Sent | StatusKind::Delivered | StatusKind::Read)
    }

    /// As the webhook listener hands it in.
    pub(super) fn fact(&self, phones: &[PhoneNumberId; PHONES]) -> Fact {
        let phone = phones[self.phone];
        let code = if self.is_lock { 131_031 } else { 131_026 };
        let error = WebhookError { code, title: "failed".to_owned(), details: None };
        match &self.wamid {
            None => Fact::Error(ErrorFact { waba: None, phone, at: Some(self.dated), error }),
            Some(wamid) => Fact::Status(Status {
                waba: None,
                phone,
                wamid: wamid.clone(),
                kind: self.kind,
                at: Some(self.dated),
                errors: if self.kind == StatusKind::Failed { vec![error] } else { Vec::new() },
                recipient: None,
                country: None,
                biz_opaque_callback_data: None,
            }),
        }
    }
}

/// Which phones are locked, and all that was ever said.
pub(super) struct Meta {
    ahead: i64,
    pub(super) locked: [bool; PHONES],
    /// In no particular order; nothing is ever taken out.
    pub(super) news: Vec<News>,
    messages: usize,
}

impl Meta {
    pub(super) fn new(ahead: i64) -> Self {
        Self { ahead, locked: [false; PHONES], news: Vec::new(), messages: 0 }
    }

    /// What has happened by now and is still being told.
    pub(super) fn told(&self, now: i64) -> Vec<usize> {
        let told = |news: &News| news.at <= now && now - news.at < RETRIED;
        (0..self.news.len()).filter(|n| told(&self.news[*n])).collect()
    }

    /// Takes a send, decides what becomes of it, and answers.
    pub(super) fn takes(&mut self, sending: Sending, now: i64) -> Answer {
        let count = if sending.naming == Naming::Several { 3 } else { 1 };
        let wamids: Vec<String> = (0..count).map(|n| format!("wamid.{}", self.messages + n)).collect();
        self.messages += count;
        let course: &[StatusKind] = match (self.locked[sending.phone], sending.locked, sending.free) {
            (true, Locked::Refused, _) => return Answer::Refused,
            (false, _, Free::OtherError) => return Answer::Other,
            (true, Locked::Fails, _) | (false, _, Free::FailsOtherwise) => &[StatusKind::Failed],
            (true, Locked::Both, _) => &[StatusKind::Sent, StatusKind::Failed, StatusKind::Delivered],
            (true, Locked::FailsNameless, _) => &[StatusKind::Other],
            (true, Locked::Silent, _) | (false, _, Free::Silent) => &[],
            (false, _, Free::Good(1)) => &[StatusKind::Sent],
            (false, _, Free::Good(2)) => &[StatusKind::Sent, StatusKind::Delivered],
            (false, _, Free::Good(_)) => &[StatusKind::Sent, StatusKind::Delivered, StatusKind::Read],
        };
        for wamid in &wamids {
            let mut at = now;
            for kind in course {
                at += sending.pace;
                let dated = Timestamp::from_seconds((at + self.ahead).div_euclid(1000));
                let named = *kind != StatusKind::Other;
                let is_lock =
                    self.locked[sending.phone] && matches!(kind, StatusKind::Failed | StatusKind::Other);
                let wamid = named.then(|| wamid.clone());
                self.news.push(News { phone: sending.phone, wamid, kind: *kind, is_lock, at, dated });
            }
        }
        Answer::Accepted(if sending.naming == Naming::None { Vec::new() } else { wamids })
    }
}
