"""MultiParser by its old signature: `convert(raw, client)`, with a client of the old kind."""

from datetime import date, datetime, time
from typing import Any

from flowtools.compat.instance import get_default_instance
from flowtools.compat.timestamp import Timestamp
from flowtools.multiparser import MultiParser as Parser


class MultiParser(Parser):
    """Reads one kind of value; see flowtools.multiparser."""

    def convert(self, raw: Any, client: Any = None) -> Any:
        """Return the value that `raw` says; None for None or nothing.

        A date, time, datetime or ISO 8601 text is a Timestamp; a dictionary's value its Term.

        Raises:
            ValueError: It does not say one, or the dictionary has no such key.
            FlowError: The dictionary cannot be read.
        """
        if client is None and self.type == "dictionary":
            client = get_default_instance()
        found = super().convert(raw, getattr(client, "one", client))
        return Timestamp(found) if isinstance(found, datetime | date | time) else found
