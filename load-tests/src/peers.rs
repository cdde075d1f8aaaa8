//! The proxies that are measured: how each is found, configured as its own expert would, started and stopped.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::Result;
use crate::origin::Scheme;
use crate::process::{Process, fetched, free_ports};

/// The peer that every ratio is taken against.
pub(crate) const NGINX: &str = "nginx";

/// One column of the comparison.
pub(crate) struct Peer {
    kind: Kind,
    version: String,
}

enum Kind {
    Direct,
    Nginx(PathBuf),
    Sendfuse(PathBuf),
}

impl Peer {
    /// No proxy at all: what the origin and the load can do.
    pub(crate) fn direct() -> Self {
        Self { kind: Kind::Direct, version: String::new() }
    }

    /// nginx, if it is installed or the tests have fetched it.
    pub(crate) fn nginx() -> Option<Self> {
        ["nginx".into(), PathBuf::from("/usr/sbin/nginx"), fetched("nginx")].into_iter().find_map(|binary| {
            // It prints its version to stderr.
            let output = Command::new(&binary).arg("-v").output().ok()?;
            let version = String::from_utf8_lossy(&output.stderr).trim().replace("nginx version: ", "");
            Some(Self { kind: Kind::Nginx(binary), version })
        })
    }

    /// sendfuse, from this binary.
    pub(crate) fn sendfuse(binary: &Path) -> Result<Self> {
        // Absolute, since it is started in a directory of its own.
        let binary = binary.canonicalize().map_err(|error| format!("{}: {error}", binary.display()))?;
        Ok(Self { version: binary.display().to_string(), kind: Kind::Sendfuse(binary) })
    }

    /// As the table names it.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Direct => "direct",
            Kind::Nginx(_) => NGINX,
            Kind::Sendfuse(_) => "sendfuse",
        }
    }

    /// Name and version, for the line beneath the table.
    pub(crate) fn describe(&self) -> String {
        format!("{} {}", self.name(), self.version).trim().to_owned()
    }

    /// Starts the peer in front of the origin at `upstream`, on `core` alone if one is given.
    pub(crate) fn start(
        &self,
        scheme: Scheme,
        upstream: SocketAddr,
        ca_file: &Path,
        directory: TempDir,
        core: Option<&str>,
    ) -> Result<Running> {
        let (binary, arguments, listen) = match &self.kind {
            Kind::Direct => return Ok(Running { address: upstream, process: None }),
            Kind::Nginx(binary) => {
                let [listen] = free_ports()?;
                let config = directory.path().join("nginx.conf");
                std::fs::write(&config, nginx_config(scheme, upstream, listen, ca_file))?;
                let prefix = directory.path().display().to_string();
                let log = directory.path().join("error.log").display().to_string();
                let config = config.display().to_string();
                let arguments = ["-p", &prefix, "-e", &log, "-c", &config].map(str::to_owned).to_vec();
                (binary, arguments, listen)
            }
            Kind::Sendfuse(binary) => {
                let [listen, webhook, admin] = free_ports()?;
                let config = directory.path().join("sendfuse.toml");
                std::fs::write(
                    &config,
                    sendfuse_config(scheme, upstream, [listen, webhook, admin], ca_file),
                )?;
                let arguments = vec!["run".to_owned(), "--config".to_owned(), config.display().to_string()];
                (binary, arguments, listen)
            }
        };
        let process = Process::start(binary, &arguments, directory, listen, core)?;
        Ok(Running { address: listen, process: Some(process) })
    }
}

/// A peer that accepts connections; it is stopped when this is dropped.
pub(crate) struct Running {
    address: SocketAddr,
    process: Option<Process>,
}

impl Running {
    /// Where the load goes.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The proxy's process; none if there is no proxy.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }
}

/// A plain reverse proxy as tuned for throughput: one worker for its one core, an upstream pool that is never short,
/// no log, keep-alive without limit on both sides, the upstream's certificate verified.
fn nginx_config(scheme: Scheme, upstream: SocketAddr, listen: SocketAddr, ca_file: &Path) -> String {
    let (pass, tls) = match scheme {
        Scheme::Plain => ("http", String::new()),
        Scheme::Tls => (
            "https",
            format!(
                "proxy_ssl_protocols TLSv1.3; proxy_ssl_name localhost; proxy_ssl_server_name on; proxy_ssl_verify on; \
                 proxy_ssl_trusted_certificate {};",
                ca_file.display()
            ),
        ),
    };
    format!(
        r#"daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    upstream origin {{
        server {upstream};
        keepalive 1024;
        keepalive_timeout 1h;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen};
        location / {{
            proxy_pass {pass}://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host graph.facebook.com;
            {tls}
        }}
    }}
}}
"#
    )
}

/// sendfuse as shipped, on ports of its own, its state in memory: no breaker opens in this load.
fn sendfuse_config(scheme: Scheme, upstream: SocketAddr, listen: [SocketAddr; 3], ca_file: &Path) -> String {
    let [proxy, webhook, admin] = listen;
    let upstream = match scheme {
        Scheme::Plain => format!("url = \"http://{upstream}\""),
        Scheme::Tls => {
            format!("url = \"https://localhost:{}\"\nca_file = \"{}\"", upstream.port(), ca_file.display())
        }
    };
    format!(
        r#"[proxy]
listen = "{proxy}"

[upstream]
{upstream}

[webhook]
listen = "{webhook}"
app_secrets = ["load-tests"]
verify_token = "load-tests"

[admin]
listen = "{admin}"

[store]
kind = "memory"
"#
    )
}
