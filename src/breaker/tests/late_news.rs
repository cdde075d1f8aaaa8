//! Late news is no news.

use super::*;

#[test]
fn what_was_admitted_before_the_close_is_late_however_late_it_comes() {
    let mut scene = scene();
    let closed = scene.sends("while closed");
    scene.trip();
    let open = scene.sends("while open");
    let trial = scene.close("t");
    let generation = scene.generation();
    for days in [0, 1, 7] {
        scene.later(days * 86_400);
        for about in [closed, open, trial] {
            let applied = scene.lock(about);
            assert_eq!((applied.notes, applied.transitions.len()), (vec![Note::Stale], 0), "{about:?}");
            assert!(!applied.changed);
        }
    }
    assert_eq!((scene.admit(), scene.generation()), (Admission::Forward, generation));
    assert_eq!(kinds(&scene.lock(scene.sends("new"))), [TransitionKind::Trip]);
}

#[test]
fn the_date_decides_for_an_unknown_message_and_for_none_at_all() {
    let mut scene = scene();
    scene.close("t");
    for key in [None, Some(key("unknown"))] {
        for (millis, is_news) in
            [(-86_400_000, false), (0, false), (1999, false), (2000, false), (2001, true), (60_000, true)]
        {
            let mut scene = scene.clone();
            let about = About::Unknown { key, dated: scene.dated(millis) };
            let applied = scene.later(600).lock(about);
            assert_eq!(!applied.transitions.is_empty(), is_news, "dated {millis} ms after the close");
            assert_eq!(applied.notes.contains(&Note::Stale), !is_news);
        }
        let applied = scene.lock(About::Unknown { key, dated: None });
        assert_eq!(applied.notes, [Note::Stale], "undated after a close");
    }
}

#[test]
fn a_reset_fences_like_a_close() {
    let mut scene = scene();
    let before = scene.sends("a");
    scene.trip();
    let applied = scene.apply(Event::Reset { text: "ann: sure".to_owned() });
    assert_eq!(kinds(&applied), [TransitionKind::Reset]);
    assert_eq!(scene.admit(), Admission::Forward);
    assert_eq!(scene.lock(before).notes, [Note::Stale]);
    let dated = |millis| About::Unknown { key: None, dated: scene.dated(millis) };
    let (old, new) = (dated(2000), dated(2001));
    assert_eq!(scene.lock(old).notes, [Note::Stale]);
    assert_eq!(kinds(&scene.clone().lock(new)), [TransitionKind::Trip]);
    assert_eq!(kinds(&scene.lock(scene.sends("b"))), [TransitionKind::Trip]);
    assert_eq!(scene.breaker.next_check(), scene.dated(30_000), "a reset forgets the back-off");
}

#[test]
fn a_reset_of_half_open_closes_and_its_trial_is_late_news() {
    let mut scene = scene();
    scene.half_open();
    let about = scene.trial("t");
    scene.apply(Event::Reset { text: "ann: sure".to_owned() });
    assert_eq!(scene.lock(about).notes, [Note::Stale]);
    assert!(scene.proof(about).transitions.is_empty());
}

#[test]
fn a_reset_of_a_closed_breaker_changes_nothing() {
    for mut scene in [scene(), {
        let mut scene = scene();
        scene.close("t");
        scene
    }] {
        let before = format!("{:?}", scene.breaker);
        let applied = scene.later(60).apply(Event::Reset { text: "ann: sure".to_owned() });
        assert!(applied.transitions.is_empty() && !applied.changed);
        assert_eq!(format!("{:?}", scene.breaker), before);
    }
}

#[test]
fn evidence_of_an_older_generation_than_half_open_moves_it_nowhere() {
    let mut scene = scene();
    let closed = scene.sends("a");
    scene.trip();
    let open = scene.sends("b");
    scene.half_open();
    for about in [closed, open] {
        assert_eq!(scene.lock(about).notes, [Note::Stale]);
        assert!(scene.proof(about).transitions.is_empty());
    }
    assert_eq!(scene.shown(), Shown::HalfOpen);
}
