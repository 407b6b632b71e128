"""One command behind a slash: a row of the table."""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from zchat.errors import ConfigError


class Slash(Struct, frozen=True):
    """One command; `[…]` may be left out, `…...` takes the whole rest.

    `also` is another name for it.
    """

    name: str
    arguments: tuple[str, ...]
    summary: str
    run: Callable[..., Awaitable[None]]
    also: str = ""

    @property
    def usage(self) -> str:
        """How it is typed."""
        return " ".join((f"/{self.name}", *self.arguments))

    def words(self, rest: str) -> list[str]:
        """The arguments in what was typed; raises ConfigError."""
        limit = -1
        if self.arguments and "..." in self.arguments[-1]:
            limit = len(self.arguments) - 1
        words = rest.split(maxsplit=limit)
        needed = sum(
            not argument.startswith("[") for argument in self.arguments
        )
        if not needed <= len(words) <= len(self.arguments):
            raise ConfigError(f"Type {self.usage}")
        return words
