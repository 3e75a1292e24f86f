"""A hundred faults, after which holdfast.exe has as many handles open as before."""

from handles import settled
from harness import clients, servers
from harness.holdfast import definition
from harness.ports import free_port


def test_a_hundred_faults(sshd, holdfast, serve):
    server = serve(servers.echo)
    local, remote = free_port(), free_port()
    forwards = [
        {"local": f"127.0.0.1:{local}", "to": server.address},
        {"remote": f"127.0.0.1:{remote}", "to": server.address},
    ]
    tunnel = {"host": "peer", "forwards": forwards, "backoff": {"first": "50ms", "max": "200ms"}}
    holdfast.run(definition({"peer": sshd}, {"t": tunnel}))
    holdfast.wait_up(timeout=60)
    counts = {}
    for number in range(1, 101):
        with clients.connect(local) as one, clients.connect(remote) as other:
            one.sendall(b"in the midst of it")
            assert clients.read_exactly(one, 18) == b"in the midst of it"
            other.sendall(clients.pattern(50_000))
            if number % 10 == 0:
                sshd.restart()
            sshd.kill_sessions()
            assert clients.ends(one, 20)
        holdfast.wait_up(timeout=60)
        data = clients.pattern(20_000, seed=number)
        assert clients.exchange(local, data) == data and clients.exchange(remote, data) == data
        if number in (20, 60, 100):
            counts[number] = settled()
    print(f"handles after so many faults: {counts}")
    assert len(set(counts.values())) == 1, counts
    assert holdfast.stop() == 0
