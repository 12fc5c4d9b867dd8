"""Three nsqd, two nsqlookupd, and the pynsq that people use, which knows nsqlookupd only.

One daemon of each kind is stopped and started again meanwhile: nothing that was acknowledged may be lost.
"""

import asyncio

from daemons import PATIENCE_SECONDS
from pynsq_clients import POLL_SECONDS, Consumer, Producer

TOPIC = "orders"
CHANNELS = ("archive", "billing")

# How many messages each nsqd acknowledges at least: before anything is stopped, and after all is started again.
BEFORE = 200
AFTER = 200


async def until(condition, explanation):
    async def look():
        while not condition():
            await asyncio.sleep(POLL_SECONDS)

    try:
        await asyncio.wait_for(look(), PATIENCE_SECONDS)
    except asyncio.TimeoutError:
        raise AssertionError(explanation()) from None


def test_nothing_acknowledged_is_lost_while_one_nsqd_and_one_nsqlookupd_restart(start):
    services, nsqds = start(nsqlookupds=2, nsqds=3)
    for nsqd in nsqds:
        nsqd.create(TOPIC, CHANNELS)
    for service in services:
        service.wait_for_producers(TOPIC, nsqds)
    asyncio.run(publish_and_consume(services, nsqds))


async def publish_and_consume(services, nsqds):
    everywhere = {nsqd.tcp_address for nsqd in nsqds}
    consumers = [Consumer(TOPIC, channel, services) for channel in CHANNELS]
    for consumer in consumers:
        await until(lambda: consumer.connected_to == everywhere, lambda: f"only {consumer.connected_to} were found")
    producers = [Producer(TOPIC, nsqd) for nsqd in nsqds]
    for producer in producers:
        await producer.wait_for_acknowledged(BEFORE)

    # In a thread, for the clients go on meanwhile.
    await asyncio.to_thread(restart, services[0], nsqds[0])
    for producer in producers:
        await producer.wait_for_acknowledged(len(producer.acknowledged) + AFTER)
    for producer in producers:
        await producer.close()

    acknowledged = {body for producer in producers for body in producer.acknowledged}
    for consumer in consumers:
        missing = acknowledged.difference
        await until(
            lambda: not missing(consumer.received),
            lambda: f"{consumer.channel} lacks {len(missing(consumer.received))} of {len(acknowledged)} messages",
        )
        repeated = sum(consumer.received.values()) - len(consumer.received)
        print(f"{consumer.channel}: {len(acknowledged)} acknowledged, all received, {repeated} of them repeated")
    for nsqd in nsqds:
        await until(lambda: nsqd.unfinished(TOPIC) == 0, lambda: f"{nsqd.unfinished(TOPIC)} messages are left")
    for consumer in consumers:
        consumer.close()
    # The service that was restarted has forgotten everything, and was told it again.
    await asyncio.to_thread(services[0].wait_for_producers, TOPIC, nsqds)


def restart(service, nsqd):
    nsqd.stop()
    service.stop()
    service.start()
    nsqd.start()
