"""flow-sim's documents for transfer plugins."""

import httpx

from flowtools.vizone.plugindata import PluginData
from tests.vizone_servers import stand_in


def get(server, **query):
    login = (server.user, server.password)
    return httpx.get(f"{server.url}/sim/plugindata", params=query, auth=login)


def test_a_plugin_document_has_every_part_of_a_step():
    with stand_in() as server:
        answer = get(server, step=7, source="ftp://u:p@h/a", **{"plugin.suffix": "xml"})
        found = PluginData.read(answer.raise_for_status().content)
        assert found.step.edit_link == f"{server.url}/api/transfer/step/7"
        assert found.request.id.endswith(":7")
        assert found.settings.as_dict() == {
            "plugin.user": server.user,
            "plugin.password": server.password,
            "plugin.suffix": "xml",
        }
        assert (found.source, found.destination[:6]) == ("ftp://u:p@h/a", "ftp://")
        assert found.asset.title == found.asset.payload["asset.title"] == "Evening bulletin"
        assert get(server, step="x").status_code == 400
        assert httpx.get(f"{server.url}/sim/plugindata").status_code == 401
