"""What the broker client relies on in aiomqtt and paho without their promise: an upgrade must fail here."""

import inspect

import aiomqtt
from paho.mqtt import client as paho


def parameters(function):
    return list(inspect.signature(function).parameters)


def test_aiomqtt_calls_back_where_we_listen():
    assert parameters(aiomqtt.Client._on_disconnect) == [
        *("self", "client", "userdata", "flags", "reason_code", "properties")
    ]
    assert parameters(aiomqtt.Client._on_publish) == [
        *("self", "client", "userdata", "mid", "reason_code", "properties")
    ]
    assert parameters(aiomqtt.Client._misc_loop) == ["self"]
    assert "while self._client.loop_misc() == " in inspect.getsource(aiomqtt.Client._misc_loop)
    source = inspect.getsource(aiomqtt.Client.__init__)
    for line in (
        "self._client: mqtt.Client = ",
        "self._connected: asyncio.Future",
        "self._client.on_disconnect = self._on_disconnect",
        "self._client.on_publish = self._on_publish",
        "self._queue = queue_type(maxsize=max_queued_incoming_messages)",
    ):
        assert line in source


def test_paho_asks_one_method_for_its_tcp_connection():
    assert parameters(paho.Client._create_socket_connection) == ["self"]
    assert "self._create_socket_connection()" in inspect.getsource(paho.Client._create_socket)
    assert "settimeout(self._connect_timeout)" in inspect.getsource(paho.Client._ssl_wrap_socket)


def test_paho_logs_the_exceptions_it_keeps_to_itself():
    assert "'failed to receive on socket: %s', err" in inspect.getsource(paho.Client._packet_read)
