"""Network namespaces: two hosts on one machine, and a link between them that can be cut without a word."""

import contextlib
import ctypes
import os
import re
import subprocess

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def run(*words, stdin=None):
    done = subprocess.run([str(word) for word in words], input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, words))}: {done.stderr.strip()}"
    return done.stdout


def sweep():
    """Deletes what a run left that was killed: namespaces named after a process that is no more."""
    for name in re.findall(r"^(hf\d+[a-z]+)", run("ip", "netns", "list"), re.M):
        if not os.path.exists(f"/proc/{re.search('[0-9]+', name).group(0)}"):
            run("ip", "netns", "del", name)


class Namespace:
    """One host. prefix starts a program on it; entered() makes this thread's new sockets its own."""

    def __init__(self, name):
        self.name = f"hf{os.getpid()}{name}"
        self.prefix = ["ip", "netns", "exec", self.name]
        run("ip", "netns", "add", self.name)
        run("ip", "-n", self.name, "link", "set", "lo", "up")

    def ip(self, *words):
        return run("ip", "-n", self.name, *words)

    def nft(self, script):
        run(*self.prefix, "nft", "-f", "-", stdin=script)

    def prefix_with(self, path, over):
        """A prefix as well, of a program that finds the file `path` in the place of `over`."""
        return [*self.prefix, "unshare", "--mount", "sh", "-c", f'mount --bind {path} {over} && exec "$@"', "sh"]

    def sysctl(self, name, value):
        """Sets one that each namespace has of its own, such as net.ipv4.tcp_rmem."""
        run(*self.prefix, "sysctl", "-q", "-w", f"{name}={value}")

    @contextlib.contextmanager
    def entered(self):
        with open("/proc/thread-self/ns/net", "rb") as home, open(f"/run/netns/{self.name}", "rb") as there:
            _setns(there.fileno())
            try:
                yield
            finally:
                _setns(home.fileno())

    def delete(self):
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)


class Link:
    """A cable between two namespaces: `near` has address 10.77.0.1, `far` 10.77.0.2."""

    NEAR, FAR = "10.77.0.1", "10.77.0.2"

    def __init__(self, near, far):
        self.far = far
        run("ip", "link", "add", "cable", "netns", near.name, "type", "veth", "peer", "name", "cable", "netns", far.name)
        for namespace, address in ((near, self.NEAR), (far, self.FAR)):
            namespace.ip("addr", "add", f"{address}/24", "dev", "cable")
            namespace.ip("link", "set", "cable", "up")

    def cut(self, direction="both"):
        """Drops packets at the far end and tells nobody. direction: "to_far", "to_near" or "both"."""
        to_far = 'iifname "cable" drop' if direction in ("to_far", "both") else ""
        to_near = 'oifname "cable" drop' if direction in ("to_near", "both") else ""
        self.far.nft(
            "table inet cut {\n"
            f" chain in {{ type filter hook input priority 0; {to_far}\n }}\n"
            f" chain out {{ type filter hook output priority 0; {to_near}\n }}\n"
            "}\n"
        )

    def heal(self):
        self.far.nft("delete table inet cut\n")

    def forget(self, *ports):
        """The connections to the far end from these ports are dead for ever, as behind a NAT that has forgotten them."""
        gone = ", ".join(map(str, ports))
        self.far.nft(
            "table inet forgotten {\n"
            f" chain in {{ type filter hook input priority 0; tcp sport {{ {gone} }} drop\n }}\n"
            f" chain out {{ type filter hook output priority 0; tcp dport {{ {gone} }} drop\n }}\n"
            "}\n"
        )


class Wire(Link):
    """A link made of hf_relay_tun: with a delay, a rate, losses; see its usage text. `ab` leads to the far end."""

    def __init__(self, near, far, tool, mtu=1500):
        self._relay = tool("hf_relay_tun", near.name, far.name, stdin=subprocess.PIPE)
        self._relay.out.wait_for("^ready$", 10)
        for namespace, address, other in ((near, self.NEAR, self.FAR), (far, self.FAR, self.NEAR)):
            namespace.ip("addr", "add", address, "peer", other, "dev", "wire")
            namespace.ip("link", "set", "wire", "up", "mtu", mtu, "txqueuelen", 2000)

    def set(self, *words):
        """One command, such as set("delay", "both", 50); returns its answer."""
        mark = self._relay.out.mark()
        self._relay.stdin.write((" ".join(map(str, words)) + "\n").encode())
        self._relay.stdin.flush()
        (answer,) = self._relay.out.wait_for(".", 10, mark=mark)
        assert not answer.string.startswith("error"), answer.string
        return answer.string

    def cut(self, direction="both"):
        self.set("cut", {"both": "both", "to_far": "ab", "to_near": "ba"}[direction])

    def heal(self):
        self.set("heal", "both")
