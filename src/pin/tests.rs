//! The guard of one phone, step by step.

use std::time::Duration;

use http::StatusCode;

use super::guard::MOST_REFUSED;
use super::*;
use crate::graph::ids::PhoneNumberId;
use crate::graph::pin::{self, PinHash, PinHasher, Verdict};
use crate::graph::route::PinCall::{self, Register, Set};
use crate::time::Timestamp;

const SKEW: Duration = Duration::from_secs(2);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_777_629_600 + seconds)
}

fn hash(pin: &str) -> PinHash {
    let pin = pin::read(None, Some(&format!("pin={pin}")), b"").unwrap();
    PinHasher::new([7; 16]).hash(PhoneNumberId::parse("1").unwrap(), &pin)
}

fn error(code: i64, seconds: i64) -> MetaError {
    let words = MetaWords {
        message: format!("(#{code}) Meta's words"),
        body: format!("the answer of {seconds}").into(),
        content_type: None,
    };
    MetaError { status: StatusCode::BAD_REQUEST, code, at: at(seconds), words: Some(words) }
}

/// What happens, each at a second.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A try, and what is to become of it. What goes out is answered so at once.
    Try(PinCall, &'static str, Goes),
    Allow(bool),
    /// The PIN was changed so many seconds ago.
    Changed(i64, bool),
}
use Step::{Allow, Changed, Try as Tried};

#[derive(Clone, Copy, Debug)]
enum Goes {
    /// Out, and Meta says this.
    Out(Verdict),
    Not(Why),
}
use Goes::{Not, Out};
use Verdict::{Accepted, Nothing, Refused};

const WAIT: Verdict = Verdict::Wait(Duration::from_secs(60));

#[track_caller]
fn play(most: usize, steps: &[(i64, Step)]) -> Guard {
    let mut guard = Guard::default();
    for (number, &(second, step)) in steps.iter().enumerate() {
        let place = format!("step {number}, {step:?}");
        match step {
            Tried(call, pin, goes) => {
                let (tried, held) = guard.admit(call, hash(pin), at(second), Attempts::new(most));
                match goes {
                    Out(verdict) => {
                        assert_eq!(held, None, "{place}");
                        let code = match verdict {
                            Refused => 133_005,
                            Verdict::Wait(_) => 133_009,
                            Accepted | Nothing => 190,
                        };
                        let error = (verdict != Accepted).then(|| error(code, second));
                        guard.answered(tried, verdict, error);
                    }
                    Not(why) => assert_eq!(held.map(|held| held.why), Some(why), "{place}"),
                }
            }
            Allow(expected) => assert_eq!(guard.allow(), expected, "{place}"),
            Changed(ago, expected) => assert_eq!(guard.changed(at(second - ago), SKEW), expected, "{place}"),
        }
    }
    guard
}

#[test]
fn a_refused_pin_does_not_go_out_again() {
    let guard = play(
        2,
        &[
            (0, Tried(Register, "1", Out(Refused))),
            (1, Tried(Register, "1", Not(Why::Refused))),
            (9_999_999, Tried(Register, "1", Not(Why::Refused))),
            (9_999_999, Tried(Register, "2", Out(Accepted))),
            (9_999_999, Tried(Register, "1", Out(Refused))),
        ],
    );
    assert_eq!(guard.told(), Some(at(9_999_999)));
}

#[test]
fn several_different_ones_hold_all_others() {
    play(
        2,
        &[
            (0, Tried(Register, "1", Out(Refused))),
            (1, Tried(Register, "2", Out(Refused))),
            (2, Tried(Register, "3", Not(Why::Attempts(2)))),
            (3, Tried(Register, "2", Not(Why::Refused))),
            (4, Tried(Register, "3", Not(Why::Attempts(2)))),
        ],
    );
    play(1, &[(0, Tried(Register, "1", Out(Refused))), (1, Tried(Register, "2", Not(Why::Attempts(1))))]);
    // In a row: a success begins anew.
    play(
        2,
        &[
            (0, Tried(Register, "1", Out(Refused))),
            (1, Tried(Register, "2", Out(Accepted))),
            (2, Tried(Register, "3", Out(Refused))),
            (3, Tried(Register, "1", Out(Refused))),
            (4, Tried(Register, "2", Not(Why::Attempts(2)))),
        ],
    );
}

