"""The command `zchat conformance`: cases played, results printed."""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import click

from zchat.conformance.cases import CASES
from zchat.conformance.runner import Case, Pace, result_of

FAILED: Final = 1


@click.command(
    "conformance", context_settings={"ignore_unknown_options": True}
)
@click.option("--list", "is_list", is_flag=True, help="Name the cases.")
@click.option(
    "--only",
    metavar="NAME",
    multiple=True,
    help="Play this case; may be given again.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Cases at a time.",
)
@click.option(
    "--quiet",
    "quiet_seconds",
    type=click.FloatRange(0.05, 60),
    default=Pace().quiet_seconds,
    show_default=True,
    metavar="SECONDS",
    help="How long to watch for what should not come.",
)
@click.option(
    "--patience",
    "patience_seconds",
    type=click.FloatRange(1, 600),
    default=Pace().patience_seconds,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for what should come.",
)
@click.argument("adapter", nargs=-1, type=click.UNPROCESSED)
def conformance(
    is_list: bool,
    only: tuple[str, ...],
    jobs: int,
    quiet_seconds: float,
    patience_seconds: float,
    adapter: tuple[str, ...],
) -> None:
    """Try a client library against a server that plays by a script.

    ADAPTER is a program that uses the library, with its arguments; the
    endpoint of the server is added as the last. What it must do stands in
    docs/howto/conformance.md.
    """
    cases = [case for case in CASES if not only or case.name in only]
    unknown = set(only) - {case.name for case in CASES}
    if unknown:
        raise click.UsageError(
            f"There is no case {sorted(unknown)[0]!r}. See --list."
        )
    if is_list:
        for case in cases:
            click.echo(f"{case.name:30}  {case.summary}")
        return
    if not adapter or shutil.which(adapter[0]) is None:
        raise click.UsageError("Give the adapter: a program that can be run.")
    sys.exit(
        _play(cases, adapter, jobs, Pace(patience_seconds, quiet_seconds))
    )


def _play(
    cases: list[Case],
    adapter: tuple[str, ...],
    jobs: int,
    pace: Pace,
) -> int:
    """Play the cases and print each result; the exit status."""
    failures = 0
    with ThreadPoolExecutor(jobs) as pool:
        results = pool.map(lambda case: result_of(case, adapter, pace), cases)
        for case, reason in zip(cases, results, strict=True):
            failures += bool(reason)
            click.echo(
                f"FAIL  {case.name}: {reason}"
                if reason
                else f"ok    {case.name}"
            )
    click.echo(f"{len(cases) - failures} of {len(cases)} cases")
    return FAILED if failures else 0
