import pytest

from daemons import Nsqd, Nsqlookupd


@pytest.fixture
def start(tmp_path):
    """Starts so many nsqlookupd, and so many nsqd that register with all of them; they are ended with the test."""
    started = []

    def start_one(daemon):
        started.append(daemon)
        daemon.start()
        return daemon

    def directory():
        path = tmp_path / str(len(started))
        path.mkdir()
        return path

    def start_all(nsqlookupds, nsqds):
        services = [start_one(Nsqlookupd(directory())) for _ in range(nsqlookupds)]
        return services, [start_one(Nsqd(directory(), services)) for _ in range(nsqds)]

    yield start_all
    for daemon in started:
        daemon.kill()