#[test]
fn what_is_about_something_else_proves_nothing() {
    let guard = play(
        1,
        &[
            (0, Tried(Register, "1", Out(Nothing))),
            (1, Tried(Register, "1", Out(Nothing))),
            (2, Tried(Register, "2", Out(Nothing))),
        ],
    );
    assert!(guard.is_blank());
    let (_, held) = Guard::default().admit(Register, hash("1"), at(0), Attempts::new(1));
    assert_eq!(held, None, "nor does no answer");
}

#[test]
fn an_operator_allows_one_whatever_holds_it() {
    play(
        1,
        &[
            (0, Allow(false)),
            (1, Tried(Register, "1", Out(Refused))),
            (2, Allow(true)),
            (2, Allow(true)),
            (3, Tried(Register, "2", Out(Refused))),
            (4, Tried(Register, "3", Not(Why::Attempts(2)))),
            (5, Allow(true)),
            (6, Tried(Register, "1", Out(WAIT))),
            (7, Tried(Register, "3", Not(Why::Wait(59)))),
            (8, Allow(true)),
            (9, Tried(Register, "3", Out(Accepted))),
            (10, Tried(Register, "1", Out(Nothing))),
        ],
    );
    // What is not held uses up no permission.
    play(
        2,
        &[
            (0, Tried(Register, "1", Out(Refused))),
            (1, Allow(true)),
            (2, Tried(Register, "2", Out(Refused))),
            (3, Tried(Register, "3", Out(Refused))),
            (4, Tried(Register, "3", Not(Why::Refused))),
        ],
    );
}

#[test]
fn a_wait_is_for_all_and_ends() {
    let guard = play(
        2,
        &[
            (0, Tried(Register, "1", Out(WAIT))),
            (1, Tried(Register, "1", Not(Why::Wait(59)))),
            (59, Tried(Register, "2", Not(Why::Wait(1)))),
            (60, Tried(Register, "1", Out(Refused))),
            (61, Tried(Register, "1", Not(Why::Refused))),
            (62, Tried(Register, "2", Out(WAIT))),
            (63, Tried(Register, "1", Not(Why::Wait(59)))),
            (122, Tried(Register, "2", Out(Accepted))),
        ],
    );
    assert!(guard.is_blank());
}

#[test]
fn a_change_forgets_what_was_refused_before_it_and_no_wait() {
    play(
        1,
        &[
            (0, Changed(0, false)),
            (10, Tried(Register, "1", Out(Refused))),
            (20, Changed(5, true)),
            (21, Tried(Register, "1", Out(Refused))),
            // Meta repeats webhooks for days.
            (9_000, Changed(8_985, false)),
            (9_001, Tried(Register, "2", Not(Why::Attempts(1)))),
            (9_002, Changed(8_983, true)),
            (9_003, Tried(Register, "2", Out(WAIT))),
            (9_004, Changed(0, false)),
            (9_005, Tried(Register, "2", Not(Why::Wait(58)))),
        ],
    );
}

#[test]
fn a_refusal_from_before_a_change_is_late() {
    let mut guard = Guard::default();
    let (tried, _) = guard.admit(Register, hash("1"), at(0), Attempts::new(1));
    guard.changed(at(1), SKEW);
    assert_eq!(guard.answered(tried, Refused, Some(error(133_005, 2))), None);
    assert!(guard.is_blank());
    let (tried, _) = guard.admit(Register, hash("1"), at(2), Attempts::new(1));
    assert_eq!(guard.answered(tried, Refused, Some(error(133_005, 3))), Some(1));
}

