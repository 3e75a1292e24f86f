"""Fault tests: the program and the sshd on two hosts (network namespaces), with a link that breaks. Root only."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "integration"))

from harness import servers  # noqa: E402
from harness.clients import exchange  # noqa: E402
from harness.fixtures import *  # noqa: E402,F401,F403
from harness.holdfast import definition  # noqa: E402
from harness.netns import Link, Namespace, sweep  # noqa: E402

INTERVAL, COUNT = 1, 1
LIMIT = INTERVAL * (COUNT + 1) + 6  # what the rule says, and what a busy machine may add
REMOTE, LOCAL = 14444, 14445  # nothing else is in these namespaces


@pytest.fixture
def hosts():
    """(near, far): the program's host and the sshd's."""
    assert os.geteuid() == 0, "the fault tests make network namespaces and need root for it; run them as root"
    sweep()
    made = []
    try:
        for name in ("near", "far"):
            made.append(Namespace(name))
        yield made
    finally:
        for namespace in made:
            namespace.delete()


@pytest.fixture
def link(hosts):
    return Link(*hosts)


class World:
    """A tunnel from `near` to the sshd on `far`, with a -R and a -L whose targets are echo servers."""

    def __init__(self, hosts, link, sshd, holdfast, serve, times):
        self.near, self.far = hosts
        self.link, self.sshd, self.holdfast = link, sshd, holdfast
        with self.near.entered():
            near_echo = serve(servers.echo)
        with self.far.entered():
            far_server = serve(times.pop("far_server", servers.echo))
        tunnel = {
            "host": "peer",
            "forwards": [
                {"remote": f"127.0.0.1:{REMOTE}", "to": near_echo.address},
                {"local": f"127.0.0.1:{LOCAL}", "to": far_server.address},
            ],
            "backoff": {"first": "100ms", "max": "1s", **times.pop("backoff", {})},
        }
        settings = {"reclaim": times.pop("reclaim")} if "reclaim" in times else {}
        times = {
            "server_alive_interval": f"{INTERVAL}s",
            "server_alive_count_max": COUNT,
            "connect_timeout": "2s",
            **times,
        }
        holdfast.run(definition({"peer": sshd}, {"t": tunnel}, times, **settings))

    def ready(self):
        self.holdfast.wait_up()
        self.check()
        return self

    def tunnel(self):
        """What the status says of it."""
        return self.holdfast.status()["tunnels"][0]

    def check(self, data=b"it carries"):
        with self.far.entered():
            assert exchange(REMOTE, data) == data
        with self.near.entered():
            assert exchange(LOCAL, data) == data


def change_network(world, number):
    """An address more on the loopback, as a VPN or a Wi-Fi brings one."""
    world.near.ip("address", "add", f"10.99.{number}.1/32", "dev", "lo")


@pytest.fixture
def new_world(hosts, link, start_sshd, new_holdfast, serve):
    """new(**times) -> a World whose program has just been started; `times` go over the usual ones."""
    near, far = hosts

    def new(client_alive_interval=1, **times):
        # An sshd that has lost us keeps our remote port until it notices; here it looks every second.
        options = {"ClientAliveInterval": client_alive_interval, "ClientAliveCountMax": "2"}
        sshd = start_sshd(options, host=Link.FAR, prefix=far.prefix)
        return World(hosts, link, sshd, new_holdfast(near.prefix), serve, times)

    return new


@pytest.fixture
def world(new_world):
    return new_world().ready()
