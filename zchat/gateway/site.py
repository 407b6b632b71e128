"""What all connections of one server share."""

from collections.abc import Awaitable, Callable
from itertools import count

from zchat.gateway.access import AccessPolicy
from zchat.gateway.limits import Limits
from zchat.gateway.messages import Request, Response
from zchat.gateway.reader import UploadLimit

Handler = Callable[[Request], Response | Awaitable[Response]]
Observer = Callable[[Request, int, float], None]


class Site:
    """The rules of one server, and whom to ask and tell.

    `upload_limit` names the routes that stream their bodies and how
    many bytes they take; `observe` is told of each answer: to what, its
    status, and how many seconds it took. `usual_fields` are the header
    fields of every answer, made anew each second. `is_stopping`: no
    connection is to stay open. `numbers` are given to connections.
    """

    def __init__(
        self,
        handle: Handler,
        limits: Limits,
        access: AccessPolicy,
        upload_limit: UploadLimit,
        observe: Observer,
        usual_fields: str,
    ) -> None:
        self.handle = handle
        self.limits = limits
        self.access = access
        self.upload_limit = upload_limit
        self.observe = observe
        self.usual_fields = usual_fields
        self.is_stopping = False
        self.numbers = count(1)
