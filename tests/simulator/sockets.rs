//! What is done to bytes and connections: resets, halves, pieces, TLS, h2.

use super::*;

async fn listen(meta: &Simulator) -> (Listening, TcpStream) {
    let listening = meta.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let stream = TcpStream::connect(listening.addr).await.unwrap();
    (listening, stream)
}

/// What comes back for a send, byte for byte, until the connection ends, and how it ends.
async fn raw(meta: &Simulator) -> (String, io::Result<()>) {
    let (_listening, mut stream) = listen(meta).await;
    let head = format!(
        "POST /{PHONE}/messages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer EAAx\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        TEXT.len()
    );
    stream.write_all(format!("{head}{TEXT}").as_bytes()).await.unwrap();
    let mut read = Vec::new();
    let end = stream.read_to_end(&mut read).await.map(|_| ());
    (String::from_utf8(read).unwrap(), end)
}

#[tokio::test]
async fn a_reset_is_a_real_one() {
    let scene = scene(|_| {});
    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Reset).times(2));
    let (answer, end) = raw(&scene.meta).await;
    assert_eq!((answer.as_str(), end.unwrap_err().kind()), ("", io::ErrorKind::ConnectionReset));
    assert!(open(&scene.meta, text()).await.is_err(), "in memory it is an end without an answer");
    assert_eq!((scene.counts().arrived, scene.counts().accepted), (2, 0));
}

#[tokio::test]
async fn half_a_body_is_announced_whole() {
    let scene = scene(|_| {});
    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::HalfBody).times(1));
    let (answer, _) = raw(&scene.meta).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let length: usize = length.parse().unwrap();
    assert!(length > 100 && body.len() == length / 2, "{length} {answer}");
    assert_eq!(scene.counts().accepted, 1);
}

#[tokio::test]
async fn a_chunked_body_comes_in_the_pieces_asked_for() {
    let scene = scene(|_| {});
    scene.meta.lock(PHONE, Profile::Sync400);
    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Chunked { sizes: vec![1, 30] }).times(1));
    let (answer, _) = raw(&scene.meta).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("transfer-encoding: chunked") && !head.contains("content-length"), "{head}");
    let lines: Vec<&str> = body.split("\r\n").collect();
    let sizes: Vec<&str> = lines.iter().copied().step_by(2).take(4).collect();
    assert_eq!(sizes, ["1", "1E", "1", "1E"], "{body}");
    let whole: String = lines.iter().copied().skip(1).step_by(2).collect();
    assert_eq!(serde_json::from_str::<Value>(&whole).unwrap()["error"]["code"], 131_031);
}

#[tokio::test]
async fn a_closed_listener_cuts_its_connections() {
    let scene = scene(|_| {});
    let (listening, mut stream) = listen(&scene.meta).await;
    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Stall));
    stream.write_all(format!("POST /{PHONE}/messages HTTP/1.1\r\nhost: x\r\n").as_bytes()).await.unwrap();
    let addr = listening.addr;
    drop(listening);
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap_or_default(), 0);
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_arrival() {
    let scene = scene(|_| {});
    let (_listening, mut stream) = listen(&scene.meta).await;
    let head = format!("POST /{PHONE}/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await.unwrap();
    drop(stream);
    timeout(PATIENCE, scene.meta.until(|counts| counts.broken_requests == 1)).await.unwrap();
    assert_eq!((scene.counts().arrived, scene.meta.counts().requests), (0, 0));
    assert!(!scene.meta.recorded()[0].complete);
}

#[tokio::test]
async fn http1_and_h2_are_spoken_over_tls() {
    let scene = scene(|_| {});
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(scene.meta.ca_pem().unwrap().as_bytes()).unwrap()).unwrap();
    for (protocols, expected) in
        [(Protocols::Both, &b"h2"[..]), (Protocols::Http2, b"h2"), (Protocols::Http1, b"http/1.1")]
    {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listening = scene.meta.listen_tls(any, protocols).await.unwrap();
        for name in ["localhost", "127.0.0.1", "graph.facebook.com"] {
            let tcp = TcpStream::connect(listening.addr).await.unwrap();
            let connector = tokio_rustls::TlsConnector::from(Arc::new(config.clone()));
            let tls = connector.connect(ServerName::try_from(name).unwrap(), tcp).await.unwrap();
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(expected));
            let answer = if expected == b"h2" {
                let mut request = text();
                *request.uri_mut() = format!("https://{name}{}", request.uri()).parse().unwrap();
                let (mut sender, connection) =
                    http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
                tokio::spawn(connection);
                sender.send_request(request).await.unwrap()
            } else {
                over_http1(tls, text()).await.unwrap()
            };
            assert_eq!(answer.status(), 200);
            answer.into_body().collect().await.unwrap();
        }
    }
    assert_eq!(scene.counts().accepted, 9);
    let versions: Vec<Version> = scene.meta.recorded().iter().map(|r| r.version).collect();
    assert_eq!((versions[0], versions[8]), (Version::HTTP_2, Version::HTTP_11));
}

#[tokio::test]
async fn h2_without_tls_is_sniffed_and_can_be_cut() {
    let scene = scene(|_| {});
    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Reset).times(1));
    for cut in [true, false] {
        let (_listening, stream) = listen(&scene.meta).await;
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = text();
        *request.uri_mut() = format!("http://localhost{}", request.uri()).parse().unwrap();
        let answer = sender.send_request(request).await;
        assert_eq!(answer.is_err(), cut);
    }
}
