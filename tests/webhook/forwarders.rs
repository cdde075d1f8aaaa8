//! Forwarders: sources of webhooks with a path, a header and a secret of their own.

use super::*;

/// Meta's account event, as Dualhook passes it on.
const BAN: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","time":1777629600,"changes":[{"field":
    "account_update","value":{"event":"DISABLED_UPDATE","ban_info":{"waba_ban_state":"DISABLE","waba_ban_date":"May 1, 2026"}}}]}]}"#;

#[tokio::test]
async fn a_forwarder_is_heard_on_its_own_path_with_its_own_header_and_secret() {
    let (url, mut requests) = app("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    for relay_to in [None, Some(url)] {
        let mut house = House::new(relay_to).await;
        let signature = sign("theirs", BAN);
        let digits = signature.strip_prefix("sha256=").unwrap();
        for good in [&signature, digits, &signature.to_uppercase().replacen("SHA", "sha", 1)] {
            let answer = house.ask(forwarded(good, BAN)).await;
            answer.is_our_own(200);
            assert_eq!(answer.body, "ok");
            assert_eq!(house.heard.recv().await.unwrap(), BAN);
        }
        // Its own news, which are none of Meta's.
        house.ask(forwarded(&sign("theirs", "no json"), "no json")).await.is_our_own(200);
        assert_eq!(house.results()[..3], [WebhookResult::Accepted; 3]);
        assert_eq!(house.results()[3..], [WebhookResult::Unreadable]);
    }
    assert!(requests.try_recv().is_err(), "it was relayed");
}

#[tokio::test]
async fn no_ones_secret_header_or_path_is_good_for_another() {
    let mut house = House::new(None).await;
    let (metas, theirs) = (sign("first", BODY), sign("theirs", BODY));
    let at = |path: &str, request: String| request.replacen("/webhook/dualhook", path, 1);
    for request in [
        forwarded(&metas, BODY),
        post(&theirs, BODY),
        forwarded(&sign("", BODY), BODY),
        forwarded(&theirs, &format!("{BODY} ")),
    ] {
        house.ask(request).await.is_our_own(401);
    }
    let unsigned = [
        post_to("/webhook/dualhook", &metas, BODY),
        post_to("/webhook/dualhook", &theirs, BODY),
        at("/webhook", forwarded(&theirs, BODY)),
        at("/webhook", forwarded(&metas, BODY)),
        post(metas.strip_prefix("sha256=").unwrap(), BODY),
        forwarded(&format!("{theirs}\r\nX-Dualhook-Signature: {metas}"), BODY),
        forwarded("", BODY),
    ];
    for request in &unsigned {
        house.ask(request).await.is_our_own(401);
    }
    let expected = [vec![WebhookResult::Forged; 4], vec![WebhookResult::Unsigned; unsigned.len()]].concat();
    house.assert_deaf_to(&expected);

    // One with an empty secret is nobody's, and one that is no longer configured is nobody.
    let settings =
        |sources| WebhookSettings { path: "/webhook".into(), sources, ..WebhookSettings::default() };
    house.settings.store(Arc::new(settings(vec![Source { secret: "".into(), ..forwarder() }])));
    house.ask(forwarded(&sign("", BODY), BODY)).await.is_our_own(401);
    house.settings.store(Arc::new(settings(Vec::new())));
    house.ask(forwarded(&theirs, BODY)).await.is_our_own(404);
    assert!(house.heard.try_recv().is_err());
}

#[tokio::test]
async fn several_forwarders_are_kept_apart() {
    let mut house = House::new(None).await;
    let other = Source {
        name: "b".into(),
        path: "/b".into(),
        header: "x-hub-signature-256".parse().unwrap(),
        secret: "b".into(),
    };
    house.settings.store(Arc::new(WebhookSettings {
        path: "/webhook".to_owned(),
        sources: vec![forwarder(), other],
        ..WebhookSettings::default()
    }));
    house.ask(post_to("/b", &sign("b", BODY), BODY)).await.is_our_own(200);
    house.ask(forwarded(&sign("theirs", BODY), BODY)).await.is_our_own(200);
    for _ in 0..2 {
        assert_eq!(house.heard.recv().await.unwrap(), BODY);
    }
    house.ask(post_to("/b", &sign("theirs", BODY), BODY)).await.is_our_own(401);
    house.ask(forwarded(&sign("b", BODY), BODY)).await.is_our_own(401);
    // Without a secret of the app's nobody else is let in.
    house.ask(post(&sign("b", BODY), BODY)).await.is_our_own(401);
    assert!(house.heard.try_recv().is_err());
}

#[tokio::test]
async fn a_forwarder_has_no_handshake_and_makes_none_for_the_app() {
    let (url, mut requests) = app("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n42").await;
    for relay_to in [None, Some(url)] {
        let mut house = House::new(relay_to).await;
        let query = "hub.mode=subscribe&hub.challenge=1&hub.verify_token=vibecoding";
        let answer = house.get(&format!("/webhook/dualhook?{query}")).await;
        answer.is_our_own(405);
        assert_eq!(answer.header("allow"), Some("POST"));
        house.get("/webhook/dualhook/").await.is_our_own(404);
        house.assert_deaf_to(&[WebhookResult::Misdirected; 2]);
    }
    assert!(requests.try_recv().is_err(), "the app was asked");
}

#[tokio::test]
async fn a_forwarder_is_answered_when_the_evidence_is_in() {
    let mut house = House::new(None).await;
    house.ear.may_finish.forget_permits(1000);
    let mut socket = TcpStream::connect(house.address).await.unwrap();
    socket.write_all(forwarded(&sign("theirs", BAN), BAN).as_bytes()).await.unwrap();
    house.heard.recv().await.unwrap();
    house.get("/elsewhere").await.is_our_own(404);
    assert!(socket.try_read(&mut [0; 1]).is_err(), "it knows already");
    house.ear.may_finish.add_permits(1);
    Answer::from(&mut socket).await.is_our_own(200);
    // And no more is taken of it than of Meta.
    let body = "x".repeat(MAX_BODY + 1);
    house.ask(forwarded(&sign("theirs", &body), &body)).await.is_our_own(413);
}
