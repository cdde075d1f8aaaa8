//! What these tests stand on: a simulated Meta, a home directory, and sendfuse processes that die with their test.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sendfuse::simulator::{Delivery, Listening, Options, Simulator};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// A failing test shows what it has after this long, rather than hang. Generous: machines that test are busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at something that has no event to wait for.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The app secret of the simulated Meta, and of every sendfuse here.
pub(super) const APP_SECRET: &str = "simulated-app-secret";

/// A phone that is never locked, of another WABA.
pub(super) const HEALTHY: &str = "206540352242922";

pub(super) fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// Waits, but not for ever.
pub(super) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(done) = tokio::time::timeout(PATIENCE, future).await else { panic!("in vain: {what}") };
    done
}

/// Looks until `seen` gives something.
pub(super) async fn eventually<T>(what: &str, mut seen: impl AsyncFnMut() -> Option<T>) -> T {
    let look = async {
        loop {
            if let Some(found) = seen().await {
                return found;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    within(what, look).await
}

/// A simulated Meta, and a home for sendfuses in front of it.
pub(super) struct Scene {
    pub(super) meta: Simulator,
    pub(super) home: TempDir,
    pub(super) upstream: String,
    _listening: Listening,
}

impl Scene {
    /// A Meta on a plain socket.
    pub(super) async fn new(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options {
            app_secret: APP_SECRET.to_owned(),
            status_delay: Duration::from_millis(20),
            ..Options::default()
        };
        change(&mut options);
        let meta = Simulator::new(options);
        let listening = meta.listen(loopback()).await.unwrap();
        let upstream = format!("http://{}", listening.addr);
        Self { meta, home: tempfile::tempdir().unwrap(), upstream, _listening: listening }
    }

    /// As it is reached by another door.
    pub(super) fn behind(self, listening: Listening, url: String) -> Self {
        Self { upstream: url, _listening: listening, ..self }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file into the home.
    pub(super) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let file = self.file(name);
        std::fs::write(&file, contents).unwrap();
        file
    }

    /// Writes the configuration: what every test needs, and `more` lines of TOML. In place of the old one at once, as a
    /// careful editor does.
    pub(super) fn configure(&self, more: &str) -> PathBuf {
        let data = self.file("data");
        let all = format!(
            "upstream.url = \"{}\"\nproxy.listen = \"127.0.0.1:0\"\nwebhook.listen = \"127.0.0.1:0\"\n\
             admin.listen = \"127.0.0.1:0\"\nstore.commit_timeout = \"30s\"\nstore.path = \"{}\"\n{more}\n",
            self.upstream,
            data.display()
        );
        let secrets = if more.contains("app_secrets") {
            String::new()
        } else {
            format!("webhook.app_secrets = [\"{APP_SECRET}\"]\n")
        };
        let new = self.write("sendfuse.toml.new", secrets + &all);
        let file = self.file("sendfuse.toml");
        std::fs::rename(new, &file).unwrap();
        file
    }

    /// Starts sendfuse with the configuration as it is, and lets Meta's webhooks go to it.
    pub(super) async fn run(&self) -> Sendfuse {
        self.run_with(&[]).await
    }

    pub(super) async fn run_with(&self, environment: &[(&str, &str)]) -> Sendfuse {
        let config = self.file("sendfuse.toml");
        let run = command(&["run", "--config", config.to_str().unwrap()], environment);
        self.started(run).await
    }

    /// As [`Scene::run`], with no more than so many open files.
    pub(super) async fn run_with_open_files(&self, limit: u32) -> Sendfuse {
        let config = self.file("sendfuse.toml");
        let run = format!("ulimit -n {limit} && exec \"$0\" run --config \"$1\"");
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &run, env!("CARGO_BIN_EXE_sendfuse"), config.to_str().unwrap()]);
        self.started(alone(shell, &[])).await
    }

    async fn started(&self, run: Command) -> Sendfuse {
        let sendfuse = Sendfuse::start(run).await;
        self.meta.set_webhook_url(Some(format!("http://{}/webhook", sendfuse.webhook)));
        sendfuse
    }

    /// Runs a command to its end.
    pub(super) async fn sendfuse(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
        let output = command(arguments, environment).current_dir(self.home.path()).output();
        Ended::from(within("the command ends", output).await.unwrap())
    }

    /// Runs with the configuration as it is, though it cannot.
    pub(super) async fn refused(&self, environment: &[(&str, &str)]) -> Ended {
        let config = self.file("sendfuse.toml");
        self.sendfuse(&["run", "--config", config.to_str().unwrap()], environment).await
    }
}

fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sendfuse"));
    command.args(arguments);
    alone(command, environment)
}

