"""`python -m zchat`: the same as the command `zchat`."""

from zchat.cli import main

main(prog_name="zchat")
