"""The image as it is used: without root or shell, found by its name, stopped, and started again on the same volume."""

import json
import os
import re
import urllib.error
import urllib.request

import pytest
from containers import Container, buildah, image_config
from harness import wait_until
from names import ADDRESS, NameServer

IMAGE = os.environ.get("NSQ_IMAGE", "nsq")
PRIMES_IMAGE = os.environ.get("NSQ_PRIMES_IMAGE", "nsq-primes")
PROGRAMS = os.environ.get("NSQ_PROGRAMS", "nsqd nsqlookupd nsqadmin nsq").split()
USER = 65532

NUMBERS = range(1, 21)
PRIMES_AMONG_THEM = 8


@pytest.fixture
def container():
    """Makes containers that know nsqlookupd1 from their hosts file, and nsqlookupd2 from a name server."""
    made = []

    def make(image):
        made.append(Container(image, "--add-host=nsqlookupd1:127.0.0.1", f"--dns={ADDRESS}"))
        return made[-1]

    names = NameServer({"nsqlookupd2": "127.0.0.1"})
    yield make
    names.close()
    for each in made:
        each.remove()


def test_the_image_holds_the_programs_and_nothing_else(container):
    root = container(IMAGE).root()
    files = {f"/{path.relative_to(root)}" for path in root.rglob("*") if path.is_file() and not path.is_symlink()}
    of_buildah = {"/etc/hosts", "/etc/resolv.conf", "/etc/hostname"}
    ours = {"/etc/passwd", "/etc/group"} | {f"/usr/local/bin/{program}" for program in PROGRAMS}
    assert files - of_buildah == ours
    links = {program: os.readlink(root / program) for program in PROGRAMS}
    assert links == {program: f"/usr/local/bin/{program}" for program in PROGRAMS}
    assert (root / "data").stat().st_uid == USER


def test_the_image_says_how_it_is_run():
    config = image_config(IMAGE)
    assert config["User"] == f"{USER}:{USER}"
    assert config["WorkingDir"] == "/data"
    assert config["Volumes"] == {"/data": {}}
    assert set(config["ExposedPorts"]) == {f"{port}/tcp" for port in (4150, 4151, 4160, 4161, 4171)}
    assert config["Cmd"] == ["/nsqd"] and not config.get("Entrypoint")
    assert config["Healthcheck"]["Test"] == ["CMD", "/nsq", "ping"]


def test_every_program_starts(container):
    image = container(IMAGE)
    for program in PROGRAMS:
        started = image.start(f"/{program}", "--version")
        assert started.exit_code() == 0, started.lines


def test_numbers_survive_a_stop_and_are_judged_by_a_worker_that_finds_them(container):
    image = container(IMAGE)
    lookups = [image.start("/nsqlookupd", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0") for _ in range(2)]
    lookup_tcp, lookup_http = zip(*(addresses(lookup) for lookup in lookups))
    named = [f"nsqlookupd{number}:{port_of(tcp)}" for number, tcp in enumerate(lookup_tcp, 1)]
    command = [
        "/nsqd",
        "--tcp-address=127.0.0.1:0",
        "--http-address=127.0.0.1:0",
        "--broadcast-address=localhost",
        *(f"--lookupd-tcp-address={address}" for address in named),
    ]

    nsqd = image.start(*command)
    tcp, http = addresses(nsqd)
    assert nsqd.uid() == USER
    request(f"http://{http}/mpub?topic=numbers", "\n".join(map(str, NUMBERS)).encode())
    for lookup in lookup_http:
        wait_until(
            lambda: producer_ports(lookup, "numbers") == [port_of(tcp)],
            lambda: f"nsqlookupd on {lookup} does not know where numbers are: {nsqd.lines}",
        )
    assert nsqd.terminate() == 0, nsqd.lines

    nsqd = image.start(*command)
    tcp, http = addresses(nsqd)
    assert topic(http, "numbers")["depth"] == len(NUMBERS)
    worker = container(PRIMES_IMAGE).start(
        "python", "worker.py", f"--nsqd={tcp}", *(f"--lookupd-http-address={address}" for address in lookup_http)
    )
    wait_until(
        lambda: published(http, "prime") + published(http, "non_prime") == len(NUMBERS),
        lambda: f"the worker did not judge all: {worker.lines}",
    )
    assert published(http, "prime") == PRIMES_AMONG_THEM
    assert worker.terminate() == 0, worker.lines


def test_the_page_is_in_the_image_and_shows_what_the_nodes_say(container):
    image = container(IMAGE)
    nsqd = image.start("/nsqd", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0")
    _, http = addresses(nsqd)
    request(f"http://{http}/pub?topic=numbers", b"97")
    admin = image.start("/nsqadmin", "--http-address=127.0.0.1:0", f"--nsqd-http-address={http}", "--data-path=/data")
    page = admin.wait_for(r"HTTP: listening on (\S+)")[1]
    # It is another user's process until the program begins.
    assert admin.uid() == USER
    index = request(f"http://{page}/").decode()
    scripts = re.findall(r'src="(?:\./)?(static/[^"]+\.js)"', index)
    assert scripts and all(request(f"http://{page}/{script}") for script in scripts), index
    # The host's name of a container leads nowhere here, so this is asked where nsqadmin was told to.
    overview = json.loads(request(f"http://{page}/api/overview"))
    assert [(row["topic"], row["depth"]) for row in overview["channels"]] == [("numbers", 1)], overview["nodes"]
    assert admin.terminate() == 0, admin.lines


@pytest.mark.skipif("nsq" not in PROGRAMS, reason="the image was built without nsq")
def test_the_health_check_tells_a_running_daemon_from_a_stopped_one(container):
    image = container(IMAGE)
    check = image_config(IMAGE)["Healthcheck"]["Test"][1:]
    started = {
        "/nsqd": ["--tcp-address=127.0.0.1:0"],
        "/nsqlookupd": ["--tcp-address=127.0.0.1:0"],
        "/nsqadmin": ["--nsqd-http-address=127.0.0.1:4151"],
    }
    for program, flags in started.items():
        daemon = image.start(program, "--http-address=127.0.0.1:0", *flags)
        http = daemon.wait_for(r"HTTP: listening on (\S+)")[1]
        # As compose.yaml writes it: the ports that the image's own check asks may belong to somebody else here.
        asked = image.start(*check, f"--http-address={http}")
        assert asked.exit_code() == 0, asked.lines
        assert daemon.terminate() == 0, daemon.lines
        assert image.start(*check, f"--http-address={http}").exit_code() == 1


def addresses(daemon):
    return tuple(daemon.wait_for(rf"{kind}: listening on (\S+)")[1] for kind in ("TCP", "HTTP"))


def port_of(address):
    return int(address.rsplit(":", 1)[1])


def request(url, body=None):
    with urllib.request.urlopen(url, data=body) as answer:
        return answer.read()


def producer_ports(lookup, topic_name):
    try:
        answer = json.loads(request(f"http://{lookup}/lookup?topic={topic_name}"))
    except urllib.error.HTTPError:
        return []
    return [producer["tcp_port"] for producer in answer["producers"]]


def topic(http, name):
    topics = json.loads(request(f"http://{http}/stats?format=json&topic={name}"))["topics"]
    return topics[0] if topics else None


def published(http, name):
    return (topic(http, name) or {"message_count": 0})["message_count"]
