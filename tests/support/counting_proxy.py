"""A TCP proxy before PostgreSQL that counts what the server is asked: the round trips of a client."""

import asyncio
import struct
from contextlib import suppress

#: Simple query, and the end of an extended query: after each of them the client waits for the server.
_ASKS = frozenset(b"QS")


class CountingProxy:
    """`async with CountingProxy(port) as proxy`; then connect to `proxy.port`, without TLS."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0
        self.round_trips = 0
        self.statements: list[str] = []

    async def __aenter__(self) -> "CountingProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        self._writers += [writer, up_writer]
        for work in (self._questions(reader, up_writer), self._answers(up_reader, writer)):
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _questions(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:  # until the start-up message, which has no type: TLS is asked for and refused before it
                head = await reader.readexactly(8)
                length, code = struct.unpack("!II", head)
                writer.write(head + await reader.readexactly(length - 8))
                if code >> 16 == 3:
                    break
            while True:
                kind, length = struct.unpack("!cI", await reader.readexactly(5))
                body = await reader.readexactly(length - 4)
                self._count(kind, body)
                writer.write(struct.pack("!cI", kind, length) + body)
        writer.close()

    def _count(self, kind: bytes, body: bytes) -> None:
        self.round_trips += kind[0] in _ASKS
        if kind == b"Q":
            self.statements.append(body.split(b"\0")[0].decode())
        elif kind == b"P":
            self.statements.append(body.split(b"\0")[1].decode())

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(65_536):
                writer.write(chunk)
        writer.close()
