"""The broker and proxy helpers that the other tests rely on work as documented."""

import os
import signal
import socket
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.brokers.proxy import Proxy
from tests.brokers.servers import chosen
from tests.brokers.tally import wait_for
from tests.brokers.wire import Wire, WireError


def received(wire, number):
    return [wire.expect("MESSAGE")[1] for _ in range(number)]


def bodies(number):
    return [b"message %d" % index for index in range(number)]


def test_sent_messages_are_received(broker, queue):
    with broker.connect() as wire:
        assert wire.publish(queue, bodies(450), window=200) == 450
        wire.subscribe(queue)
        assert received(wire, 450) == bodies(450)


def test_persistent_messages_survive_a_killed_broker(broker, queue):
    with broker.connect() as wire:
        wire.publish(queue, bodies(300))
    broker.settle()
    ports = broker.port, broker.tls_port
    broker.kill()
    with pytest.raises(OSError):
        broker.connect(timeout=1)
    broker.start()
    assert (broker.port, broker.tls_port) == ports
    assert broker.depth(queue) == 300
    with broker.connect() as wire:
        wire.subscribe(queue)
        assert received(wire, 300) == bodies(300)


def test_a_killed_broker_redelivers_unacknowledged_messages(broker, queue):
    with broker.connect() as wire:
        wire.publish(queue, bodies(1000))
    broker.settle()
    with broker.connect() as wire:
        wire.subscribe(queue, ack="client-individual", **{broker.prefetch_header: "100"})
        for _ in range(700):
            wire.write("ACK", {"id": wire.expect("MESSAGE")[0]["ack"]})
        wire.write("UNSUBSCRIBE", {"id": "0", "receipt": "enough"})
        while wire.read()[0] != "RECEIPT":
            pass
    broker.kill()
    broker.start()
    assert 300 <= broker.depth(queue) <= 300 + broker.forgets


def test_messages_survive_an_orderly_stop_of_the_broker(broker, queue):
    with broker.connect() as wire:
        wire.publish(queue, bodies(3))
    broker.stop()
    assert not broker.running
    broker.start()
    assert broker.depth(queue) == 3


def test_a_frozen_broker_does_not_answer_until_it_thaws(broker):
    broker.freeze()
    with pytest.raises(TimeoutError):
        broker.connect(timeout=1)
    broker.thaw()
    broker.connect().close()


def test_an_unknown_queue_has_depth_zero(broker, queue):
    assert broker.depth(queue) == 0


def test_the_broker_shows_a_certificate_of_the_test_authority(broker):
    broker.connect(tls=True).close()
    with pytest.raises(ssl.SSLCertVerificationError):
        Wire(broker.tls_port, context=ssl.create_default_context())


def test_the_broker_accepts_the_client_certificate(activemq):
    context = ssl.create_default_context(cafile=str(activemq.ca_file))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Wire(activemq.mutual_tls_port, context=context)
    context.load_cert_chain(activemq.client_cert, activemq.client_key)
    Wire(activemq.mutual_tls_port, context=context).close()


def test_a_wrong_password_is_refused_and_no_password_is_accepted(broker):
    if not broker.checks_logins:
        pytest.skip(f"{broker.name} takes a wrong password for none")
    with pytest.raises((WireError, ConnectionError)):
        Wire(broker.port, login=broker.user, passcode="wrong", vhost=broker.vhost)
    Wire(broker.port, vhost=broker.vhost).close()


def test_the_url_names_destination_and_virtual_host(rabbitmq, activemq):
    assert rabbitmq.url("/queue/a") == (
        f"stomp://127.0.0.1:{rabbitmq.port}/?destination=/queue/a&vhost=/"
    )
    assert activemq.url("/queue/a b", tls=True, prefetch_count=3) == (
        f"stomp+ssl://127.0.0.1:{activemq.tls_port}/?destination=/queue/a%20b&prefetch-count=3"
    )


@pytest.mark.parametrize("reset", [True, False])
def test_a_cut_connection_ends_and_the_broker_stays(broker, queue, reset):
    with Proxy(broker.port) as proxy, Wire(proxy.port, vhost=broker.vhost) as wire:
        wire.publish(queue, bodies(2))
        assert proxy.cut(reset=reset) == 1
        with pytest.raises(ConnectionResetError):
            wire.read()
        with Wire(proxy.port, vhost=broker.vhost) as again:
            again.subscribe(queue)
            assert received(again, 2) == bodies(2)
        assert proxy.accepted == 2


def test_a_stalled_proxy_forwards_nothing_until_it_resumes(broker, queue):
    with Proxy(broker.port) as proxy, Wire(proxy.port, vhost=broker.vhost) as wire:
        wire.publish(queue, bodies(1))
        proxy.stall()
        wire.write("SUBSCRIBE", {"id": "0", "destination": queue})
        wire.give_up_after(1)
        with pytest.raises(TimeoutError):
            wire.read()
        proxy.resume()
        wire.give_up_after(30)
        assert received(wire, 1) == bodies(1)
        assert proxy.open == 1


@pytest.fixture
def streams():
    """Two ends of a connection through a proxy, and the proxy."""
    with socket.create_server(("127.0.0.1", 0)) as server, Proxy(server.getsockname()[1]) as proxy:
        near = socket.create_connection(("127.0.0.1", proxy.port), 30)
        far, _ = server.accept()
        with near, far:
            yield near, far, proxy


def test_a_stalled_reader_can_still_send_through_the_proxy(streams):
    # Not with a broker: RabbitMQ 4 itself stops reading from a connection that accepts nothing.
    reader, far, proxy = streams
    far.settimeout(30)
    with ThreadPoolExecutor(1) as sender:
        sending = sender.submit(far.sendall, b"x" * 50_000_000)
        wait_for(lambda: proxy.passed, 30, tend=lambda: None, what="the first bytes")
        reader.sendall(b"still here")
        assert far.recv(100) == b"still here"
        assert not sending.done()
        proxy.cut()
        with pytest.raises(OSError):
            sending.result(30)


def test_a_refusing_proxy_cuts_new_connections(broker):
    with Proxy(broker.port) as proxy:
        proxy.refuse()
        with pytest.raises(ConnectionError):
            Wire(proxy.port, vhost=broker.vhost)
        proxy.accept()
        Wire(proxy.port, vhost=broker.vhost).close()


@pytest.mark.parametrize("kind", chosen())
def test_brokers_die_with_the_tests_that_started_them(kind, tmp_path):
    code = f"""
import signal
from tests.brokers.servers import ALL
server = ALL[{kind!r}]({str(tmp_path)!r}).start()
print(server.pid, server._epmd.pid if server.family == "rabbitmq" else server.pid, flush=True)
signal.pause()
"""
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE) as tests:
        pids = [int(word) for word in tests.stdout.readline().split()]
        os.kill(tests.pid, signal.SIGKILL)
    assert len(pids) == 2

    def gone():
        return not any(Path(f"/proc/{pid}").exists() for pid in pids)

    wait_for(gone, 30, tend=lambda: None, what="the brokers end")
