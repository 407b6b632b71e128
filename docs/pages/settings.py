"""The page of all settings, from the table in `zchat/options.py`."""

from typing import Final

from zchat.config import CONFIG_FILE
from zchat.options import OPTIONS, Option

HEAD: Final = f"""\
# Settings

This page comes from `zchat/options.py`; `make docs` writes it.

A setting is a flag of `zchat serve` or `zchat gateway`, a variable in the
environment, or a key of `{CONFIG_FILE}`. A flag beats the variable, which
beats the file. The file is the one given by `--config FILE`, else by the
variable `ZCHAT_CONFIG`, else `{CONFIG_FILE}` in the working folder, if there
is one. An empty variable counts as not given. A wrong value, an unknown key
and an unknown `ZCHAT_` variable stop the start with one line and exit status
2.

```toml
# {CONFIG_FILE}
port = 9000
store = "/var/lib/zchat/zchat.db"
rate-limit = 30
message-ttl = "off"
allow-origin = ["https://chat.example.org"]
```

"""


def settings_page() -> str:
    """The page of all settings, one section each."""
    return HEAD + "\n".join(setting_section(option) for option in OPTIONS)


def setting_section(option: Option) -> str:
    """The part of the page about one setting."""
    rows = [
        ("flag", f"`{flag_form(option)}`"),
        ("variable", f"`{option.variable}`"),
        ("key", f"`{option.name}`"),
        ("values", option.kind.values),
        (
            "default",
            f"`{option.default_text}`"
            if option.default_text
            else "off"
            if option.bare
            else "none",
        ),
        ("read by", ", ".join(f"`zchat {name}`" for name in option.commands)),
    ]
    table = "".join(f"| {name} | {cell} |\n" for name, cell in rows)
    return f"## {option.name}\n\n{option.meaning}\n\n| | |\n|---|---|\n{table}"


def flag_form(option: Option) -> str:
    """The flag as it is typed, a value that may be left out in brackets."""
    if option.bare is True:
        return option.flag
    if option.bare is not None:
        return f"{option.flag} [{option.placeholder}]"
    return f"{option.flag} {option.placeholder}".replace("|", "\\|")
