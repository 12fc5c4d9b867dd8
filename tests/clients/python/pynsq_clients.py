"""A consumer and a producer made of pynsq's Reader and Writer that note what they got, and what was acknowledged."""

import asyncio
from collections import Counter

import nsq

# So short that a test does not wait for the clients; everything else is pynsq's default.
LOOKUP_SECONDS = 1
RECONNECT_SECONDS = 1
POLL_SECONDS = 0.01


class Consumer:
    """Knows nsqlookupd's addresses and no other."""

    def __init__(self, topic, channel, nsqlookupds):
        self.received = Counter()
        self.channel = channel
        self._reader = nsq.Reader(
            topic=topic,
            channel=channel,
            message_handler=self._note,
            lookupd_http_addresses=[f"http://{one.http_address}" for one in nsqlookupds],
            lookupd_poll_interval=LOOKUP_SECONDS,
            max_in_flight=50,
        )

    @property
    def connected_to(self):
        return {f"{connection.host}:{connection.port}" for connection in self._reader.conns.values()}

    def close(self):
        self._reader.close()

    def _note(self, message):
        self.received[message.body] += 1
        return True


class Producer:
    """Publishes one message after the other, each again until it is acknowledged."""

    def __init__(self, topic, nsqd):
        self.acknowledged = []
        self._topic = topic
        self._name = nsqd.tcp_address
        self._writer = nsq.Writer([nsqd.tcp_address], reconnect_interval=RECONNECT_SECONDS)
        self._work = asyncio.create_task(self._publish_for_ever())

    async def wait_for_acknowledged(self, count):
        while len(self.acknowledged) < count:
            assert not self._work.done(), self._work
            await asyncio.sleep(POLL_SECONDS)

    async def close(self):
        self._work.cancel()
        await asyncio.gather(self._work, return_exceptions=True)
        # A Writer cannot be closed: what it connects to again ends with the event loop.
        for connection in list(self._writer.conns.values()):
            connection.close()

    async def _publish_for_ever(self):
        while True:
            body = f"{self._name} {len(self.acknowledged)}".encode()
            if self._writer.conns and await self._is_acknowledged(body):
                self.acknowledged.append(body)
            else:
                await asyncio.sleep(POLL_SECONDS)

    async def _is_acknowledged(self, body):
        answer = asyncio.get_running_loop().create_future()

        def answered(_connection, data):
            # A connection that breaks during the send answers twice: for the send and for the connection.
            if not answer.done():
                answer.set_result(data)

        self._writer.pub(self._topic, body, callback=answered)
        return await answer == b"OK"
