//! Many strangers at once.

use std::time::Duration;

use http::Method;
use sendfuse::simulator::PHONE;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::rig::{Said, Scene};

/// A stranger gives up after this: where nobody accepts, the system takes no more connections some time.
const NO_LONGER: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn strangers_at_the_webhook_listener_take_no_descriptor_that_a_send_needs() {
    let scene = Scene::new(|_| {}).await;
    // Who is silent may stay.
    scene.configure("proxy.header_timeout = \"1h\"");
    let sendfuse = scene.run_with_open_files(256).await;
    let mut strangers = JoinSet::new();
    for _ in 0..300 {
        strangers.spawn(tokio::time::timeout(NO_LONGER, TcpStream::connect(sendfuse.webhook)));
    }
    let idle = strangers.join_all().await;
    assert_eq!(sendfuse.send(PHONE).await.said(), Said::Accepted);
    assert_eq!(sendfuse.admin(Method::GET, "/healthz", "").await.status, 200);
    drop(idle);
}
