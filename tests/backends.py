"""Back ends on this machine that answer in one way each, in threads of the test's own."""

import gzip
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Answer = Callable[[bytes], bytes]  # from all of a request's head to all that is sent back


@contextmanager
def back_end(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """Its port, and the requests it got."""
    seen: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                caller, _address = listening.accept()
            except OSError:
                return
            threading.Thread(target=_talk, args=(caller, answer, tls, seen), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listening.getsockname()[1], seen
    finally:
        ended.set()
        listening.shutdown(socket.SHUT_RDWR)  # whoever waits in accept() would else keep it open
        listening.close()


@contextmanager
def slow_back_end() -> Iterator[int]:
    """Sends the head of an answer byte by byte, as long as anybody listens."""
    listening = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def drip() -> None:
        caller, _address = listening.accept()
        with caller:
            try:
                while not ended.wait(0.05):
                    caller.sendall(b"H")
            except OSError:
                return

    threading.Thread(target=drip, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        ended.set()
        listening.close()


def _talk(caller: socket.socket, answer: Answer, tls: ssl.SSLContext | None, seen: list[bytes]) -> None:
    try:
        with tls.wrap_socket(caller, server_side=True) if tls else caller as talking:
            talking.settimeout(5)
            head = b""
            while b"\r\n\r\n" not in head and (more := talking.recv(65536)):
                head += more
            whole = head.find(b"\r\n\r\n") + 4 + int(header_of(head, "content-length") or 0)
            while len(head) < whole and (more := talking.recv(65536)):
                head += more
            seen.append(head)
            talking.sendall(answer(head))
    except OSError:
        return


def http(status: str, body: bytes | str = b"", kind: str = "application/json", *headers: str) -> bytes:
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def in_chunks(status: str, body: bytes, size: int) -> bytes:
    """With the key cut wherever a chunk ends."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    sent = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts)
    return f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + sent + b"0\r\n\r\n"


def packed(status: str, body: bytes) -> bytes:
    return http(status, gzip.compress(body), "application/json", "Content-Encoding: gzip")


def header_of(head: bytes, name: str) -> str:
    """The value of a request's header, or nothing."""
    lines = head.decode("latin-1").split("\r\n")[1:]
    return next((line.partition(":")[2].strip() for line in lines if line.lower().startswith(f"{name.lower()}:")), "")


def certificate(folder: Path, name: str = "localhost") -> tuple[ssl.SSLContext, Path]:
    """Signed by itself: a server's context, and the file of those who trust it."""
    key, file = folder / "key.pem", folder / "cert.pem"
    # fmt: off
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key),
         "-out", str(file), "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"],
        check=True, capture_output=True,
    )
    # fmt: on
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return context, file
