//! Statuses that overtake the trial's answer: nobody knows their message yet.

use super::*;

fn unknown(scene: &Scene, name: &str) -> About {
    About::Unknown { key: Some(key(name)), dated: scene.dated(0) }
}

#[test]
fn delivered_failed_or_both_in_any_order() {
    let rows: [(&[&str], Shown); 6] = [
        (&["delivered"], Shown::Closed),
        (&["sent", "delivered"], Shown::Closed),
        (&["failed"], Shown::Open),
        (&["failed", "failed"], Shown::Open),
        (&["delivered", "failed"], Shown::Open),
        (&["failed", "delivered"], Shown::Open),
    ];
    for (statuses, shown) in rows {
        let mut scene = scene();
        scene.half_open();
        let lease = scene.begins_trial();
        for status in statuses {
            let about = unknown(&scene, "t");
            let applied = if *status == "failed" { scene.lock(about) } else { scene.proof(about) };
            assert!(applied.transitions.is_empty() && applied.notes.is_empty(), "{statuses:?} waits");
            assert_eq!(scene.admit(), Admission::Reject);
        }
        scene.accepted(lease, scene.generation(), &["t"]);
        assert_eq!(scene.shown(), shown, "{statuses:?}");
    }
}

#[test]
fn a_trial_whose_statuses_all_came_early_counts_once() {
    let mut scene = scene_with(|policy| policy.trials_to_close = 2);
    scene.half_open();
    let lease = scene.begins_trial();
    for _ in ["sent", "delivered", "read"] {
        scene.proof(unknown(&scene, "t"));
    }
    scene.accepted(lease, scene.generation(), &["t"]);
    assert_eq!((scene.shown(), scene.admit()), (Shown::HalfOpen, Admission::Trial));
}

#[test]
fn what_came_early_for_one_trial_waits_though_another_ones_answer_comes() {
    for failed in [false, true] {
        let mut scene = scene();
        scene.half_open();
        let hung = scene.begins_trial();
        let lost = unknown(&scene, "t");
        scene.later(120).apply(Event::Tick);
        let current = scene.begins_trial();
        match failed {
            // Dated when half-open began, so that the date does not tell.
            true => scene.lock(lost),
            false => scene.proof(unknown(&scene, "t")),
        };
        scene.accepted(hung, scene.generation(), &["hung"]);
        scene.accepted(current, scene.generation(), &["t"]);
        assert_eq!(scene.shown(), if failed { Shown::Open } else { Shown::Closed });
    }
}

#[test]
fn what_came_early_outlives_its_trials_permit() {
    let mut scene = scene();
    scene.half_open();
    let hung = scene.begins_trial();
    scene.proof(unknown(&scene, "t"));
    scene.later(120).apply(Event::Tick);
    scene.begins_trial();
    scene.accepted(hung, scene.generation(), &["t"]);
    assert_eq!(scene.shown(), Shown::Closed);
}

#[test]
fn what_came_early_is_bounded_and_duplicates_take_no_room() {
    let mut scene = scene();
    scene.half_open();
    let lease = scene.begins_trial();
    scene.proof(unknown(&scene, "t"));
    for _ in 0..1000 {
        scene.proof(unknown(&scene, "duplicate"));
    }
    let mut crowded = scene.clone();
    scene.accepted(lease, scene.generation(), &["t"]);
    assert_eq!(scene.shown(), Shown::Closed);
    for other in 0..1000 {
        crowded.proof(unknown(&crowded, &format!("other {other}")));
    }
    crowded.accepted(lease, crowded.generation(), &["t"]);
    assert_eq!(crowded.shown(), Shown::HalfOpen, "pushed out");
    crowded.proof(crowded.sends("t"));
    assert_eq!(crowded.shown(), Shown::Closed, "the next status tells");
}
