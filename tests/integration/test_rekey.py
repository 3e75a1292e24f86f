"""A hundred channels at full rate both ways while keys change fifty times and more, at the peer's wish, at ours, at both."""

import pytest
from harness.holdfast import runner
from harness.tools import SinkSource, assert_all_right, blast

CHANNELS = 10 if runner() else 100
REKEYS = 50
MIB = 1 << 20
# A key carries a mebibyte, and what is under way when it is to be changed: one more in all, or three where we begin it.
EACH = {who: size // CHANNELS for who, size in (("peer", 100 * MIB), ("both", 100 * MIB), ("ours", 220 * MIB))}


def by_connection(reports):
    return sorted((report["sha256_sent"], report["sha256_received"]) for report in reports)


@pytest.mark.parametrize("direction", ["local", "remote"])
@pytest.mark.parametrize("who", ["peer", "ours", "both"])
def test_hundred_channels_through_fifty_rekeys(tool, start_sshd, open_forward, holdfast, direction, who):
    peer = start_sshd({} if who == "ours" else {"RekeyLimit": "1M"})
    words = ["-vv"] if who == "peer" else ["-vv", "-o", "RekeyLimit=1M"]
    source = SinkSource(tool)
    port = open_forward(direction, source, *words, peer=peer)
    sessions = peer.session_pids()
    begun = holdfast.err.mark()
    each = EACH[who]
    words = ["--mode", "both", "--bytes", each, "--channels", CHANNELS, "--ramp", 50, "--together"]
    reports, total = blast(tool, f"127.0.0.1:{port}", *words)
    assert_all_right(reports, total)
    far = source.reports(CHANNELS)
    assert by_connection(reports) == sorted((received, sent) for sent, received in by_connection(far))
    assert all(report["sent"] == report["received"] == each for report in reports + far)
    rekeys = len(holdfast.err.matching("keys changed", begun))
    print(f"{who}, {direction}: {rekeys} rekeys, {CHANNELS} x {each} bytes each way in {total['seconds']:.2f} s")
    assert rekeys >= REKEYS
    assert set(peer.session_pids()) <= set(sessions), "it was one session"
    assert holdfast.stop() == 0
