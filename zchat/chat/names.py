"""Which names a user may have, and which of them are one name.

A name is letters, marks and digits of one script, or of a usual mix of
scripts (UTS 39, "highly restrictive"), and `_`, `-`, `.`. It is kept in
NFKC. Two names are the same where either of two keys is:

- `name_key`: NFKC and case folding. `Ada` is `ada`.
- `skeleton`: what the name looks like, by the confusables of UTS 39
  (section 4), case folded. All-Cyrillic `асе` is Latin `ace`, and
  `paypaI` is `paypal`.

The rule holds for new names; whoever has an older one keeps it.
"""

from functools import cache
from itertools import groupby
from typing import Final
from unicodedata import category, combining, decimal, normalize

import regex
from confusable_homoglyphs.confusables import confusables_data

LONGEST_NAME: Final = 32
BY_NAME: Final = 1
BY_LOOKS: Final = 2
"""The places of a user's name_key and skeleton among the unique fields."""
RESERVED: Final = "you me all here everyone operator system zchat".split()
"""Names that would read as somebody else's words or the server's own."""
PUNCTUATION: Final = "_-."
MARKS_IN_A_ROW: Final = 3
"""More marks than that run into the lines above (UTS 39, 5.4)."""

# UAX 31, table 5: the scripts in modern everyday use.
_SCRIPTS: Final = (
    "Arabic Armenian Bengali Bopomofo Cyrillic Devanagari Ethiopic "
    "Georgian Greek Gujarati Gurmukhi Hangul Han Hebrew Hiragana Kannada "
    "Katakana Khmer Lao Latin Malayalam Myanmar Oriya Sinhala Tamil "
    "Telugu Thaana Thai Tibetan"
).split()
# UTS 39, 5.2: what is written together in one word.
_MIXES: Final = (
    ("Latin", "Han", "Hiragana", "Katakana"),
    ("Latin", "Han", "Bopomofo"),
    ("Latin", "Han", "Hangul"),
    *((script,) for script in _SCRIPTS),
)
_ONE_MIX: Final = regex.compile(
    "|".join(
        "[{}0-9{}]+".format(
            "".join(rf"\p{{scx={script}}}" for script in (*mix, "Zinh")),
            regex.escape(PUNCTUATION),
        )
        for mix in _MIXES
    )
)
_DIRECTION: Final = "\u200e"
"""The data puts this mark around what is written from right to left."""
_IGNORABLE: Final = regex.compile(r"\p{Default_Ignorable_Code_Point}")


def kept_name(name: str) -> str:
    """The name as it is kept and shown."""
    return normalize("NFKC", name)


def name_key(name: str) -> str:
    """What equal names have in common: NFKC and case folding."""
    return normalize("NFKC", normalize("NFKC", name).casefold())


def skeleton(name: str) -> str:
    """What names that look alike have in common (UTS 39, section 4)."""
    text = _IGNORABLE.sub("", normalize("NFD", kept_name(name)))
    shapes = _shapes()
    shaped = "".join(shapes.get(character, character) for character in text)
    return normalize("NFD", shaped).casefold()


def problem_of(name: str) -> str | None:
    """Why a name in NFKC may not be taken, or None where it may."""
    if not 1 <= len(name) <= LONGEST_NAME:
        return f"A name has 1 to {LONGEST_NAME} characters."
    if not all(map(_is_usual, name)) or _IGNORABLE.search(name):
        return (
            "A name holds letters, digits, `_`, `-` and `.` only. Choose "
            "one without spaces and signs."
        )
    if category(name[0])[0] not in "LN":
        return "A name begins with a letter or a digit."
    if _marks(name) > MARKS_IN_A_ROW or _mixes_digits(name):
        return "This name cannot be read easily. Choose a plainer one."
    if not _ONE_MIX.fullmatch(name):
        return (
            "A name is written in one script. Choose one that does not mix "
            "letters of several."
        )
    if _is_reserved(name):
        return "This name is reserved. Choose another."
    return None


def _is_usual(character: str) -> bool:
    return character in PUNCTUATION or category(character) in _CATEGORIES


_CATEGORIES: Final = frozenset("Lu Ll Lt Lm Lo Mn Mc Nd".split())


def _marks(name: str) -> int:
    """The longest run of marks on one letter, decomposed."""
    runs = groupby(normalize("NFD", name), lambda c: combining(c) > 0)
    return max((len(list(run)) for marks, run in runs if marks), default=0)


def _mixes_digits(name: str) -> bool:
    """Whether digits of several number systems stand together."""
    zeros = {
        ord(character) - decimal(character)
        for character in name
        if category(character) == "Nd"
    }
    return len(zeros) > 1


def _is_reserved(name: str) -> bool:
    return name_key(name) in RESERVED or skeleton(name) in _reserved()


@cache
def _reserved() -> frozenset[str]:
    return frozenset(map(skeleton, RESERVED))


@cache
def _shapes() -> dict[str, str]:
    """What each character that is confusable looks like.

    The data names the pairs of Unicode's confusables.txt in both
    directions; characters that look alike form a class, and all of a
    class get the same shape: what the file shows in several characters
    where there is such a thing (`m` as `rn`), else the plainest one.
    """
    parent: dict[str, str] = {}

    def root(character: str) -> str:
        while (above := parent.setdefault(character, character)) != character:
            parent[character] = parent[above]
            character = parent[character]
        return character

    several: dict[str, str] = {}
    for written, looks in confusables_data.items():
        character = written.strip(_DIRECTION)
        for look in looks if len(character) == 1 else ():
            shown = look["c"].strip(_DIRECTION)
            if len(shown) == 1:
                parent[root(character)] = root(shown)
            else:
                several[character] = shown
    classes: dict[str, list[str]] = {}
    for character in list(parent):
        classes.setdefault(root(character), []).append(character)
    single = {
        character: min(alike, key=_plainness)
        for alike in classes.values()
        for character in alike
    }
    looks_of = {root(character): look for character, look in several.items()}
    return {
        character: "".join(
            single.get(part, part)
            for part in looks_of.get(root(character), character)
        )
        if root(character) in looks_of
        else single[character]
        for character in single.keys() | several.keys()
    }


def _plainness(character: str) -> tuple[bool, bool, str]:
    """Orders a class: ASCII letters first, small before capital."""
    letter = character.isascii() and character.isalpha()
    return not letter, letter and not character.islower(), character
