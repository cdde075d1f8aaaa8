//! What stands between the app and Meta: sendfuse, nothing, or HAProxy.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::app::Endpoint;
use super::plan::Plan;
use super::{fuse, haproxy};
use crate::Result;
use crate::process::{Process, free_ports};

/// One of the setups that are compared.
#[derive(Clone, Debug)]
pub(super) enum Setup {
    /// This binary.
    Sendfuse(PathBuf),
    /// The app calls Meta itself.
    NoProxy,
    /// As its expert sets it up.
    Haproxy(haproxy::Haproxy),
}

impl Setup {
    /// As the report names it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Sendfuse(_) => "sendfuse".to_owned(),
            Self::NoProxy => "no proxy".to_owned(),
            Self::Haproxy(haproxy) => format!("HAProxy {}", haproxy.version),
        }
    }

    /// Starts it in front of the Meta at `upstream`, its files in `directory`.
    pub(super) async fn start(
        &self,
        plan: &Plan,
        upstream: SocketAddr,
        directory: &Path,
    ) -> Result<Standing> {
        let directory = tempfile::tempdir_in(directory)?;
        let file = directory.path().join("configuration");
        let path = file.display().to_string();
        match self {
            Self::NoProxy => {
                let endpoint = Endpoint::start().await?;
                let webhooks = endpoint.address;
                Ok(Standing {
                    sends: upstream,
                    webhooks,
                    admin: None,
                    behind: Behind::App { _endpoint: endpoint },
                })
            }
            Self::Sendfuse(binary) => {
                let [sends, webhooks, admin] = free_ports()?;
                std::fs::write(&file, fuse::config(plan, upstream, [sends, webhooks, admin]))?;
                let arguments = ["run".to_owned(), "--config".to_owned(), path];
                let process = Process::start(binary, &arguments, directory, sends, None)?;
                Ok(Standing { sends, webhooks, admin: Some(admin), behind: Behind::Process(process) })
            }
            Self::Haproxy(haproxy) => {
                let [sends, webhooks] = free_ports()?;
                std::fs::write(&file, haproxy::config(upstream, sends, webhooks, plan.haproxy_expire))?;
                let arguments = haproxy.arguments(path);
                let process = Process::start(Path::new("env"), &arguments, directory, sends, None)?;
                Ok(Standing { sends, webhooks, admin: None, behind: Behind::Process(process) })
            }
        }
    }
}

/// A setup that takes sends and webhooks; dropped, it ends.
pub(super) struct Standing {
    /// Where the app sends to.
    pub(super) sends: SocketAddr,
    /// Where Meta calls back.
    pub(super) webhooks: SocketAddr,
    admin: Option<SocketAddr>,
    behind: Behind,
}

enum Behind {
    Process(Process),
    App { _endpoint: Endpoint },
}

impl Standing {
    /// The log and the metrics, if it is sendfuse.
    pub(super) async fn words(&self) -> Result<Option<(String, String)>> {
        let (Some(admin), Behind::Process(process)) = (self.admin, &self.behind) else { return Ok(None) };
        let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let request = Request::get(format!("http://{admin}/metrics")).body(Empty::new())?;
        let metrics = client.request(request).await?.into_body().collect().await?.to_bytes();
        Ok(Some((process.output()?, String::from_utf8_lossy(&metrics).into_owned())))
    }
}
