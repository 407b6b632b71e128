"""The examples in the pages do what the pages say, on real servers."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from docs.examples import ROOT, can_run, rerun, shape
from docs.pages.index import reading_order

AT_ONCE = 3
"""Pages at a time: most of their time they wait for time to pass."""
RUNNABLE = [
    path
    for path in sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
    if can_run(path.read_text(encoding="utf-8"))
]


@pytest.fixture(scope="module")
def reruns(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[dict[Path, Future[str]]]:
    """Each page, and its text with what its examples print now."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            path: pool.submit(
                rerun,
                path.read_text(encoding="utf-8"),
                tmp_path_factory.mktemp("page"),
                free_port(),
            )
            for path in RUNNABLE
        }
        pool.shutdown(cancel_futures=True)


def test_there_are_examples() -> None:
    names = {path.name for path in RUNNABLE}
    assert {"README.md", "protocol.md", "first-chat.md", "curl.md"} <= names


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "path", RUNNABLE, ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_examples_print_what_the_page_says(
    path: Path, reruns: dict[Path, Future[str]]
) -> None:
    assert reruns[path].result() == path.read_text(encoding="utf-8")


@pytest.mark.timeout(180)
def test_the_pages_work_in_reading_order_on_one_store(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """A newcomer keeps the store and the names of the page before."""
    pages = [path for path in reading_order() if path in RUNNABLE]
    assert set(pages) == set(RUNNABLE)
    port = free_port()
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert shape(rerun(text, tmp_path, port)) == shape(text), path.name
