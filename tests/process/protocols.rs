//! Every way in and every way out, through the real binary: HTTP/1.1 and HTTP/2, plain and over TLS.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Version;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use sendfuse::simulator::{PHONE, Profile, Protocols};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::rig::{Connection, HEALTHY, Said, Scene, loopback, message};

/// Accepted, locked, rejected, on one connection; and the neighbour untouched.
async fn a_lock_over(scene: &Scene, connection: &mut Connection, version: Version) {
    let first = connection.call(message(PHONE)).await;
    assert_eq!((first.said(), first.version), (Said::Accepted, version), "{first:?}");
    scene.meta.lock(PHONE, Profile::Sync403);
    assert_eq!(connection.call(message(PHONE)).await.said(), Said::Locked);
    let rejected = connection.call(message(PHONE)).await;
    assert_eq!((rejected.said(), rejected.version), (Said::Rejected, version), "{rejected:?}");
    assert_eq!(connection.call(message(HEALTHY)).await.said(), Said::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn http1_and_h2c_clients_on_one_port() {
    for http2 in [false, true] {
        let scene = Scene::new(|_| {}).await;
        scene.configure("");
        let sendfuse = scene.run().await;
        let (mut connection, version) = match http2 {
            true => (Connection::http2(sendfuse.proxy).await, Version::HTTP_2),
            false => (Connection::http1(sendfuse.proxy).await, Version::HTTP_11),
        };
        a_lock_over(&scene, &mut connection, version).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_sends_at_once_on_one_h2c_connection() {
    let scene = Scene::new(|_| {}).await;
    scene.configure("");
    let sendfuse = scene.run().await;
    let Connection::Http2(sender) = Connection::http2(sendfuse.proxy).await else { unreachable!() };
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let mut connection = Connection::Http2(sender.clone());
        calls.spawn(async move { connection.call(message(PHONE)).await.said() });
    }
    assert!(calls.join_all().await.iter().all(|said| *said == Said::Accepted));
    assert_eq!(scene.meta.phone_counts(PHONE).accepted, 100);
}

/// A scene whose Meta speaks TLS and no more than `protocols`; its authority is in `ca.pem`.
async fn behind_tls(protocols: Protocols) -> Scene {
    let scene = Scene::new(|_| {}).await;
    scene.write("ca.pem", scene.meta.ca_pem().unwrap());
    let listening = scene.meta.listen_tls(loopback(), protocols).await.unwrap();
    let url = format!("https://127.0.0.1:{}", listening.addr.port());
    scene.behind(listening, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_to_upstream_over_both_versions() {
    for (protocols, http, version) in [
        (Protocols::Both, "auto", Version::HTTP_2),
        (Protocols::Http1, "auto", Version::HTTP_11),
        (Protocols::Both, "1", Version::HTTP_11),
        (Protocols::Http2, "2", Version::HTTP_2),
    ] {
        let scene = behind_tls(protocols).await;
        let ca = scene.file("ca.pem");
        scene.configure(&format!("upstream.ca_file = \"{}\"\nupstream.http = \"{http}\"", ca.display()));
        let sendfuse = scene.run().await;
        a_lock_over(&scene, &mut Connection::http1(sendfuse.proxy).await, Version::HTTP_11).await;
        let recorded = scene.meta.recorded();
        assert!(recorded.iter().all(|request| request.version == version), "{protocols:?} {http}");
        // The probe of the trip goes the same way.
        let probed =
            scene.meta.until(|counts| counts.phones.get(PHONE).is_some_and(|phone| phone.probes == 1));
        super::rig::within("a probe", probed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_cannot_prove_itself_gets_nothing() {
    let scene = behind_tls(Protocols::Both).await;
    let stranger = Authority::new(scene.file("stranger"));
    let public = "";
    let of_another = format!("upstream.ca_file = \"{}\"", stranger.file().display());
    for trust in [public, &of_another] {
        scene.configure(trust);
        let sendfuse = scene.run().await;
        let answer = sendfuse.send(PHONE).await;
        assert_eq!(
            (answer.status, answer.header("x-sendfuse-error")),
            (502, Some("upstream_tls")),
            "{answer:?}"
        );
        assert_eq!(answer.json()["error"]["code"], 999_502);
        assert_eq!(sendfuse.breaker(PHONE).await["state"], "closed");
        sendfuse.kill().await;
    }
    assert_eq!(scene.meta.counts().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_that_insist_on_https() {
    for (alpn, version) in [("http/1.1", Version::HTTP_11), ("h2", Version::HTTP_2)] {
        let scene = Scene::new(|_| {}).await;
        let authority = Authority::new(scene.file("authority"));
        scene.configure(&authority.issue("one", "localhost"));
        let sendfuse = scene.run().await;
        let stream = authority.connect(sendfuse.proxy, "localhost", alpn).await.unwrap();
        let mut connection = match alpn {
            "h2" => Connection::http2_over(stream).await,
            _ => Connection::http1_over(stream).await,
        };
        a_lock_over(&scene, &mut connection, version).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_taken_over_and_open_connections_stay() {
    let scene = Scene::new(|_| {}).await;
    let authority = Authority::new(scene.file("authority"));
    let config = authority.issue("pair", "localhost");
    scene.configure(&config);
    let sendfuse = scene.run().await;
    let shown = async |authority: &Authority| {
        let stream = authority.connect(sendfuse.proxy, "localhost", "http/1.1").await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    };
    let old = shown(&authority).await;
    let mut kept =
        Connection::http1_over(authority.connect(sendfuse.proxy, "localhost", "http/1.1").await.unwrap())
            .await;
    assert_eq!(kept.call(message(PHONE)).await.said(), Said::Accepted);

    // In the same files.
    authority.issue("pair", "localhost");
    sendfuse.signal("HUP");
    sendfuse.log.line_with(&["the changed configuration is in force"]).await;
    let second = shown(&authority).await;
    assert_ne!(second, old);
    assert_eq!(kept.call(message(PHONE)).await.said(), Said::Accepted);

    // Half of a pair is refused.
    let cert = authority.dir.join("pair.pem");
    let good = std::fs::read(&cert).unwrap();
    std::fs::write(&cert, "no certificate").unwrap();
    sendfuse.signal("HUP");
    sendfuse.log.line_with(&["the changed configuration is refused", "pair.pem"]).await;
    assert_eq!(shown(&authority).await, second);
    std::fs::write(&cert, good).unwrap();

    // In other files.
    scene.configure(&authority.issue("other", "localhost"));
    sendfuse.log.until("taken twice", |text| text.matches("configuration is in force").count() == 2).await;
    let third = shown(&authority).await;
    assert_ne!(third, second);
    assert_eq!(third, authority.certificate("other"));
}

/// A private authority, and certificates from it, in a directory.
struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(dir: PathBuf) -> Self {
        std::fs::create_dir(&dir).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        std::fs::write(dir.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { dir, issuer: Issuer::new(params, key) }
    }

    fn file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Writes a certificate and its key; gives the line of configuration for them.
    fn issue(&self, file: &str, name: &str) -> String {
        let (cert, key) = (self.dir.join(format!("{file}.pem")), self.dir.join(format!("{file}.key")));
        let pair = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        std::fs::write(&cert, params.signed_by(&pair, &self.issuer).unwrap().pem()).unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        format!("proxy.tls = {{ cert = \"{}\", key = \"{}\" }}", cert.display(), key.display())
    }

    fn certificate(&self, file: &str) -> CertificateDer<'static> {
        read(&self.dir.join(format!("{file}.pem")))
    }

    /// A verified connection.
    async fn connect(
        &self,
        addr: SocketAddr,
        name: &str,
        alpn: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(read(&self.file())).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let stream = TcpStream::connect(addr).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn.as_bytes()));
        Ok(stream)
    }
}

fn read(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file).unwrap()
}
