"""Figures: rounds in turn, medians, spreads, ratios, text and JSON."""

import statistics
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

LOW_IS_GOOD: Final = frozenset({"ms", "KiB", "s", "µs"})


class Sample(msgspec.Struct, frozen=True):
    """One round: its value, and the server's CPU per operation."""

    value: float
    cpu_microseconds: float | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Sides that did the same in turn; the first is the floor.

    Without a floor there is one side and no ratio. `goal` bounds the
    ratio to the floor: from below for rates, from above for times.
    """

    workload: str
    title: str
    unit: str
    sides: dict[str, list[Sample]]
    goal: float | None = None

    def ratio(self, name: str) -> float:
        """The side in terms of the floor: the median over the rounds."""
        floor = next(iter(self.sides.values()))
        return statistics.median(
            mine.value / base.value
            for mine, base in zip(self.sides[name], floor)
        )

    def median(self, name: str) -> float:
        """The side's median over the rounds."""
        return statistics.median(s.value for s in self.sides[name])

    def reached(self, name: str) -> bool:
        """Whether the side's ratio keeps to the goal."""
        assert self.goal is not None
        if self.unit in LOW_IS_GOOD:
            return self.ratio(name) <= self.goal
        return self.ratio(name) >= self.goal


def in_turn(
    sides: Mapping[str, Callable[[], Sample]], rounds: int
) -> dict[str, list[Sample]]:
    """Run the sides A B A B …; a round before that warms them up."""
    samples: dict[str, list[Sample]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, measure in sides.items():
            sample = measure()
            if number:
                samples[name].append(sample)
    return samples


def text_of(comparison: Comparison) -> str:
    """The table of one comparison."""
    lines = [f"{comparison.workload}  {comparison.title}"]
    for place, (name, samples) in enumerate(comparison.sides.items()):
        lines.append(_row(comparison, name, samples, place))
    return "\n".join(lines)


def _row(
    comparison: Comparison, name: str, samples: list[Sample], place: int
) -> str:
    values = [sample.value for sample in samples]
    median = statistics.median(values)
    spread = (max(values) - min(values)) / median if median else 0.0
    row = (
        f"    {name:<34}{shown(median):>10} {comparison.unit:<5}"
        f"spread {spread:4.0%}"
    )
    used = [
        sample.cpu_microseconds
        for sample in samples
        if sample.cpu_microseconds is not None
    ]
    row += f"  CPU {statistics.median(used):7.1f} µs" if used else " " * 17
    if place:
        row += f"  ratio {comparison.ratio(name):.2f}"
        if comparison.goal is not None and name.startswith("zchat"):
            word = "≤" if comparison.unit in LOW_IS_GOOD else "≥"
            met = "" if comparison.reached(name) else ", missed"
            row += f" (goal {word} {comparison.goal:g}{met})"
    return row.rstrip()


def shown(value: float) -> str:
    """A number with about four digits that mean something."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def as_json(comparisons: list[Comparison], facts: Mapping[str, Any]) -> bytes:
    """Everything measured, and on what, as JSON."""
    return msgspec.json.format(
        msgspec.json.encode({"facts": facts, "comparisons": comparisons}),
        indent=1,
    )
