"""What of one chat was shown, and how far it may be called read."""

from zchat.client import Chat, History, Message


class Seen:
    """The messages of one chat that were shown, as ranges of `seq`.

    Events and pages show messages in any mixture; all of a range was
    shown or does not exist. `oldest` is the first message of the page
    that was shown furthest back, None before the chat was open.
    """

    def __init__(self) -> None:
        self.oldest: int | None = None
        self._ranges: list[tuple[int, int]] = []
        self._came = 0
        self._read = 0
        self._shown_early: set[str] = set()

    def opened(self, chat: Chat, came: int, is_whole: bool) -> None:
        """Its newest messages are shown: all there are if `is_whole`.

        `came` is the seq up to which events were taken.
        """
        self._forget_after(chat.head)
        self.oldest = (
            chat.messages[-1].seq if chat.messages else (chat.head + 1)
        )
        self._read = chat.read
        self._shown_early.update(
            message.id for message in chat.messages if message.seq > came
        )
        self._add(0 if is_whole else self.oldest, chat.head)

    def older(self, page: History) -> None:
        """The page before `oldest` is shown."""
        assert self.oldest is not None
        first = page.messages[0].seq if page.messages else self.oldest
        self._add(first if page.has_older else 0, self.oldest - 1)
        self.oldest = first

    def comes(self, message: Message) -> bool:
        """An event: whether it is to be shown, as it was not yet."""
        if message.seq <= self._came:
            self._forget_after(message.seq - 1)
        first = self._came + 1 if self._came else message.seq
        self._add(first, message.seq)
        self._came = message.seq
        if message.id in self._shown_early:
            self._shown_early.remove(message.id)
            return False
        return True

    def readable(self, read: int) -> int:
        """How far all was shown from the read position on; it or more."""
        through = max(read, self._read)
        for first, last in self._ranges:
            if first <= through + 1 <= last:
                return last
        return through

    def _forget_after(self, head: int) -> None:
        """The store was set back to a head: what came later is no more."""
        self._ranges = [
            (first, min(last, head))
            for first, last in self._ranges
            if first <= head
        ]
        self._came = min(self._came, head)
        self._read = min(self._read, head)

    def _add(self, first: int, last: int) -> None:
        """Add a range, joined with those that it touches."""
        if first > last:
            return
        apart = []
        for range_ in self._ranges:
            if range_[1] < first - 1 or range_[0] > last + 1:
                apart.append(range_)
            else:
                first = min(first, range_[0])
                last = max(last, range_[1])
        self._ranges = [*apart, (first, last)]
