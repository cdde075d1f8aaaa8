//! The program under test: the handle on all breakers, on a disk that outlives it, with a clock that is moved by hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::steps::PHONES;
use crate::breaker::{OverrideOrder, Policy};
use crate::breakers::timers::Due;
use crate::breakers::{Breakers, ProbeTicket, Settings, Timers};
use crate::clock::Clock;
use crate::graph::ids::PhoneNumberId;
use crate::store::{Commit, Store, StoreError, Table};
use crate::telemetry::Telemetry;
use crate::time::Timestamp;

/// 2026-05-01T10:00:00Z
pub(in crate::breakers::tests) const BEGIN: Timestamp = Timestamp::from_seconds(1_777_629_600);

type Records = HashMap<(Table, String), Vec<u8>>;

/// Keeps what it is given, but only by the process that runs: what the one before it still writes is lost, as it is dead.
#[derive(Default)]
pub(in crate::breakers::tests) struct Disk(Mutex<(u64, Records)>);

impl Disk {
    /// `kill -9`: from now on only what this opens is written.
    pub(in crate::breakers::tests) fn next_process(&self) {
        self.0.lock().unwrap().0 += 1;
    }
}

struct Process {
    disk: Arc<Disk>,
    number: u64,
}

impl Store for Process {
    fn put(&self, table: Table, key: String, value: Option<Vec<u8>>) -> Commit {
        let (receipt, commit) = oneshot::channel();
        let mut disk = self.disk.0.lock().unwrap();
        if disk.0 == self.number {
            match value {
                Some(value) => disk.1.insert((table, key), value),
                None => disk.1.remove(&(table, key)),
            };
        }
        receipt.send(Ok(())).unwrap();
        commit
    }

    fn load(&self, table: Table) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let disk = self.disk.0.lock().unwrap();
        let all = disk.1.iter().filter(|((of, _), _)| *of == table);
        Ok(all.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }
}

/// What automation, beneath any order, says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beneath {
    Closed,
    Open,
    HalfOpen,
}

/// One breaker as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stand {
    pub(super) beneath: Beneath,
    pub(super) order: Option<OverrideOrder>,
    pub(super) generation: u64,
}

/// The program, and all that is outside of it and knows of it.
pub(super) struct House {
    pub(super) breakers: Breakers,
    pub(super) phones: [PhoneNumberId; PHONES],
    /// Probes under way.
    pub(super) tickets: Vec<ProbeTicket>,
    /// Counts the processes.
    pub(super) process: u64,
    disk: Arc<Disk>,
    settings: Settings,
    telemetry: Telemetry,
    clock: Clock,
    wakes: mpsc::UnboundedReceiver<Due>,
    probes: mpsc::UnboundedReceiver<ProbeTicket>,
    alarms: [Option<Timestamp>; PHONES],
}

impl House {
    pub(super) fn new(policy: Policy, telemetry: Telemetry) -> Self {
        let (disk, clock) = (Arc::<Disk>::default(), Clock::starting_at(BEGIN));
        let settings = Settings { policy, commit_timeout: Duration::from_millis(250), ..Settings::default() };
        let (breakers, Timers { due: wakes, .. }, probes) = open(&disk, &settings, &telemetry, clock);
        let phones = ["106540352242922", "206540352242922"].map(|id| PhoneNumberId::parse(id).unwrap());
        let (tickets, alarms) = (Vec::new(), [None; PHONES]);
        Self {
            breakers,
            phones,
            tickets,
            process: 0,
            disk,
            settings,
            telemetry,
            clock,
            wakes,
            probes,
            alarms,
        }
    }

    /// `kill -9`, and a new process on the same disk.
    pub(super) fn restart(&mut self) {
        self.disk.next_process();
        self.process += 1;
        (self.tickets, self.alarms) = (Vec::new(), [None; PHONES]);
        let opened = open(&self.disk, &self.settings, &self.telemetry, self.clock);
        (self.breakers, Timers { due: self.wakes, .. }, self.probes) = opened;
        self.disk.0.lock().unwrap().0 = self.process;
    }

    pub(super) const fn skew(&self) -> Duration {
        self.settings.policy.skew
    }

    /// In milliseconds.
    pub(super) fn now(&self) -> i64 {
        self.clock.now().millis()
    }

    pub(super) fn stands(&self, phone: usize) -> Stand {
        let closed = Stand { beneath: Beneath::Closed, order: None, generation: 0 };
        self.breakers.0.registry.get(self.phones[phone].into()).map_or(closed, |cell| {
            cell.read(|breaker| Stand {
                beneath: match breaker.lock() {
                    None => Beneath::Closed,
                    Some(_) if breaker.is_half_open() => Beneath::HalfOpen,
                    Some(_) => Beneath::Open,
                },
                order: breaker.order_at(self.clock.now()).map(|order| order.order),
                generation: breaker.generation().0,
            })
        })
    }

    /// How much evidence was late news, of all phones.
    pub(super) fn stale(&self) -> u64 {
        self.telemetry.stale_evidence()
    }

    /// When something is due next.
    pub(super) fn due(&self) -> Option<i64> {
        self.alarms.iter().flatten().min().map(|at| at.millis().max(self.now()))
    }

    /// Lets the clock go to the next thing that is due, and does it; at most to `until`. Says whose it was.
    pub(super) async fn go(&mut self, until: i64) -> Option<usize> {
        self.collect();
        let soonest = (0..PHONES).filter_map(|phone| Some((self.alarms[phone]?, phone))).min();
        let (at, phone) = match soonest {
            Some((at, phone)) if at.millis() <= until => (at.millis(), Some(phone)),
            _ => (until, None),
        };
        let ahead = u64::try_from(at - self.now()).unwrap_or(0);
        tokio::time::advance(Duration::from_millis(ahead)).await;
        match phone {
            None => self.breakers.sweep(),
            Some(phone) => {
                self.alarms[phone] = None;
                self.breakers.tick(self.phones[phone].into());
            }
        }
        self.collect();
        phone
    }

    /// Takes in what the program asks for: probes, and to be woken.
    pub(super) fn collect(&mut self) {
        while let Ok((scope, at)) = self.wakes.try_recv() {
            let phone = self.phones.iter().position(|known| Some(*known) == scope.phone()).unwrap();
            self.alarms[phone] = at;
        }
        while let Ok(ticket) = self.probes.try_recv() {
            self.tickets.push(ticket);
        }
    }
}

type Opened = (Breakers, Timers, mpsc::UnboundedReceiver<ProbeTicket>);

/// The process that runs from now on.
pub(in crate::breakers::tests) fn open(
    disk: &Arc<Disk>,
    settings: &Settings,
    telemetry: &Telemetry,
    clock: Clock,
) -> Opened {
    let number = disk.0.lock().unwrap().0;
    let store = Arc::new(Process { disk: Arc::clone(disk), number });
    Breakers::open(store, settings.clone(), telemetry.clone(), clock).unwrap()
}
