//! The sentence that says what would close a breaker.

use super::explain::closes_when;
use super::*;

fn sentence(scene: &Scene) -> String {
    closes_when(&scene.breaker, &scene.policy, scene.heard, scene.now())
}

#[test]
fn closed() {
    assert_eq!(sentence(&scene()), "It is closed: sends flow.");
}

#[test]
fn open() {
    let mut scene = scene();
    let lease = scene.trip();
    let probe = "It closes after a probe in which no entity blocks messaging (the next is due at 2026-05-01T10:00:30Z)";
    assert_eq!(sentence(&scene), format!("{probe}, and then one trial send delivered."));
    scene.policy.trials_to_close = 3;
    assert_eq!(sentence(&scene), format!("{probe}, and then 3 trial sends delivered."));
    scene.policy.half_open = false;
    assert_eq!(sentence(&scene), format!("{probe}."));
    scene.probed(lease, Health::Unknown(Unknown::NoToken));
    let said = sentence(&scene);
    let token = " There is no token to probe with: configure one in probe.tokens, or let another call of this phone's pass.";
    assert!(said.ends_with(token), "{said}");
}

#[test]
fn half_open() {
    let mut scene = scene();
    scene.half_open();
    let next = "; the next send goes out as the trial.";
    assert_eq!(sentence(&scene), format!("It closes after one trial send delivered{next}"));
    scene.heard = false;
    let grace = "delivered, or accepted without failure for 60 s since no webhook ever came here";
    assert_eq!(sentence(&scene), format!("It closes after one trial send {grace}{next}"));
    scene.policy.no_webhooks = NoWebhooks::Hold;
    let hold = "delivered (no webhook ever came here, so check where Meta sends them)";
    assert_eq!(sentence(&scene), format!("It closes after one trial send {hold}{next}"));
}

#[test]
fn a_trial_that_is_under_way() {
    let mut scene = scene();
    scene.half_open();
    scene.begins_trial();
    assert_eq!(
        sentence(&scene),
        "It closes after one trial send delivered; one is under way since 2026-05-01T10:01:00Z, until 2026-05-01T10:03:00Z at the latest."
    );
}

#[test]
fn a_contradiction_is_for_metas_support() {
    let mut scene = scene();
    scene.half_open();
    let about = scene.trial("t");
    scene.lock(about);
    assert!(
        sentence(&scene).ends_with("take that to Meta's support, for each further trial may lose a message.")
    );
}

#[test]
fn an_order() {
    let mut scene = scene();
    scene.trip();
    scene.hold(OverrideOrder::Open, None);
    assert_eq!(sentence(&scene), "It is held open by an order of ann; that ends when it is lifted.");
    scene.hold(OverrideOrder::Bypass, Some(60));
    assert_eq!(
        sentence(&scene),
        "It is bypassed by an order of ann; that ends at 2026-05-01T10:01:00Z, or when it is lifted."
    );
    assert!(sentence(scene.later(60)).starts_with("It closes after"), "its time is over");
}
