"""TransferStep, TransferRequest and Incoming, by their old names: transfers under way.

Their `state` and `progress` are objects with one attribute to set, as in python-one: old plugins
write `step.state.state = "active"` and `step.progress.done = 40`, and PUT the step.
"""

from typing import Any, ClassVar, Self

from lxml import etree

from flowtools.compat.document import Document
from flowtools.vizone.document import Element, child, integer, text
from flowtools.vizone.namespaces import CORE, MAM, TRANSFER
from flowtools.vizone.plugindata import TransferStep as Step

_OF = (TRANSFER, MAM, CORE)


class State:
    """The state of a transfer. Compares equal to its word, such as "active".

    Attributes:
        state: The word, such as active or error; setting it changes the document.
    """

    def __init__(self, owner: Element) -> None:
        object.__setattr__(self, "_step", Step(owner))

    _step: Step

    @property
    def state(self) -> str | None:
        """The word, such as active or error; None if the document has none."""
        return self._step.state

    @state.setter
    def state(self, state: str) -> None:
        self._step.set_state(state)

    def __str__(self) -> str:
        return self.state or ""

    def __eq__(self, other: object) -> bool:
        return self.state == (other.state if isinstance(other, State) else other)

    __hash__ = None  # type: ignore[assignment]

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "state":
            raise AttributeError(f"cannot set '{name}' of a state")
        object.__setattr__(self, name, value)


class Progress:
    """The progress of a transfer: `done` of `total`.

    Attributes:
        done: Part that is done; setting it changes the document.
        total: The whole, usually 100.
    """

    def __init__(self, owner: Element) -> None:
        object.__setattr__(self, "_step", Step(owner))

    _step: Step

    @property
    def done(self) -> int | None:
        """The part that is done; None if the document does not say."""
        return self._step.done

    @done.setter
    def done(self, done: float | str) -> None:
        # Text and fractions of a percent are accepted, as by update_progress.
        self._step.set_done(int(float(done)))

    @property
    def total(self) -> int:
        """The whole; 100 if the document does not say."""
        element = child(self._step.element, "progress", *_OF)
        if element is None:
            return 100
        return integer(element.get("total") or text(child(element, "total"))) or 100

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "done":
            raise AttributeError(f"cannot set '{name}' of a progress")
        object.__setattr__(self, name, value)


class _Lasting(Document):
    """Common part of the three: an entry with a state, a progress and an error."""

    NAME: ClassVar[str] = "the transfer"

    @classmethod
    def at(cls, element: Element) -> Any:
        """Return the object for `element`; changes are made in `element` itself."""
        made = cls.__new__(cls)
        made.stand_on(element)
        return made

    @property
    def state(self) -> State:
        """The state; its word is `state.state`."""
        return State(self._element)

    @property
    def progress(self) -> Progress:
        """The progress: `progress.done` of `progress.total`."""
        return Progress(self._element)

    @property
    def error(self) -> str | None:
        """The reason of a failure, for people; None if there is none."""
        return text(child(self._element, "error", *_OF))

    @error.setter
    def error(self, message: str) -> None:
        Step(self._element).set_error(message)


class TransferStep(_Lasting):
    """The step of a transfer that a plugin carries out. Only the plugin writes it."""

    NAME: ClassVar[str] = "the transfer step"

    def parse(self, answer: Any) -> Self:
        """Take the step in an answer; return this object. The etag is ignored."""
        # Each report is a PUT of the same document, whatever became of the one before.
        super().parse(answer)
        self.response_etag = None
        return self

    def stored(self, element: Element, etag: str | None) -> None:
        """Keep the present document: the next report of the plugin is made from it, too."""


class TransferRequest(_Lasting):
    """A transfer request: progress, state and priority of a transfer."""

    NAME: ClassVar[str] = "the transfer request"

    @property
    def priority(self) -> str | None:
        """The priority: low, medium or high. Setting it changes the document.

        Raises:
            ValueError: A value that is set is none of these.
        """
        return text(child(self._element, "priority", *_OF))

    @priority.setter
    def priority(self, priority: str) -> None:
        if priority not in ("low", "medium", "high"):
            raise ValueError(f"there is no priority '{priority}': expected low, medium or high")
        element = child(self._element, "priority", *_OF)
        if element is None:
            element = etree.SubElement(self._element, f"{{{TRANSFER}}}priority")
        element.text = priority


class Incoming(_Lasting):
    """The Incoming of an import or upload, which follows the media on its way into an asset."""

    NAME: ClassVar[str] = "the incoming"
