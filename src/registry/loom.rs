//! The cell under loom's eyes: every order in which the threads' steps can be seen.
//!
//! `cargo test --features loom --lib loom_`. Each test ends by comparing the word with the breaker: an admission reads one of them.

use ::loom::sync::Arc;
use ::loom::sync::atomic::{AtomicBool, Ordering};
use ::loom::thread;

use super::cell::{Admitted, Cell};
use super::sync::AtomicUsize;
use crate::breaker::{
    About, Breaker, Context, Event, Extent, Generation, Jitter, Lease, Policy, Reason, Shown, Source,
    TransitionKind,
};
use crate::graph::health::Health;
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp::from_seconds(1_777_629_600);

/// Applies an event as the handle does; gives the steps back.
fn apply(cell: &Cell, event: Event, now: Timestamp) -> (Vec<TransitionKind>, Option<Lease>) {
    let policy = Policy::default();
    let cx = Context { now, jitter: Jitter(0), heard: true, policy: &policy };
    let applied = cell.update(|breaker| breaker.apply(event, &cx));
    (applied.transitions.iter().map(|step| step.kind).collect(), applied.probe)
}

fn lock(source: Source) -> Event {
    let about = About::Send { generation: Generation(0), key: None };
    let text = "Business Account locked".to_owned();
    Event::Lock {
        about,
        reason: Reason { code: 131_031, source, text, at: NOW, fbtrace_id: None },
        extent: Extent::default(),
        only_trial: false,
    }
}

fn reset() -> Event {
    Event::Reset { text: String::new() }
}

fn admit(cell: &Cell) -> Admitted {
    cell.admit(None, NOW, &Policy::default())
}

fn closed() -> Arc<Cell> {
    Arc::new(Cell::new(Breaker::default(), (0, 0, 0), None))
}

/// Open since `min_open`, with a probe out.
fn probing() -> (Arc<Cell>, Lease, Timestamp) {
    let cell = closed();
    let (_, lease) = apply(&cell, lock(Source::Response), NOW);
    (cell, lease.unwrap(), NOW.plus(Policy::default().min_open))
}

fn half_open() -> Arc<Cell> {
    let (cell, lease, later) = probing();
    apply(&cell, Event::Probed { lease, health: Health::Clear(Vec::new()) }, later);
    assert_eq!(cell.shown(later), Shown::HalfOpen);
    cell
}

/// What an admission reads first says what the breaker is.
fn assert_word_is_true(cell: &Cell) {
    let plainly = cell.read(|breaker| breaker.is_plainly_closed().then(|| breaker.generation()));
    assert_eq!(cell.plainly_closed(), plainly);
}

#[test]
fn loom_a_trip_is_seen_by_every_later_admission() {
    ::loom::model(|| {
        let (cell, told) = (closed(), Arc::new(AtomicBool::new(false)));
        let tripping = {
            let (cell, told) = (Arc::clone(&cell), Arc::clone(&told));
            thread::spawn(move || {
                apply(&cell, lock(Source::Response), NOW);
                // The answer is released: whoever hears of it comes later.
                told.store(true, Ordering::Release);
            })
        };
        let later = told.load(Ordering::Acquire);
        let admitted = admit(&cell);
        assert!(!later || matches!(admitted, Admitted::Reject(_)), "{admitted:?}");
        tripping.join().unwrap();
        assert!(matches!(admit(&cell), Admitted::Reject(_)));
        assert_word_is_true(&cell);
    });
}

#[test]
fn loom_an_admission_that_races_with_a_trip_was_before_it_or_is_rejected() {
    ::loom::model(|| {
        let cell = closed();
        let tripping = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || apply(&cell, lock(Source::Webhook), NOW).0)
        };
        match (admit(&cell), admit(&cell)) {
            (first, second @ Admitted::Forward(_)) => {
                assert_eq!(first, Admitted::Forward(Generation(0)), "once rejected, always rejected");
                assert_eq!(second, first, "and never forwarded under the trip's own generation");
            }
            (Admitted::Forward(generation), Admitted::Reject(at)) => {
                assert_eq!((generation, at), (Generation(0), Generation(1)));
            }
            (first, second) => assert!(matches!(first, Admitted::Reject(_)), "{first:?} {second:?}"),
        }
        assert_eq!(tripping.join().unwrap(), [TransitionKind::Trip]);
        assert_word_is_true(&cell);
    });
}

