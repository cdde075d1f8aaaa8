"""The parts under test: a simulated Meta (TLS) and sendfuse before it, both started from one binary on free ports."""

import json
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

DEADLINE = 30.0
"""Seconds that anything awaited may take; a passing run never waits so long."""

MIN_OPEN = "5s"
"""How long a breaker stays open at least: the time in which a send is sure to be rejected here."""

APP_SECRET = "real-parts-secret"
VERIFY_TOKEN = "real-parts-verify"


class Failed(Exception):
    """A check that did not hold."""


def check(condition, text):
    """Raises `Failed` with `text` unless `condition` holds."""
    if not condition:
        raise Failed(text)


def poll(what, ask):
    """Asks until the answer is true, and returns it; a connection refused counts as no. Raises `Failed` after DEADLINE."""
    end = time.monotonic() + DEADLINE
    last = None
    while time.monotonic() < end:
        try:
            last = ask()
            if last:
                return last
        except (OSError, urllib.error.URLError) as error:
            last = error
        time.sleep(0.05)
    raise Failed(f"waited {DEADLINE:.0f} s for: {what}; last seen: {last!r}")


def free_ports(count):
    """Ports of the loopback interface that are free now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def http(method, url, body=None):
    """One call with a JSON body; returns the parsed JSON, or the text where it is none. An error status raises."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        text = response.read().decode()
    try:
        return json.loads(text)
    except ValueError:
        return text


class Process:
    """A program that runs until `stop`, its output in a file."""

    def __init__(self, name, command, directory):
        self.name = name
        self.log = Path(directory) / f"{name}.log"
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory
            )

    def alive(self):
        """Raises `Failed` if the program has ended."""
        status = self.child.poll()
        check(status is None, f"{self.name} ended with status {status}")

    def stop(self):
        """Asks it to end, and makes it end if it does not."""
        self.child.terminate()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def tail(self):
        """The end of its output, for a failure's report."""
        lines = self.log.read_text(errors="replace").splitlines()[-40:]
        return "\n".join([f"--- end of {self.log.name} ---", *lines])


class Stack:
    """Simulated Meta and sendfuse, ready. Use with `with`."""

    def __init__(self, binary):
        self.scratch = tempfile.TemporaryDirectory(prefix="sendfuse-real-")
        self.directory = Path(self.scratch.name)
        self.processes = []
        meta, meta_tls, proxy, webhook, admin = free_ports(5)
        self.meta = f"http://127.0.0.1:{meta}"
        self.proxy = f"http://127.0.0.1:{proxy}"
        self.admin = f"http://127.0.0.1:{admin}"
        self.admin_address = f"127.0.0.1:{admin}"
        try:
            self._start(binary, meta, meta_tls, webhook)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise

    def _start(self, binary, meta, meta_tls, webhook):
        ca_file = self.directory / "meta-ca.pem"
        simulator = self.run(
            "simulator",
            [binary, "simulator", "--listen", f"127.0.0.1:{meta}", "--tls-listen", f"127.0.0.1:{meta_tls}"]
            + ["--ca-out", ca_file, "--webhook-url", f"http://127.0.0.1:{webhook}/webhook"]
            + ["--app-secret", APP_SECRET, "--verify-token", VERIFY_TOKEN, "--status-delay", "200ms"],
        )
        self.wait_for(simulator, "the simulator's counts", lambda: [self.counts()])
        config = self.directory / "sendfuse.toml"
        config.write_text(
            f"""
[proxy]
listen = "{self.proxy.removeprefix("http://")}"

[upstream]
url = "https://localhost:{meta_tls}"
ca_file = "{ca_file}"

[webhook]
listen = "127.0.0.1:{webhook}"
app_secrets = ["{APP_SECRET}"]
verify_token = "{VERIFY_TOKEN}"

[admin]
listen = "{self.admin_address}"

[breaker]
min_open = "{MIN_OPEN}"

[probe]
interval = "500ms"
max_interval = "2s"
budget_per_hour = 10000

[store]
kind = "embedded"
path = "{self.directory / "data"}"
"""
        )
        sendfuse = self.run("sendfuse", [binary, "run", "--config", config])
        self.wait_for(sendfuse, "sendfuse to be ready", lambda: [http("GET", f"{self.admin}/readyz")])

    def run(self, name, command):
        """Starts a program that lives as long as the stack."""
        process = Process(name, command, self.directory)
        self.processes.append(process)
        return process

    def wait_for(self, process, what, ask):
        """As `poll`, and fails at once if the process ends."""

        def asked():
            process.alive()
            return ask()

        return poll(what, asked)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        for process in reversed(self.processes):
            process.stop()
        if error is not None:
            for process in self.processes:
                print(process.tail())
        self.scratch.cleanup()

    def lock(self, phone, profile):
        """From now on Meta treats the phone as locked, in the way that the profile names."""
        http("POST", f"{self.meta}/_simulator/lock", {"phone": phone, "profile": profile})

    def unlock(self, phone):
        """Meta lifts the lock."""
        http("POST", f"{self.meta}/_simulator/unlock", {"phone": phone})

    def counts(self):
        """What has arrived at Meta."""
        return http("GET", f"{self.meta}/_simulator/counts")

    def arrived(self, phone):
        """How many sends of the phone have reached Meta."""
        return self.counts().get("phones", {}).get(phone, {}).get("arrived", 0)

    def breaker(self, phone):
        """The breaker as the admin API shows it."""
        return http("GET", f"{self.admin}/v1/breakers/{phone}")

    def wait_for_state(self, phone, state):
        """Waits until the breaker is in that state, and returns it."""

        def ask():
            breaker = self.breaker(phone)
            return breaker if breaker["state"] == state else None

        return poll(f"the breaker of {phone} to be {state}", ask)
