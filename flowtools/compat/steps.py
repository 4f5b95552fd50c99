"""What goes on for a while, by its old names: a transfer step, a request, an Incoming."""

from typing import Any, ClassVar, Self

from lxml import etree

from flowtools.compat.document import Document
from flowtools.vizone.document import Element, child, integer, text
from flowtools.vizone.namespaces import CORE, MAM, TRANSFER
from flowtools.vizone.plugindata import TransferStep as Step

_OF = (TRANSFER, MAM, CORE)


class State:
    """The state of something; `state` is its word: active, error.

    Attributes:
        state: The word; what is assigned stands in the document.
    """

    def __init__(self, owner: Element) -> None:
        object.__setattr__(self, "_step", Step(owner))

    _step: Step

    @property
    def state(self) -> str | None:
        """The word."""
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
    """How much is done of something; `done` of `total`.

    Attributes:
        done: How much, as a number; what is assigned stands in the document.
        total: Of how much in all.
    """

    def __init__(self, owner: Element) -> None:
        object.__setattr__(self, "_step", Step(owner))

    _step: Step

    @property
    def done(self) -> int | None:
        """How much is done."""
        return self._step.done

    @done.setter
    def done(self, done: float | str) -> None:
        self._step.set_done(int(float(done)))

    @property
    def total(self) -> int:
        """Of how much in all; 100 where it does not say."""
        element = child(self._step.element, "progress", *_OF)
        if element is None:
            return 100
        return integer(element.get("total") or text(child(element, "total"))) or 100

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "done":
            raise AttributeError(f"cannot set '{name}' of a progress")
        object.__setattr__(self, name, value)


class _Lasting(Document):
    """An entry with a state, a progress and an error."""

    NAME: ClassVar[str] = "the transfer"

    @classmethod
    def at(cls, element: Element) -> Any:
        """Return the one that `element` is."""
        made = cls.__new__(cls)
        made.stand_on(element)
        return made

    @property
    def state(self) -> State:
        """Its state; the word is `state.state`."""
        return State(self._element)

    @property
    def progress(self) -> Progress:
        """How much is done: `progress.done` of `progress.total`."""
        return Progress(self._element)

    @property
    def error(self) -> str | None:
        """What people are told of its failure."""
        return text(child(self._element, "error", *_OF))

    @error.setter
    def error(self, message: str) -> None:
        Step(self._element).set_error(message)


class TransferStep(_Lasting):
    """The step of a transfer that a plugin is: nobody else has a say in what is set here."""

    NAME: ClassVar[str] = "the transfer step"

    def parse(self, answer: Any) -> Self:
        """Become what an answer says; its etag counts for nothing."""
        super().parse(answer)
        self.response_etag = None
        return self

    def stored(self, element: Element, etag: str | None) -> None:
        """Stay as it is: a report of the plugin is made from the same document."""


class TransferRequest(_Lasting):
    """A transfer: how far it is, and how urgent."""

    NAME: ClassVar[str] = "the transfer request"

    @property
    def priority(self) -> str | None:
        """How urgent it is: low, medium or high; what is assigned stands in the document."""
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
    """What an import or an upload gives: the way of media into an asset."""

    NAME: ClassVar[str] = "the incoming"