#[test]
fn loom_an_answer_and_a_webhook_trip_once() {
    ::loom::model(|| {
        let cell = closed();
        let webhook = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || apply(&cell, lock(Source::Webhook), NOW).0)
        };
        let (mut steps, _) = apply(&cell, lock(Source::Response), NOW);
        steps.extend(webhook.join().unwrap());
        assert_eq!(steps, [TransitionKind::Trip]);
        assert_eq!(cell.read(Breaker::generation), Generation(1));
        assert_word_is_true(&cell);
    });
}

#[test]
fn loom_a_reset_and_a_probes_outcome_end_closed() {
    ::loom::model(|| {
        let (cell, lease, later) = probing();
        let probing = {
            let cell = Arc::clone(&cell);
            let health = Health::Clear(Vec::new());
            thread::spawn(move || apply(&cell, Event::Probed { lease, health }, later).0)
        };
        let (mut steps, _) = apply(&cell, reset(), later);
        steps.extend(probing.join().unwrap());
        assert!(steps.contains(&TransitionKind::Reset));
        let generation = cell.read(Breaker::generation);
        assert_eq!(usize::try_from(generation.0).unwrap(), 1 + steps.len(), "one for each step");
        assert_eq!(cell.plainly_closed(), Some(generation), "an outcome never opens what an operator closed");
        assert_eq!(admit(&cell), Admitted::Forward(generation));
    });
}

#[test]
fn loom_a_reset_and_a_trip_leave_the_word_of_the_last() {
    ::loom::model(|| {
        let (cell, _, later) = probing();
        let resetting = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || apply(&cell, reset(), later).0)
        };
        // News whatever the reset does: of the next generation.
        let about = About::Send { generation: Generation(2), key: None };
        let Event::Lock { reason, .. } = lock(Source::Webhook) else { return };
        let extent = Extent::default();
        apply(&cell, Event::Lock { about, reason, extent, only_trial: false }, later);
        resetting.join().unwrap();
        assert_word_is_true(&cell);
    });
}

#[test]
fn loom_of_two_sends_one_gets_the_trials_permit() {
    ::loom::model(|| {
        let cell = half_open();
        let other = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || admit(&cell))
        };
        let both = [admit(&cell), other.join().unwrap()];
        let trials = both.iter().filter(|one| matches!(one, Admitted::Trial(..))).count();
        let rejected = both.iter().filter(|one| matches!(one, Admitted::Reject(_))).count();
        assert_eq!((trials, rejected), (1, 1), "{both:?}");
        assert_word_is_true(&cell);
    });
}

/// An admission asks an account's cell only if the count says that some are held.
#[test]
fn loom_whoever_hears_of_a_trip_finds_it_counted() {
    ::loom::model(|| {
        let held = std::sync::Arc::new(AtomicUsize::new(0));
        let cell = Arc::new(Cell::new(Breaker::default(), (0, 0, 0), Some(std::sync::Arc::clone(&held))));
        let told = Arc::new(AtomicBool::new(false));
        let tripping = {
            let (cell, told) = (Arc::clone(&cell), Arc::clone(&told));
            thread::spawn(move || {
                apply(&cell, lock(Source::Webhook), NOW);
                told.store(true, Ordering::Release);
            })
        };
        if told.load(Ordering::Acquire) {
            assert_eq!(held.load(Ordering::Acquire), 1);
        }
        tripping.join().unwrap();
        apply(&cell, reset(), NOW);
        assert_eq!(held.load(Ordering::Acquire), 0);
        assert_word_is_true(&cell);
    });
}

#[test]
fn loom_no_count_is_lost() {
    ::loom::model(|| {
        let cell = closed();
        let other = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || cell.counts.rejected())
        };
        cell.counts.rejected();
        other.join().unwrap();
        assert_eq!(cell.counts.get(), (2, 0, 0));
    });
}
