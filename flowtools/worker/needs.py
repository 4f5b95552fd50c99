"""Objects that a Worker or Source asks for: a client of Viz One, a store on it.

    class Tag:
        NEEDS = ("client", "store")

Each becomes an attribute of that name before `configure` is called. The process has one client,
which all threads share; it is made when it is first needed. With --isolation process the Equipment
is sent to each process, which makes a client of its own.
"""

from collections.abc import Mapping
from configparser import ConfigParser
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flowtools.core.errors import ConfigurationError
from flowtools.core.tracing import confined
from flowtools.worker.loading import failure
from flowtools.worker.signature import check

if TYPE_CHECKING:
    from flowtools.stomp.settings import Settings as BrokerSettings
    from flowtools.vizone.account import Account
    from flowtools.vizone.client import Client
    from flowtools.vizone.store import Store

KNOWN = ("client", "store")

SECONDS = 60.0
"""Default time-out of a request to Viz One, in seconds."""


@dataclass
class Equipment:
    """The source of the objects that a class NEEDS; it can be sent to another process.

    Attributes:
        application: The name under which the store keeps values.
        account: Address and login of Viz One; None: from the environment.
        enabled: Whether Viz One is to be used at all.
        seconds: Time-out of a request to Viz One.
        broker: How to connect to a broker, for a Worker or Source of the older Flow.
        has_options: Whether the command has options for the address of Viz One.
    """

    application: str
    account: "Account | None" = None
    enabled: bool = True
    seconds: float = SECONDS
    broker: "BrokerSettings | None" = None
    has_options: bool = False
    _client: "Client | None" = field(default=None, repr=False)
    _making: Any = field(default_factory=Lock, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        # Connections and locks do not work in another process.
        return {k: v for k, v in self.__dict__.items() if k not in ("_client", "_making")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _client=None, _making=Lock())

    def client(self) -> "Client":
        """Return the client of this process.

        Raises:
            ConfigurationError: The address of Viz One is not set, or `enabled` is false.
        """
        # Imported late: most Workers need no Viz One, and its modules (httpx, lxml) are large.
        from flowtools.vizone.account import Account
        from flowtools.vizone.client import Client
        from flowtools.worker.config import refuse_unset

        if not self.enabled:
            raise ConfigurationError("the Worker needs Viz One, but [Viz One] enabled is no")
        with self._making:
            if self._client is None:
                account = self.account or Account.from_settings(has_options=self.has_options)
                refuse_unset(urlsplit(account.url).netloc, "the host of Viz One")
                self._client = Client(account, seconds=self.seconds)
            return self._client

    def store(self) -> "Store":
        """Return the store of the application.

        Raises:
            ConfigurationError: As `client`.
        """
        return self.client().store(self.application)

    def close(self) -> None:
        """Close the client's connections, if there is one."""
        if self._client is not None:
            self._client.close()


def application_of(class_name: str) -> str:
    """Return the default name of an application, made from the name of its class."""
    return "flow_" + class_name.rpartition(":")[2].rpartition(".")[2].lower()


def equip(made: Any, equipment: Equipment) -> None:
    """Set the attributes that the class of `made` NEEDS.

    Raises:
        ConfigurationError: NEEDS has an unknown name, or Viz One is needed and cannot be used.
    """
    take = getattr(made, "take_equipment", None)
    if take is not None:
        take(equipment)  # It makes its own client, as a TransferPlugin does.
    needs = getattr(made, "NEEDS", ())
    for need in (needs,) if isinstance(needs, str) else needs:
        if need not in KNOWN:
            raise ConfigurationError(
                f"NEEDS has the unknown name '{need}'; known are {', '.join(KNOWN)}"
            )
        setattr(made, need, getattr(equipment, need)())


def make(
    what: str,
    kind: Any,
    name: str,
    config: ConfigParser,
    options: Mapping[str, str] | None = None,
    equipment: Equipment | None = None,
    pausing: tuple[type[Exception], ...] = (),
) -> Any:
    """Make an object of a user's class, give it what it NEEDS, and `configure` it.

    Args:
        what: What the class is, for messages: "Worker" or "Source".
        kind: The class; a class of the older Flow makes its own object.
        name: What the user calls it.
        config: Argument of `configure`, if the class has that method.
        options: Arguments for its constructor.
        equipment: Source of the objects that it NEEDS; by default from the environment.
        pausing: Exceptions that mean an outage, besides Unavailable.

    Raises:
        ConfigurationError: What it NEEDS is not available, a method takes the wrong arguments, or
            its own code failed.
        UnreachableError: Its own code met an outage.
        RefusedError: A server refused the login to its own code.
    """
    equipment = equipment or Equipment(application_of(name))
    try:
        if hasattr(kind, "make_old"):
            return confined(kind.make_old, equipment, config, **(options or {}))
        made = confined(kind, **(options or {}))
        check(what, made, name)
        equip(made, equipment)
        configure = getattr(made, "configure", None)
        if configure is not None:
            confined(configure, config)
    except ConfigurationError:
        raise
    except (Exception, SystemExit) as error:
        raise failure("configure", what, name, error, pausing=pausing) from error
    return made
