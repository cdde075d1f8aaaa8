//! The sentence that says what would close a breaker.

use super::explain::closes_when;
use super::*;

fn sentence(scene: &Scene) -> String {
    sentence_of(ScopeKind::Phone, scene)
}

fn sentence_of(kind: ScopeKind, scene: &Scene) -> String {
    closes_when(&scene.breaker, kind, &scene.policy, scene.heard, scene.now())
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

#[test]
fn a_tokens_speaks_of_the_token() {
    let (mut scene, other) =
        (scene(), "It also closes when Meta lets another access token pass on the number.");
    let lease = scene.trip();
    scene.probed(lease, Health::Unknown(Unknown::TokenInvalid));
    let said = sentence_of(ScopeKind::Token, &scene);
    assert!(said.starts_with("It closes after a probe that Meta answers (the next is due at "), "{said}");
    let end = format!(
        "and then one trial send accepted. {other} Meta refuses it still, or it is no longer at hand to ask with."
    );
    assert!(said.ends_with(&end), "{said}");
    scene.half_open();
    let said = sentence_of(ScopeKind::Token, &scene);
    assert_eq!(
        said,
        format!("It closes after one trial send accepted; the next send goes out as the trial. {other}")
    );
}

#[test]
fn an_account_has_no_calls_of_its_own_to_take_a_token_from() {
    let mut scene = scene();
    let lease = scene.trip();
    scene.probed(lease, Health::Unknown(Unknown::NoToken));
    let said = sentence_of(ScopeKind::Waba, &scene);
    assert!(said.ends_with("or let another call of one of its phones pass."), "{said}");
}

#[test]
fn only_what_meta_dates_is_restricted_by_meta() {
    for (restricted, date) in [
        (true, " not before 2026-05-01T11:00:00Z, until when Meta restricts it,"),
        (false, " not before 2026-05-01T11:00:00Z"),
    ] {
        let mut scene = scene();
        let extent = Extent::all(Hold { until: scene.dated(3_600_000), by_probe: true, restricted });
        let (about, reason) =
            (About::Unknown { key: None, dated: None }, reason(Source::Webhook, scene.now()));
        scene.apply(Event::Lock { about, reason, extent, only_trial: false });
        let said = sentence(&scene);
        assert!(said.starts_with(&format!("It closes{date} after a probe")), "{said}");
    }
}
