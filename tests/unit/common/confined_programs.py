"""Programs for confined children that do what no decoder does; tests start them by name."""

import contextlib
import ctypes
import json
import mmap
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import av.error
from av.packet import Packet

from containers.common.confined.child import ParentLink
from containers.common.confined.files import Descriptor
from containers.common.confined.messages import MESSAGE, Done, Shown, TaskFailed, send
from containers.common.runtime.errors import mismatch
from contracts.base import Contract

_LIBC = ctypes.CDLL(None, use_errno=True)


class Orders(Contract):
    """What a test wants a child to do."""

    what: str
    path: str = ""
    number: int = 0
    text: str = ""


def serve(link: ParentLink) -> None:
    """One task: do as ordered and say how it went."""
    orders = Orders.model_validate_json(link.task() or "")
    try:
        said = globals()[f"_{orders.what}"](link, orders)
    except OSError as error:
        said = f"{type(error).__name__} {error.errno}"
    link.send(Done(answer=json.dumps(said)))


def _environment(_link: ParentLink, _orders: Orders) -> list[str]:
    return sorted(os.environ)


def _descriptors(_link: ParentLink, _orders: Orders) -> list[int]:
    found = []
    for fd in range(256):
        with contextlib.suppress(OSError):
            os.lseek(fd, 0, os.SEEK_CUR)
            found.append(fd)
    return found


def _open(_link: ParentLink, orders: Orders) -> str:
    return Path(orders.path).read_text()


def _create(_link: ParentLink, orders: Orders) -> int:
    return Path(orders.path).write_text("here")


def _stat(_link: ParentLink, orders: Orders) -> int:
    return Path(orders.path).stat().st_size


def _list(_link: ParentLink, orders: Orders) -> list[str]:
    return [entry.name for entry in Path(orders.path).iterdir()]


def _unlink(_link: ParentLink, orders: Orders) -> None:
    Path(orders.path).unlink()


def _connect(_link: ParentLink, orders: Orders) -> str:
    with socket.create_connection(("127.0.0.1", orders.number)):
        return "connected"


def _fork(_link: ParentLink, _orders: Orders) -> int:
    child = os.fork()
    if child == 0:
        os._exit(0)
    return child


def _execute(_link: ParentLink, _orders: Orders) -> None:
    os.execv("/bin/true", ["true"])


def _trace(_link: ParentLink, _orders: Orders) -> int:
    return _checked(_LIBC.ptrace(16, os.getppid(), 0, 0))


def _peek(_link: ParentLink, _orders: Orders) -> int:
    return _checked(_LIBC.process_vm_readv(os.getppid(), 0, 0, 0, 0, 0))


def _kill_parent(_link: ParentLink, _orders: Orders) -> None:
    os.kill(os.getppid(), signal.SIGTERM)


def _kill_self(_link: ParentLink, _orders: Orders) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _map_code(_link: ParentLink, _orders: Orders) -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()


def _limits(_link: ParentLink, orders: Orders) -> int:
    """Try to lower a limit of the parent."""
    limit = (ctypes.c_uint64 * 2)(1, 1)
    return _checked(_LIBC.prlimit(os.getppid(), orders.number, ctypes.byref(limit), None))


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def _thread(_link: ParentLink, _orders: Orders) -> str:
    done: list[str] = []
    thread = threading.Thread(target=lambda: done.append("ran"))
    thread.start()
    thread.join()
    return done[0]


def _hang(_link: ParentLink, _orders: Orders) -> None:
    time.sleep(60)


def _burn(link: ParentLink, _orders: Orders) -> None:
    while True:
        link.report_alive()


def _grow(_link: ParentLink, orders: Orders) -> int:
    return len(bytearray(orders.number))


def _write(_link: ParentLink, orders: Orders) -> int:
    return os.write(orders.number, bytes(1_000_000))


def _mux(_link: ParentLink, orders: Orders) -> None:
    """As recompose does; where the file takes no more, closing the film fails once more."""
    try:
        with av.open(Descriptor(orders.number), "w", format="matroska") as out:
            stream: Any = out.add_stream("rawvideo", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "gray"
            for number in range(100):
                packet = Packet(bytes(64 * 48))
                packet.stream, packet.pts, packet.dts = stream, number, number
                out.mux(packet)
    except (OSError, av.error.FFmpegError) as error:
        raise mismatch("the film cannot be written") from error


def _read(link: ParentLink, _orders: Orders) -> str:
    return link.read(2, 3).decode()


def _read_forever(link: ParentLink, _orders: Orders) -> None:
    while True:
        link.read(0, 1024**2)


def _fail(link: ParentLink, orders: Orders) -> None:
    link.send(TaskFailed(exit_code=orders.number, message=orders.text))
    time.sleep(60)


def _raw(link: ParentLink, orders: Orders) -> None:
    link.socket.sendall(bytes.fromhex(orders.text))
    time.sleep(60)


def _invent(link: ParentLink, _orders: Orders) -> None:
    send(link.socket, MESSAGE, b'{"kind":"promoted"}')
    time.sleep(60)


def _raise(_link: ParentLink, _orders: Orders) -> None:
    raise ZeroDivisionError("oops\nand more")


# Decoders

Behave = Callable[[ParentLink, dict[str, Any]], None]


def _decoder(behave: Behave) -> Callable[[ParentLink], None]:
    def serve(link: ParentLink) -> None:
        while (text := link.task()) is not None:
            link.blob()
            behave(link, json.loads(text))
            link.send(Done())

    return serve


def _show(link: ParentLink, slot: int, pts: int = 0) -> None:
    link.send(Shown(slot=slot, pts=pts, seconds=0))


show_beyond_the_ring = _decoder(lambda link, _task: _show(link, 200))
show_another_time = _decoder(lambda link, _task: _show(link, 0, 99))
show_nothing = _decoder(lambda _link, _task: None)


@_decoder
def show_twice(link: ParentLink, _task: dict[str, Any]) -> None:
    """The same slot, which is the parent's after the first time."""
    _show(link, 0)
    _show(link, 0, 1)


@_decoder
def show_what_is_out_of_range(link: ParentLink, task: dict[str, Any]) -> None:
    """Samples that no decoder of ten bits gives."""
    with mmap.mmap(task["ring"], task["slots"] * task["slot_bytes"]) as ring:
        ring.write(b"\xff" * task["slot_bytes"])
    _show(link, 0)


@_decoder
def shrink(link: ParentLink, task: dict[str, Any]) -> None:
    """Make the shared memory smaller under the parent's eyes."""
    os.ftruncate(task["ring"], 0)
    _show(link, 0)


@_decoder
def hang(_link: ParentLink, _task: dict[str, Any]) -> None:
    """A decoder in an endless loop."""
    time.sleep(60)


@_decoder
def crash(_link: ParentLink, _task: dict[str, Any]) -> None:
    """A decoder that writes where it may not."""
    ctypes.memset(8, 0, 1)


# Examinations


def examine_crash(link: ParentLink) -> None:
    """A demuxer that writes where it may not."""
    link.task()
    ctypes.memset(8, 0, 1)


def examine_hang(link: ParentLink) -> None:
    """A demuxer in an endless loop."""
    link.task()
    time.sleep(60)


def examine_claim_too_much(link: ParentLink) -> None:
    """Facts without the numbers that would prove them."""
    link.task()
    link.send(Done(answer='{"format": "mov", "arrays": {"timestamps": 1000000000000}}'))
