"""The client: one Viz One, and what it keeps."""

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
    """A Viz One; one client serves all threads.

    Attributes:
        account: Where it is, and the login.
    """

    @classmethod
    def from_environment(cls) -> Self:
        """Make a client for VIZONE_URL, VIZONE_USER and VIZONE_PASSWORD.

        Raises:
            ConfigurationError: One is missing or makes no sense.
        """
        return cls(Account.from_environment())

    @cached_property
    def assets(self) -> Assets:
        """The assets."""
        return Assets(self)

    @cached_property
    def files(self) -> Files:
        """The unmanaged files of the import storages."""
        return Files(self)

    @cached_property
    def transfers(self) -> Transfers:
        """What follows an upload or an import."""
        return Transfers(self)

    @cached_property
    def dictionaries(self) -> Dictionaries:
        """The dictionaries of metadata, remembered for a while."""
        return Dictionaries(self)

    @cached_property
    def thesauri(self) -> Dictionaries:
        """The thesauri of metadata, remembered for a while; they have terms, too."""
        return Dictionaries(self, kind="thesaurus")

    @cached_property
    def models(self) -> Models:
        """The forms of metadata."""
        return Models(self)

    @cached_property
    def groups(self) -> Groups:
        """Series, programs, folders and aggregates, and their members."""
        return Groups(self)

    def store(self, application: str) -> Store:
        """Return what the server keeps for `application` and this user."""
        return Store(self, application)
