"""What an engine would say of compose.yaml, as far as it can be said without one: its form, and that all it names is there.

The schema is the one of the Compose specification that docker-compose 1.29.2 carries (2021). What came later and is used
here is named below.
"""

import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((PROJECT / "docker" / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
DAEMONS = {"/nsqd": "options.md", "/nsqlookupd": "options-nsqlookupd.md", "/nsqadmin": "options-nsqadmin.md"}
LATER_THAN_THE_SCHEMA = {"name"}


def test_it_has_the_form_that_the_specification_asks_for():
    package = Path(importlib.util.find_spec("compose").origin).parent
    schema = json.loads((package / "config" / "compose_spec.json").read_text())
    document = {key: value for key, value in COMPOSE.items() if key not in LATER_THAN_THE_SCHEMA}
    jsonschema.Draft201909Validator(schema).validate(document)


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_is_built_from_is_there(name):
    build = SERVICES[name]["build"]
    context = PROJECT / "docker" / build["context"]
    assert context.resolve() == PROJECT
    assert (context / build["dockerfile"]).is_file()


@pytest.mark.parametrize("name", SERVICES)
def test_its_program_knows_every_flag(name):
    program, *arguments = SERVICES[name]["command"]
    flags = {argument.partition("=")[0] for argument in arguments if argument.startswith("--")}
    if program in DAEMONS:
        known = (PROJECT / "docs" / DAEMONS[program]).read_text()
    else:
        script = PROJECT / "examples" / "primes" / arguments[0]
        known = subprocess.run([sys.executable, script, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert flags <= set(re.findall(r"--[a-z0-9-]+", known))


@pytest.mark.parametrize("name", SERVICES)
def test_every_address_is_one_that_a_service_listens_on(name):
    command = SERVICES[name]["command"]
    for address in values(command, r"--(?:nsqd|lookupd-\w+-address)"):
        host, _, port = address.partition(":")
        assert int(port) in listening(SERVICES[host]["command"]), address


def test_a_daemon_has_a_health_check_of_an_address_it_listens_on_and_is_waited_for():
    daemons = {name for name, service in SERVICES.items() if service["command"][0] in DAEMONS}
    awaited = {name for service in SERVICES.values() for name in service.get("depends_on", {})}
    # Nobody needs the page to begin.
    assert awaited == daemons - {"nsqadmin"}
    for name in daemons:
        (address,) = values(SERVICES[name]["healthcheck"]["test"], "--http-address")
        assert int(address.rpartition(":")[2]) in listening(SERVICES[name]["command"])
    conditions = [each for service in SERVICES.values() for each in service.get("depends_on", {}).values()]
    assert all(condition == {"condition": "service_healthy"} for condition in conditions)


def test_published_ports_are_of_this_machine_alone_each_once_and_listened_on():
    published = Counter()
    for service in SERVICES.values():
        for port in service.get("ports", []):
            address, outside, inside = port.split(":")
            assert address == "127.0.0.1"
            assert int(inside) in listening(service["command"])
            published[outside] += 1
    assert set(published.values()) == {1}


def test_every_nsqd_announces_its_own_name_and_has_ports_id_and_volume_of_its_own():
    nsqds = {name: service for name, service in SERVICES.items() if service["command"][0] == "/nsqd"}
    assert len(nsqds) == 3
    for name, service in nsqds.items():
        assert values(service["command"], "--broadcast-address") == [name]
        assert all(f"127.0.0.1:{port}:{port}" in service["ports"] for port in listening(service["command"]))
        assert service["volumes"] == [f"{name}:/data"] and name in COMPOSE["volumes"]
    ids = [values(service["command"], "--node-id") for service in nsqds.values()]
    assert len({tuple(each) for each in ids}) == len(nsqds)


def values(command, flag):
    """What stands behind each use of the flag, which is a regular expression."""
    matches = (re.fullmatch(f"{flag}=(.*)", argument) for argument in command)
    return [match[1] for match in matches if match]


def listening(command):
    """The ports that the command names, else the program's own."""
    named = values(command, "--(?:tcp|http)-address")
    defaults = {"/nsqd": [4150, 4151], "/nsqlookupd": [4160, 4161], "/nsqadmin": [4171]}
    return [int(address.rpartition(":")[2]) for address in named] or defaults.get(command[0], [])
