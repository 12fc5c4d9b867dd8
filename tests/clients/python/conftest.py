import asyncio
import inspect

import pytest

from daemons import Nsqd, Nsqlookupd


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """A test that is a coroutine gets an event loop of its own, on which pynsq runs too."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


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

    def start_all(nsqlookupds, nsqds, flags=()):
        services = [start_one(Nsqlookupd(directory())) for _ in range(nsqlookupds)]
        return services, [start_one(Nsqd(directory(), services, flags)) for _ in range(nsqds)]

    yield start_all
    for daemon in started:
        daemon.kill()


@pytest.fixture
def start_nsqd(start):
    """Starts one nsqd with these flags, which knows no nsqlookupd."""
    return lambda *flags: start(nsqlookupds=0, nsqds=1, flags=flags)[1][0]
