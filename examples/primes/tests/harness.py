"""Starts the daemon and the example's programs as a user does, and waits for what they do.

Every wait has a deadline and an explanation; nothing is waited for by letting time pass.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parent.parent
PROJECT = EXAMPLE.parent.parent

# A limit for a machine that is busy with other things; nothing here takes as long by itself.
PATIENCE_SECONDS = 45
POLL_SECONDS = 0.02


def wait_until(condition, explanation):
    """The first truthy value of condition(); fails with what explanation() says then."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"waited {PATIENCE_SECONDS} s in vain: {explanation()}")


def daemon_program(name):
    """What the environment names (NSQD, NSQLOOKUPD), else what cargo built."""
    named = os.environ.get(name.upper())
    if named:
        return Path(named).resolve()
    target = Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target"))
    for profile in ("debug", "release"):
        built = target / profile / name
        if built.is_file():
            return built
    raise AssertionError(f"there is no {name} in {target}: run `cargo build --package {name}` first")


class Process:
    """A running program and the lines it has written so far (standard output and error together)."""

    def __init__(self, command):
        self.name = Path(command[1] if command[0] == sys.executable else command[0]).name
        self._child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self):
        return self._child.pid

    @property
    def lines(self):
        return list(self._lines)

    def wait_for(self, pattern):
        """The first match of the pattern in a line."""

        def look():
            ended = not self._reader.is_alive()
            match = next(filter(None, (re.search(pattern, line) for line in self.lines)), None)
            assert match or not ended, f"{self.name} ended without writing {pattern!r}: {self.lines[-20:]}"
            return match

        return wait_until(look, lambda: f"{self.name} never wrote {pattern!r}, only {self.lines[-20:]}")

    def terminate(self):
        """Asks it to stop; returns its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self):
        """Leaves it no time to say goodbye."""
        return self._end(signal.SIGKILL)

    def exit_code(self):
        code = self._child.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        return code

    def _end(self, signal_number):
        if self._child.poll() is None:
            self._child.send_signal(signal_number)
        return self.exit_code()

    def _read(self):
        with self._child.stdout as output:
            for line in output:
                self._lines.append(line.rstrip("\n"))


class Daemon:
    """nsqd or nsqlookupd on free ports, which it keeps when it is stopped and started again."""

    def __init__(self, name, *flags):
        self._name = name
        self._flags = flags
        self.tcp_address = self.http_address = "127.0.0.1:0"
        self._process = None

    def start(self):
        self._process = Process(
            [
                str(daemon_program(self._name)),
                f"--tcp-address={self.tcp_address}",
                f"--http-address={self.http_address}",
                *self._flags,
            ]
        )
        self.tcp_address = self._process.wait_for(r"TCP: listening on (\S+)")[1]
        self.http_address = self._process.wait_for(r"HTTP: listening on (\S+)")[1]

    def stop(self):
        assert self._process.terminate() == 0, self._process.lines[-20:]

    def kill(self):
        if self._process:
            self._process.kill()

    def topic(self, name):
        """The topic's part of /stats; None when there is no such topic."""
        with urllib.request.urlopen(f"http://{self.http_address}/stats?format=json&topic={name}") as answer:
            topics = json.load(answer)["topics"]
        return topics[0] if topics else None

    def channel(self, topic_name, channel_name):
        topic = self.topic(topic_name) or {"channels": []}
        return next((channel for channel in topic["channels"] if channel["channel_name"] == channel_name), None)

    def wait_for_channel(self, topic_name, channel_name, **expected):
        """Waits until the channel's statistics have these values; returns all of them."""

        def look():
            channel = self.channel(topic_name, channel_name)
            return channel if channel and expected.items() <= channel.items() else None

        return wait_until(look, lambda: f"expected {expected}, have {self.channel(topic_name, channel_name)}")


class Example:
    """The three programs of the example, run against one daemon; with `lookup`, workers and watcher ask that nsqlookupd."""

    def __init__(self, daemon, lookup=None):
        self._daemon = daemon
        self._reading = ["--lookupd-http-address", lookup.http_address] if lookup else []
        self._started = []

    def worker(self, *options):
        worker = self._start("worker.py", *self._reading, *options)
        worker.wait_for("waiting for numbers")
        return worker

    def publish(self, *options):
        publisher = self._start("publish_numbers.py", *options)
        assert publisher.exit_code() == 0, publisher.lines

    def watcher(self):
        return Watcher(self._start("watch_results.py", *self._reading))

    def end(self):
        for process in self._started:
            process.kill()

    def _start(self, program, *options):
        process = Process([sys.executable, str(EXAMPLE / program), "--nsqd", self._daemon.tcp_address, *options])
        self._started.append(process)
        return process


class Watcher:
    """What watch_results.py has printed."""

    def __init__(self, process):
        self._process = process

    def results(self):
        """Topic, number and worker of each result, in the order of arrival."""
        found = (re.fullmatch(r"(prime|non_prime) +(\d+)  by worker (\d+)", line) for line in self._process.lines)
        return [(match[1], int(match[2]), int(match[3])) for match in found if match]

    def wait_for_results(self, count):
        """Waits until at least so many different numbers have a result."""

        def look():
            return len({number for _, number, _ in self.results()}) >= count

        wait_until(look, lambda: f"{count} numbers expected, got {sorted({n for _, n, _ in self.results()})}")
        return self.results()
