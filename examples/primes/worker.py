"""A worker of the prime example: reads numbers from the topic `numbers`, publishes each to `prime` or `non_prime`.

Workers started with the same --group share the numbers, workers of another group get all of them again; a group is
what NSQ calls a channel. A number is finished only after its result was published, so a worker that dies loses
nothing: nsqd gives its number to another worker of the group.
"""

import asyncio
import json

import nsq

import program
from confirmed_writer import ConfirmedWriter
from primality import is_prime, parse_number

# How long nsqd keeps back a number whose result could not be published, times the attempts so far.
REQUEUE_DELAY_SECONDS = 1


def main():
    parser = program.option_parser(__doc__)
    program.add_lookup_option(parser)
    parser.add_argument("--group", default="worker_group_a", help="who shares the numbers with us (%(default)s)")
    parser.add_argument(
        "--work-seconds",
        type=float,
        default=0,
        metavar="SECONDS",
        help="pretend that a number takes this long; keep it below nsqd's --msg-timeout of 60 s (%(default)s)",
    )
    parser.add_argument("--max-in-flight", type=int, default=1, metavar="COUNT", help="numbers taken at once (%(default)s)")
    program.run(work(parser.parse_args()))


async def work(options):
    writer = ConfirmedWriter(options.nsqd)
    await writer.connected()
    reader = nsq.Reader(
        topic="numbers",
        channel=options.group,
        message_handler=Judge(writer, options.work_seconds).handle,
        max_in_flight=options.max_in_flight,
        requeue_delay=REQUEUE_DELAY_SECONDS,
        # A Reader's default is to finish, unjudged, what it sees for the sixth time.
        max_tries=0,
        **program.sources(options),
    )
    say(f"waiting for numbers in {options.group}")
    try:
        await program.forever()
    finally:
        # Nothing new may arrive for what we give back when we are stopped.
        reader.set_max_in_flight(0)


class Judge:
    """Handles one message after the other, or as many at once as --max-in-flight allows."""

    def __init__(self, writer, work_seconds):
        self._writer = writer
        self._work_seconds = work_seconds

    async def handle(self, message):
        """True finishes the message, an exception requeues it: the Reader's rule for its handlers."""
        try:
            number = parse_number(message.body)
        except ValueError as error:
            # It would be no better the next time, and must not come again for ever.
            say(f"dropped what is not a number to judge: {error}")
            return True
        try:
            await self._judge(number)
        except asyncio.CancelledError:
            say(f"stopped, {number} goes back")
            message.requeue(delay=0, backoff=False)
            raise
        except nsq.Error as error:
            say(f"{number} goes back, its result could not be published: {error}")
            raise
        return True

    async def _judge(self, number):
        say(f"judging {number}")
        await asyncio.sleep(self._work_seconds)
        prime = is_prime(number)
        result = {"number": number, "prime": prime, "worker": program.name_of_process()}
        await self._writer.publish("prime" if prime else "non_prime", json.dumps(result).encode())
        say(f"{number} is prime" if prime else f"{number} is not prime")


def say(text):
    print(f"worker {program.name_of_process()}: {text}", flush=True)


if __name__ == "__main__":
    main()
