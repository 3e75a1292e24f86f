"""The bulk: a gibibyte each way at once arrives whole, whatever the peer does with its keys meanwhile."""

import pytest
from harness.tools import SinkSource, assert_all_right, big_size, blast


def both_ways(tool, open_forward, direction, peer, size, *more_flags):
    source = SinkSource(tool)
    port = open_forward(direction, source, *more_flags, peer=peer)
    reports, total = blast(tool, f"127.0.0.1:{port}", "--mode", "both", "--bytes", size)
    assert_all_right(reports, total)
    near, (far,) = reports[0], source.reports(1)
    assert far["ok"], far["failure"]
    assert near["sent"] == far["received"] == near["received"] == far["sent"] == size
    assert near["sha256_sent"] == far["sha256_received"]
    assert far["sha256_sent"] == near["sha256_received"]


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["local", "remote"])
@pytest.mark.parametrize("rekey_limit", ["default", "1M"])
def test_gibibyte_each_way_at_once(tool, start_sshd, open_forward, holdfast, direction, rekey_limit):
    peer = start_sshd({} if rekey_limit == "default" else {"RekeyLimit": rekey_limit})
    both_ways(tool, open_forward, direction, peer, big_size())
    assert holdfast.stop() == 0


@pytest.mark.parametrize(
    "cipher", ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr", "chacha20-poly1305@openssh.com"]
)
def test_every_cipher_carries_and_rekeys(tool, start_sshd, open_forward, holdfast, cipher):
    peer = start_sshd({"RekeyLimit": "1M", "Ciphers": cipher})
    both_ways(tool, open_forward, "local", peer, 16 << 20)
    assert holdfast.stop() == 0


@pytest.mark.parametrize("direction", ["local", "remote"])
def test_our_own_rekeying(tool, sshd, open_forward, holdfast, direction):
    both_ways(tool, open_forward, direction, sshd, 16 << 20, "-o", "RekeyLimit=1M")
    assert holdfast.stop() == 0


@pytest.mark.parametrize("direction", ["local", "remote"])
def test_many_channels_through_rekeys(tool, start_sshd, open_forward, direction):
    peer = start_sshd({"RekeyLimit": "1M"})
    port = open_forward(direction, SinkSource(tool), peer=peer)
    reports, total = blast(tool, f"127.0.0.1:{port}", "--mode", "both", "--bytes", "1M", "--channels", 32)
    assert_all_right(reports, total)
