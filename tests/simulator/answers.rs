//! Answers are as Graph writes them, and what is wrong is refused as Graph refuses it.

use super::*;

#[tokio::test]
async fn answers_have_the_fields_and_headers_of_graph() {
    let scene = scene(|_| {});
    let fields = call(&scene.meta, get(&format!("/v24.0/{PHONE}/"))).await.1;
    assert_eq!(fields["display_phone_number"], "15550783881");
    assert!(
        fields["webhook_configuration"]["application"].is_string() && fields.get("health_status").is_none()
    );
    let wrong = call(&scene.meta, get(&format!("/{PHONE}?fields=shoe_size"))).await;
    assert_eq!(code(&wrong), (400, 100));
    let numbers = call(&scene.meta, get(&format!("/v24.0/{WABA}/phone_numbers"))).await.1;
    assert_eq!(numbers["data"][0]["id"], PHONE);
    let answer = open(&scene.meta, get(&format!("/v24.0/{PHONE}"))).await.unwrap();
    for (name, value) in [
        ("facebook-api-version", "v24.0"),
        ("content-type", "application/json; charset=UTF-8"),
        ("vary", "Origin, Accept-Encoding"),
        ("alt-svc", r#"h3=":443"; ma=86400"#),
        ("pragma", "no-cache"),
    ] {
        assert_eq!(answer.headers()[name], value);
    }
    for name in ["x-fb-request-id", "x-fb-trace-id", "x-app-usage", "etag", "content-length", "date"] {
        assert!(answer.headers().contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_the_documented_code() {
    let scene = scene(|options| options.accept_any_phone = false);
    let messages = format!("/v23.0/{PHONE}/messages");
    for (path, body, expected) in [
        ("/v23.0/106540352242923/messages", TEXT, (400, 100)),
        (&*messages, "{", (400, 100)),
        (&*messages, r#"{"to":"16505551234"}"#, (400, 131_008)),
        (&*messages, r#"{"messaging_product":"whatsapp","text":{"body":"x"}}"#, (400, 131_008)),
        (&*messages, r#"{"messaging_product":"whatsapp","to":"16505551234"}"#, (400, 131_008)),
        (&*messages, r#"{"messaging_product":"whatsapp","to":"x","text":{"body":"x"}}"#, (400, 131_009)),
        (&*messages, r#"{"messaging_product":"whatsapp","to":"16505551234","type":"fax"}"#, (400, 131_009)),
        (
            &*messages,
            r#"{"messaging_product":"whatsapp","to":"15550783881","text":{"body":"x"}}"#,
            (400, 131_021),
        ),
        (&*messages, r#"{"messaging_product":"whatsapp","status":"read","message_id":"x"}"#, (400, 131_009)),
        (&format!("/{PHONE}/marketing_messages"), TEXT, (400, 134_100)),
        (&format!("/{PHONE}/nonsense"), "{}", (400, 100)),
    ] {
        assert_eq!(code(&call(&scene.meta, post(path, body)).await), expected, "{path} {body}");
    }
    let unknown = call(&scene.meta, get("/v23.0/123456789012345")).await;
    assert_eq!(unknown.1["error"]["error_subcode"], 33);
    assert_eq!(unknown.1["error"]["type"], "GraphMethodException");
}

#[tokio::test]
async fn a_token_may_come_in_three_ways_and_must_be_good() {
    let scene = scene(|_| {});
    let path = format!("/{PHONE}/messages");
    let with = |header: Option<&str>, query: &str, form: bool| {
        let mut request = post(&format!("{path}{query}"), TEXT);
        request.headers_mut().remove("authorization");
        if let Some(header) = header {
            request.headers_mut().insert("authorization", header.parse().unwrap());
        }
        if form {
            let form = "application/x-www-form-urlencoded";
            request.headers_mut().insert("content-type", form.parse().unwrap());
            let body =
                "access_token=EAAx&messaging_product=whatsapp&to=16505551234&text=%7B%22body%22%3A%22x%22%7D";
            *request.body_mut() = Full::from(body);
        }
        call(&scene.meta, request)
    };
    for (header, query, form) in [
        (Some("Bearer EAAx"), "", false),
        (Some("OAuth EAAx"), "", false),
        (None, "?access_token=EAAx", false),
        (None, "", true),
    ] {
        wamid(&with(header, query, form).await);
    }
    for (header, query) in
        [(None, ""), (Some("Bearer x"), ""), (Some("Basic EAAx"), ""), (None, "?access_token=x")]
    {
        assert_eq!(code(&with(header, query, false).await), (401, 190), "{header:?} {query}");
    }
    assert_eq!((scene.counts().arrived, scene.counts().accepted), (8, 4));
}

#[tokio::test(start_paused = true)]
async fn every_sending_edge_and_body_encoding_works() {
    let mut scene = scene(|_| {});
    let template = r#"{"messaging_product":"whatsapp","to":"16505551234","type":"template",
        "template":{"name":"summer","language":{"code":"en_US"}}}"#;
    let answer = call(&scene.meta, post(&format!("/{PHONE}/marketing_messages"), template)).await;
    assert_eq!(answer.1["messages"][0]["message_status"], "accepted");
    assert_eq!(scene.status().await["pricing"]["category"], "marketing_lite");
    let opaque = r#"{"messaging_product":"whatsapp","encrypted_contents":"eyJhbGci"}"#;
    let answer = call(&scene.meta, post(&format!("/{PHONE}/messages_encrypted"), opaque)).await;
    assert!(answer.1["encrypted_contents"].as_str().unwrap().starts_with("eyJ"));
    assert!(answer.1.get("messages").is_none());
    let mut multipart = text();
    multipart.headers_mut().insert("content-type", "multipart/form-data; boundary=x".parse().unwrap());
    let parts = [("messaging_product", "whatsapp"), ("to", "16505551234"), ("text", r#"{"body":"x"}"#)].map(
        |(name, value)| format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"),
    );
    *multipart.body_mut() = Full::from(format!("{}--x--\r\n", parts.concat()));
    wamid(&call(&scene.meta, multipart).await);
    let user =
        r#"{"messaging_product":"whatsapp","recipient":"US.13491208655302741918","text":{"body":"x"}}"#;
    let answer = call(&scene.meta, post(&format!("/{PHONE}/messages"), user)).await;
    assert_eq!(answer.1["contacts"][0]["user_id"], "US.13491208655302741918");
    let connect = r#"{"messaging_product":"whatsapp","to":"14085551234","action":"connect"}"#;
    let answer = call(&scene.meta, post(&format!("/{PHONE}/calls"), connect)).await;
    assert!(answer.1["calls"][0]["id"].as_str().unwrap().starts_with("wacid."));
    assert_eq!(scene.counts().arrived, 4);
}

#[tokio::test]
async fn a_wamid_is_unique_and_has_the_recipient_in_it() {
    use base64::Engine as _;
    let scene = scene(|_| {});
    let (one, two) = (wamid(&call(&scene.meta, text()).await), wamid(&call(&scene.meta, text()).await));
    assert_ne!(one, two);
    let inside =
        base64::engine::general_purpose::STANDARD.decode(one.strip_prefix("wamid.").unwrap()).unwrap();
    assert!(inside.windows(11).any(|window| window == b"16505551234"));
    assert!((56..=80).contains(&one.len()), "{one}");
}

#[tokio::test]
async fn answers_are_compressed_as_the_client_likes_or_as_a_fault_says() {
    let scene = scene(|_| {});
    let path = format!("/{PHONE}");
    let plain = open(&scene.meta, get(&path)).await.unwrap();
    assert!(!plain.headers().contains_key("content-encoding"));
    let plain = plain.into_body().collect().await.unwrap().to_bytes();
    for encoding in [Encoding::Br, Encoding::Gzip, Encoding::Deflate, Encoding::Zstd] {
        for forced in [false, true] {
            let mut request = get(&path);
            if forced {
                let rule = FaultRule {
                    on: Default::default(),
                    ..FaultRule::sends_of(PHONE, Fault::Encoding { encoding })
                };
                scene.meta.fault(rule.times(1));
            } else {
                request.headers_mut().insert("accept-encoding", encoding.name().parse().unwrap());
            }
            let answer = open(&scene.meta, request).await.unwrap();
            assert_eq!(answer.headers()["content-encoding"], encoding.name());
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let (body, mut decoded) = (BufReader::new(&body[..]), Vec::new());
            match encoding {
                Encoding::Br => BrotliDecoder::new(body).read_to_end(&mut decoded).await,
                Encoding::Gzip => GzipDecoder::new(body).read_to_end(&mut decoded).await,
                Encoding::Deflate => ZlibDecoder::new(body).read_to_end(&mut decoded).await,
                Encoding::Zstd => ZstdDecoder::new(body).read_to_end(&mut decoded).await,
            }
            .unwrap();
            assert_eq!(decoded, plain, "{encoding:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn stalls_delays_and_errors_are_for_so_many_requests() {
    let mut scene = scene(|_| {});
    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Stall).times(1));
    assert!(timeout(Duration::from_secs(3600), open(&scene.meta, text())).await.is_err());
    assert_eq!((scene.counts().arrived, scene.counts().accepted), (1, 0));

    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Delay { delay: 3 * DELAY }).times(1));
    let begin = Instant::now();
    wamid(&call(&scene.meta, text()).await);
    assert_eq!(begin.elapsed(), 3 * DELAY);
    assert_eq!(scene.webhook().await.0 - begin, DELAY, "the status overtakes the answer");

    scene.meta.fault(FaultRule::probes_of(PHONE, Fault::Error { status: 400, code: 80_007 }));
    wamid(&call(&scene.meta, text()).await);
    for _ in 0..2 {
        let probe = call(&scene.meta, get(&format!("/{PHONE}?fields=health_status"))).await;
        assert_eq!(code(&probe), (400, 80_007));
    }
    scene.meta.clear_faults(Some("1"));
    assert_eq!(health(&scene.meta, PHONE).await, Value::Null);
    scene.meta.clear_faults(Some(PHONE));
    assert_eq!(verdict(&health(&scene.meta, PHONE).await).0, "AVAILABLE");
}

#[tokio::test]
async fn the_shape_of_a_lock_can_be_bent() {
    let scene = scene(|_| {});
    scene.meta.lock(PHONE, Profile::Sync403);
    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Status { status: 200 }).times(1));
    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::CodeAsString).times(2));
    let answer = call(&scene.meta, text()).await;
    assert_eq!((answer.0.as_u16(), &answer.1["error"]["code"]), (200, &json!("131031")));
    let answer = call(&scene.meta, text()).await;
    assert_eq!((answer.0.as_u16(), &answer.1["error"]["code"]), (403, &json!("131031")));
    assert_eq!(code(&call(&scene.meta, text()).await), (403, 131_031));
    assert_eq!(scene.counts().refused, 3);
}
