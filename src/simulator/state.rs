//! What the simulated Meta knows: its phones, their locks, and what it counts.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Options;
use super::delay::Delay;
use super::faults::FaultRule;
use super::health::Health;
use super::lock::{Lock, Profile};
use super::media::Media;
use super::record::{Counts, PhoneCounts, Recorded};
use super::registration::TwoStep;

/// The most failures kept for a later repetition.
const LATE_FAILURES: usize = 10_000;

/// Everything that changes.
pub(super) struct State {
    phones: HashMap<String, Phone>,
    pub(super) media: HashMap<String, Media>,
    pub(super) faults: Vec<FaultRule>,
    pub(super) recorded: VecDeque<Recorded>,
    pub(super) totals: Counts,
    pub(super) webhook_url: Option<String>,
    pub(super) status_delay: Delay,
    /// Overrides by `subscribed_apps`, by WABA.
    pub(super) waba_callbacks: HashMap<String, String>,
    banned: HashSet<String>,
    accept_any_phone: bool,
}

/// One business phone number.
#[derive(Default)]
pub(super) struct Phone {
    pub(super) waba: String,
    pub(super) display: String,
    pub(super) two_step: TwoStep,
    pub(super) lock: Option<Lock>,
    pub(super) health: Option<Health>,
    pub(super) counts: PhoneCounts,
    pub(super) callback: Option<String>,
    late: Vec<Bytes>,
    wave: Option<Wave>,
}

/// What follows a [`Profile::ReengagementWave`].
struct Wave {
    began: Instant,
    lasting: Duration,
    failed_percent: u8,
}

/// Failures to be delivered again, and when.
pub(super) struct Late {
    pub(super) phone: String,
    pub(super) after: Duration,
    pub(super) bodies: Vec<Bytes>,
}

/// What an id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Phone,
    Waba,
    Media,
    Unknown,
}

impl State {
    pub(super) fn new(options: &Options) -> Self {
        let phones = options.phones.iter().map(|(id, waba)| (id.clone(), Phone::new(id, waba.clone())));
        Self {
            phones: phones.collect(),
            media: HashMap::new(),
            faults: Vec::new(),
            recorded: VecDeque::new(),
            totals: Counts::default(),
            webhook_url: options.webhook_url.clone(),
            status_delay: options.status_delay.into(),
            waba_callbacks: HashMap::new(),
            banned: HashSet::new(),
            accept_any_phone: options.accept_any_phone,
        }
    }

    pub(super) fn node(&self, id: &str) -> Node {
        if self.phones.contains_key(id) {
            Node::Phone
        } else if self.media.contains_key(id) {
            Node::Media
        } else if self.phones.values().any(|phone| phone.waba == id) {
            Node::Waba
        } else if self.may_be_phone(id) {
            Node::Phone
        } else {
            Node::Unknown
        }
    }

    /// The phone of this id. An acceptable one that was never named before comes into being.
    pub(super) fn phone(&mut self, id: &str) -> Option<&mut Phone> {
        if !self.phones.contains_key(id) {
            if self.node(id) != Node::Phone {
                return None;
            }
            let waba = format!("8{}", id.get(1..).unwrap_or_default());
            self.phones.insert(id.to_owned(), Phone::new(id, waba));
        }
        self.phones.get_mut(id)
    }

    pub(super) fn known_phone(&self, id: &str) -> Option<&Phone> {
        self.phones.get(id)
    }

    /// The phones of a WABA, in the order of their ids.
    pub(super) fn phones_of(&self, waba: &str) -> BTreeMap<&String, &Phone> {
        self.phones.iter().filter(|(_, phone)| phone.waba == waba).collect()
    }

    pub(super) fn banned(&self, waba: &str) -> bool {
        self.banned.contains(waba)
    }

    /// Whether one of a WABA's phones is a new one under review; then the WABA is.
    pub(super) fn under_review(&self, waba: &str) -> bool {
        self.phones.values().any(|phone| phone.waba == waba && phone.under_review())
    }

    pub(super) fn lock_phone(&mut self, id: &str, lock: Lock) {
        let Some(phone) = self.phone(id) else { return };
        let waba = phone.waba.clone();
        phone.wave = None;
        phone.lock = Some(lock.clone());
        if lock.profile == Profile::Ban {
            for sibling in self.phones.values_mut().filter(|sibling| sibling.waba == waba) {
                sibling.lock = Some(lock.clone());
            }
            self.banned.insert(waba);
        }
    }

    pub(super) fn unlock_phone(&mut self, id: &str) -> Option<Late> {
        let phone = self.phone(id)?;
        let bodies = std::mem::take(&mut phone.late);
        let waba = phone.waba.clone();
        match phone.lock.take()?.profile {
            Profile::LateDuplicates { after } => Some(Late { phone: id.to_owned(), after, bodies }),
            Profile::ReengagementWave { lasting, failed_percent } => {
                phone.wave = Some(Wave { began: Instant::now(), lasting, failed_percent });
                None
            }
            Profile::Ban => {
                for sibling in self.phones.values_mut().filter(|sibling| sibling.waba == waba) {
                    sibling.lock = None;
                }
                self.banned.remove(&waba);
                None
            }
            _ => None,
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let phones = self.phones.iter().map(|(id, phone)| (id.clone(), phone.counts)).collect();
        Counts { phones, ..self.totals.clone() }
    }

    fn may_be_phone(&self, id: &str) -> bool {
        let reserved = [super::BUSINESS, super::APP].contains(&id) || id.starts_with('8');
        let digits = (15..=17).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit());
        self.accept_any_phone && digits && !reserved
    }
}

impl Phone {
    fn new(id: &str, waba: String) -> Self {
        let display = match id {
            super::PHONE => "15550783881".to_owned(),
            _ => format!("1555{}", id.get(id.len().saturating_sub(7)..).unwrap_or_default()),
        };
        Self { waba, display, ..Self::default() }
    }

    pub(super) fn under_review(&self) -> bool {
        self.lock.as_ref().is_some_and(|lock| lock.profile == Profile::ReviewPending)
    }

    /// How many of 100 messages go to a window that has closed.
    pub(super) fn closed_windows(&self) -> u8 {
        let wave = self.wave.as_ref().filter(|wave| wave.began.elapsed() < wave.lasting);
        wave.map_or(0, |wave| wave.failed_percent)
    }

    /// Keeps a failure that will be delivered again after the unlock.
    pub(super) fn keep_failure(&mut self, body: &Bytes) {
        let late =
            self.lock.as_ref().is_some_and(|lock| matches!(lock.profile, Profile::LateDuplicates { .. }));
        if late && self.late.len() < LATE_FAILURES {
            self.late.push(body.clone());
        }
    }
}
