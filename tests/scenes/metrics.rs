//! What a lock leaves in the metrics, and that two programs in one process share nothing.

use std::time::Duration;

use sendfuse::simulator::Profile;

use super::harness::{OTHER, PHONE, Scene};

#[tokio::test(start_paused = true)]
async fn a_lock_from_its_first_failure_to_its_end() {
    let scene = Scene::new();
    for _ in 0..3 {
        assert_eq!(scene.send(OTHER).await.status, 200);
    }
    scene.lock(PHONE, Profile::Async);
    for _ in 0..4 {
        assert_eq!(scene.send(PHONE).await.status, 200);
    }
    scene.until_state(PHONE, "open").await;
    scene.advance(Duration::from_secs(5)).await;
    for _ in 0..7 {
        assert!(scene.send(PHONE).await.is_rejection());
    }
    let open = [
        (format!("sendfuse_breaker_state{{phone_number_id=\"{PHONE}\",state=\"open\"}}"), 1.0),
        ("sendfuse_breakers{state=\"open\"}".into(), 1.0),
        ("sendfuse_rejected_sends_total{reason=\"131031\"}".into(), 7.0),
        ("sendfuse_leaked_sends_total".into(), 4.0),
        ("sendfuse_sends_total{admission=\"forward\"}".into(), 7.0),
        ("sendfuse_sends_total{admission=\"reject\"}".into(), 7.0),
        ("sendfuse_transitions_total{scope=\"phone\",source=\"webhook\",transition=\"trip\"}".into(), 1.0),
        ("sendfuse_detection_seconds_count".into(), 1.0),
        ("sendfuse_detection_seconds_bucket{le=\"1\"}".into(), 1.0),
        ("sendfuse_detection_seconds_bucket{le=\"0.3\"}".into(), 0.0),
        ("sendfuse_evidence_total{source=\"webhook\",verdict=\"lock\"}".into(), 4.0),
        ("sendfuse_probes_total{outcome=\"clear\"}".into(), 1.0),
        ("sendfuse_store_up".into(), 1.0),
    ];
    for (line, value) in open {
        assert_eq!(scene.metric(&line), value, "{line}\n{}", scene.wired.metrics());
    }
    scene.meta.unlock(PHONE);
    scene.until_state(PHONE, "half_open").await;
    scene.send(PHONE).await;
    scene.until_state(PHONE, "closed").await;
    let closed = [
        ("sendfuse_breakers{state=\"open\"}", 0.0),
        ("sendfuse_breakers{state=\"closed\"}", 1.0),
        ("sendfuse_sends_total{admission=\"trial\"}", 1.0),
        ("sendfuse_trials_total{outcome=\"confirmed\"}", 1.0),
        ("sendfuse_transitions_total{scope=\"phone\",source=\"probe\",transition=\"half_open\"}", 1.0),
        ("sendfuse_transitions_total{scope=\"phone\",source=\"webhook\",transition=\"close\"}", 1.0),
        ("sendfuse_transitions_total{scope=\"phone\",source=\"webhook\",transition=\"trip\"}", 1.0),
    ];
    for (line, value) in closed {
        assert_eq!(scene.metric(line), value, "{line}\n{}", scene.wired.metrics());
    }
    assert!(!scene.wired.metrics().contains(PHONE), "a closed phone has no series");
    assert_eq!(
        scene.metric("sendfuse_webhooks_total{result=\"accepted\"}"),
        scene.meta.counts().webhooks as f64
    );
}

#[tokio::test(start_paused = true)]
async fn a_lock_in_an_answer_is_counted_by_its_code() {
    let scene = Scene::new();
    scene.trip(PHONE).await;
    for (line, value) in [
        ("sendfuse_graph_errors_total{code=\"131031\"}", 1.0),
        ("sendfuse_transitions_total{scope=\"phone\",source=\"response\",transition=\"trip\"}", 1.0),
        ("sendfuse_evidence_total{source=\"response\",verdict=\"lock\"}", 1.0),
        ("sendfuse_overhead_seconds_count", 1.0),
    ] {
        assert_eq!(scene.metric(line), value, "{line}\n{}", scene.wired.metrics());
    }
}

#[tokio::test(start_paused = true)]
async fn two_programs_in_one_process_share_nothing() {
    let (one, two) = (Scene::new(), Scene::new());
    one.trip(PHONE).await;
    assert_eq!((one.state(PHONE), two.state(PHONE)), ("open", "closed"));
    assert_eq!(two.send(PHONE).await.status, 200);
    assert_eq!(two.metric("sendfuse_graph_errors_total{code=\"131031\"}"), 0.0);
    assert_eq!(two.metric("sendfuse_sends_total{admission=\"forward\"}"), 1.0);
}
