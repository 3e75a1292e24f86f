"""What the benchmarks share: the programs that are compared, each as a running tunnel; a throwaway sshd and the C tools
around them; the machine's name."""

import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))

from harness.holdfast import Holdfast, flags  # noqa: E402
from harness.ports import free_port  # noqa: E402
from harness.proc import Process, cpu_seconds_of, descendants_of, wait_until  # noqa: E402
from harness.sshd import Sshd, make_key  # noqa: E402
from harness.tools import SinkSource, assert_all_right, blast  # noqa: E402

GIB = 1 << 30
MIB = 1 << 20
ENDLESS = "1000G"


def add_program_options(parser):
    parser.add_argument("--holdfast", default=os.environ.get("HOLDFAST_BIN"), help="the binary (default $HOLDFAST_BIN)")
    parser.add_argument("--tools", default=os.environ.get("HOLDFAST_TOOLS"), help="where hf_blast is ($HOLDFAST_TOOLS)")
    parser.add_argument("--ssh", default=shutil.which("ssh"), help="the ssh to compare with (default: in PATH)")


def settle_program_options(parser, options):
    for word in ("holdfast", "tools", "ssh"):
        if not getattr(options, word):
            parser.error(f"--{word} is needed")
        setattr(options, word, str(Path(getattr(options, word)).resolve()))  # the programs are started in other folders
    os.environ["HOLDFAST_BIN"] = options.holdfast


def end_process(process):
    """kill(), but of a process that runs: the number of one that ended long ago may be somebody else's by now."""
    if process.is_running():
        process.kill()


def words_for(kind, *words):
    """flags() for one of them: with HOLDFAST_RUN (holdfast.exe under Wine) the others take paths of this machine."""
    run = os.environ.pop("HOLDFAST_RUN", None) if kind != "holdfast" else None
    try:
        return flags(*words)
    finally:
        if run is not None:
            os.environ["HOLDFAST_RUN"] = run


def in_turn(clients, rounds):
    """Each client once a round, every second round from the other end: a drift of the machine hits all alike."""
    for number in range(rounds):
        yield from order_of_round(clients, number)


def order_of_round(clients, number):
    return clients if number % 2 == 0 else clients[::-1]


def median(values):
    return statistics.median(values) if values else None


def memory_kib(smaps_rollup, *words):
    """The sum of some words of a /proc/PID/smaps_rollup, given as its text."""
    return sum(int(re.search(rf"^{word}:\s+(\d+) kB$", smaps_rollup, re.M).group(1)) for word in words)


def voluntary_switches(status):
    """How often a thread has gone to sleep, from the text of its /proc status."""
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)$", status, re.M).group(1))


def machine(ssh):
    """What the figures belong to, as {what: text}."""
    cpu = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    congestion = Path("/proc/sys/net/ipv4/tcp_congestion_control")
    version = subprocess.run([ssh, "-V"], capture_output=True, text=True, check=False)
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return {
        "cpu": cpu.group(1).strip() if cpu else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": f"{platform.system()} {platform.release()}",
        "ssh": (version.stderr or version.stdout).strip(),
        "congestion control": congestion.read_text().strip() if congestion.exists() else "?",
        "load before": load,
    }


