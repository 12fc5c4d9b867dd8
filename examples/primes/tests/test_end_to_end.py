"""The example as its README tells it: the real daemon, the real pynsq, several worker processes.

On top of it, the promises made there: numbers are shared, and none is lost, whatever dies.
"""

import os
from collections import Counter

from primality import is_prime

GROUP = "worker_group_a"
SCALE = int(os.environ.get("PRIMES_SCALE", "1"))


def assert_judged_rightly(results, count):
    """Every number from 1 to count has a result, and no result is wrong. Repetitions are allowed."""
    assert {number for _, number, _ in results} == set(range(1, count + 1))
    assert [(topic, number) for topic, number, _ in results if (topic == "prime") != is_prime(number)] == []


def test_workers_of_a_group_share_the_numbers_and_judge_each_exactly_once(start_daemon, start_example):
    count = 400 * SCALE
    daemon = start_daemon()
    example = start_example(daemon)
    watcher = example.watcher()
    workers = [example.worker("--group", GROUP, "--work-seconds", "0.005") for _ in range(3)]
    example.publish("--to", str(count))

    results = watcher.wait_for_results(count)
    assert_judged_rightly(results, count)
    numbers = daemon.wait_for_channel("numbers", GROUP, depth=0, in_flight_count=0)
    assert (numbers["message_count"], numbers["requeue_count"], numbers["timeout_count"]) == (count, 0, 0)
    # Counted by the daemon, for a result that came twice might be late in the watcher's output.
    published = sum(daemon.topic(topic)["message_count"] for topic in ("prime", "non_prime"))
    assert published == count
    shares = Counter(worker for _, _, worker in results)
    assert set(shares) == {worker.pid for worker in workers}


def test_every_group_gets_all_the_numbers(start_daemon, start_example):
    daemon = start_daemon()
    example = start_example(daemon)
    watcher = example.watcher()
    in_group = {group: example.worker("--group", group).pid for group in ("worker_group_a", "worker_group_b")}
    example.publish("--to", "100")

    for group in in_group:
        daemon.wait_for_channel("numbers", group, message_count=100, depth=0, in_flight_count=0)
    daemon.wait_for_channel("prime", "watch", message_count=2 * 25, depth=0, in_flight_count=0)
    daemon.wait_for_channel("non_prime", "watch", message_count=2 * 75, depth=0, in_flight_count=0)
    results = watcher.wait_for_results(100)
    assert_judged_rightly(results, 100)


def test_numbers_faster_than_a_slow_worker_wait_and_a_second_worker_takes_its_share(start_daemon, start_example):
    daemon = start_daemon()
    example = start_example(daemon)
    slow = example.worker("--work-seconds", "50")
    example.publish("--to", "10")

    slow.wait_for("judging 1$")
    stats = daemon.wait_for_channel("numbers", GROUP, depth=9, in_flight_count=1)
    assert [client["ready_count"] for client in stats["clients"]] == [1]

    second = example.worker("--work-seconds", "50")
    second.wait_for(r"judging \d+$")
    stats = daemon.wait_for_channel("numbers", GROUP, depth=8, in_flight_count=2)
    assert [client["in_flight_count"] for client in stats["clients"]] == [1, 1]


def test_a_worker_that_is_told_to_stop_gives_its_number_back(start_daemon, start_example):
    daemon = start_daemon()
    example = start_example(daemon)
    slow = example.worker("--work-seconds", "50")
    example.publish("--to", "3")
    slow.wait_for("judging 1$")

    assert slow.terminate() == 0
    stats = daemon.wait_for_channel("numbers", GROUP, depth=3, in_flight_count=0, client_count=0)
    assert (stats["requeue_count"], stats["timeout_count"]) == (1, 0)


def test_a_worker_killed_in_the_middle_of_a_number_loses_nothing(start_daemon, start_example):
    # The timeout is for daemons that give a message back only then, as nsqd v1.3.0 does.
    daemon = start_daemon("--msg-timeout=3s")
    example = start_example(daemon)
    watcher = example.watcher()
    victim = example.worker("--work-seconds", "50")
    example.publish("--to", "40")
    victim.wait_for("judging 1$")
    victim.kill()
    heir = example.worker()

    results = watcher.wait_for_results(40)
    assert_judged_rightly(results, 40)
    assert {worker for _, _, worker in results} == {heir.pid}
    assert len(results) == 40
    stats = daemon.wait_for_channel("numbers", GROUP, depth=0, in_flight_count=0)
    assert (stats["message_count"], stats["timeout_count"]) == (40, 1)


def test_a_stop_and_start_of_the_daemon_in_the_middle_loses_nothing(start_daemon, start_example):
    count = 300 * SCALE
    daemon = start_daemon()
    example = start_example(daemon)
    watcher = example.watcher()
    for _ in range(2):
        example.worker("--work-seconds", "0.02")
    example.publish("--to", str(count))
    watcher.wait_for_results(50)

    daemon.stop()
    before = len(watcher.results())
    assert before < count, "the daemon was stopped too late to be in the middle"
    daemon.start()

    # pynsq comes back by itself, 15 seconds after the connection was lost.
    results = watcher.wait_for_results(count)
    assert_judged_rightly(results, count)
    daemon.wait_for_channel("numbers", GROUP, depth=0, in_flight_count=0)


def test_workers_that_ask_nsqlookupd_read_from_every_nsqd(start_daemon, start_example):
    lookup = start_daemon(name="nsqlookupd")
    announced = (f"--lookupd-tcp-address={lookup.tcp_address}", "--broadcast-address=127.0.0.1")
    daemons = [start_daemon(*announced) for _ in range(2)]
    for daemon, range_of_numbers in zip(daemons, (("--to", "50"), ("--from", "51", "--to", "100"))):
        start_example(daemon).publish(*range_of_numbers)
    example = start_example(daemons[0], lookup)
    # pynsq shares this out among the nsqd, and starves one for seconds where it is less than one each.
    example.worker("--max-in-flight", "2")

    for daemon in daemons:
        daemon.wait_for_channel("numbers", GROUP, message_count=50, depth=0, in_flight_count=0)
    results = example.watcher().wait_for_results(100)
    assert_judged_rightly(results, 100)
