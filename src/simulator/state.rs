//! What the simulated Meta knows: its phones, their locks, and what it counts.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Options;
use super::accounts::{Account, own_waba};
use super::delay::Delay;
use super::faults::FaultRule;
use super::health::Health;
use super::lock::{Held, Profile};
use super::media::Media;
use super::record::{Counts, PhoneCounts, Recorded};
use super::registration::TwoStep;

/// The most failures kept for a later repetition.
const LATE_FAILURES: usize = 10_000;

/// Everything that changes.
pub(super) struct State {
    pub(super) phones: HashMap<String, Phone>,
    /// By the id of their WABA.
    pub(super) accounts: HashMap<String, Account>,
    /// Tokens that are not good any more.
    pub(super) revoked: HashSet<String>,
    pub(super) media: HashMap<String, Media>,
    pub(super) faults: Vec<FaultRule>,
    pub(super) recorded: VecDeque<Recorded>,
    pub(super) totals: Counts,
    pub(super) webhook_url: Option<String>,
    pub(super) status_delay: Delay,
    /// Overrides by `subscribed_apps`, by WABA.
    pub(super) waba_callbacks: HashMap<String, String>,
    accept_any_phone: bool,
}

/// One business phone number.
#[derive(Default)]
pub(super) struct Phone {
    pub(super) waba: String,
    pub(super) display: String,
    pub(super) two_step: TwoStep,
    pub(super) locks: Vec<Held>,
    pub(super) health: Option<Health>,
    pub(super) counts: PhoneCounts,
    /// Not made among many: it is in the counts from the beginning.
    pub(super) named: bool,
    pub(super) callback: Option<String>,
    late: Vec<Bytes>,
    pub(super) wave: Option<Wave>,
}

/// What follows a [`Profile::ReengagementWave`].
pub(super) struct Wave {
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
        let mut state = Self {
            phones: HashMap::new(),
            accounts: HashMap::new(),
            revoked: HashSet::new(),
            media: HashMap::new(),
            faults: Vec::new(),
            recorded: VecDeque::new(),
            totals: Counts::default(),
            webhook_url: options.webhook_url.clone(),
            status_delay: options.status_delay.into(),
            waba_callbacks: HashMap::new(),
            accept_any_phone: options.accept_any_phone,
        };
        for (id, waba) in &options.phones {
            state.add_phone(id, waba.clone()).named = true;
        }
        state
    }

    pub(super) fn node(&self, id: &str) -> Node {
        if self.phones.contains_key(id) {
            Node::Phone
        } else if self.media.contains_key(id) {
            Node::Media
        } else if self.accounts.get(id).is_some_and(|account| !account.phones.is_empty()) {
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
            self.add_phone(id, own_waba(id)).named = true;
        }
        self.phones.get_mut(id)
    }

    pub(super) fn known_phone(&self, id: &str) -> Option<&Phone> {
        self.phones.get(id)
    }

    pub(super) fn counts(&self) -> Counts {
        let counted =
            self.phones.iter().filter(|(_, phone)| phone.named || phone.counts != PhoneCounts::default());
        let phones = counted.map(|(id, phone)| (id.clone(), phone.counts)).collect();
        Counts { phones, ..self.totals.clone() }
    }

    fn may_be_phone(&self, id: &str) -> bool {
        let reserved = [super::BUSINESS, super::APP, super::PARTNER].contains(&id) || id.starts_with('8');
        let digits = (15..=17).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit());
        self.accept_any_phone && digits && !reserved
    }
}

impl Phone {
    pub(super) fn new(id: &str) -> Self {
        let display = match id {
            super::PHONE => "15550783881".to_owned(),
            _ => format!("1555{}", id.get(id.len().saturating_sub(7)..).unwrap_or_default()),
        };
        Self { display, ..Self::default() }
    }

    /// How many of 100 messages go to a window that has closed.
    pub(super) fn closed_windows(&self) -> u8 {
        let wave = self.wave.as_ref().filter(|wave| wave.began.elapsed() < wave.lasting);
        wave.map_or(0, |wave| wave.failed_percent)
    }

    /// Keeps a failure that will be delivered again after the unlock.
    pub(super) fn keep_failure(&mut self, body: &Bytes) {
        if self.late.len() < LATE_FAILURES {
            self.late.push(body.clone());
        }
    }

    /// What follows the end of its locks, or of its WABA's.
    pub(super) fn unlocked(&mut self, id: &str, ended: &[Held]) -> Option<Late> {
        let mut late = None;
        for held in ended {
            match held.lock.profile {
                Profile::LateDuplicates { after } => {
                    let bodies = std::mem::take(&mut self.late);
                    late = Some(Late { phone: id.to_owned(), after, bodies });
                }
                Profile::ReengagementWave { lasting, failed_percent } => {
                    self.wave = Some(Wave { began: Instant::now(), lasting, failed_percent });
                }
                _ => {}
            }
        }
        late
    }
}
