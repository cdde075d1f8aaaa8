//! Messages and what is said of them: several to an answer, none, many statuses of one, and whether they are remembered or not.

use std::borrow::Cow;
use std::time::Duration;

use super::forwarded;
use crate::breakers::{Breakers, Order, OrderKind, ProbeTicket, Settings, Traits};
use crate::clock::Clock;
use crate::graph::answer::Message;
use crate::graph::health::Health;
use crate::graph::ids::PhoneNumberId;
use crate::graph::webhook::{Fact, Status, StatusKind, WebhookError};
use crate::registry::{Inline, Observed};
use crate::store::memory::Memory;
use crate::telemetry::Telemetry;
use crate::time::Timestamp;
use StatusKind::{Delivered, Failed, Read, Sent};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::{CancellationToken, DropGuard};

const PHONE: &str = "106540352242922";
const OTHER: &str = "206540352242922";
const TRACE: &str = "Az8or2yhqkZfEZ-_4Qn_Bam";

/// What happens to a phone.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A send is answered with these messages.
    Accepted(&'static [&'static str]),
    /// Meta says this of a message; a failure is one of the lock.
    Said(&'static str, StatusKind),
    /// The same, but it names another phone.
    SaidOfOther(&'static str, StatusKind),
    /// The probes find nothing that blocks, until the breaker is half-open.
    Cleared,
    /// An operator closes it.
    Reset,
}
use Step::{Accepted, Cleared, Reset, Said, SaidOfOther};

struct House {
    breakers: Breakers,
    probes: UnboundedReceiver<ProbeTicket>,
    /// Whether each send is forgotten at once.
    forgets: bool,
    _stop: DropGuard,
}

fn id(phone: &str) -> PhoneNumberId {
    PhoneNumberId::parse(phone).unwrap()
}

impl House {
    fn new(forgets: bool, observe: bool) -> Self {
        let settings = Settings { observe, commit_timeout: Duration::from_secs(1), ..Settings::default() };
        let clock = Clock::starting_at(Timestamp::from_seconds(1_777_629_600));
        let (breakers, timers, probes) =
            Breakers::open(std::sync::Arc::new(Memory), settings, Telemetry::new(), clock).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(timers.run(stop.clone()));
        Self { breakers, probes, forgets, _stop: stop.drop_guard() }
    }

    async fn take(&mut self, step: Step) {
        // Each step is dated later than the last by more than the skew, as Meta would.
        tokio::time::sleep(Duration::from_secs(5)).await;
        match step {
            Accepted(wamids) => {
                let recipient = |n| Some(format!("…000{n}"));
                let message = |(n, wamid): (usize, &&'static str)| Message {
                    wamid: Cow::Borrowed(*wamid),
                    recipient: recipient(n),
                };
                let messages: Vec<_> = wamids.iter().enumerate().map(message).collect();
                forwarded(self.breakers.admit(id(PHONE), Traits::default()))
                    .accepted(&messages, Some(TRACE))
                    .await;
                if self.forgets {
                    self.breakers.0.sends.forget_all();
                }
            }
            Said(wamid, kind) => self.say(PHONE, wamid, kind).await,
            SaidOfOther(wamid, kind) => self.say(OTHER, wamid, kind).await,
            Cleared => {
                while self.breakers.view(id(PHONE)).state != "half_open" {
                    let ticket = self.probes.recv().await.unwrap();
                    self.breakers.probed(&ticket, Health::Clear(Vec::new())).await;
                }
            }
            Reset => {
                let (reason, by) = ("because".to_owned(), "ops".to_owned());
                let order = Order { kind: OrderKind::Reset, reason, by, hold: None };
                self.breakers.order(id(PHONE), order, None).await.unwrap();
            }
        }
    }

    async fn say(&self, phone: &str, wamid: &str, kind: StatusKind) {
        let lock = WebhookError { code: 131_031, title: "Business Account locked".into(), details: None };
        let status = Status {
            waba: None,
            phone: id(phone),
            wamid: wamid.to_owned(),
            kind,
            at: Some(self.breakers.now()),
            errors: (kind == Failed).then_some(lock).into_iter().collect(),
            recipient: None,
            country: None,
            biz_opaque_callback_data: None,
        };
        self.breakers.hear(&[Fact::Status(status)]).await;
    }
}

/// What happens; the state that it ends in; and the leaks counted, where sends are remembered.
type Case = (&'static [Step], &'static str, u64);

const CASES: &[Case] = &[
    // Several messages to an answer.
    (&[Accepted(&["a", "b", "c"]), Said("c", Failed)], "open", 1),
    (&[Accepted(&["a", "b"]), Said("b", Failed), Said("a", Failed), Said("b", Failed)], "open", 2),
    (&[Accepted(&["a", "b"]), Said("a", Delivered), Said("b", Failed)], "open", 1),
    (&[Accepted(&["x"]), Said("x", Failed), Cleared, Accepted(&["a", "b"]), Said("b", Sent)], "closed", 1),
    (&[Accepted(&["x"]), Said("x", Failed), Cleared, Accepted(&["a", "b"]), Said("b", Failed)], "open", 2),
    // None: `/messages_encrypted`.
    (&[Accepted(&[])], "closed", 0),
    (&[Accepted(&[]), Said("sealed", Sent), Said("sealed", Delivered)], "closed", 0),
    (&[Accepted(&[]), Said("sealed", Failed)], "open", 0),
    (&[Accepted(&["x"]), Said("x", Failed), Cleared, Accepted(&[]), Said("sealed", Sent)], "closed", 1),
    (&[Accepted(&["x"]), Said("x", Failed), Cleared, Accepted(&[]), Said("sealed", Failed)], "open", 1),
    // A group: one message, a status for each member.
    (
        &[Accepted(&["g"]), Said("g", Sent), Said("g", Delivered), Said("g", Delivered), Said("g", Read)],
        "closed",
        0,
    ),
    (
        &[Accepted(&["g"]), Said("g", Sent), Said("g", Delivered), Said("g", Failed), Said("g", Failed)],
        "open",
        1,
    ),
    (
        &[Accepted(&["g"]), Said("g", Failed), Said("g", Delivered), Said("g", Read), Said("g", Failed)],
        "open",
        1,
    ),
    // Delivered and failed, in either order.
    (&[Accepted(&["a"]), Said("a", Delivered), Said("a", Failed)], "open", 1),
    (&[Accepted(&["a"]), Said("a", Failed), Said("a", Delivered)], "open", 1),
    // A message of one phone is no message of another's.
    (&[Accepted(&["a"]), SaidOfOther("a", Failed)], "closed", 0),
    (&[Accepted(&["a"]), Said("a", Failed), SaidOfOther("a", Failed)], "open", 1),
];

#[tokio::test(start_paused = true)]
async fn each_case_ends_as_it_should() {
    for (steps, state, leaked) in CASES {
        let mut house = House::new(false, false);
        for step in *steps {
            house.take(*step).await;
        }
        let view = house.breakers.view(id(PHONE));
        assert_eq!((view.state, view.leaked), (*state, *leaked), "{steps:?}");
    }
}

/// What the memory has lost is judged by Meta's date, to the same end: correctness does not depend on it.
#[tokio::test(start_paused = true)]
async fn each_case_ends_the_same_without_a_memory() {
    for (steps, state, _) in CASES {
        let mut house = House::new(true, false);
        for step in *steps {
            house.take(*step).await;
        }
        let view = house.breakers.view(id(PHONE));
        assert_eq!((view.state, view.leaked), (*state, 0), "{steps:?}");
    }
}

/// The one difference: with a memory, it is the send's own generation that decides, whatever Meta's date says.
#[tokio::test(start_paused = true)]
async fn a_late_date_deceives_only_who_has_no_memory() {
    for (forgets, state) in [(false, "closed"), (true, "open")] {
        let mut house = House::new(forgets, false);
        for step in [Accepted(&["old"]), Accepted(&["a"]), Said("a", Failed), Reset, Said("old", Failed)] {
            house.take(step).await;
        }
        assert_eq!(house.breakers.view(id(PHONE)).state, state);
        // The trial goes to a group, and closes with the first member's status.
        let mut house = House::new(forgets, false);
        for step in [
            Accepted(&["a"]),
            Said("a", Failed),
            Cleared,
            Accepted(&["g"]),
            Said("g", Sent),
            Said("g", Failed),
        ] {
            house.take(step).await;
        }
        assert_eq!(house.breakers.view(id(PHONE)).state, state);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_read_after_the_trip_was_accepted_before_it() {
    let mut house = House::new(false, false);
    for step in [Accepted(&["a", "b"]), Said("b", Failed), Said("a", Delivered), Said("a", Read)] {
        house.take(step).await;
    }
    assert_eq!(house.breakers.view(id(PHONE)).state, "open");
}

#[tokio::test(start_paused = true)]
async fn each_message_is_remembered_with_its_send() {
    let mut house = House::new(false, true);
    house.take(Accepted(&["a", "b"])).await;
    house.take(Said("a", Failed)).await;
    house.take(Accepted(&["c"])).await;
    let sends = &house.breakers.0.sends;
    let send = |wamid| sends.get(sends.key_of(id(PHONE), wamid)).unwrap();
    for (wamid, recipient, generation, observed, leaked) in [
        ("a", "…0000", 0, Observed::None, true),
        ("b", "…0001", 0, Observed::None, false),
        ("c", "…0000", 1, Observed::WouldReject, false),
    ] {
        let send = send(wamid);
        assert_eq!(send.recipient, Inline::new(recipient), "{wamid}");
        assert_eq!(send.fbtrace_id, Inline::new(TRACE), "{wamid}");
        assert_eq!(
            (send.generation.0, send.observed, send.leaked),
            (generation, observed, leaked),
            "{wamid}"
        );
    }
    assert_eq!(send("a").at, send("b").at);
    assert!(send("b").at < send("c").at);
}

/// The webhook is quicker than the answer to its own send. By its date alone it would be late news: it is within the skew of the
/// close.
#[tokio::test(start_paused = true)]
async fn a_failure_that_overtakes_its_answer_counts_when_the_answer_comes() {
    for (close, before, detected) in [(false, "open", 1), (true, "closed", 2)] {
        let mut house = House::new(false, false);
        if close {
            for step in [Accepted(&["x"]), Said("x", Failed), Reset] {
                house.take(step).await;
            }
        }
        let permit = forwarded(house.breakers.admit(id(PHONE), Traits::default()));
        for _ in 0..2 {
            house.say(PHONE, "a", Failed).await;
        }
        assert_eq!(house.breakers.view(id(PHONE)).state, before, "judged by its date");
        let message = Message { wamid: Cow::Borrowed("a"), recipient: None };
        permit.accepted(std::slice::from_ref(&message), Some(TRACE)).await;
        let view = house.breakers.view(id(PHONE));
        assert_eq!((view.state, view.leaked), ("open", 1), "judged as the send's that it is");
        house.say(PHONE, "a", Failed).await;
        assert_eq!(house.breakers.view(id(PHONE)).leaked, 1, "once");
        let (incidents, _) = house.breakers.incidents(None, None, 10);
        assert_eq!(incidents.len(), detected);
    }
}

/// An order begins an incident and its end ends it, but neither is a close: what was accepted before it and fails after it trips
/// the breaker, and belongs to what that begins.
#[tokio::test(start_paused = true)]
async fn what_trips_after_an_order_is_not_of_the_orders_incident() {
    let mut house = House::new(false, false);
    house.take(Accepted(&["a"])).await;
    for kind in [OrderKind::Open, OrderKind::Lift] {
        let (reason, by) = ("a drill".to_owned(), "ann".to_owned());
        house.breakers.order(id(PHONE), Order { kind, reason, by, hold: None }, None).await.unwrap();
    }
    house.take(Said("a", Failed)).await;
    assert_eq!(house.breakers.view(id(PHONE)).leaked, 1);
    let (incidents, _) = house.breakers.incidents(None, None, 10);
    let told = incidents.iter().map(|(_, it)| (it.trip.is_some(), it.leaked, it.counts.evidence));
    assert_eq!(told.collect::<Vec<_>>(), [(true, 1, 1), (false, 0, 0)], "the newest first");
}

/// In observe mode the failure of a would-be rejection may overtake its answer too.
#[tokio::test(start_paused = true)]
async fn a_would_be_rejection_whose_failure_overtakes_its_answer_has_failed() {
    let mut house = House::new(false, true);
    for step in [Accepted(&["a"]), Said("a", Failed), Accepted(&["b"])] {
        house.take(step).await;
    }
    let permit = forwarded(house.breakers.admit(id(PHONE), Traits::default()));
    house.say(PHONE, "c", Failed).await;
    let message = Message { wamid: Cow::Borrowed("c"), recipient: None };
    permit.accepted(std::slice::from_ref(&message), None).await;
    let sums = house.breakers.report().would_reject;
    assert_eq!((sums.total(), sums.failed, sums.unknown), (2, 1, 1));
}
