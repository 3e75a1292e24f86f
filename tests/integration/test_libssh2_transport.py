"""Our patches to libssh2's transport, against a real sshd and apart from the engine (see libssh2/ssh_pump.c).

Needs HOLDFAST_SSH_PUMP, the path of the ssh_pump program; ctest sets it.
"""
import getpass
import os
import pathlib
import shutil
import socket
import subprocess
import time

import pytest

from harness.fixtures import living_children

MIB = 1 << 20
GCM = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"]
CTR_CBC = ["aes128-ctr", "aes256-ctr", "aes256-cbc"]
MACS = [
    "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha1-etm@openssh.com",
    "hmac-sha2-256", "hmac-sha2-512", "hmac-sha1",
]
CHACHA = "chacha20-poly1305@openssh.com"
ALL = [(c, "-") for c in GCM + [CHACHA]] + [(c, m) for c in CTR_CBC for m in MACS]
FEW = [(GCM[1], "-"), (CHACHA, "-")] + [(c, m) for c in ("aes256-ctr", "aes256-cbc") for m in (MACS[0], MACS[3])]


class Sshd:
    """A throwaway sshd on loopback with keys of its own."""

    def __init__(self, place, *options):
        self.place = place
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", place / name], check=True)
        shutil.copy(place / "user.pub", place / "authorized")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        if os.geteuid() == 0:
            pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        (place / "config").write_text("\n".join([
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {place}/host", "PidFile none",
            f"AuthorizedKeysFile {place}/authorized", "StrictModes no", "UsePAM no", "PermitRootLogin yes",
            "Ciphers " + ",".join(GCM + CTR_CBC + [CHACHA]), "MACs " + ",".join(MACS), *options]) + "\n")
        self.log = open(place / "log", "wb")
        sshd = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin")
        assert sshd, "sshd is not installed: packaging/deps.sh linux test"
        self.process = subprocess.Popen([sshd, "-D", "-e", "-f", place / "config"], stderr=self.log)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self.process.poll() is None, (place / "log").read_text()
            time.sleep(0.05)
        raise AssertionError("sshd does not listen")

    def close(self):
        # The processes of ended sessions first, so that none is left without a parent, and commands of sessions that
        # ended before them, which have come to us.
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for _ in range(200):
            if not children.read_text().split() and [pid for pid, _ in living_children()] == [self.process.pid]:
                break
            time.sleep(0.05)
        self.process.terminate()
        self.process.wait(10)
        self.log.close()

    def run_pump(self, *words, timeout_s=300):
        """Run ssh_pump, whatever comes of it."""
        return subprocess.run(
            [os.environ["HOLDFAST_SSH_PUMP"], str(self.port), getpass.getuser(), self.place / "user", *map(str, words)],
            capture_output=True, text=True, timeout=timeout_s, check=False)

    def pump(self, cipher, mac, mode, size, slice_bytes=0):
        """Run ssh_pump; its numbers as a dict."""
        done = self.run_pump(cipher, mac, mode, size, slice_bytes)
        assert done.returncode == 0, done.stdout + done.stderr
        return {key: int(value) for key, value in (pair.split("=") for pair in done.stdout.split())}


@pytest.fixture
def sshd(tmp_path):
    server = Sshd(tmp_path)
    yield server
    server.close()


@pytest.fixture
def rekeying_sshd(tmp_path):
    server = Sshd(tmp_path, "RekeyLimit 1M")
    yield server
    server.close()


@pytest.mark.parametrize("cipher", [*GCM, CHACHA, "aes256-ctr", "aes256-cbc"])
def test_cipher_calls(sshd, cipher):
    """OpenSSL does the work and sees runs, not blocks: a call per 16 bytes would be 131,072 per MiB there and back.
    With a cipher that makes the MAC itself, no packet makes a context or looks an algorithm up."""
    aead = cipher not in CTR_CBC
    done = sshd.pump(cipher, "-" if aead else MACS[3], "echo", 8 * MIB)
    assert 0 < done["evp"] / 8 < 1000
    assert done["made"] == 0 or not aead


def test_random_calls(sshd):
    """Padding is not fetched packet by packet: 16 MiB take 512 packets at the least."""
    assert sshd.pump(GCM[1], "-", "send", 16 * MIB)["random"] < 16


