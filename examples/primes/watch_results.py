"""Prints what arrives in the topics `prime` and `non_prime`, one result a line: topic, number, worker."""

import json

import nsq

import program

# Results that arrived before the watcher wait in their topic for its channel.
CHANNEL = "watch"
MAX_IN_FLIGHT = 100


def main():
    program.run(watch(program.option_parser(__doc__).parse_args()))


async def watch(options):
    for topic in ("prime", "non_prime"):
        nsq.Reader(
            topic=topic,
            channel=CHANNEL,
            message_handler=lambda message, topic=topic: show(topic, message),
            nsqd_tcp_addresses=[options.nsqd],
            max_in_flight=MAX_IN_FLIGHT,
        )
    await program.forever()


def show(topic, message):
    result = json.loads(message.body)
    print(f"{topic:<9} {result['number']:>12}  by worker {result['worker']}", flush=True)
    return True


if __name__ == "__main__":
    main()
