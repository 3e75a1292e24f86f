"""What the benchmarks read and decide, apart from any measurement."""

import types

import pytest
from bench_lib import in_turn, machine, memory_kib, voluntary_switches
from bench_table import Limit, Line, heading, number, row

EXACT = types.SimpleNamespace(quick=False, slack=1.0)
QUICK = types.SimpleNamespace(quick=True, slack=4.0)


def test_proc_texts():
    rollup = "55d0-7ffc ---p 00000000 00:00 0 [rollup]\nRss: 4000 kB\nPss:                2346 kB\nPss_Dirty: 700 kB\n"
    assert memory_kib(rollup, "Pss") == 2346
    assert memory_kib(rollup, "Pss", "Pss_Dirty") == 3046
    assert voluntary_switches("voluntary_ctxt_switches:\t17\nnonvoluntary_ctxt_switches:\t4\n") == 17
    with open("/proc/self/smaps_rollup", encoding="utf-8") as file:
        assert memory_kib(file.read(), "Pss", "Private_Clean", "Private_Dirty") > 0
    with open("/proc/self/status", encoding="utf-8") as file:
        assert voluntary_switches(file.read()) >= 0


@pytest.mark.parametrize(
    "limit, values, held",
    [
        (Limit("ssh", least=1.3), {"holdfast": 130, "ssh": 100}, True),
        (Limit("ssh", least=1.3), {"holdfast": 129, "ssh": 100}, False),
        (Limit("ssh", least=1.0), {"holdfast": 9.96, "ssh": 10}, True),
        (Limit("ssh", least=1.0), {"holdfast": 9.9, "ssh": 10}, False),
        (Limit("ssh", most=1.0), {"holdfast": 100, "ssh": 100}, True),
        (Limit("ssh", most=1.0), {"holdfast": 101, "ssh": 100}, False),
        (Limit(None, most=8), {"holdfast": 8}, True),
        (Limit(None, most=8), {"holdfast": 8.1}, False),
        (Limit(None, most=0), {"holdfast": 1}, False),
        (Limit("tcp", least=0.85), {"holdfast": 100}, None),
        (Limit("ssh", least=1.0), {"holdfast": None, "ssh": 100}, None),
        (Limit("ssh", most=1.0), {"holdfast": 1, "ssh": 0}, None),
    ],
)
def test_limits(limit, values, held):
    assert limit.held(values) is held


def test_slack_moves_a_limit_away():
    values = {"holdfast": 50, "ssh": 100}
    assert Limit("ssh", least=1.3).held(values, 4.0) and not Limit("ssh", least=1.3).held(values, 2.0)
    assert Limit(None, most=2).held({"holdfast": 8}, 4.0) and not Limit(None, most=2).held({"holdfast": 9}, 4.0)
    assert not Limit(None, most=0).held({"holdfast": 1}, 4.0)


def test_a_quick_run_does_not_judge_tails():
    line = Line("ping p99", "ms", {"holdfast": 9, "ssh": 1}, [Limit("ssh", most=1.0)], tail=True)
    assert [held for _, held in line.verdicts(EXACT)] == [False]
    assert [held for _, held in line.verdicts(QUICK)] == [None]


def test_rows():
    line = Line("a case", "1/s", {"holdfast": 150.0, "ssh": 75}, [Limit("ssh", least=1.3), Limit("tcp", least=0.85)])
    text = row(line, EXACT)
    assert "2.00" in text and ">= 1.30x ssh held" in text and ">= 0.85x tcp not judged" in text
    assert text.index("150") + 3 == heading().index("holdfast") + len("holdfast")
    assert line.as_json(EXACT)["values"] == {"holdfast": 150.0, "ssh": 75}
    assert line.as_json(EXACT)["limits"][0] == {"limit": ">= 1.30x ssh", "held": True}
    assert Line("recovery", "ms", {"holdfast": 50.0, "autossh": 100.0}).ratio() == 0.5
    assert [number(value) for value in (None, 3, 0.5, 12.34, 1234.5)] == ["-", "3", "0.50", "12.3", "1234"]


def test_a_second_limit_shows_its_own_ratio():
    values = {"holdfast": 50.0, "ssh": 10.0, "tcp": 100.0}
    text = row(Line("a path", "MiB/s", values, [Limit("ssh", least=2.5), Limit("tcp", least=0.85)]), EXACT)
    assert "5.00  >= 2.50x ssh held, >= 0.85x tcp NOT HELD (0.50)" in text


def test_medians_of_rounds():
    line = Line.of_rounds("a case", "ms", {"holdfast": [1.0, 9.0, 2.0], "ssh": [4.0, 2.0]}, [Limit("ssh", most=1.0)])
    assert line.values == {"holdfast": 2.0, "ssh": 3.0}
    assert line.as_json(EXACT)["rounds"]["holdfast"] == [1.0, 9.0, 2.0]


def test_turns():
    assert list(in_turn(["a", "b"], 3)) == ["a", "b", "b", "a", "a", "b"]


def test_the_machine_is_named():
    named = machine("ssh")
    assert named["cpu"] and int(named["cores"]) > 0 and "OpenSSH" in named["ssh"]
