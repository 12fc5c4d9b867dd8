"""Publishing that is over only when nsqd has said OK.

pynsq's Writer reports the outcome to a callback. Here it is awaited, so that what must come after the publish
(finishing the message it was made from, publishing the next one) can simply stand on the next line.
"""

import asyncio

import nsq

RECONNECT_SECONDS = 1
CONNECT_POLL_SECONDS = 0.05


class ConfirmedWriter:
    def __init__(self, nsqd_address):
        self._writer = nsq.Writer([nsqd_address], reconnect_interval=RECONNECT_SECONDS)

    async def connected(self):
        """Returns once there is a connection; nsqd may be started later than we are."""
        while not self._writer.conns:
            await asyncio.sleep(CONNECT_POLL_SECONDS)

    async def publish(self, topic, *bodies):
        """Publishes all bodies, or none. Raises nsq.Error when nsqd refused them or the connection was lost."""
        answer = asyncio.get_running_loop().create_future()

        def answered(_connection, data):
            # A connection that breaks during the send answers twice: for the send and for the connection.
            if not answer.done():
                answer.set_result(data)

        self._writer.mpub(topic, list(bodies), callback=answered)
        data = await answer
        if isinstance(data, nsq.Error):
            raise data
