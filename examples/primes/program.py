"""What the three programs share: the --nsqd option, the log, and how they are stopped."""

import argparse
import asyncio
import logging
import signal

import tornado.iostream

LOG_FORMAT = "%(levelname)s %(message)s"


def option_parser(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nsqd", default="127.0.0.1:4150", metavar="HOST:PORT", help="nsqd's TCP address (%(default)s)")
    return parser


def run(main):
    """Runs the coroutine `main` to its end, or until Ctrl-C or SIGTERM; either is a normal end."""
    logging.basicConfig(level=logging.WARNING, format=LOG_FORMAT)
    logging.getLogger("tornado.application").addFilter(_is_no_refused_connection)
    try:
        asyncio.run(_until_stopped(main))
    except asyncio.CancelledError:
        pass


async def _until_stopped(main):
    stop = asyncio.current_task().cancel
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop)
    await main


async def forever():
    await asyncio.Event().wait()


def _is_no_refused_connection(record):
    """pynsq says "connection closed" when nsqd is not there; the traceback that tornado adds says no more."""
    return not (record.exc_info and isinstance(record.exc_info[1], tornado.iostream.StreamClosedError))
