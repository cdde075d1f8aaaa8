//! One webhook as it is to be judged: which of its news is news.

use std::time::Duration;

use super::meta::News;
use super::witness::{Mark, Sent, millis};

/// What one webhook says of one phone, and what the program can know of it.
pub(super) struct Post<'a> {
    pub(super) news: Vec<&'a News>,
    pub(super) sends: &'a [Sent],
    /// The process that hears it: what another one knew is forgotten.
    pub(super) process: u64,
    pub(super) skew: Duration,
}

impl<'a> Post<'a> {
    pub(super) fn locks(&self) -> impl Iterator<Item = &'a News> {
        self.news.iter().copied().filter(|news| news.is_lock)
    }

    pub(super) fn good(&self) -> impl Iterator<Item = &'a News> {
        self.news.iter().copied().filter(|news| news.is_good())
    }

    /// The send that this is about, if the process that hears it heard its answer too.
    pub(super) fn heard_of(&self, news: &News) -> Option<&'a Sent> {
        let wamid = news.wamid.as_ref()?;
        let sent = self.sends.iter().find(|sent| sent.wamids.contains(wamid))?;
        (sent.known_to == Some(self.process)).then_some(sent)
    }

    /// The send that this is about, if it is still in the memory of sends.
    pub(super) fn remembered(&self, news: &News) -> Option<&'a Sent> {
        self.heard_of(news).filter(|sent| sent.is_remembered)
    }

    /// Whether this is newer than that moment: a send that is known, by when it went out; anything else, by Meta's date, which
    /// must be later by more than the skew.
    pub(super) fn is_newer(&self, news: &News, mark: Mark) -> bool {
        if let Some(sent) = self.remembered(news) {
            return sent.place > mark.place;
        }
        let by_date = news.dated.millis() > mark.at.saturating_add(millis(self.skew));
        assert!(!by_date || news.at > mark.at, "a clock within the skew makes nothing newer than it is");
        by_date
    }
}
