"""A file and an address that notice whether anybody opened them."""

import os
import socket
import threading
from pathlib import Path
from typing import Self


class Canary:
    """The file is a named pipe: whoever opens it waits until it is heard. Leave the `with` block,
    then read `opened`.
    """

    def __init__(self, path: Path, port: int = 0) -> None:
        self.path = path
        self._ending = False
        self._heard: list[str] = []
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        self._server = socket.create_server(("127.0.0.1", port))
        self.port: int = self._server.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/canary.ts"
        self._threads = [threading.Thread(target=work) for work in (self._watch, self._listen)]

    def again(self) -> "Canary":
        """Another one at the same place."""
        return Canary(self.path, self.port)

    @property
    def opened(self) -> list[str]:
        """`file`, `address` or both."""
        return sorted(set(self._heard))

    def _watch(self) -> None:
        while True:
            writer = os.open(self.path, os.O_WRONLY)
            if not self._ending:
                self._heard.append("file")
            os.close(writer)  # only now the reader sees an end
            if self._ending:
                return

    def _listen(self) -> None:
        while True:
            caller, _ = self._server.accept()
            if not self._ending:
                self._heard.append("address")
            caller.close()
            if self._ending:
                return

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ending = True
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        socket.create_connection(("127.0.0.1", self.port)).close()
        for thread in self._threads:
            thread.join()
        os.close(reader)
        self._server.close()