class World:
    """A folder, keys, one sshd, and the servers at the far end, which are started when first asked for. `near` and
    `far` are the namespaces of the two hosts, which make_link(tool) joins, or None: everything on loopback then."""

    def __init__(self, options, folder, near=None, far=None, host="127.0.0.1", make_link=None):
        self.options = options
        self.folder = Path(folder)
        self.host = host
        self.near_prefix, self.far_prefix = (space.prefix if space else [] for space in (near, far))
        self._started, self._sink, self._echo = [], None, None
        self.link = make_link(self.tool) if make_link else None
        self.user_key = make_key(self.folder / "user_key")
        # What sshd logs of each connection is collected here in the background: no more of it than the harness needs.
        self.sshd = Sshd(
            self.folder / "sshd",
            [make_key(self.folder / "host_key")],
            self.user_key,
            {"LogLevel": "INFO"},
            host,
            self.far_prefix,
        ).start()

    def tool(self, name, *words, prefix=(), **popen):
        process = Process([*prefix, Path(self.options.tools) / name, *words], **popen)
        self._started = [*filter(Process.is_running, self._started), process]
        return process

    def near_tool(self, name, *words, **popen):
        """A tool on the client's host."""
        return self.tool(name, *words, prefix=self.near_prefix, **popen)

    @property
    def sink(self):
        """An hf_sinksource at the far end of forwards."""
        if self._sink is None:
            self._sink = SinkSource(self.tool, prefix=self.far_prefix, host=self.host)
        return self._sink

    @property
    def echo(self):
        """HOST:PORT of an hf_echo at the far end of forwards."""
        if self._echo is None:
            server = self.tool("hf_echo", "--listen", f"{self.host}:0", prefix=self.far_prefix)
            port = server.out.wait_for(r"^listening (\d+)$", 10)[0].group(1)
            self._echo = f"{self.host}:{port}"
        return self._echo

    def report(self, name, *words, timeout=300):
        """Runs a tool that prints one JSON line, and returns that; a tool that found failures says so in the line."""
        process = self.near_tool(name, *map(str, words))
        process.wait(timeout)
        lines = process.out.since()
        assert len(lines) == 1 and not process.err.text(), f"{name} {words}: {lines} {process.err.text()}"
        return json.loads(lines[0])

    def close(self):
        for process in self._started:
            end_process(process)
        self.sshd.stop()


class Client:
    """One of the programs with one session and its forwards: holdfast, ssh, autossh or plink; or `tcp`, which is none.
    `forwards`: (flag, target) each; `words` are for all of them alike, as OpenSSH spells them."""

    def __init__(self, world, kind, forwards, words=()):
        self.kind, self.world = kind, world
        self.addresses = [target for _, target in forwards]
        self._program = None
        if kind == "tcp":
            return
        ports = [free_port() for _ in forwards]
        self.addresses = [f"127.0.0.1:{port}" for port in ports]
        specs = []
        for (flag, target), address in zip(forwards, self.addresses):
            specs += [flag, f"{address}:{target}"]
        self._start([*map(str, words), *specs])
        self.await_listeners(forwards)

    @property
    def address(self):
        return self.addresses[0]

    def _start(self, words):
        prefix = self.world.near_prefix
        if self.kind == "holdfast":
            self._program = Holdfast(self.world.folder / "home", prefix)
            self._program.start(*words_for("holdfast", self.world.sshd, *words))
            self._program.wait_up(words.count("-L") + words.count("-R"))
            return
        command, environment = self._command(words)
        self._program = Process([*prefix, *command], env={**os.environ, **environment})

    def _command(self, words):
        """(command, what is added to the environment) of the programs that are not ours."""
        options = self.world.options
        if self.kind == "plink":
            return plink_command(self.world, words)
        command = [options.ssh, "-F", "none", "-N", "-o", "ExitOnForwardFailure=yes"]
        command += words_for(self.kind, self.world.sshd, *words)
        if self.kind == "ssh":
            return command, {}
        return ["autossh", "-M", "0", *command[1:]], {"AUTOSSH_GATETIME": "0", "AUTOSSH_PATH": options.ssh}

    def await_listeners(self, forwards):
        """Until all that it, or sshd for it, shall listen on is there."""
        for (flag, _), address in zip(forwards, self.addresses):
            prefix = self.world.far_prefix if flag == "-R" else self.world.near_prefix
            wait_until(lambda: listens(address, prefix) or not self.is_running(), 15, f"{self.kind} {flag} is up")
        assert self.is_running(), f"{self.kind} ended; it said:\n{self._program.err.text()}"

    @property
    def pid(self):
        return self._program.pid

    def is_running(self):
        return self._program.is_running()

    def pids(self):
        """The program; of autossh the ssh below it as well."""
        return [self.pid, *(descendants_of(self.pid) if self.kind == "autossh" else [])]

    def cpu_seconds(self):
        return sum(cpu_seconds_of(pid) for pid in self.pids()) if self._program else 0.0

    def _memory_kib(self, *words):
        return sum(memory_kib(Path(f"/proc/{pid}/smaps_rollup").read_text(), *words) for pid in self.pids())

    def pss_kib(self):
        """Its own pages, and its share of those that others have as well."""
        return self._memory_kib("Pss")

    def private_kib(self):
        return self._memory_kib("Private_Clean", "Private_Dirty")

    def sleeps(self):
        """How often its threads have gone to sleep since they were started: one more for each time they were woken."""
        threads = [task for pid in self.pids() for task in Path(f"/proc/{pid}/task").iterdir()]
        return sum(voluntary_switches((task / "status").read_text()) for task in threads)

    def blast(self, *words, number=0):
        """Runs hf_blast through a forward; returns its sum, and the CPU seconds that the program took."""
        before = self.cpu_seconds()
        words = ["--check", "count", "--chunk", "128K", *words]
        reports, total = blast(self.world.tool, self.addresses[number], *words, prefix=self.world.near_prefix)
        assert_all_right(reports, total)
        return total, self.cpu_seconds() - before

    def end(self):
        if self._program is None:
            return
        if self.kind == "holdfast":
            self._program.end()
        else:
            end_process(self._program)


