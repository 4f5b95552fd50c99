"""A certificate about to expire is reported at the start and once a day."""

import itertools
import ssl
import time
from subprocess import PIPE

import pytest

from flowtools.process.certificates import DAY, Certificates, days_left
from tests.stomp_servers import Lines
from tests.test_vizone_client import make_certificate
from tests.vizone_servers import stand_in

pytest_plugins = ["tests.stomp_fixtures"]

NOW = 1_800_000_000.0


@pytest.mark.parametrize("command", ["flow-listen-stomp", "flow-send"])
def test_a_broker_certificate_about_to_expire_is_reported_at_the_start(
    authority, secured, start, command
):
    server = secured("good")
    process = start(command, "--ca-file", authority / "ca.pem", server.url(), stdin=PIPE)
    peer = server.accept()
    peer.login()
    said = Lines(map(bytes.decode, process.stderr)).until("certificate")
    name = f"127.0.0.1:{server.port}"
    assert f"{command}: warning: the certificate of '{name}' ends in 1 day (20" in said


def test_a_viz_one_certificate_about_to_expire_is_reported_too(tmp_path, start):
    pem = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with stand_in() as server:
        server._web.socket = context.wrap_socket(server._web.socket, server_side=True)
        env = server.environment() | {"VIZONE_URL": server.url.replace("http:", "https:")}
        process = start("flow-listen-assets", "--ca-file", pem, env=env)
        said = Lines(map(bytes.decode, process.stderr)).until("certificate")
        assert "warning: the certificate of '127.0.0.1' ends in 1 day (20" in said


def messages_of(caplog):
    found = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return found


def test_an_expiring_certificate_is_reported_daily_from_two_weeks_before_its_end(
    monkeypatch, caplog
):
    clock = [NOW]
    monkeypatch.setattr("flowtools.process.certificates.time.time", lambda: clock[0])
    seen = Certificates()
    ends = NOW + 20 * DAY
    seen.saw("mq:61614", ends)
    days = []
    for hour in range(22 * 24):
        clock[0] = NOW + hour * 3600
        seen.look()
        days += [hour / 24] * len(messages_of(caplog))
    assert days[0] == pytest.approx(6, abs=0.1)
    assert len(days) == 16
    assert {round(later - day, 2) for day, later in itertools.pairwise(days)} == {1.0}


def test_certificates_are_tracked_per_server_and_replaced_when_renewed(caplog):
    seen = Certificates()
    seen.look(NOW)
    seen.saw("a", None)
    assert messages_of(caplog) == []
    now = time.time()
    seen.saw("a", now + 3.5 * DAY)
    seen.saw("a", now + 3.5 * DAY)
    seen.saw("b", now + DAY / 2)
    texts = messages_of(caplog)
    assert [text.partition(" (")[0] for text in texts] == [
        "the certificate of 'a' ends in 3 days",
        "the certificate of 'b' ends within a day",
    ]
    seen.saw("a", now + 300 * DAY)
    seen.look(now + 2 * DAY)
    assert [text.partition(" (")[0] for text in messages_of(caplog)] == [
        "the certificate of 'b' has ended"
    ]


def test_days_left_are_written_in_words():
    left = [days_left(NOW + days * DAY, NOW) for days in (-0.1, 0.5, 1.5, 14.0)]
    assert left == ["has ended", "ends within a day", "ends in 1 day", "ends in 14 days"]
