"""A Redis-compatible server in this process (fakeredis), so that the demo needs nothing installed. Not for production."""

import threading
from types import TracebackType
from typing import Self


class EmbeddedRedis:
    """Listens on an ephemeral loopback port; other processes can connect."""

    def __init__(self) -> None:
        from fakeredis import TcpFakeServer  # noqa: PLC0415 - the `demo` extra

        self._server = TcpFakeServer(("127.0.0.1", 0), server_type="redis", server_version=(7,))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="embedded-redis", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._server.server_address[1]}/0"
