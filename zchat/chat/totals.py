"""What the whole server has, as this broker last counted it."""


class Totals:
    """Users and bytes of files; and the users made in this minute.

    See quotas.py for how they are kept. `minute_began` is in
    microseconds.
    """

    def __init__(self) -> None:
        self.users = 0
        self.file_bytes = 0
        self.minute_began = 0
        self.made = 0
