"""TransferPlugin and PluginData by their old names."""

from configparser import ConfigParser
from typing import Any

from flowtools.compat.asset import Item
from flowtools.compat.base import Flow, NeedsClient, OldWorker, give
from flowtools.compat.client import Client
from flowtools.compat.payload import Payload
from flowtools.core.event import Event
from flowtools.transferplugin import TransferPlugin as Plugin
from flowtools.vizone.document import serialise
from flowtools.vizone.plugindata import PluginData as Parts
from flowtools.worker.needs import Equipment


class PluginData:
    """The document, with its parts by their old names."""

    def __init__(self, document: Any) -> None:
        self.parts = Parts.read(document)
        parts = self.parts
        self.transferstep = parts.step
        self.transferrequest = parts.request
        self.pluginmetadata = _form(parts)
        self.sourceurl = parts.source
        self.destinationurl = parts.destination
        self.asset = None if parts.asset is None else Item(serialise(parts.asset.element))


def _form(parts: Parts) -> Payload | None:
    return None if parts.settings is None else Payload(serialise(parts.settings.element))


class TransferPlugin(Flow, Plugin):
    """A plugin of the old kind: `start(self, plugin_data)`."""

    @classmethod
    def make_old(cls, equipment: Equipment, config: ConfigParser) -> "_OldPlugin":
        """Return a Worker that runs a plugin of this class."""
        made = cls(instance_name=equipment.application.removeprefix("flow_"))
        made.take_equipment(equipment)
        # Its client is the one that `use` makes.
        wants = [base for base in cls.__mro__ if base is NeedsClient]
        if not wants:
            give(made, equipment, config)
        return _OldPlugin(made, equipment)

    def use(self, data: Any, *args: Any, **options: Any) -> None:
        """Take the parts of the document; see flowtools.transferplugin."""
        parts = data.parts if isinstance(data, PluginData) else data
        super().use(parts, *args, **options)
        self.client: Any = Client(self.client)
        self.settings: Any = (
            None if self.settings is None else Payload(serialise(self.settings.element))
        )
        self.asset: Any = None if self.asset is None else Item(serialise(self.asset.element))


class _OldPlugin(OldWorker):
    """Runs a plugin on the document."""

    def __init__(self, flow: TransferPlugin, equipment: Equipment) -> None:
        super().__init__(flow, equipment)
        self._plugin = flow

    def start(self, event: Event) -> None:
        """Run `start` on the PluginData."""
        self._plugin.take_event(event)
        self._plugin.start(PluginData(event.data))

    def clean_up(self) -> None:
        """See that the step is told how it ends, and let the plugin clean up."""
        self._plugin.close_step()
        super().clean_up()