fn alone(mut command: Command, environment: &[(&str, &str)]) -> Command {
    // What is set around the tests is none of their business.
    command.env_clear().envs(environment.iter().copied());
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A command that has ended.
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A running sendfuse. Dropped: killed.
pub(super) struct Sendfuse {
    child: Child,
    out: Stream,
    pub(super) log: Stream,
    pub(super) proxy: SocketAddr,
    pub(super) webhook: SocketAddr,
    pub(super) admin: SocketAddr,
    /// What the calls of [`Sendfuse::admin`] carry.
    pub(super) token: Mutex<Option<String>>,
}

impl Sendfuse {
    async fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = Stream::of(child.stdout.take().unwrap());
        let log = Stream::of(child.stderr.take().unwrap());
        // The line after the addresses.
        let Some(greeting) = out.seen(|text| text.contains("\n  state ")).await else {
            let status = within("it ends", child.wait()).await;
            panic!("did not start: {status:?}\n{}", log.whole().await);
        };
        let address = |of: &str| {
            let line = greeting.lines().find(|line| line.trim_start().starts_with(of)).unwrap();
            let url: url::Url = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            SocketAddr::new(url.host_str().unwrap().parse().unwrap(), url.port().unwrap())
        };
        let (proxy, webhook, admin) = (address("sends"), address("webhooks"), address("admin"));
        Self { child, out, log, proxy, webhook, admin, token: Mutex::default() }
    }

    /// `kill -9`; back when it is dead.
    pub(super) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends a signal, by its name without SIG.
    pub(super) fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.child.id().expect("it runs"));
        // The shell's own: not every machine has a program of that name.
        assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for its end; also gives all that it ever printed, both streams.
    pub(super) async fn ended(mut self) -> (ExitStatus, String) {
        let status = within("it ends", self.child.wait()).await.unwrap();
        let (out, log) = (self.out.whole().await, self.log.whole().await);
        (status, out + &log)
    }

    /// One call of the admin API.
    pub(super) async fn admin(&self, method: Method, path: &str, body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.admin));
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        if let Some(token) = &*self.token.lock().unwrap() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        call(self.admin, request.body(Full::from(body.to_owned())).unwrap()).await
    }

    /// A phone's breaker.
    pub(super) async fn breaker(&self, phone: &str) -> Value {
        let answer = self.admin(Method::GET, &format!("/v1/breakers/{phone}"), "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Gives an order, which must be taken.
    pub(super) async fn order(&self, phone: &str, action: &str, body: Value) -> Value {
        let path = format!("/v1/breakers/{phone}/{action}");
        let answer = self.admin(Method::POST, &path, &body.to_string()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Sends a message over a connection of its own.
    pub(super) async fn send(&self, phone: &str) -> Answer {
        call(self.proxy, message(phone)).await
    }
}

/// What a process writes to one of its streams, as it comes.
pub(super) struct Stream {
    text: watch::Receiver<String>,
}

impl Stream {
    fn of(mut pipe: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let (sender, text) = watch::channel(String::new());
        tokio::spawn(async move {
            let mut bytes = Vec::new();
            while pipe.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
                // Up to the last whole character.
                let valid = match std::str::from_utf8(&bytes) {
                    Ok(text) => text.len(),
                    Err(error) => error.valid_up_to(),
                };
                let new: Vec<u8> = bytes.drain(..valid).collect();
                sender.send_modify(|text| text.push_str(&String::from_utf8(new).unwrap()));
            }
        });
        Self { text }
    }

    pub(super) fn text(&self) -> String {
        self.text.borrow().clone()
    }

    /// Waits until the text is as asked, and gives it; none if it ends before, or takes too long.
    async fn seen(&self, mut enough: impl FnMut(&str) -> bool) -> Option<String> {
        let mut text = self.text.clone();
        let seen = tokio::time::timeout(PATIENCE, text.wait_for(|text| enough(text))).await;
        seen.ok()?.ok().map(|text| text.clone())
    }

    /// Waits until the text is as asked, and gives it.
    pub(super) async fn until(&self, what: &str, enough: impl FnMut(&str) -> bool) -> String {
        match self.seen(enough).await {
            Some(text) => text,
            None => panic!("in vain: {what}\n{}", self.text()),
        }
    }

    /// Waits until a line has all of these words.
    pub(super) async fn line_with(&self, words: &[&str]) {
        let has_all = |text: &str| text.lines().any(|line| words.iter().all(|word| line.contains(word)));
        self.until(&words.join(" "), has_all).await;
    }

    async fn whole(mut self) -> String {
        // Its sender goes with the end of the stream.
        within("the stream ends", async { while self.text.changed().await.is_ok() {} }).await;
        self.text()
    }
}

/// A template of an ordinary send.
pub(super) fn message(phone: &str) -> Request<Full<Bytes>> {
    let body =
        json!({"messaging_product": "whatsapp", "to": "16505551234", "type": "text", "text": {"body": "hi"}});
    Request::builder()
        .method(Method::POST)
        .uri(format!("http://graph.test/v23.0/{phone}/messages"))
        .header("authorization", "Bearer EAAtest")
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()))
        .unwrap()
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Who said what about a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Meta has taken it.
    Accepted,
    /// Meta says 131031.
    Locked,
    /// sendfuse has held it back.
    Rejected,
    /// Anything else.
    Other,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(super) fn said(&self) -> Said {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let locked = body["error"]["code"] == 131_031;
        match self.header("x-sendfuse-state") {
            Some(_) if locked => Said::Rejected,
            None if locked => Said::Locked,
            None if self.status == 200 && body["messages"][0]["id"].is_string() => Said::Accepted,
            _ => Said::Other,
        }
    }
}