class Clients(list):
    """Some clients that end together. kinds that this machine does not have are left out."""

    def __init__(self, world, kinds, forwards, words=()):
        super().__init__()
        try:
            for kind in kinds:
                if kind in ("holdfast", "ssh", "tcp") or shutil.which(kind):
                    self.append(Client(world, kind, forwards, words))
        except BaseException:
            self.end()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.end()

    def end(self):
        for client in self:
            client.end()


def new_in_turn(world, kinds, forwards, words, rounds):
    """in_turn(), with new processes in each round: how the system places one and paces its connections differs by a
    fifth, and stays."""
    for number in range(rounds):
        with Clients(world, kinds, forwards, words) as clients:
            yield from order_of_round(clients, number)


class Bulk:
    """An hf_blast that moves bytes until it is told to stop."""

    def __init__(self, client, number, mode):
        words = ["--mode", mode, "--bytes", ENDLESS, "--check", "count", "--chunk", "128K", "--flowing", "16M"]
        self._process = client.world.near_tool("hf_blast", *words, client.addresses[number])
        self._process.out.wait_for('"flowing"', 30)

    def stop(self):
        """Returns how many MiB a second it moved."""
        self._process.signal(signal.SIGTERM)
        self._process.wait(30)
        total = json.loads(self._process.out.since()[-1])
        return (total["sent"] + total["received"]) / MIB / total["seconds"]


def listens(address, prefix):
    """Whether something listens there. ss asks for listeners only; /proc/net/tcp has all connections that linger after
    a measurement, and takes seconds then."""
    words = [*prefix, "ss", "-Hltn", "src", address]
    return subprocess.run(words, capture_output=True, check=True).stdout != b""


def plink_command(world, words):
    """plink has no -o and keys of its own kind; it is run with its defaults, and takes only forwards from `words`."""
    key = world.folder / "user_key.ppk"
    if not key.exists():
        subprocess.run(["puttygen", str(world.user_key), "-O", "private", "-o", str(key)], check=True)
    host_key = subprocess.run(
        ["ssh-keygen", "-lf", str(world.folder / "host_key.pub")], capture_output=True, text=True, check=True
    )
    fingerprint = re.search(r"SHA256:\S+", host_key.stdout).group(0)
    forwards = [word for at, word in enumerate(words) if {word, words[at - 1]} & {"-L", "-R"}]
    command = ["plink", "-batch", "-N", "-P", str(world.sshd.port), "-i", str(key), "-hostkey", fingerprint]
    return [*command, *forwards, world.sshd.destination], {"HOME": str(world.folder)}
