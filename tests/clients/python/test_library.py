"""One nsqd and what pynsq can do with it. nsqlookupd and restarts are in test_cluster.py."""

import asyncio
import os
import random
import time
from pathlib import Path

import nsq
import pytest

from authorization import authorization_server
from daemons import PATIENCE_SECONDS
from pynsq_clients import POLL_SECONDS

TOPIC = "orders"
BODIES = [f"order {number}".encode() for number in range(100)]


def needs(*features):
    """Skips the test where the daemon is said not to have all of these yet."""
    missing = set(features) - set(os.environ.get("NSQ_CLIENT_FEATURES", "").split())
    return pytest.mark.skipif(bool(missing), reason=f"switched off: {missing} not in NSQ_CLIENT_FEATURES")


# pynsq takes a read that completes nothing compressed for the end of the connection. This daemon writes a whole answer
# at once, so that small ones get through; v1.3.0 writes them in pieces, and it is luck when one does.
whole_answers = pytest.mark.skipif("NSQD_PEER" in os.environ, reason="pynsq's compression is broken with nsqd v1.3.0")


def certificate(name):
    return str(Path(os.environ["NSQ_CERTIFICATES"]) / name)


def tls_flags():
    return f"--tls-cert={certificate('server.pem')}", f"--tls-key={certificate('server.key')}", "--https-address=127.0.0.1:0"


def trusting():
    return {"tls_v1": True, "tls_options": {"ca_certs": certificate("ca.pem")}}


class Reader:
    """A Reader of pynsq whose handler is given; without one, every message is finished and noted."""

    def __init__(self, nsqd, handler=None, **options):
        self.messages = asyncio.Queue()
        self._reader = nsq.Reader(
            topic=TOPIC,
            channel="billing",
            message_handler=handler or self._note,
            nsqd_tcp_addresses=[nsqd.tcp_address],
            timeout=float(PATIENCE_SECONDS),
            **options,
        )

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self._reader.close()

    async def expect(self, bodies):
        """Waits until each of the bodies came once, in any order."""
        received = [(await next_of(self.messages)).body for _ in bodies]
        assert sorted(received) == sorted(bodies)

    def _note(self, message):
        self.messages.put_nowait(message)
        return True


class Writer:
    """A Writer of pynsq that is awaited."""

    def __init__(self, nsqd, **options):
        self._writer = nsq.Writer([nsqd.tcp_address], timeout=float(PATIENCE_SECONDS), **options)

    async def answer(self, command, *arguments):
        """What the daemon answers, or the error that the library makes of it."""
        answers = asyncio.Queue()
        while not self._writer.conns:
            await asyncio.sleep(POLL_SECONDS)
        getattr(self._writer, command)(TOPIC, *arguments, callback=lambda _, answer: answers.put_nowait(answer))
        return await next_of(answers)

    async def publish(self, command, *arguments):
        assert await asyncio.wait_for(self.answer(command, *arguments), PATIENCE_SECONDS) == b"OK"


async def next_of(queue):
    return await asyncio.wait_for(queue.get(), PATIENCE_SECONDS)


async def until_channel(nsqd, **expected):
    """Waits until the channel's statistics have these values; returns all of them."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not expected.items() <= (channel := nsqd.channel(TOPIC)).items():
        assert time.monotonic() < deadline, f"expected {expected}, have {channel}"
        await asyncio.sleep(POLL_SECONDS)
    return channel


async def until_empty(nsqd, **expected):
    return await until_channel(nsqd, depth=0, in_flight_count=0, deferred_count=0, **expected)


async def until_ready(nsqd, count):
    """Waits until the channel's only client is ready for so many."""
    while [client["ready_count"] for client in nsqd.channel(TOPIC).get("clients", ())] != [count]:
        await asyncio.sleep(POLL_SECONDS)


async def test_messages_published_one_by_one_arrive_once_and_are_finished(start_nsqd):
    nsqd = start_nsqd()
    bodies = [*BODIES, b"\x00\n\xff", b"x" * 1_000_000]
    async with Reader(nsqd, max_in_flight=10) as reader:
        writer = Writer(nsqd)
        for body in bodies:
            await writer.publish("pub", body)
        await reader.expect(bodies)
        channel = await until_empty(nsqd, message_count=len(bodies), requeue_count=0, timeout_count=0)
        assert channel["clients"][0]["finish_count"] == len(bodies)


async def test_a_batch_arrives_whole(start_nsqd):
    nsqd = start_nsqd()
    await Writer(nsqd).publish("mpub", BODIES)
    async with Reader(nsqd, max_in_flight=10) as reader:
        await reader.expect(BODIES)
        await until_empty(nsqd)


async def test_a_deferred_message_arrives_when_its_time_has_come(start_nsqd):
    nsqd = start_nsqd()
    async with Reader(nsqd) as reader:
        writer = Writer(nsqd)
        published = time.monotonic()
        await writer.publish("dpub", 400, b"later")
        await writer.publish("pub", b"at once")
        assert (await next_of(reader.messages)).body == b"at once"
        assert (await next_of(reader.messages)).body == b"later"
        assert time.monotonic() - published >= 0.4


async def test_as_many_messages_are_in_flight_as_the_reader_allows(start_nsqd):
    nsqd = start_nsqd()
    await Writer(nsqd).publish("mpub", BODIES[:12])
    held = []

    def hold(message):
        message.enable_async()
        held.append(message)

    async with Reader(nsqd, hold, max_in_flight=5):
        await until_channel(nsqd, in_flight_count=5, depth=7)
        while len(held) < 5:
            await asyncio.sleep(POLL_SECONDS)
        for message in held[:5]:
            message.finish()
        await until_channel(nsqd, in_flight_count=5, depth=2)


