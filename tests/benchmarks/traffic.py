"""Load and a back end for the figures: raw asyncio, each in a process of its own, so that they do not wait for what they measure."""

import asyncio
import multiprocessing
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

_spawn = multiprocessing.get_context("spawn")  # fork would copy gRPC and database handles


@dataclass
class Load:
    """What a steady stream of requests met: statuses by count, times of failures, latencies in seconds."""

    statuses: dict[int, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return sum(count for status, count in self.statuses.items() if status != 200)


class BackEnd:
    """Answers 200 to everything and remembers when it first saw each Authorization value."""

    def __init__(self) -> None:
        self._pipe, theirs = _spawn.Pipe()
        self._process = _spawn.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        self.port: int = self._pipe.recv()

    def first_seen(self) -> dict[str, float]:
        """By value, in time.time() seconds; asking empties the record."""
        self._pipe.send("seen")
        seen: dict[str, float] = self._pipe.recv()
        return seen

    def stop(self) -> None:
        _end(self._process)


class Callers:
    """`rate` requests a second over `connections` kept-alive connections, until stopped."""

    def __init__(self, port: int, path: str, key: str, rate: int = 200, connections: int = 8) -> None:
        self._pipe, theirs = _spawn.Pipe()
        self._process = _spawn.Process(target=_call, args=(theirs, port, path, key, rate, connections), daemon=True)
        self._process.start()
        self._pipe.recv()  # the first answers have come

    def stop(self) -> Load:
        self._pipe.send("stop")
        load: Load = self._pipe.recv()
        _end(self._process)
        return load


def _end(process: BaseProcess) -> None:
    process.terminate()
    process.join(10)


def _serve(pipe: Connection) -> None:
    seen: dict[str, float] = {}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                now, lines = time.time(), head.decode("latin-1").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
                if length := int(headers.get("content-length", 0)):
                    await reader.readexactly(length)
                seen.setdefault(headers.get("authorization", ""), now)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        loop = asyncio.get_running_loop()

        def asked() -> None:
            pipe.recv()
            pipe.send(dict(seen))
            seen.clear()

        loop.add_reader(pipe.fileno(), asked)
        await asyncio.Event().wait()

    asyncio.run(main())


def _call(pipe: Connection, port: int, path: str, key: str, rate: int, connections: int) -> None:
    load = Load()
    request = f"GET {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n\r\n".encode()

    async def caller(number: int, stop: asyncio.Event, warm: asyncio.Event) -> None:
        reader = writer = None
        due = time.monotonic() + number / rate
        while not stop.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due += connections / rate
            began = time.monotonic()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                assert reader is not None
                writer.write(request)
                head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode("latin-1")
                length = next((int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")), 0)
                await reader.readexactly(length)
                status = int(head.split(" ", 2)[1])
                if "connection: close" in head.lower():
                    writer.close()
                    writer = None
            except (OSError, asyncio.IncompleteReadError):
                status, writer = 0, None
            load.statuses[status] = load.statuses.get(status, 0) + 1
            load.latencies.append(time.monotonic() - began)
            warm.set()

    async def main() -> None:
        stop, warm = asyncio.Event(), asyncio.Event()
        asyncio.get_running_loop().add_reader(pipe.fileno(), stop.set)
        tasks = [asyncio.create_task(caller(number, stop, warm)) for number in range(connections)]
        await warm.wait()
        pipe.send("warm")
        await asyncio.gather(*tasks)
        asyncio.get_running_loop().remove_reader(pipe.fileno())
        pipe.recv()
        pipe.send(load)

    asyncio.run(main())
