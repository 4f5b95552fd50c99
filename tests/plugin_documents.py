"""PluginData for tests, composed from public facts; the format of the real one is not public."""

from urllib.parse import quote

NAMES = (
    'xmlns:transfer="http://ns.vizrt.com/ardome/transfer" xmlns:atom="http://www.w3.org/2005/Atom"'
)


def document(
    server,
    *,
    number=1,
    source="ftp://u:p@source/a.mxf",
    destination="ftp://u:p@target/b.mxf",
    user="admin",
    password=None,
    title="Evening bulletin",
    metadata=True,
):
    """The document for a step of `server`, a StandIn; parts given as None or False are left out."""
    step = f"{server.url}/api/transfer/step/{number}"
    form = (
        f'<payload xmlns="http://www.vizrt.com/types" model="{server.url}/api/metadata/form/x/r1">'
        f'<field name="asset.title"><value>{title}</value></field></payload>'
    )
    described = f"<atom:inline>{form}</atom:inline>" if metadata else ""
    parts = [
        f"""<transfer:transfer-step custom="kept"><atom:link rel="self" href="{step}"/>
        <atom:link rel="edit" href="{step}"/><transfer:state>waiting</transfer:state>
        <transfer:progress done="0" total="100"/><unknown xmlns="urn:x">kept, too</unknown>
        </transfer:transfer-step>""",
        f"""<transfer:transfer-request><atom:entry><atom:id>urn:vme:default:transfer:7</atom:id>
        <atom:link rel="self" href="{server.url}/api/transfer/request/7"/>
        <transfer:source><atom:link rel="min" href="{server.url}/api/media/min/1"/>
        </transfer:source></atom:entry></transfer:transfer-request>""",
    ]
    if user is not None:
        parts.append(
            f"""<pluginmetadata><payload xmlns="http://www.vizrt.com/types">
            <field name="plugin.user"><value>{user}</value></field>
            <field name="plugin.password"><value>{password or server.password}</value></field>
            <field name="plugin.suffix"><value>xml</value></field>
            </payload></pluginmetadata>"""
        )
    if source:
        parts.append(f"<sourceurl>{source}</sourceurl>")
    if destination:
        parts.append(f'<destinationurl href="{destination}"/>')
    if title:
        parts.append(
            f"""<asset><atom:entry><atom:id>urn:vme:default:asset:121</atom:id>
            <atom:title>{title}</atom:title>
            <atom:link rel="self" href="{server.url}/thirdparty/asset/item/121"/>
            <atom:link rel="describedby" href="{server.url}/api/asset/item/121/metadata">
            {described}</atom:link></atom:entry></asset>"""
        )
    return f"<plugindata {NAMES}>{''.join(parts)}</plugindata>".encode()


def ftp_url(server, path):
    """The URL of a path at an FTP server of tests/ftp_server.py."""
    login = f"{quote(server.user)}:{quote(server.password, safe='')}"
    return f"ftp://{login}@127.0.0.1:{server.port}/{path}"
