#!/usr/bin/env python3
"""sendfuse with the real parts that a user plugs into it: Prometheus, an SDK from PyPI, an SDK from npm.

`run.py --binary target/release/sendfuse`; `tests/run` fetches the parts into target/test-tools before. Prints a line
for each thing shown; exits 1 at the first that does not hold, with the ends of the logs.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

import scrape
import sdks
from stack import Failed, Stack, check

HERE = Path(__file__).resolve().parent


class Tools:
    """What `tests/run` has fetched."""

    def __init__(self, directory):
        self.directory = directory

    def program(self, name):
        """A program of the system's, or of an unpacked Debian package."""
        found = shutil.which(name) or shutil.which(name, path=str(self.directory / "debian/usr/bin"))
        check(found, f"{name} is missing; tests/run fetches it")
        return found

    def clients(self, base_url):
        """An app of each SDK that sends to `base_url`."""
        python = self.directory / "venv/bin/python"
        return [
            sdks.Client("pywa", [python, HERE / "client_pywa.py"], base_url),
            sdks.Client("kapso", ["node", HERE / "client_kapso.mjs", self.directory / "npm"], base_url),
        ]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", type=Path, required=True, help="the sendfuse program")
    arguments.add_argument("--tools", type=Path, default=HERE.parents[1] / "target/test-tools")
    arguments = arguments.parse_args()
    began = time.monotonic()

    def say(text):
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    tools = Tools(arguments.tools.resolve())
    with Stack(arguments.binary.resolve()) as stack:
        say("sendfuse is ready before a simulated Meta over TLS")
        clients = tools.clients(stack.proxy)
        try:
            for number, client in enumerate(clients):
                sdks.run(stack, client, f"20654035224292{number}", f"30654035224292{number}", say)
            scrape.run(stack, tools, clients[0], say)
        finally:
            for client in clients:
                client.stop()


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"failed: {failed}")
