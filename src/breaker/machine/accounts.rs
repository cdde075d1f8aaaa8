//! What Meta says of the account: bans, restrictions, reviews. Each is dated, and comes once, twice or late, in any order.

use super::super::event::{Account, AccountSays, Topic};
use super::super::evidence::{About, Reason};
use super::super::extent::Extent;
use super::super::state::{Breaker, State};
use super::super::{Applied, Context, Note};
use super::Locks;
use crate::time::Timestamp;

impl Breaker {
    pub(super) fn account_event(&mut self, account: Account, cx: &Context<'_>, out: &mut Applied) {
        let Account { topic, dated, says } = account;
        // What is dated in the future was said now at the latest. Else it would make late news of all that follows.
        let dated = dated.map(|dated| dated.min(cx.now.plus(cx.policy.skew)));
        let known = self.account.get(topic);
        if let AccountSays::Reinstated(reason) = &says {
            self.lift_list(dated, reason, cx, out);
        }
        if dated.is_some() && dated < known {
            out.notes.push(Note::Stale);
            return;
        }
        // Else it comes once more, or is another one of the same second, or bears no date.
        let is_newest = dated > known;
        if let Some(dated) = dated.filter(|_| is_newest) {
            self.account.set(topic, dated);
            out.changed = true;
        }
        let about = About::Unknown { key: None, dated };
        match says {
            AccountSays::Locked(reason) => self.account_locks(&about, reason, Extent::default(), cx, out),
            AccountSays::Restricted(list, reason) => {
                // A list lifts what it lacks, if it is newer than the one that had it.
                let lifts = is_newest && self.relist(list.as_ref(), &reason, cx, out);
                let is_empty = list.is_none();
                if let Some(list) = list {
                    self.account_locks(&about, reason, list, cx, out);
                }
                if is_empty || lifts {
                    self.check_now(is_newest, cx, out);
                }
            }
            AccountSays::Reinstated(_) | AccountSays::Lifted => self.check_now(is_newest, cx, out),
        }
    }

    /// One word of Meta's is enough, whatever `trip_after` asks of messages.
    fn account_locks(
        &mut self,
        about: &About,
        reason: Reason,
        extent: Extent,
        cx: &Context<'_>,
        out: &mut Applied,
    ) {
        let is_news = self.is_news(about, cx.policy);
        match &self.state {
            State::Closed(_) if is_news => {
                self.trip(reason, extent, None, cx, out);
                self.diagnose(cx, out);
            }
            State::Open(_) if is_news => self.widen(&extent, reason, cx, out),
            State::HalfOpen(half) if about.is_newer(half.entered, half.entered_at, cx.policy.skew) => {
                self.reopen(Locks { reason, extent, only_trial: false }, cx, out);
            }
            _ => out.notes.push(Note::Stale),
        }
    }

    /// A reinstatement lifts the lists from before it, also where it comes when a newer ban is known already.
    fn lift_list(&mut self, dated: Option<Timestamp>, reason: &Reason, cx: &Context<'_>, out: &mut Applied) {
        if dated.is_none() || dated > self.account.get(Topic::Restrictions) {
            if let Some(dated) = dated {
                self.account.set(Topic::Restrictions, dated);
                out.changed = true;
            }
            self.relist(None, reason, cx, out);
        }
    }

    /// Takes over a list of restrictions. Says whether it lacks something that was restricted, or dates it anew.
    fn relist(
        &mut self,
        list: Option<&Extent>,
        reason: &Reason,
        cx: &Context<'_>,
        out: &mut Applied,
    ) -> bool {
        let Some(lock) = self.lock() else { return false };
        let was_restricted = lock.extent.is_restricted();
        let mut extent = lock.extent.relisted(list);
        if self.is_half_open() {
            extent = extent.but_on_trial(&lock.extent, cx.now);
        }
        let changes = extent != lock.extent;
        if changes {
            self.extend(extent, reason.source, &reason.to_string(), cx, out);
        }
        changes && was_restricted
    }
}
