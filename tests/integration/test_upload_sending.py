"""One part, to servers that are no store at all, or one that means ill."""

import contextlib
import socket
import ssl
import threading
from types import SimpleNamespace

import pytest
import trustme

from agent.upload import sending
from agent.upload.parcel import Part
from agent.upload.sending import Answer, FileGoneError, HaltedError, Sending

SIZE = 1_000_000
FAST = SimpleNamespace(look=lambda _rtt_s: 1e9)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Server:
    """Takes each connection to `serve`, and keeps what came."""

    def __init__(self, serve, tls=None):
        self.heads, self.connections = [], 0
        self._serve, self._tls = serve, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                connection.settimeout(20)
                with contextlib.suppress(OSError), connection:
                    made = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
                    self._serve(self, made)
                    made.close()

    def head(self, connection):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        self.heads.append(head.decode())

    def body(self, connection):
        left = SIZE
        while left:
            left -= len(connection.recv(min(left, 65536)) or b"x" * left)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)  # else whoever waits in `accept` waits for good
        self._listener.close()


@pytest.fixture
def server():
    made = []

    def start(serve, tls=None):
        made.append(Server(serve, tls))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def file(tmp_path):
    folder = tmp_path / "000000"
    folder.mkdir()
    made = folder / "000000001-main.mp4"
    made.write_bytes(b"v" * SIZE)
    return made


def put(file, url, *, pace=FAST, offset=0, size=SIZE, whole=SIZE, tls=ssl.create_default_context):
    return Sending(file, whole, Part(1, url, offset, size), pace, tls)


def takes_it(server, connection):
    server.head(connection)
    server.body(connection)
    connection.sendall(OK)


def answers(words):
    def serve(server, connection):
        server.head(connection)
        server.body(connection)
        connection.sendall(words)

    return serve


def test_what_is_asked_for_and_no_header_more(server, file):
    one = server(takes_it)
    url = f"http://127.0.0.1:{one.port}/b/k?partNumber=1&X-Amz-Signature=ab%2Fcd"
    sent = put(file, url)
    assert sent.run() == Answer(200)
    assert sent.sent_bytes == SIZE
    lines = one.heads[0].split("\r\n")
    assert lines[0] == "PUT /b/k?partNumber=1&X-Amz-Signature=ab%2Fcd HTTP/1.1"
    assert sorted(lines[1:-2]) == [f"Content-Length: {SIZE}", f"Host: 127.0.0.1:{one.port}"]


def test_a_redirect_is_not_followed(server, file):
    other = server(takes_it)
    words = f"HTTP/1.1 307 No\r\nLocation: http://127.0.0.1:{other.port}/\r\nContent-Length: 0\r\n\r\n"
    one = server(answers(words.encode()))
    assert put(file, f"http://127.0.0.1:{one.port}/k").run().status == 307
    assert other.connections == 0


def test_of_an_answer_without_end_little_is_read(server, file):
    def serve(made, connection):
        made.head(connection)
        made.body(connection)
        connection.sendall(b"HTTP/1.1 403 No\r\n\r\n<Error><Code>AccessDenied</Code>")
        while True:
            connection.sendall(b"x" * 65536)

    one = server(serve)
    assert put(file, f"http://127.0.0.1:{one.port}/k").run() == Answer(403, "AccessDenied")


@pytest.mark.parametrize(
    "words",
    [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200],
)
def test_what_is_no_answer_fails_in_words_without_the_url(server, file, words):
    one = server(answers(words))
    with pytest.raises(OSError) as caught:  # noqa: PT011  its words are looked at
        put(file, f"http://127.0.0.1:{one.port}/secret").run()
    assert "secret" not in str(caught.value)


def test_who_refuses_at_once_is_heard_or_at_least_not_waited_for(server, file):
    def serve(made, connection):
        made.head(connection)
        connection.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)

    one = server(serve)
    with contextlib.suppress(OSError):
        assert put(file, f"http://127.0.0.1:{one.port}/k").run().status == 403


def test_a_server_that_takes_nothing_is_given_up(server, file, monkeypatch):
    monkeypatch.setattr(sending, "STALL_S", 0.2)
    done = threading.Event()

    def serve(made, connection):
        made.head(connection)
        done.wait(60)

    one = server(serve)
    file.write_bytes(b"v" * 20 * SIZE)
    with pytest.raises(TimeoutError):
        put(file, f"http://127.0.0.1:{one.port}/k", size=20 * SIZE, whole=20 * SIZE).run()
    done.set()


def test_a_stalled_link_holds_nobody_up_who_comes_to_watch(server, file):
    done, began = threading.Event(), threading.Event()

    def serve(made, connection):
        made.head(connection)
        began.set()
        done.wait(60)

    one = server(serve)
    file.write_bytes(b"v" * 20 * SIZE)
    sent = put(file, f"http://127.0.0.1:{one.port}/k", size=20 * SIZE, whole=20 * SIZE)
    threading.Thread(target=lambda: began.wait(60) and sent.halt(), daemon=True).start()
    with pytest.raises(HaltedError):
        sent.run()
    done.set()


def test_certificates_are_checked(server, file):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    one = server(takes_it, context)
    url = f"https://127.0.0.1:{one.port}/k"
    with pytest.raises(ssl.SSLCertVerificationError):
        put(file, url).run()
    assert one.heads == []
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    assert put(file, url, tls=lambda: trusting).run() == Answer(200)


def test_a_file_of_another_size_is_not_begun(server, file):
    one = server(takes_it)
    with pytest.raises(FileGoneError):
        put(file, f"http://127.0.0.1:{one.port}/k", whole=SIZE + 1).run()
    assert one.connections == 0


def test_nothing_is_resolved_for_a_name_that_can_be_none(file):
    with pytest.raises(OSError, match=r"no host has this name|not known|resolution"):
        put(file, "http://" + "a" * 70 + ".example/k").run()


def test_an_answer_that_comes_byte_by_byte_keeps_no_thread_for_good(server, file):
    begun, ended = threading.Event(), threading.Event()

    def drip(server, connection):
        server.head(connection)
        server.body(connection)
        with contextlib.suppress(OSError):
            while not ended.wait(0.05):
                connection.sendall(b"H")
                begun.set()

    one = put(file, f"http://127.0.0.1:{server(drip).port}/")

    def run():
        with contextlib.suppress(OSError):
            one.run()

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(60)
    one.abandon()
    thread.join(60)
    is_over = not thread.is_alive()
    ended.set()
    assert is_over
