"""MultiParser with its old signature, `convert(raw, client)`, for the old client."""

from datetime import date, datetime, time
from typing import Any

from flowtools.compat.instance import get_default_instance
from flowtools.compat.timestamp import Timestamp
from flowtools.multiparser import MultiParser as Parser


class MultiParser(Parser):
    """Reads values of one type, such as a date or a dictionary key; see flowtools.multiparser."""

    def convert(self, raw: Any, client: Any = None) -> Any:
        """Return the value that the text `raw` means; None for None or empty text.

        Dates and times are returned as Timestamp, and a key of a dictionary as its Term. The
        client is needed for dictionaries only; None takes the application's own.

        Raises:
            ValueError: `raw` is not such a value, or the dictionary has no such key.
            FlowError: The dictionary cannot be read.
        """
        if client is None and self.type == "dictionary":
            client = get_default_instance()
        found = super().convert(raw, getattr(client, "one", client))
        # Old rules join dates with text: "title + ', until ' + kept". A Timestamp is text.
        return Timestamp(found) if isinstance(found, datetime | date | time) else found
