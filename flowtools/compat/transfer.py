"""TransferPlugin and PluginData by their old names.

The plugin stands on flowtools.transferplugin, which reads the document, reports progress, and ends
the step however the plugin ends. This module gives the parts of the document their old types.
"""

from configparser import ConfigParser
from typing import Any

from flowtools.compat.asset import Item
from flowtools.compat.base import Flow, OldWorker, give
from flowtools.compat.client import Client
from flowtools.compat.payload import Payload
from flowtools.compat.payloadclass import payload_class
from flowtools.compat.steps import TransferRequest, TransferStep
from flowtools.core.described import Described
from flowtools.core.event import Event
from flowtools.transferplugin import TransferPlugin as Plugin
from flowtools.vizone.document import serialise
from flowtools.vizone.plugindata import PluginData as Parts
from flowtools.worker.needs import Equipment


class PluginData(Described):
    """The document of a transfer plugin, with its parts by their old names; a missing part is None.

    Attributes:
        parts: The PluginData of flowtools.vizone.
        transferstep: The TransferStep to report to.
        transferrequest: The TransferRequest that it belongs to.
        pluginmetadata: Settings of the plugin, as a Payload.
        sourceurl: FTP URL of the media.
        destinationurl: FTP URL of the copy.
        asset: The Item, with its metadata inlined.
    """

    def __init__(self, document: Any) -> None:
        """Read the document, as bytes or text; raises ProtocolError if it is not one."""
        self.parts = Parts.read(document)
        parts = self.parts
        self.transferstep = None if parts.step is None else TransferStep.at(parts.step.element)
        request = parts.request
        self.transferrequest = None if request is None else TransferRequest.at(request.element)
        self.pluginmetadata = _form(parts)
        self.sourceurl = parts.source
        self.destinationurl = parts.destination
        self.asset = None if parts.asset is None else Item(serialise(parts.asset.element))


def _form(parts: Parts) -> Payload | None:
    return None if parts.settings is None else Payload(serialise(parts.settings.element))


class TransferPlugin(Flow, Plugin):
    """Base class of old plugins, whose `start(self, plugin_data)` calls `self.use(plugin_data)`.

    A plugin with NeedsClient has a client with the login of the profile before `use`. From then on
    its client has the login of the plugin's settings.
    """

    @classmethod
    def make_old(cls, equipment: Equipment, config: ConfigParser) -> "_OldPlugin":
        """Return a Worker that runs a plugin of this class."""
        made = cls(instance_name=equipment.application.removeprefix("flow_"))
        made.take_equipment(equipment)
        give(made, equipment, config)
        return _OldPlugin(made, equipment, payload_class(config))

    def use(self, data: Any, *args: Any, **options: Any) -> None:
        """Set `source`, `destination`, `asset`, `settings`, `step` and `client` from the document.

        `data` is a PluginData, or the document; see flowtools.transferplugin for errors.
        """
        parts = data.parts if isinstance(data, PluginData) else data
        super().use(parts, *args, **options)
        self.client: Any = Client(self.client)
        self.settings: Any = (
            None if self.settings is None else Payload(serialise(self.settings.element))
        )
        self.asset: Any = None if self.asset is None else Item(serialise(self.asset.element))
        # `at` keeps the element: what old code sets in it is in the next report, too.
        self.step: Any = TransferStep.at(self.step.element)
        request = self.request
        self.request: Any = None if request is None else TransferRequest.at(request.element)

    def get_progress(self) -> tuple[str | None, int | None]:
        """Return the state of the step and the percentage done, as the server has them now."""
        now = TransferStep(self.client.GET(self.step.self_link or self.step.edit_link))
        return now.state.state, now.progress.done


class _OldPlugin(OldWorker):
    """A Worker that runs an old plugin on the document."""

    def __init__(self, flow: TransferPlugin, equipment: Equipment, payload: Any) -> None:
        super().__init__(flow, equipment, payload)
        self._plugin = flow

    def start(self, event: Event) -> None:
        """Call the plugin's `start` with the PluginData, or with the object of `payload class`."""
        self._plugin.take_event(event)
        self._plugin.start((self._payload or PluginData)(event.data))

    def clean_up(self) -> None:
        """Report the end of the step if the plugin did not, and call its `clean_up`."""
        self._plugin.close_step()
        super().clean_up()
