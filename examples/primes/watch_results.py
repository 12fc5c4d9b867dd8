"""Prints what arrives in the topics `prime` and `non_prime`, one result a line: topic, number, worker."""

import json

import nsq

import program

# Results that arrived before the watcher wait in their topic for its channel.
CHANNEL = "watch"
MAX_IN_FLIGHT = 100


def main():
    parser = program.option_parser(__doc__)
    program.add_lookup_option(parser)
    program.run(watch(parser.parse_args()))


async def watch(options):
    for topic in ("prime", "non_prime"):
        nsq.Reader(
            topic=topic,
            channel=CHANNEL,
            message_handler=lambda message, topic=topic: show(topic, message),
            max_in_flight=MAX_IN_FLIGHT,
            **program.sources(options),
        )
    await program.forever()


def show(topic, message):
    result = json.loads(message.body)
    print(f"{topic:<9} {result['number']:>12}  by worker {result['worker']}", flush=True)
    return True


if __name__ == "__main__":
    main()