#[test]
fn to_set_a_pin_is_not_to_guess_it() {
    play(
        2,
        &[
            (0, Tried(Register, "1", Out(Refused))),
            (1, Tried(Register, "2", Out(Refused))),
            (2, Tried(Set, "1", Out(Refused))),
            (3, Tried(Set, "1", Not(Why::Refused))),
            (4, Tried(Register, "3", Not(Why::Attempts(2)))),
            (5, Tried(Set, "3", Out(Accepted))),
            (6, Tried(Register, "1", Out(Accepted))),
        ],
    );
}

#[test]
fn not_more_is_kept_than_decides() {
    let mut guard = Guard::default();
    for number in 0..1000 {
        guard.allow();
        let (tried, held) = guard.admit(Register, hash(&number.to_string()), at(number), Attempts::new(99));
        assert_eq!(held, None);
        let different = guard.answered(tried, Refused, Some(error(133_005, number))).unwrap();
        assert_eq!(different, MOST_REFUSED.min(usize::try_from(number).unwrap() + 1));
    }
    let (_, held) = guard.admit(Register, hash("x"), at(1000), Attempts::new(99));
    assert_eq!(held.unwrap().why, Why::Attempts(MOST_REFUSED));
}

/// What an app reads.
fn told(why: Why, words: bool) -> (bool, serde_json::Value) {
    let mut held = Held { why, error: error(133_005, 0) };
    held.error.words.take_if(|_| !words);
    (
        held.meta().is_some(),
        serde_json::from_slice(&held.body(PhoneNumberId::parse("106").unwrap(), "7")).unwrap(),
    )
}

#[test]
fn an_answer_of_ours_has_metas_code_and_says_what_to_do() {
    assert!(told(Why::Refused, true).0, "Meta's own");
    for (why, words, part) in [
        (Why::Refused, false, "refused this PIN at 2026-05-01T10:00:00Z"),
        (Why::Attempts(2), true, "POST /v1/breakers/106/allow_pin on"),
        (Why::Attempts(2), true, "2 different PINs in a row"),
        (Why::Wait(59), true, "59 s remain"),
        (Why::Wait(59), false, "59 s remain"),
    ] {
        let (is_metas, body) = told(why, words);
        assert!(!is_metas, "{why:?}");
        let error = &body["error"];
        assert_eq!(error["code"], 133_005);
        let title =
            if words { "(#133005) Meta's words" } else { "(#133005) Two-step verification PIN refused" };
        assert_eq!(error["message"], title);
        assert!(error["error_data"]["details"].as_str().unwrap().contains(part), "{body}");
    }
}

#[test]
fn how_it_stands_is_told_without_any_pin() {
    let guard = play(2, &[(0, Tried(Register, "1", Out(Refused)))]);
    let standing = |guard: &Guard, call, second, most| guard.standing(call, at(second), Attempts::new(most));
    let one = Standing { refused: 1, held_since: None, waits_until: None };
    assert_eq!(standing(&guard, Register, 1, 2), Some(one));
    assert_eq!(standing(&guard, Register, 1, 1), Some(Standing { held_since: Some(at(0)), ..one }));
    assert_eq!(standing(&guard, Set, 1, 2), None);
    let guard = play(
        2,
        &[
            (0, Tried(Register, "1", Out(Refused))),
            (1, Tried(Register, "2", Out(Refused))),
            (2, Tried(Set, "1", Out(WAIT))),
            (3, Allow(true)),
        ],
    );
    assert!(guard.is_allowed());
    let two = Standing { refused: 2, held_since: Some(at(1)), waits_until: None };
    assert_eq!(standing(&guard, Register, 3, 2), Some(two));
    let wait = Standing { refused: 0, held_since: None, waits_until: Some(at(62)) };
    assert_eq!(standing(&guard, Set, 61, 2), Some(wait));
    assert_eq!(standing(&guard, Set, 62, 2), None, "over");
}
