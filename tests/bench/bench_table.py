"""Lines of the suite's table: what was measured, the limits that the project sets, and whether they held."""

import statistics
from dataclasses import dataclass, field

PROGRAMS = ("holdfast", "ssh", "autossh", "plink", "tcp")


@dataclass(frozen=True)
class Limit:
    """holdfast's value is `least` or `most` so many times that of program `of`; of None: so much itself."""

    of: str
    least: float = None
    most: float = None

    def text(self, slack=1.0):
        sign, bound = (">=", self.least / slack) if self.least is not None else ("<=", self.most * slack)
        return f"{sign} {bound:.2f}x {self.of}" if self.of else f"{sign} {bound:g}"

    def held(self, values, slack=1.0):
        """True or False; None when one of the two values is missing. A ratio counts as it is printed, with two digits:
        1.00 is not below 1. slack: how many times further the limit lies."""
        ours, theirs = values.get("holdfast"), values.get(self.of) if self.of else None
        if ours is None or (self.of and not theirs):
            return None
        measured = round(ours / theirs, 2) if theirs else ours
        if self.least is not None:
            return measured >= round(self.least / slack, 2)
        return measured <= self.most * slack


@dataclass
class Line:
    """`values`: {program: number or None}. `tail`: it tells of rare events, which a quick run cannot judge. `rounds`:
    {program: [what each round gave]}, for who wants to see the spread."""

    name: str
    unit: str
    values: dict
    limits: list = field(default_factory=list)
    tail: bool = False
    rounds: dict = field(default_factory=dict)

    @classmethod
    def of_rounds(cls, name, unit, rounds, limits=(), tail=False):
        """The medians of {program: [numbers]}."""
        values = {kind: statistics.median(numbers) for kind, numbers in rounds.items()}
        return cls(name, unit, values, list(limits), tail, rounds)

    def against(self):
        """The program that the ratio is taken to."""
        named = [limit.of for limit in self.limits if limit.of]
        return named[0] if named else "autossh" if "ssh" not in self.values and "autossh" in self.values else "ssh"

    def ratio(self, of=None):
        ours, theirs = self.values.get("holdfast"), self.values.get(of or self.against())
        return ours / theirs if ours is not None and theirs else None

    def verdicts(self, options):
        """[(limit, held or None)]."""
        if options.quick and self.tail:
            return [(limit, None) for limit in self.limits]
        return [(limit, limit.held(self.values, options.slack)) for limit in self.limits]

    def as_json(self, options):
        limits = [{"limit": limit.text(options.slack), "held": held} for limit, held in self.verdicts(options)]
        values = {name: value for name, value in self.values.items() if value is not None}
        named = {"name": self.name, "unit": self.unit, "values": values, "ratio": self.ratio()}
        return {**named, "limits": limits, "rounds": self.rounds}


def number(value):
    if value is None or isinstance(value, int):
        return "-" if value is None else str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def heading():
    return f"{'':<44}{'':<9}" + "".join(f"{name:>9}" for name in PROGRAMS) + f"{'ratio':>8}  limit"


def row(line, options):
    cells = "".join(f"{number(line.values.get(name)):>9}" for name in PROGRAMS)
    words = {True: "held", False: "NOT HELD", None: "not judged"}
    limits = ", ".join(
        f"{limit.text(options.slack)} {words[held]}"
        + (f" ({number(line.ratio(limit.of))})" if limit.of not in (None, line.against()) else "")
        for limit, held in line.verdicts(options)
    )
    return f"{line.name:<44}{line.unit:<9}{cells}{number(line.ratio()):>8}  {limits}".rstrip()
