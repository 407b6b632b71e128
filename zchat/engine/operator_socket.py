"""The operator's socket: a file that its owner alone can open.

libzmq removes whatever stands at the path before it binds, and makes
the file with the mode that the umask leaves. So the path is looked at
first, and the umask is set.
"""

import os
import socket
import stat
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import zmq

from zchat.engine import sockets
from zchat.errors import ConfigError
from zchat.options import LONGEST_IPC_PATH_BYTES


def operator_socket(
    ctx: "zmq.Context[Any]", path: str, stack: ExitStack
) -> Any:
    """The bound ROUTER, mode 0600; raises ConfigError.

    The stack closes it, and removes the file if it is still ours.

    The socket file of a broker that is gone is replaced; anything else
    that stands there is not touched.
    """
    if len(os.fsencode(path)) > LONGEST_IPC_PATH_BYTES:
        raise ConfigError(
            f"--operator-socket {path} is longer than a socket's "
            f"{LONGEST_IPC_PATH_BYTES} bytes; give a shorter path"
        )
    try:
        _make_folder(Path(path).parent)
        _look_at(path)
        before = os.umask(0o177)
        try:
            router = sockets.rpc_socket(ctx, f"ipc://{path}")
        finally:
            os.umask(before)
        stack.callback(_remove, path, os.lstat(path).st_ino)
        stack.callback(router.close)
        return router
    except OSError as error:
        raise ConfigError(
            f"--operator-socket {path}: {error.strerror}; "
            "give another path, or off"
        ) from None


def _make_folder(folder: Path) -> None:
    """Make the folder; a missing one is made for its owner alone.

    One in /tmp may have been made by somebody else, who could then put
    another socket in the place of ours.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.parent == Path("/tmp") and (
        folder.is_symlink() or folder.stat().st_uid != os.getuid()
    ):
        raise ConfigError(
            f"--operator-socket: {folder} belongs to somebody else; "
            "give another path"
        )


def _remove(path: str, inode: int) -> None:
    with suppress(OSError):
        if os.lstat(path).st_ino == inode:
            os.unlink(path)


def _look_at(path: str) -> None:
    """Refuse what is no socket, or is one that somebody listens on."""
    try:
        is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise ConfigError(
            f"--operator-socket {path} is a file that is no socket; "
            "give another path"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except TimeoutError:
            pass
    raise ConfigError(
        f"--operator-socket {path} is in use by another broker; stop that "
        "one, or give this one another path"
    )
