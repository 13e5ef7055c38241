"""The plugs' HTTP, as their makers document it, against a server that answers like them."""

import importlib.util
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

FILE = Path(__file__).parents[1] / "hil" / "plug.py"
SPEC = importlib.util.spec_from_file_location("hil_plug", FILE)
plug = sys.modules["hil_plug"] = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(plug)


class Outlets(BaseHTTPRequestHandler):
    """Both kinds of plug at once; `stuck` ones say the truth and do nothing."""

    def do_GET(self):
        state, stuck = self.server.state, self.server.stuck
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.path == "/cm":
            name, _, wanted = query["cmnd"].partition(" ")
            if not stuck:
                state[name.lower()] = wanted == "ON"
            said = {name.upper(): "ON" if state.get(name.lower()) else "OFF"}
        elif parts.path == "/rpc/Switch.Set":
            before = state.get(query["id"], False)
            if not stuck:
                state[query["id"]] = query["on"] == "true"
            said = {"was_on": before}
        elif parts.path == "/rpc/Switch.GetStatus":
            said = {"id": int(query["id"]), "output": state.get(query["id"], False)}
        else:
            self.send_error(404)
            return
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Quiet."""


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Outlets)
    server.state, server.stuck = {}, False
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("url", "outlet"),
    [("tasmota://{}", "power"), ("tasmota://{}/2", "power2"), ("shelly://{}", "0"), ("shelly://{}/1", "1")],
)
def test_an_outlet_is_switched_and_asked(server, url, outlet):
    one = plug.open_plug(url.format(f"127.0.0.1:{server.server_port}"))
    for on in (True, False, True):
        one.switch(on=on)
        assert server.state == {outlet: on}
    server.stuck = True
    with pytest.raises(plug.PlugError, match="says"):
        one.switch(on=False)


def test_a_plug_that_is_not_there_is_named(server):
    port = server.server_port
    server.shutdown()
    server.server_close()
    with pytest.raises(plug.PlugError, match=f"127.0.0.1:{port}"):
        plug.open_plug(f"tasmota://127.0.0.1:{port}").switch(on=True)


@pytest.mark.parametrize("url", ["", "plug", "hue://x", "tasmota://"])
def test_what_is_no_plug(url):
    with pytest.raises(plug.PlugError, match="tasmota://HOST"):
        plug.open_plug(url)
