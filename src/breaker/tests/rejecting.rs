//! What a rejected caller reads.

use super::*;

#[test]
fn the_body_is_graphs_own_shape_to_the_byte() {
    let mut scene = scene();
    scene.trip();
    scene.later(-12);
    scene.millis += 1;
    scene.breaker.next_check().unwrap();
    let rejection = Rejection::of(&scene.breaker, &scope("106540352242922"), None, scene.now());
    let body = String::from_utf8(rejection.body("3f2a")).unwrap();
    let expected = concat!(
        r##"{"error":{"message":"(#131031) Business Account locked","type":"OAuthException","code":131031,"##,
        r##""error_data":{"messaging_product":"whatsapp","details":"Held back by sendfuse since 2026-05-01T10:00:00Z "##,
        r##"(131031 by response: Business Account locked). Next check in 42 s."},"##,
        r##""is_transient":false,"fbtrace_id":"sendfuse-3f2a"}}"##,
    );
    assert_eq!(body, expected);
    let value: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(value["error"]["code"].is_i64() && value["error"]["error_data"].is_object());
}

#[test]
fn the_headers_say_the_state_the_reason_the_incident_and_the_next_check() {
    let mut scene = scene();
    scene.lock(About::Unknown { key: None, dated: None });
    let rejection = Rejection::of(&scene.breaker, &scope("106540352242922"), None, scene.now());
    assert_eq!(rejection.state.name(), "open");
    assert_eq!(rejection.reason, "131031; source=webhook");
    assert_eq!(rejection.incident.as_deref(), Some("106540352242922-1-1777629600"));
    assert_eq!(rejection.next_check, Some(30));
    scene.later(500);
    let rejection = Rejection::of(&scene.breaker, &scope("106540352242922"), None, scene.now());
    assert_eq!(rejection.next_check, Some(1), "overdue is due in a second");
}

#[test]
fn the_reason_has_the_code_that_tripped() {
    let mut scene = scene();
    let reason = Reason { code: 368, ..reason(Source::Webhook, scene.now()) };
    scene.locked_for(reason);
    let rejection = Rejection::of(&scene.breaker, &scope("1"), None, scene.now());
    assert_eq!((rejection.code, &*rejection.reason), (Some(368), "368; source=webhook"));
    let body: serde_json::Value = serde_json::from_slice(&rejection.body("1")).unwrap();
    assert_eq!(body["error"]["code"], 131_031, "what the app has a handler for");
}

#[test]
fn while_a_trial_is_under_way_the_next_look_is_in_seconds() {
    let mut scene = scene();
    scene.half_open();
    scene.begins_trial();
    scene.later(20);
    let rejection = Rejection::of(&scene.breaker, &scope("1"), None, scene.now());
    assert_eq!((rejection.state.name(), rejection.next_check), ("half_open", Some(5)));
    let body = String::from_utf8(rejection.body("1")).unwrap();
    assert!(body.contains("A trial send is under way: look again in 5 s."), "{body}");
    scene.later(97);
    let rejection = Rejection::of(&scene.breaker, &scope("1"), None, scene.now());
    assert_eq!(rejection.next_check, Some(3), "and when its lease ends at the latest");
}

#[test]
fn an_order_says_so_and_when_it_ends() {
    for (seconds, words) in
        [(Some(90), "The order ends in 90 s."), (None, "Held until an operator lifts it.")]
    {
        let mut scene = scene();
        scene.hold(OverrideOrder::Open, seconds);
        let rejection = Rejection::of(&scene.breaker, &scope("1"), None, scene.now());
        assert_eq!((rejection.state.name(), rejection.code), ("forced_open", None));
        assert_eq!((&*rejection.reason, rejection.next_check), ("131031; source=operator", seconds));
        assert_eq!(rejection.incident.as_deref(), Some("1-1-1777629600"));
        let body: serde_json::Value = serde_json::from_slice(&rejection.body("1")).unwrap();
        let details = body["error"]["error_data"]["details"].as_str().unwrap();
        let begin = "Held back by sendfuse since 2026-05-01T10:00:00Z (an operator's order). ";
        assert_eq!(details, format!("{begin}{words}"));
    }
}

#[test]
fn a_reason_of_metas_cannot_break_the_json() {
    let mut scene = scene();
    let reason = Reason { text: "\"}\u{0}\r\n\u{2028}é".to_owned(), ..reason(Source::Webhook, scene.now()) };
    scene.locked_for(reason);
    let rejection = Rejection::of(&scene.breaker, &scope("1"), None, scene.now());
    let body: serde_json::Value = serde_json::from_slice(&rejection.body("1")).unwrap();
    assert!(body["error"]["error_data"]["details"].as_str().unwrap().contains("\"}\u{0}\r\n\u{2028}é"));
    assert!(rejection.reason.is_ascii(), "the header has none of it");
}

/// A probe before it cannot let the send pass, and of a trial of the other class nothing follows for it.
#[test]
fn a_send_that_waits_for_a_date_is_told_that_date() {
    use crate::graph::class::Class::{BusinessInitiated, CustomerInitiated};
    let mut scene = scene();
    let (hour, day) = (scene.dated(3_600_000), scene.dated(86_400_000));
    let until = |date| Hold { until: date, by_probe: true, restricted: true };
    let mut lock = |extent: Extent| {
        let about = About::Unknown { key: None, dated: scene.dated(10_000) };
        let reason = reason(Source::Webhook, scene.now());
        scene.apply(Event::Lock { about, reason, extent, only_trial: false })
    };
    lock(Extent::of(BusinessInitiated, until(day)));
    lock(Extent::of(CustomerInitiated, until(hour)));
    let told = |scene: &Scene, class| {
        let rejection = Rejection::of(&scene.breaker, &scope("1"), class, scene.now());
        let body: serde_json::Value = serde_json::from_slice(&rejection.body("1")).unwrap();
        (rejection.next_check, body["error"]["error_data"]["details"].as_str().unwrap().to_owned())
    };
    for (class, seconds, date) in [
        (Some(BusinessInitiated), 86_400, "2026-05-02T10:00:00Z"),
        (Some(CustomerInitiated), 3_600, "2026-05-01T11:00:00Z"),
        (None, 86_400, "2026-05-02T10:00:00Z"),
    ] {
        let (next, details) = told(&scene, class);
        assert_eq!(next, Some(seconds), "{class:?}");
        let end = format!("Next check in {seconds} s. It is restricted until {date}.");
        assert!(details.ends_with(&end), "{class:?}: {details}");
    }
    // The replies' date is over, and one is tried.
    scene.later(3_600);
    scene.half_open();
    let lease = scene.breaker.begin_trial(scene.now(), &scene.policy);
    assert!(lease.is_some());
    assert!(
        told(&scene, Some(CustomerInitiated)).1.ends_with("A trial send is under way: look again in 5 s.")
    );
    let (next, details) = told(&scene, Some(BusinessInitiated));
    let end = "It is restricted until 2026-05-02T10:00:00Z.";
    assert!(next.unwrap() > 80_000 && details.ends_with(end), "{next:?} {details}");
}
