//! The program under test: several accounts with several phones each, on a disk that outlives it, with a clock moved by hand.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::breaker::Scope;
use crate::breakers::tests::interleavings::house::{BEGIN, Disk, open};
use crate::breakers::timers::Due;
use crate::breakers::{Breakers, ProbeTicket, Settings, Timers};
use crate::clock::Clock;
use crate::telemetry::Telemetry;
use crate::time::Timestamp;

pub(super) struct House {
    pub(super) breakers: Breakers,
    disk: Arc<Disk>,
    settings: Settings,
    telemetry: Telemetry,
    clock: Clock,
    wakes: mpsc::UnboundedReceiver<Due>,
    probes: mpsc::UnboundedReceiver<ProbeTicket>,
    alarms: HashMap<Scope, Timestamp>,
}

impl House {
    pub(super) fn new(settings: Settings, telemetry: Telemetry) -> Self {
        let (disk, clock) = (Arc::<Disk>::default(), Clock::starting_at(BEGIN));
        let (breakers, Timers { due: wakes, .. }, probes) = open(&disk, &settings, &telemetry, clock);
        Self { breakers, disk, settings, telemetry, clock, wakes, probes, alarms: HashMap::new() }
    }

    /// `kill -9`, and a new process on the same disk.
    pub(super) fn restart(&mut self) {
        self.disk.next_process();
        self.alarms.clear();
        let opened = open(&self.disk, &self.settings, &self.telemetry, self.clock);
        (self.breakers, Timers { due: self.wakes, .. }, self.probes) = opened;
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets the clock go to the next thing that is due, and does it; at most to `until`. Says whether there was one.
    pub(super) async fn go(&mut self, until: Timestamp) -> bool {
        self.listen();
        let soonest = self.alarms.iter().map(|(scope, at)| (*at, *scope)).min();
        let soonest = soonest.filter(|(at, _)| *at <= until);
        let at = soonest.map_or(until, |(at, _)| at);
        tokio::time::advance(at.since(self.now())).await;
        if let Some((_, scope)) = soonest {
            self.alarms.remove(&scope);
            self.breakers.tick(scope);
        }
        soonest.is_some()
    }

    /// The probes that the program asks for.
    pub(super) fn asked(&mut self) -> Vec<ProbeTicket> {
        self.listen();
        std::iter::from_fn(|| self.probes.try_recv().ok()).collect()
    }

    fn listen(&mut self) {
        while let Ok((scope, at)) = self.wakes.try_recv() {
            match at {
                Some(at) => drop(self.alarms.insert(scope, at)),
                None => drop(self.alarms.remove(&scope)),
            }
        }
    }
}
