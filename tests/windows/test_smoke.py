"""That nothing is built which Windows would undo: holdfast.exe says what it is, carries both ways, and heals."""

from harness import clients, servers
from harness.holdfast import definition, flags
from harness.ports import free_port

SLOW = 60  # Wine takes its time to start


def test_version(holdfast):
    holdfast.start("--version")
    assert holdfast.wait(SLOW) == 0
    holdfast.out.wait_for(r"^holdfast \d+\.\d+\.\d+", 1)


def test_one_line_carries_both_ways(sshd, holdfast, serve):
    echo = serve(servers.echo)
    local, remote = free_port(), free_port()
    words = ["-L", f"127.0.0.1:{local}:{echo.address}", "-R", f"127.0.0.1:{remote}:{echo.address}"]
    holdfast.start(*flags(sshd, *words))
    holdfast.wait_up(2, timeout=SLOW)
    for port in (local, remote):
        data = clients.pattern(3_000_000, seed=port)
        assert clients.exchange(port, data, timeout=SLOW) == data


def test_definition_heals(sshd, holdfast, serve):
    port = free_port()
    forwards = [{"remote": f"127.0.0.1:{port}", "to": serve(servers.echo).address}]
    holdfast.run(definition({"peer": sshd}, {"t": {"host": "peer", "forwards": forwards}}))
    holdfast.wait_up(timeout=SLOW)
    assert clients.exchange(port, b"before") == b"before"
    sshd.kill_sessions()
    holdfast.wait_up(timeout=SLOW)
    assert clients.exchange(port, b"after") == b"after"
