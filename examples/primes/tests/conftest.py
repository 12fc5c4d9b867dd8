import sys

import pytest

from harness import EXAMPLE, Daemon, Example

sys.path.insert(0, str(EXAMPLE))


@pytest.fixture
def start_daemon(tmp_path):
    """Starts a daemon, nsqd unless it is named, with the given flags; it is ended with the test."""
    started = []

    def start(*flags, name="nsqd"):
        if name == "nsqd":
            data_path = tmp_path / str(len(started))
            data_path.mkdir()
            flags = (f"--data-path={data_path}", *flags)
        daemon = Daemon(name, *flags)
        started.append(daemon)
        daemon.start()
        return daemon

    yield start
    for daemon in started:
        daemon.kill()


@pytest.fixture
def start_example():
    """Runs the example's programs against a daemon; they are ended with the test."""
    started = []

    def start(daemon, lookup=None):
        example = Example(daemon, lookup)
        started.append(example)
        return example

    yield start
    for example in started:
        example.end()
