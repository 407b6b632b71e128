"""Writes the pages of the reference that come from tables in the code.

`python -m docs.generate` writes them anew; a test compares them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from docs.pages.commands import commands_page
from docs.pages.errors import errors_page
from docs.pages.events import events_page
from docs.pages.http import http_page
from docs.pages.index import INDEX, index_page
from docs.pages.limits import limits_page
from docs.pages.methods import methods_page
from docs.pages.python import python_page
from docs.pages.readme import README, readme_page
from docs.pages.settings import settings_page
from docs.pages.vectors import vectors_page

FOLDER: Final = Path(__file__).parent
REFERENCE: Final = FOLDER / "reference"

PAGES: Final[dict[Path, Callable[[], str]]] = {
    REFERENCE / "settings.md": settings_page,
    REFERENCE / "commands.md": commands_page,
    REFERENCE / "methods.md": methods_page,
    REFERENCE / "events.md": events_page,
    REFERENCE / "errors.md": errors_page,
    REFERENCE / "http.md": http_page,
    REFERENCE / "limits.md": limits_page,
    REFERENCE / "vectors.json": vectors_page,
    REFERENCE / "python.md": python_page,
    README: readme_page,
    INDEX: index_page,
}


def main() -> None:
    """Write every page."""
    for path, page in PAGES.items():
        path.write_text(page(), encoding="utf-8")
        print(path.relative_to(FOLDER.parent))


if __name__ == "__main__":
    main()
