//! The processes that are measured: where their binaries are, and how they are started and stopped.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Result;

/// How long a proxy may take until it accepts connections.
const START_DEADLINE: Duration = Duration::from_secs(10);
/// What a process has said, in its directory.
const OUTPUT: &str = "output.log";

/// A process that accepts connections; it is stopped when this is dropped.
pub(crate) struct Process {
    child: Child,
    /// Its configuration and temporary files, removed with it.
    directory: TempDir,
}

impl Process {
    /// Starts a program in a directory of its own, on `core` alone if one is given, and waits until it accepts
    /// connections at `listen`.
    pub(crate) fn start(
        binary: &Path,
        arguments: &[String],
        directory: TempDir,
        listen: SocketAddr,
        core: Option<&str>,
    ) -> Result<Self> {
        let mut command = match core {
            // `taskset` becomes the program: the process id stays.
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", core]).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        let output = std::fs::File::create(directory.path().join(OUTPUT))?;
        let child = command
            .args(arguments)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let mut process = Self { child, directory };
        process.wait_until_it_accepts(listen).map_err(|reason| {
            let output = process.output().unwrap_or_default();
            format!("{} did not start ({reason}): {output}", binary.display())
        })?;
        Ok(process)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to its standard output and error so far.
    pub(crate) fn output(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.directory.path().join(OUTPUT))?)
    }

    fn wait_until_it_accepts(&mut self, address: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + START_DEADLINE;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(status.to_string().into());
            }
            if Instant::now() > deadline {
                return Err("it accepts no connection".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // TERM, not KILL: nginx's master has a worker to take along.
            let _ = Command::new("kill").arg(self.child.id().to_string()).status();
            let _ = self.child.wait();
        }
    }
}

/// Ports that are free now, all different.
pub(crate) fn free_ports<const N: usize>() -> Result<[SocketAddr; N]> {
    let listeners = (0..N).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<Vec<_>>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<std::io::Result<Vec<_>>>()?;
    addresses.try_into().map_err(|_| "no free ports".into())
}

/// Builds sendfuse as it is shipped, and says where it is.
pub(crate) fn build_sendfuse() -> Result<PathBuf> {
    let status = Command::new("cargo")
        .args(["build", "--release", "--quiet", "--package", "sendfuse", "--bin", "sendfuse"])
        .current_dir(workspace())
        .status()?;
    if !status.success() {
        return Err("sendfuse does not build".into());
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    Ok(target.join("release/sendfuse"))
}

/// Where the tests unpack the packages that they fetch from Debian.
pub(crate) fn fetched_packages() -> PathBuf {
    workspace().join("target/test-tools/debian/usr")
}

/// A server's binary among them, whether it is there or not.
pub(crate) fn fetched(name: &str) -> PathBuf {
    fetched_packages().join("sbin").join(name)
}

fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}