/// One connection of a client, kept alive.
pub(super) enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    pub(super) async fn http1(addr: SocketAddr) -> Self {
        Self::http1_over(TcpStream::connect(addr).await.unwrap()).await
    }

    pub(super) async fn http1_over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
        tokio::spawn(connection);
        Self::Http1(sender)
    }

    /// With prior knowledge.
    pub(super) async fn http2(addr: SocketAddr) -> Self {
        Self::http2_over(TcpStream::connect(addr).await.unwrap()).await
    }

    pub(super) async fn http2_over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
        tokio::spawn(connection);
        Self::Http2(sender)
    }

    /// Calls, and reads the answer to its end.
    pub(super) async fn call(&mut self, request: Request<Full<Bytes>>) -> Answer {
        self.try_call(request).await.expect("the connection holds")
    }

    /// As [`Connection::call`], where the connection may break.
    pub(super) async fn try_call(&mut self, mut request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
        let answered = async {
            let answer = match self {
                Self::Http1(sender) => {
                    let host = request.uri().authority().unwrap().as_str().parse().unwrap();
                    request.headers_mut().insert("host", host);
                    let target = request.uri().path_and_query().unwrap().as_str().parse().unwrap();
                    *request.uri_mut() = target;
                    sender.ready().await?;
                    sender.send_request(request).await?
                }
                Self::Http2(sender) => sender.clone().send_request(request).await?,
            };
            let (head, body) = answer.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Answer { status: head.status.as_u16(), version: head.version, headers: head.headers, body })
        };
        within("an answer", answered).await
    }
}

/// One call over an HTTP/1.1 connection of its own.
pub(super) async fn call(addr: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    Connection::http1(addr).await.call(request).await
}

/// Brings a webhook to its URL, as Meta does.
pub(super) fn deliver(request: Request<Bytes>) -> Delivery {
    Box::pin(async move {
        let addr = request.uri().authority().ok_or("no address")?.as_str().parse()?;
        let answer = call(addr, request.map(Full::from)).await;
        let mut response = http::Response::new(answer.body);
        *response.status_mut() = http::StatusCode::from_u16(answer.status)?;
        Ok(response)
    })
}