@pytest.mark.parametrize("cipher", [*GCM, CHACHA])
def test_bytes_copied(sshd, cipher):
    """What comes is copied twice, out of ssh_pump's buffer and to the reader of the channel, and not in between."""
    done = sshd.pump(cipher, "-", "receive", 16 * MIB)
    assert done["copied"] / done["received"] < 2.6


@pytest.mark.parametrize("cipher", [*GCM, CHACHA])
def test_packets_opened_where_they_came(sshd, cipher):
    """With the caller's memory for input nothing is copied but the begun packet at the end of each read."""
    done = sshd.pump(cipher, "-", "lent", 16 * MIB)
    assert done["received"] == 16 * MIB
    assert done["copied"] / done["received"] < 0.7


@pytest.mark.parametrize("slice_bytes", [1, 15, 4097])
@pytest.mark.parametrize("cipher", [GCM[1], CHACHA])
def test_lent_packets_in_pieces(sshd, cipher, slice_bytes):
    assert sshd.pump(cipher, "-", "lent", 40001, slice_bytes)["received"] == 40001


@pytest.mark.parametrize("cipher,mac", [*FEW, ("aes256-ctr", MACS[2])])
def test_lent_packets_while_the_peer_rekeys(rekeying_sshd, cipher, mac):
    assert rekeying_sshd.pump(cipher, mac, "lent", 8 * MIB + 1)["received"] == 8 * MIB + 1


@pytest.mark.parametrize("cipher", [*GCM, CHACHA])
def test_packets_sealed_where_they_go_out(sshd, cipher):
    """With the caller's memory for output as well, nothing of what goes there is copied but the third that ssh_pump gives
    from elsewhere."""
    done = sshd.pump(cipher, "-", "made", 16 * MIB)
    assert done["received"] == 16 * MIB and done["equal"] == 1
    assert done["copied"] / done["sent"] < 0.4


@pytest.mark.parametrize("cipher,mac", [*FEW, ("aes256-ctr", MACS[2]), ("aes256-ctr", MACS[3])])
def test_packets_in_place_while_the_peer_rekeys(rekeying_sshd, cipher, mac):
    done = rekeying_sshd.pump(cipher, mac, "made", 8 * MIB + 1)
    assert done["received"] == 8 * MIB + 1 and done["equal"] == 1


@pytest.mark.parametrize("spoil", [1, 4, 5, 20, 40000])
@pytest.mark.parametrize("cipher", [GCM[1], CHACHA])
def test_spoilt_lent_packet_ends_the_session(sshd, cipher, spoil):
    done = sshd.run_pump(cipher, "-", "lent", 32 * MIB, 0, spoil, timeout_s=30)
    assert done.returncode == 3, done.stdout + done.stderr


@pytest.mark.parametrize("cipher,mac", ALL)
def test_echo(sshd, cipher, mac):
    assert sshd.pump(cipher, mac, "echo", 2 * MIB + 1)["equal"] == 1


@pytest.mark.parametrize("cipher,mac", FEW)
def test_echo_while_the_peer_rekeys(rekeying_sshd, cipher, mac):
    assert rekeying_sshd.pump(cipher, mac, "echo", 8 * MIB + 1)["equal"] == 1


@pytest.mark.parametrize("spoil", [1, 3, 4, 5, 20, 3000, 40000, 70001])
@pytest.mark.parametrize("cipher,mac", [*FEW, ("aes256-ctr", MACS[2])])
def test_spoilt_packet_ends_the_session(sshd, cipher, mac, spoil):
    """One bit that was changed on the way, in a length field (the first four), at the start or the end of a packet or
    in its midst, ends the session, at once and in order: it neither hangs nor takes the whole program down."""
    done = sshd.run_pump(cipher, mac, "receive", 32 * MIB, 0, spoil, timeout_s=30)
    assert done.returncode == 3, done.stdout + done.stderr


@pytest.mark.parametrize("slice_bytes", [1, 15, 17, 4097])
@pytest.mark.parametrize("cipher,mac", FEW)
def test_packets_in_pieces(sshd, cipher, mac, slice_bytes):
    """Every packet arrives cut at every multiple of slice_bytes; with 1, at every byte."""
    assert sshd.pump(cipher, mac, "echo", 40001, slice_bytes)["equal"] == 1
