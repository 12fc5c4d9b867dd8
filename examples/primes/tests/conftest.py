import sys

import pytest

from harness import EXAMPLE, Daemon, Example

sys.path.insert(0, str(EXAMPLE))


@pytest.fixture
def start_daemon(tmp_path):
    """Starts a daemon with the given flags; it is ended with the test."""
    started = []

    def start(*flags):
        daemon = Daemon(tmp_path, *flags)
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

    def start(daemon):
        example = Example(daemon)
        started.append(example)
        return example

    yield start
    for example in started:
        example.end()
