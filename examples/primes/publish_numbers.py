"""Publishes numbers to the topic `numbers`: a range, or random ones; as fast as nsqd takes them, or at a rate."""

import asyncio
import random

import program
from confirmed_writer import ConfirmedWriter
from primality import LARGEST_NUMBER

BATCH = 100


def main():
    parser = program.option_parser(__doc__)
    parser.add_argument("--from", type=int, default=1, dest="first", metavar="NUMBER", help="the first (%(default)s)")
    parser.add_argument("--to", type=int, default=100, dest="last", metavar="NUMBER", help="the last (%(default)s)")
    parser.add_argument("--random", type=int, metavar="COUNT", help="this many random numbers between the two instead of all")
    parser.add_argument("--rate", type=float, metavar="PER_SECOND", help="numbers a second, one by one (default: all at once)")
    options = parser.parse_args()
    if not 0 <= options.first <= options.last <= LARGEST_NUMBER:
        parser.error(f"need 0 <= --from <= --to <= {LARGEST_NUMBER}")
    if options.rate is not None and options.rate <= 0:
        parser.error("--rate must be above 0")
    program.run(publish(options))


async def publish(options):
    writer = ConfirmedWriter(options.nsqd)
    await writer.connected()
    published = 0
    batch_size = 1 if options.rate else BATCH
    for batch in batches(chosen_numbers(options), batch_size):
        await writer.publish("numbers", *(str(number).encode() for number in batch))
        published += len(batch)
        if options.rate:
            print(f"published {batch[0]}", flush=True)
            await asyncio.sleep(1 / options.rate)
    print(f"published {published} numbers to the topic numbers", flush=True)


def chosen_numbers(options):
    if options.random is None:
        return range(options.first, options.last + 1)
    return (random.randint(options.first, options.last) for _ in range(options.random))


def batches(numbers, size):
    batch = []
    for number in numbers:
        batch.append(number)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


if __name__ == "__main__":
    main()
