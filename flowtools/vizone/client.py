"""The client for one Viz One: the entry point of this package."""

from functools import cached_property
from typing import Self

from flowtools.vizone.account import Account
from flowtools.vizone.assets import Assets
from flowtools.vizone.atompub import AtomPub
from flowtools.vizone.dictionary import Dictionaries
from flowtools.vizone.files import Files
from flowtools.vizone.groups import Groups
from flowtools.vizone.model import Models
from flowtools.vizone.store import Store
from flowtools.vizone.transfer import Transfers


class Client(AtomPub):
    """A client for one Viz One. One client serves all threads.

    Attributes:
        account: The server and the login.
    """

    @classmethod
    def from_environment(cls) -> Self:
        """Return a client for VIZONE_URL, VIZONE_USER and VIZONE_PASSWORD.

        Raises:
            ConfigurationError: A variable is missing, or the URL cannot be used.
        """
        return cls(Account.from_environment())

    @cached_property
    def assets(self) -> Assets:
        """Operations on assets."""
        return Assets(self)

    @cached_property
    def files(self) -> Files:
        """Operations on the unmanaged files of the import storages."""
        return Files(self)

    @cached_property
    def transfers(self) -> Transfers:
        """Operations on the transfers that follow an upload or an import."""
        return Transfers(self)

    @cached_property
    def dictionaries(self) -> Dictionaries:
        """The dictionaries of metadata fields, cached for some minutes."""
        return Dictionaries(self)

    @cached_property
    def thesauri(self) -> Dictionaries:
        """The thesauri of metadata fields, which have terms like dictionaries; cached likewise."""
        return Dictionaries(self, kind="thesaurus")

    @cached_property
    def models(self) -> Models:
        """The forms that metadata may have."""
        return Models(self)

    @cached_property
    def groups(self) -> Groups:
        """Operations on series, programs, folders, aggregates and their members."""
        return Groups(self)

    def store(self, application: str) -> Store:
        """Return the values that the server keeps for `application` and this user."""
        return Store(self, application)