async def test_a_requeued_message_comes_back_after_its_delay(start_nsqd):
    nsqd = start_nsqd()
    await Writer(nsqd).publish("pub", b"order")
    arrivals = asyncio.Queue()

    def refuse_once(message):
        arrivals.put_nowait((message.attempts, time.monotonic()))
        if message.attempts > 1:
            return True
        return message.requeue(delay=1, backoff=False)

    async with Reader(nsqd, refuse_once):
        (first, first_at), (second, second_at) = await next_of(arrivals), await next_of(arrivals)
        assert (first, second) == (1, 2)
        assert second_at - first_at >= 1
        await until_empty(nsqd, requeue_count=1, timeout_count=0)


async def test_a_failure_backs_the_reader_off_and_successes_bring_it_back(start_nsqd):
    nsqd = start_nsqd()
    await Writer(nsqd).publish("mpub", BODIES[:20])
    refused = []

    def refuse_once(message):
        if refused:
            return True
        refused.append(message)
        return False

    # One at a time, for a success that was on its way already would end the pause, of two seconds here.
    async with Reader(nsqd, refuse_once, max_in_flight=1, max_backoff_duration=60, requeue_delay=0):
        await until_channel(nsqd, requeue_count=1)
        await asyncio.wait_for(until_ready(nsqd, 0), PATIENCE_SECONDS)
        await asyncio.wait_for(until_ready(nsqd, 1), PATIENCE_SECONDS)
        await until_empty(nsqd, requeue_count=1, timeout_count=0)


async def test_a_long_job_is_kept_by_touching_it_and_lost_without(start_nsqd):
    nsqd = start_nsqd()
    await Writer(nsqd).publish("mpub", [b"touched", b"forgotten"])
    forgotten = []
    touched = asyncio.Queue()

    async def work(message):
        if message.body == b"forgotten":
            forgotten.append(message)
            return True if len(forgotten) > 1 else await asyncio.Future()
        began = time.monotonic()
        # As long as it takes the other one to run into the timeout, and at least twice the timeout.
        while len(forgotten) < 2 or time.monotonic() - began < 2.2:
            message.touch()
            await asyncio.sleep(0.2)
        touched.put_nowait(message)
        return True

    async with Reader(nsqd, work, max_in_flight=3, msg_timeout=1):
        assert (await next_of(touched)).attempts == 1
        assert [message.attempts for message in forgotten] == [1, 2]
        await until_empty(nsqd, timeout_count=1)


async def test_a_message_is_given_up_after_the_last_attempt(start_nsqd):
    nsqd = start_nsqd()
    await Writer(nsqd).publish("pub", b"poison")
    attempts = []

    def refuse(message):
        attempts.append(message.attempts)
        return message.requeue(delay=0, backoff=False)

    async with Reader(nsqd, refuse, max_tries=3):
        await until_empty(nsqd, message_count=1, requeue_count=3)
        assert attempts == [1, 2, 3]


async def throughput(nsqd, small=False, **options):
    """Sends messages both ways, large ones too unless told otherwise; returns what the daemon says of the reader."""
    noise = random.Random(1).randbytes(300_000)
    bodies = BODIES if small else [*BODIES, noise, b"compressible " * 50_000]
    writer = Writer(nsqd, **options)
    await writer.publish("mpub", bodies)
    await writer.publish("pub", b"last")
    async with Reader(nsqd, max_in_flight=50, **options) as reader:
        await reader.expect([*bodies, b"last"])
        return (await until_empty(nsqd))["clients"][0]


@needs("tls")
async def test_messages_cross_tls_with_a_server_that_is_verified(start_nsqd):
    nsqd = start_nsqd(*tls_flags(), "--tls-required=tcp-https")
    client = await throughput(nsqd, **trusting())
    assert client["tls"]
    assert client["tls_version"]
    # It trusts the system's authorities, and ours is not among them.
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(Writer(nsqd, tls_v1=True).answer("pub", b"x"), 1)


@needs("tls")
async def test_a_client_shows_its_certificate_where_one_is_asked_for(start_nsqd):
    authority = f"--tls-root-ca-file={certificate('ca.pem')}"
    nsqd = start_nsqd(
        *tls_flags(), authority, "--tls-client-auth-policy=require-verify", "--tls-required=tcp-https"
    )
    options = trusting()
    options["tls_options"] |= {"certfile": certificate("client.pem"), "keyfile": certificate("client.key")}
    await throughput(nsqd, **options)


@needs("snappy")
@whole_answers
async def test_messages_cross_snappy(start_nsqd):
    assert (await throughput(start_nsqd(), small=True, snappy=True))["snappy"]


@needs("deflate")
@whole_answers
async def test_messages_cross_deflate(start_nsqd):
    assert (await throughput(start_nsqd(), small=True, deflate=True))["deflate"]


@needs("tls", "snappy", "deflate")
@whole_answers
@pytest.mark.parametrize("compression", ["snappy", "deflate"])
async def test_messages_cross_compression_inside_tls(start_nsqd, compression):
    client = await throughput(start_nsqd(*tls_flags()), small=True, **trusting(), **{compression: True})
    assert client["tls"]
    assert client[compression]


@needs("auth")
async def test_a_secret_opens_the_topic_that_it_is_for(start_nsqd):
    with authorization_server("sesame", TOPIC) as address:
        nsqd = start_nsqd(f"--auth-http-address={address}")
        client = await throughput(nsqd, auth_secret="sesame")
        assert client["authed"]
        assert client["auth_identity"] == "tester"
        answer = await asyncio.wait_for(Writer(nsqd).answer("pub", b"x"), PATIENCE_SECONDS)
        assert "E_AUTH_FIRST" in str(answer)
