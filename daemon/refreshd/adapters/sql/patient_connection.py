"""A psycopg connection that gives up a server which has stopped answering. Imported late: the driver is an extra.

The server's own limits do not help when the server is frozen, and TCP's end only what nobody acknowledges.
"""

from typing import Any

from psycopg import Connection, OperationalError
from psycopg.pq import TransactionStatus


class PatientConnection(Connection[Any]):
    """`patience`: how long any one answer may take, in seconds. Then the connection is closed: nobody knows what it did."""

    patience = 60.0

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """As the driver's, with a deadline unless it has one of its own."""
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except OperationalError as exc:
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise  # the server's own word
            self.pgconn.finish()
            raise OperationalError(f"the database has not answered for {self.patience:g} s") from exc
