"""What the three programs share: where nsqd is, the log, and how they are stopped."""

import argparse
import asyncio
import logging
import os
import signal
import socket

import tornado.httpclient
import tornado.iostream

LOG_FORMAT = "%(levelname)s %(message)s"

# How often a reader asks which nsqd have its topic; pynsq's default is a minute.
LOOKUP_SECONDS = 5


def option_parser(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nsqd", default="127.0.0.1:4150", metavar="HOST:PORT", help="nsqd's TCP address (%(default)s)")
    return parser


def add_lookup_option(parser):
    parser.add_argument(
        "--lookupd-http-address",
        action="append",
        metavar="HOST:PORT",
        help="ask this nsqlookupd which nsqd to read from, instead of reading from --nsqd; repeat it for each",
    )


def sources(options):
    """What tells an nsq.Reader where to read."""
    if options.lookupd_http_address:
        return {"lookupd_http_addresses": options.lookupd_http_address, "lookupd_poll_interval": LOOKUP_SECONDS}
    return {"nsqd_tcp_addresses": [options.nsqd]}


def name_of_process():
    """What tells this process from its siblings. Alone in a container every one is number 1, and only the host differs."""
    return socket.gethostname() if os.getpid() == 1 else os.getpid()


def run(main):
    """Runs the coroutine `main` to its end, or until Ctrl-C or SIGTERM; either is a normal end."""
    logging.basicConfig(level=logging.WARNING, format=LOG_FORMAT)
    logging.getLogger("tornado.application").addFilter(_is_no_refused_connection)
    logging.getLogger("nsq.reader").addFilter(_is_no_unknown_topic)
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


def _is_no_unknown_topic(record):
    """A topic that nothing was published to yet is no reason for a warning every few seconds."""
    error = record.args[-1] if isinstance(record.args, tuple) and record.args else None
    return not (isinstance(error, tornado.httpclient.HTTPClientError) and error.code == 404)
