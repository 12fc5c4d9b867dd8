"""nsqd and nsqlookupd as several hosts: each on a loopback address of its own, which it broadcasts.

A daemon that is stopped and started again keeps its address and ports. Every wait has a deadline and an explanation.
"""

import itertools
import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]

# A limit for a machine that is busy with other things. nsqd v1.3.0 comes back to a restarted nsqlookupd after 30 s.
PATIENCE_SECONDS = 45
POLL_SECONDS = 0.02

_hosts = itertools.count(1)


def wait_until(condition, explanation):
    """The first truthy value of condition(); fails with what explanation() says then."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"waited {PATIENCE_SECONDS} s in vain: {explanation()}")


def program(name):
    """What NSQD or NSQLOOKUPD names, else what cargo built."""
    named = os.environ.get(name.upper())
    if named:
        return Path(named).resolve()
    target = Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target"))
    for profile in ("debug", "release"):
        built = target / profile / name
        if built.is_file():
            return built
    raise AssertionError(f"there is no {name} in {target}: run `cargo build --package {name}` first")


def new_host():
    """A loopback address that nobody else has."""
    return f"127.{os.getpid() % 254 + 1}.1.{next(_hosts)}"


class Daemon:
    """A program that listens for TCP and HTTP."""

    def __init__(self, name, directory, *flags):
        self.name = name
        self.host = new_host()
        self.tcp_address = self.http_address = f"{self.host}:0"
        self._log = directory / "log"
        self._flags = flags
        self._child = None

    def start(self):
        with self._log.open("w") as log:
            command = [
                str(program(self.name)),
                f"--tcp-address={self.tcp_address}",
                f"--http-address={self.http_address}",
                f"--broadcast-address={self.host}",
                *self._flags,
            ]
            self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.tcp_address = self._logged(r"TCP: listening on (\S+)")
        self.http_address = self._logged(r"HTTP: listening on (\S+)")
        self.get("/ping")

    def stop(self):
        self._child.send_signal(signal.SIGTERM)
        assert self._child.wait(PATIENCE_SECONDS) == 0, self._log.read_text()

    def kill(self):
        if self._child:
            self._child.kill()
            self._child.wait(PATIENCE_SECONDS)

    def get(self, target):
        with urllib.request.urlopen(f"http://{self.http_address}{target}") as answer:
            return answer.read()

    def post(self, target):
        request = urllib.request.Request(f"http://{self.http_address}{target}", method="POST")
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    def _logged(self, pattern):
        def look():
            match = re.search(pattern, self._log.read_text())
            assert match or self._child.poll() is None, f"{self.name} ended: {self._log.read_text()}"
            return match

        return wait_until(look, lambda: f"{self.name} wrote only {self._log.read_text()}")[1]


class Nsqlookupd(Daemon):
    def __init__(self, directory):
        super().__init__("nsqlookupd", directory)

    def producers(self, topic):
        """Where the nsqd are that are found for the topic."""
        try:
            found = json.loads(self.get(f"/lookup?topic={topic}"))
        except urllib.error.HTTPError as error:
            with error:
                assert error.code == 404, error
            return set()
        return {f"{one['broadcast_address']}:{one['tcp_port']}" for one in found["producers"]}

    def wait_for_producers(self, topic, nsqds):
        expected = {nsqd.tcp_address for nsqd in nsqds}
        wait_until(
            lambda: self.producers(topic) == expected,
            lambda: f"{self.producers(topic)} are found for {topic}, not {expected}",
        )


class Nsqd(Daemon):
    def __init__(self, directory, nsqlookupds, flags=()):
        registers_with = [f"--lookupd-tcp-address={one.tcp_address}" for one in nsqlookupds]
        super().__init__("nsqd", directory, f"--data-path={directory}", *registers_with, *flags)

    def create(self, topic, channels):
        self.post(f"/topic/create?topic={topic}")
        for channel in channels:
            self.post(f"/channel/create?topic={topic}&channel={channel}")

    def channel(self, topic):
        """What /stats says of the topic's only channel; nothing where there is none yet."""
        topics = json.loads(self.get(f"/stats?format=json&topic={topic}"))["topics"]
        return next((channel for topic in topics for channel in topic["channels"]), {})

    def unfinished(self, topic):
        """How many messages of the topic are left, waiting or in flight."""
        topic = json.loads(self.get(f"/stats?format=json&topic={topic}"))["topics"][0]
        return topic["depth"] + sum(c["depth"] + c["in_flight_count"] + c["deferred_count"] for c in topic["channels"])
