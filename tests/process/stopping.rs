//! SIGTERM: what is in flight ends well, nothing new begins, and the exit code is 0.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::Full;
use sendfuse::simulator::{Fault, FaultRule, PHONE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::{Connection, PATIENCE, Said, Scene, Sendfuse, eventually, message, within};

/// Long enough to look around meanwhile.
const SLOW: Duration = Duration::from_secs(3);

async fn ready(sendfuse: &Sendfuse) -> u16 {
    sendfuse.admin(Method::GET, "/readyz", "").await.status
}

/// A kept connection on which one request was answered, and nothing is under way.
async fn idle_connection(sendfuse: &Sendfuse) -> TcpStream {
    let mut stream = TcpStream::connect(sendfuse.proxy).await.unwrap();
    stream.write_all(b"GET /v23.0/none HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}}") {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
    }
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_in_flight_gets_its_answer_and_idle_connections_close() {
    let scene = Scene::new(|_| {}).await;
    scene.configure(&format!("proxy.drain_timeout = \"{}s\"", PATIENCE.as_secs()));
    let sendfuse = scene.run().await;
    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Delay { delay: SLOW }));
    assert_eq!(ready(&sendfuse).await, 200);
    let mut idle = idle_connection(&sendfuse).await;
    let mut slow = Vec::new();
    for connection in [Connection::http1(sendfuse.proxy).await, Connection::http2(sendfuse.proxy).await] {
        let mut connection = connection;
        slow.push(tokio::spawn(async move { connection.call(message(PHONE)).await }));
    }
    scene.meta.until(|counts| counts.phones.get(PHONE).is_some_and(|phone| phone.arrived == 2)).await;

    sendfuse.signal("TERM");
    eventually("readyz says no", async || (ready(&sendfuse).await == 503).then_some(())).await;
    let health = sendfuse.admin(Method::GET, "/healthz", "").await;
    assert_eq!(health.status, 200, "it lives");
    let mut rest = Vec::new();
    let end = within("the idle connection closes", idle.read_to_end(&mut rest)).await;
    assert_eq!((end.unwrap(), rest), (0, Vec::new()));
    eventually("no new connection", async || TcpStream::connect(sendfuse.proxy).await.is_err().then_some(()))
        .await;
    assert!(slow.iter().all(|slow| !slow.is_finished()), "all this happened meanwhile");

    for slow in slow {
        assert_eq!(slow.await.unwrap().said(), Said::Accepted);
    }
    let (status, _) = sendfuse.ended().await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_in_time_is_cut() {
    let scene = Scene::new(|_| {}).await;
    scene.configure("proxy.drain_timeout = \"100ms\"");
    let sendfuse = scene.run().await;
    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Stall));
    let mut connection = Connection::http1(sendfuse.proxy).await;
    let cut = tokio::spawn(async move { connection.try_call(message(PHONE)).await });
    scene.meta.until(|counts| counts.phones.get(PHONE).is_some_and(|phone| phone.arrived == 1)).await;
    sendfuse.signal("TERM");
    cut.await.unwrap().unwrap_err();
    let (status, log) = sendfuse.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("drain time is over"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait() {
    let scene = Scene::new(|_| {}).await;
    scene.configure("proxy.drain_timeout = \"1h\"");
    let sendfuse = scene.run().await;
    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Stall));
    let mut connection = Connection::http1(sendfuse.proxy).await;
    tokio::spawn(async move { connection.try_call(message(PHONE)).await });
    scene.meta.until(|counts| counts.phones.get(PHONE).is_some_and(|phone| phone.arrived == 1)).await;
    sendfuse.signal("INT");
    eventually("readyz says no", async || (ready(&sendfuse).await == 503).then_some(())).await;
    sendfuse.signal("TERM");
    let (status, _) = sendfuse.ended().await;
    assert_eq!(status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_right_after_the_greeting_is_a_stop() {
    let scene = Scene::new(|_| {}).await;
    scene.configure("");
    for _ in 0..5 {
        let sendfuse = scene.run().await;
        sendfuse.signal("TERM");
        let (status, log) = sendfuse.ended().await;
        assert_eq!(status.code(), Some(0), "{status} {log}");
    }
}

/// What was learned up to the end is there after it.
#[tokio::test(flavor = "multi_thread")]
async fn the_verdict_of_an_app_that_hung_up_is_awaited() {
    let scene = Scene::new(|_| {}).await;
    scene.configure("");
    let sendfuse = scene.run().await;
    scene.meta.lock(PHONE, sendfuse::simulator::Profile::Sync403);
    scene.meta.fault(FaultRule::sends_of(PHONE, Fault::Delay { delay: Duration::from_millis(500) }));
    let mut connection = Connection::http1(sendfuse.proxy).await;
    let app = tokio::spawn(async move { connection.try_call(message(PHONE)).await });
    scene.meta.until(|counts| counts.phones.get(PHONE).is_some_and(|phone| phone.arrived == 1)).await;
    app.abort();
    sendfuse.signal("TERM");
    let (status, log) = sendfuse.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    let sendfuse = scene.run().await;
    assert_eq!(sendfuse.breaker(PHONE).await["state"], "open", "{log}");
    let request = Request::builder().uri(format!("http://{}/healthz", sendfuse.admin)).body(Full::default());
    assert_eq!(Connection::http2(sendfuse.admin).await.call(request.unwrap()).await.status, 200);
}
