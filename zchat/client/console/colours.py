"""The themes, and the colour of every role that rows have.

Two are made of exact colours, dark and light. A terminal with 16
colours gets those of its own palette, so that they fit its background
and whatever its owner chose.
"""

import os
from collections.abc import Mapping
from typing import Final

from rich.style import Style
from textual.theme import Theme

Palette = Mapping[str, str]

_DARK: Final[Palette] = {
    "text": "#d7dae0",
    "dim": "#7d8590",
    "rule": "#30363d",
    "day": "#8b949e",
    "new": "bold #f2726a",
    "own": "#6cb6ff",
    "called": "bold #f0b429",
    "at": "#9ecbff",
    "link": "underline #79c0ff",
    "file": "#7ee0c3",
    "gone": "italic #6e7681",
    "waiting": "italic #8b949e",
    "scheduled": "#c297ff",
    "note": "italic #8b949e",
    "hint": "#6e7681",
    "error": "#f2726a",
    "good": "#56d364",
    "selected": "on #243447",
    "open": "on #1f2a38",
    "author0": "#7ee787",
    "author1": "#ffa657",
    "author2": "#d2a8ff",
    "author3": "#56d4dd",
    "author4": "#ff9bce",
    "author5": "#e3b341",
    "author6": "#a5d6ff",
    "author7": "#b0c97a",
}
_LIGHT: Final[Palette] = {
    "text": "#24292f",
    "dim": "#6e7781",
    "rule": "#d0d7de",
    "day": "#57606a",
    "new": "bold #cf222e",
    "own": "#0550ae",
    "called": "bold #9a6700",
    "at": "#0969da",
    "link": "underline #0969da",
    "file": "#116329",
    "gone": "italic #8c959f",
    "waiting": "italic #6e7781",
    "scheduled": "#8250df",
    "note": "italic #6e7781",
    "hint": "#8c959f",
    "error": "#cf222e",
    "good": "#1a7f37",
    "selected": "on #ddeeff",
    "open": "on #e2eaf3",
    "author0": "#116329",
    "author1": "#953800",
    "author2": "#6639ba",
    "author3": "#1b7c83",
    "author4": "#99286e",
    "author5": "#7d4e00",
    "author6": "#0a4a8f",
    "author7": "#4c6b1f",
}
_ANSI: Final[Palette] = {
    "text": "",
    "dim": "bright_black",
    "rule": "bright_black",
    "day": "bright_black",
    "new": "bold red",
    "own": "bold blue",
    "called": "bold yellow",
    "at": "cyan",
    "link": "underline cyan",
    "file": "green",
    "gone": "bright_black",
    "waiting": "bright_black",
    "scheduled": "magenta",
    "note": "bright_black",
    "hint": "bright_black",
    "error": "red",
    "good": "green",
    "selected": "reverse",
    "open": "reverse",
    "author0": "green",
    "author1": "yellow",
    "author2": "magenta",
    "author3": "cyan",
    "author4": "bright_magenta",
    "author5": "bright_yellow",
    "author6": "bright_cyan",
    "author7": "bright_green",
}

THEMES: Final[tuple[Theme, ...]] = (
    Theme(
        name="dark",
        primary="#6cb6ff",
        secondary="#c297ff",
        accent="#6cb6ff",
        warning="#f0b429",
        error="#f2726a",
        success="#56d364",
        foreground="#d7dae0",
        background="#0f141a",
        surface="#131920",
        panel="#131920",
        variables={"rule": "#30363d", "quiet": "#7d8590"},
    ),
    Theme(
        name="light",
        dark=False,
        primary="#0969da",
        secondary="#8250df",
        accent="#0969da",
        warning="#9a6700",
        error="#cf222e",
        success="#1a7f37",
        foreground="#24292f",
        background="#ffffff",
        surface="#f6f8fa",
        panel="#f6f8fa",
        variables={"rule": "#d0d7de", "quiet": "#6e7781"},
    ),
    Theme(
        name="terminal",
        ansi=True,
        primary="ansi_blue",
        secondary="ansi_magenta",
        accent="ansi_blue",
        warning="ansi_yellow",
        error="ansi_red",
        success="ansi_green",
        foreground="ansi_default",
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        variables={
            "rule": "ansi_bright_black",
            "quiet": "ansi_bright_black",
            "ansi-background": "ansi_default",
            "ansi-foreground": "ansi_default",
            "border-blurred": "ansi_bright_black",
            "block-cursor-foreground": "ansi_default",
            "block-cursor-background": "ansi_default",
            "block-cursor-text-style": "reverse",
            "input-cursor-background": "ansi_default",
            "input-cursor-foreground": "ansi_default",
            "input-cursor-text-style": "reverse",
            "input-selection-background": "ansi_blue",
            "input-selection-foreground": "ansi_default",
            "screen-selection-background": "ansi_blue",
            "screen-selection-foreground": "ansi_default",
        },
    ),
)
THEME_NAMES: Final = tuple(theme.name for theme in THEMES)


def _styles(palette: Palette) -> Mapping[str, Style]:
    styles = {role: Style.parse(text) for role, text in palette.items()}
    bold = Style(bold=True)
    styles |= {
        f"{role} name": styles[role] + bold
        for role in palette
        if role.startswith("author") or role == "own"
    }
    return styles


STYLES: Final[Mapping[str, Mapping[str, Style]]] = {
    "dark": _styles(_DARK),
    "light": _styles(_LIGHT),
    "terminal": _styles(_ANSI),
}
"""By the theme's name, then by role."""


def theme_for(environment: Mapping[str, str], color_system: str | None) -> str:
    """The theme that suits a terminal.

    `color_system` is Rich's name for what the terminal can show.
    COLORFGBG, which some terminals set, ends with the background.
    """
    if color_system not in ("truecolor", "256"):
        return "terminal"
    background = environment.get("COLORFGBG", "").rpartition(";")[2]
    return "light" if background in ("7", "15") else "dark"


def detected_theme(color_system: str | None) -> str:
    """As `theme_for`, in this process's environment."""
    return theme_for(os.environ, color_system)
