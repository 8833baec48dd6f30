"""A Redis-compatible server in this process (fakeredis), so that the demo needs nothing installed. Not for production."""

import threading
from types import TracebackType
from typing import Any, Self

from redis.exceptions import ResponseError


class EmbeddedRedis:
    """Listens on an ephemeral loopback port; other processes can connect."""

    def __init__(self) -> None:
        from fakeredis import TcpFakeServer  # noqa: PLC0415 - the `demo` extra

        self._server = TcpFakeServer(("127.0.0.1", 0), server_type="redis", server_version=(7,))
        self._server.RequestHandlerClass = _staying(self._server.RequestHandlerClass)
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


def _staying(handler: Any) -> Any:
    """The fake hangs up after each error; a real server says it and goes on, and clients rely on that."""

    class Staying(handler):  # type: ignore[misc]  # the class is known at run time only
        def setup(self) -> None:
            super().setup()
            read = self.current_client.read_response

            def answer() -> Any:
                try:
                    return read()
                except ResponseError as exc:
                    return exc

            self.current_client.read_response = answer

    return Staying
