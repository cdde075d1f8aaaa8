"""A real Prometheus scrapes sendfuse, and is asked for what an alert would ask it."""

import subprocess
import urllib.parse
import urllib.request

from stack import Failed, check, free_ports, http, poll

PHONE = "106540352242922"


def run(stack, tools, client, say):
    """Locks a phone and unlocks it, and looks for both in Prometheus' own answers."""
    prometheus = Prometheus(stack, tools)
    poll("Prometheus to have scraped sendfuse", lambda: prometheus.query(f'up{{instance="{stack.admin_address}"}} == 1'))
    say("Prometheus scrapes it")
    open_now = f'sendfuse_breaker_state{{phone_number_id="{PHONE}",state="open"}}'
    check(client.send(PHONE)["ok"], "the first send should pass")
    check(prometheus.query(open_now) == [], "a closed breaker should have no series")

    stack.lock(PHONE, "sync403")
    check(not client.send(PHONE)["ok"], "a locked phone's send should fail")
    found = poll("the open breaker in Prometheus", lambda: prometheus.query(open_now))
    check([float(one["value"][1]) for one in found] == [1.0], f"one series of value 1, not {found}")
    say("the open breaker is in Prometheus")
    promtool(stack, tools)
    say("promtool finds nothing wrong with the metrics")

    stack.unlock(PHONE)
    stack.wait_for_state(PHONE, "half_open")
    check(client.send(PHONE)["ok"], "the trial should pass")
    stack.wait_for_state(PHONE, "closed")
    poll("the closed breaker's series to go", lambda: prometheus.query(open_now) == [])
    say("the closed breaker is gone from Prometheus")


class Prometheus:
    """A Prometheus of our own: it scrapes the stack's admin listener each second."""

    def __init__(self, stack, tools):
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        config = stack.directory / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
            "scrape_configs:\n"
            f"  - {{job_name: sendfuse, static_configs: [{{targets: ['{stack.admin_address}']}}]}}\n"
        )
        command = [tools.program("prometheus"), f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"]
        command += [f"--storage.tsdb.path={stack.directory / 'prometheus'}", "--log.level=warn"]
        process = stack.run("prometheus", command)
        stack.wait_for(process, "Prometheus to be ready", lambda: [http("GET", f"{self.url}/-/ready")])

    def query(self, expression):
        """An instant query; returns the result vector."""
        answer = http("GET", f"{self.url}/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        return answer["data"]["result"]


def promtool(stack, tools):
    """Lints the metrics page with Prometheus' own tool."""
    with urllib.request.urlopen(f"{stack.admin}/metrics", timeout=10) as response:
        page = response.read()
    lint = subprocess.run([tools.program("promtool"), "check", "metrics"], input=page, capture_output=True)
    if lint.returncode != 0:
        raise Failed(f"promtool: {(lint.stdout + lint.stderr).decode()}")
