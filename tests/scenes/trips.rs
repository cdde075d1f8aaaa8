//! What opens a breaker in the answer to a send, however the answer is written, and what does not.

use sendfuse::simulator::{Encoding, Fault, FaultRule, Profile};
use serde_json::json;

use super::harness::{OTHER, PHONE, Scene, json_request, send_request};

/// What Meta answers to the next send, made of these faults on top of a lock.
async fn answered(faults: &[Fault]) -> (Scene, u16) {
    let scene = Scene::new();
    scene.lock(PHONE, Profile::Sync403);
    for fault in faults {
        scene.meta.fault(FaultRule::sends_of(PHONE, fault.clone()));
    }
    let status = scene.send(PHONE).await.status;
    (scene, status)
}

#[track_caller]
fn assert_tripped(scene: &Scene, code: i64, why: &str) {
    let breaker = scene.breaker(PHONE);
    assert_eq!((breaker.state, breaker.generation), ("open", 1), "{why}");
    let reason = breaker.reason.unwrap();
    assert_eq!((reason.code, reason.source), (Some(code), "response"), "{why}");
    assert_eq!(scene.state(OTHER), "closed", "one phone's lock is nobody else's");
}

#[tokio::test(start_paused = true)]
async fn whatever_the_status() {
    for status in [200, 400, 403, 500] {
        let (scene, seen) = answered(&[Fault::Status { status }]).await;
        assert_eq!(seen, status, "the app gets Meta's own answer");
        assert_tripped(&scene, 131_031, &status.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn whether_the_code_is_a_number_or_text() {
    for faults in [&[][..], &[Fault::CodeAsString]] {
        let (scene, _) = answered(faults).await;
        assert_tripped(&scene, 131_031, &format!("{faults:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn in_every_encoding_and_however_it_is_split() {
    let encodings =
        [None, Some(Encoding::Gzip), Some(Encoding::Br), Some(Encoding::Deflate), Some(Encoding::Zstd)];
    let splits: [&[usize]; 7] = [&[], &[1], &[2], &[7], &[1, 100], &[64], &[100_000]];
    for encoding in encodings {
        for sizes in splits {
            for status in [200, 403] {
                let mut faults = vec![Fault::Status { status }];
                faults.extend(encoding.map(|encoding| Fault::Encoding { encoding }));
                if !sizes.is_empty() {
                    faults.push(Fault::Chunked { sizes: sizes.to_vec() });
                }
                let (scene, seen) = answered(&faults).await;
                assert_eq!(seen, status);
                assert_tripped(&scene, 131_031, &format!("{faults:?}"));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn on_each_edge_that_sends() {
    let template = json!({"messaging_product": "whatsapp", "to": "16505551234", "type": "template",
        "template": {"name": "sale", "language": {"code": "en_US"}}});
    let sealed = json!({"messaging_product": "whatsapp", "encrypted_contents": "eyJ"});
    for (edge, body) in
        [("messages", &template), ("marketing_messages", &template), ("messages_encrypted", &sealed)]
    {
        let scene = Scene::new();
        scene.lock(PHONE, Profile::Sync400);
        let answer = scene.call(json_request("POST", &format!("/v24.0/{PHONE}/{edge}"), body)).await;
        assert_eq!((answer.status, answer.code()), (400, 131_031), "{edge}");
        assert_tripped(&scene, 131_031, edge);
    }
}

#[tokio::test(start_paused = true)]
async fn temporarily_blocked_is_of_the_same_class() {
    for status in [200, 400, 403, 500] {
        let scene = Scene::new();
        scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Error { status, code: 368 }));
        assert_eq!(scene.send(PHONE).await.status, status);
        assert_tripped(&scene, 368, &status.to_string());
        let rejection = scene.send(PHONE).await;
        assert_eq!(rejection.header("x-sendfuse-reason"), Some("368; source=response"));
        assert_eq!(rejection.code(), 131_031, "apps know this one");
    }
}

#[tokio::test(start_paused = true)]
async fn no_other_code_opens() {
    let codes = [
        0, 1, 2, 4, 10, 33, 100, 190, 200, 80_007, 130_403, 130_429, 130_497, 131_000, 131_005, 131_008,
        131_016, 131_026, 131_042, 131_045, 131_047, 131_048, 131_049, 131_056, 131_057, 132_001, 132_015,
        133_005, 133_010, 133_016, 134_011, 135_000, 141_006, 13_103, 1_310_310, -131_031,
    ];
    let scene = Scene::new();
    for code in codes {
        for status in [200, 400, 403, 500] {
            scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Error { status, code }).times(1));
            let answer = scene.send(PHONE).await;
            assert_eq!((answer.status, answer.code()), (status, code));
        }
    }
    assert_eq!((scene.state(PHONE), scene.breaker(PHONE).generation), ("closed", 0));
    assert_eq!(scene.probes(PHONE), 0);
    assert_eq!(scene.send(PHONE).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_pin_that_meta_refuses_is_not_the_account() {
    let scene = Scene::new();
    for target in [format!("/v23.0/{PHONE}/register"), format!("/v23.0/{PHONE}")] {
        let rule = FaultRule {
            phone: Some(PHONE.into()),
            on: sendfuse::simulator::Requests::Others,
            times: Some(1),
            fault: Fault::Error { status: 400, code: 131_031 },
        };
        scene.meta.fault(rule);
        let pin = json!({"messaging_product": "whatsapp", "pin": "123456"});
        assert_eq!(scene.call(json_request("POST", &target, &pin)).await.code(), 131_031, "{target}");
        assert_eq!(scene.state(PHONE), "closed", "{target}");
    }
    assert_eq!(scene.send(PHONE).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn two_locks_where_two_are_asked_for() {
    let scene = Scene::with(|config| config.breaker.trip_after = 2);
    scene.lock(PHONE, Profile::Sync403);
    assert_eq!(scene.send(PHONE).await.code(), 131_031);
    assert_eq!(scene.state(PHONE), "closed");
    let second = scene.send(PHONE).await;
    assert!(!second.is_rejection());
    assert_tripped(&scene, 131_031, "the second");
    assert!(scene.send(PHONE).await.is_rejection());
}

#[tokio::test(start_paused = true)]
async fn the_app_gets_metas_answer_byte_for_byte() {
    let scene = Scene::new();
    scene.lock(PHONE, Profile::Sync403);
    let mut request = send_request(PHONE);
    request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
    let answer = scene.call(request).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    assert!(!answer.headers.keys().any(|name| name.as_str().contains("sendfuse")));
    assert_eq!(scene.state(PHONE), "open");
}
