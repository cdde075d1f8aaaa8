//! Nobody is told of a transition before it is stored.

mod interleavings;
mod messages;
mod width;

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::{Breakers, Gate, Order, OrderKind, Settings, Traits};
use crate::clock::Clock;
use crate::graph::answer::Message;
use crate::graph::ids::PhoneNumberId;
use crate::graph::webhook::{Fact, Status, StatusKind, WebhookError};
use crate::store::{Commit, Store, StoreError, Table};
use crate::telemetry::Telemetry;
use crate::time::Timestamp;

/// A disk that finishes no write until it is told to.
#[derive(Default)]
struct SlowDisk(Mutex<Vec<oneshot::Sender<Result<(), StoreError>>>>);

impl SlowDisk {
    fn finish(&self) {
        for write in self.0.lock().unwrap().drain(..) {
            // Not every write has somebody who waits for it.
            let _ = write.send(Ok(()));
        }
    }
}

impl Store for SlowDisk {
    fn put(&self, _: Table, _: String, _: Option<Vec<u8>>) -> Commit {
        let (write, commit) = oneshot::channel();
        self.0.lock().unwrap().push(write);
        commit
    }

    fn load(&self, _: Table) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        Ok(Vec::new())
    }
}

fn house() -> (Breakers, Arc<SlowDisk>, PhoneNumberId) {
    let disk = Arc::new(SlowDisk::default());
    let settings = Settings { commit_timeout: Duration::from_secs(3600), ..Settings::default() };
    let clock = Clock::starting_at(Timestamp::from_seconds(1_777_629_600));
    let store = Arc::clone(&disk) as Arc<dyn Store>;
    let (breakers, ..) = Breakers::open(store, settings, Telemetry::new(), clock).unwrap();
    (breakers, disk, PhoneNumberId::parse("106540352242922").unwrap())
}

fn forwarded(gate: Gate) -> super::Permit {
    match gate {
        Gate::Forward(permit) => permit,
        Gate::Reject(rejection) => panic!("rejected: {rejection:?}"),
    }
}

#[tokio::test]
async fn whoever_meets_the_lock_waits_for_the_disk_and_a_rejection_does_not() {
    let (breakers, disk, phone) = house();
    let (first, second) = (
        forwarded(breakers.admit(phone, Traits::default())),
        forwarded(breakers.admit(phone, Traits::default())),
    );
    let mut trip = first.locked(131_031, "locked".to_owned(), None);
    let mut witness = second.locked(131_031, "locked".to_owned(), None);
    assert!(matches!(breakers.admit(phone, Traits::default()), Gate::Reject(_)), "a trip acts at once");
    tokio::task::yield_now().await;
    for settling in [&mut trip, &mut witness] {
        assert!(settling.now_or_never().is_none(), "told before it was stored");
    }
    disk.finish();
    tokio::join!(trip, witness);
}

#[tokio::test]
async fn a_leak_waits_for_the_disk_though_nothing_moves() {
    let (breakers, disk, phone) = house();
    let message = |wamid| Message { wamid: Cow::Borrowed(wamid), recipient: None };
    let accepted =
        forwarded(breakers.admit(phone, Traits::default())).accepted(&[message("a"), message("b")], None);
    accepted.await;
    let failed = |wamid: &str| {
        let lock = WebhookError { code: 131_031, title: "locked".to_owned(), details: None };
        Fact::Status(Status {
            waba: None,
            phone,
            wamid: wamid.to_owned(),
            kind: StatusKind::Failed,
            at: None,
            errors: vec![lock],
            recipient: None,
            country: None,
            biz_opaque_callback_data: None,
        })
    };
    let hear = |wamid: &'static str| {
        let (breakers, fact) = (breakers.clone(), failed(wamid));
        tokio::spawn(async move { breakers.hear(&[fact]).await })
    };
    let tripped = hear("a");
    tokio::task::yield_now().await;
    disk.finish();
    tripped.await.unwrap();
    let heard = hear("b");
    while breakers.view(phone).leaked < 2 {
        tokio::task::yield_now().await;
    }
    assert!(!heard.is_finished(), "answered before it was stored");
    disk.finish();
    heard.await.unwrap();
    let again = hear("b");
    again.await.unwrap();
    assert_eq!(breakers.view(phone).leaked, 2);
}

#[tokio::test]
async fn an_order_waits_for_the_disk() {
    let (breakers, disk, phone) = house();
    let order = Order { kind: OrderKind::Open, reason: "drill".to_owned(), by: "ops".to_owned(), hold: None };
    let ordered = tokio::spawn({
        let breakers = breakers.clone();
        async move { breakers.order(phone, order, None).await }
    });
    while breakers.admit_closed(phone).is_some() {
        tokio::task::yield_now().await;
    }
    assert!(!ordered.is_finished());
    disk.finish();
    assert_eq!(ordered.await.unwrap().unwrap().state, "forced_open");
}

#[tokio::test]
async fn a_read_receipt_is_no_send() {
    let (breakers, _, phone) = house();
    breakers.admit_closed(phone).unwrap().no_send();
    drop(breakers.admit_closed(phone).unwrap());
    let counted = breakers.0.telemetry.render(&crate::telemetry::Scrape::default());
    assert!(counted.contains("sendfuse_sends_total{admission=\"forward\"} 1"), "{counted}");
}
