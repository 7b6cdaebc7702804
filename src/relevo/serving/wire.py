"""One connection: uvicorn's protocol, with a short way for requests whose head was read before.

Most callers send the same head again and again, to the last byte. When such a head led to an answer once, what
was read from it holds for the next: its body goes straight to the model, without the parser, a task, a scope and
two messages. Everything else, and whatever comes while an answer is under way, goes the long way.

A connection that does not send its head in time, or sends one without end, is closed; so is one that does not
take its answers.
"""

from __future__ import annotations

import asyncio
import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from relevo.serving.problems import Refusal, Told

if TYPE_CHECKING:
    from collections.abc import Collection, Sized

    from relevo.serving.door import Door, Head

_log = logging.getLogger("relevo.wire")
_log.setLevel(logging.ERROR)  # what is no HTTP is refused and counted; callers are not to fill the log
_END = b"\r\n\r\n"
_METHOD = b"POST "  # of what may go the short way
_LONGEST_HEAD = 1 << 16
_HELD = 1 << 16  # bytes that come while an answer is under way, before the sender is slowed
_SWEEP = 1.0  # seconds between two looks for connections that nothing comes of
_ANSWER = (b"content-type", b"application/json")
_OK = (
    b"HTTP/1.1 200 OK\r\n%bcontent-type: application/json\r\nx-request-id: %b\r\ncontent-length: %d\r\n\r\n%b"
)


class _Flow(FlowControl):
    """Reads no further while whole requests wait for their turn."""

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


class Wire(HttpToolsProtocol):
    """What uvicorn makes for each connection; ``config.app`` has the door."""

    def __init__(self, config: Any, server_state: Any, app_state: Any, _loop: Any = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._door: Door = config.app.door
        self.logger = _log
        self._head: Head | None = None  # of the request under way on the short way
        self._known: tuple[Head | None, bytes] = (None, b"")  # what the access log says of the last head
        self._began = 0.0
        self._held = b""
        self._ending = False  # close after the answer under way
        self._begun = 0  # messages in the bytes in hand
        self._in_message = self._in_head = False
        self._head_bytes = 0  # of a head, or of what stands beside a body
        self._answered = 0.0  # when the last answer of the long way was whole
        self._since = self._active = perf_counter()  # when the head began; when something last came
        self._stuck = 0.0  # since when the other side takes no answers; 0 when it does
        self._left = 0  # bytes that it had not taken when last looked

    def data_received(self, data: bytes) -> None:
        """Take what came, the short way if it is one whole request with a known head."""
        if self._head is not None:
            self._hold(data)
            return
        end = data.find(_END) if self._is_fresh() else -1
        if end > 0:
            head = self._door.heads.get(data[:end])
            if head is not None and len(data) - end - 4 == head.length and data[end + 4 : end + 5] == b"{":
                self._head = head
                self._active = self._began = perf_counter()
                if self._door.take(head, data[end + 4 :], self._tell):
                    return
                self._head = None
        self._go_long(data, end)

    def _is_fresh(self) -> bool:
        """Whether what comes next begins a request, and everything before was answered and taken."""
        answered = self.cycle is None or self.cycle.response_complete
        return answered and not (self._in_message or self.pipeline or self._stuck)

    def _go_long(self, data: bytes, end: int) -> None:
        self._active = perf_counter()
        self._begun = 0
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_message and self._head_bytes > _LONGEST_HEAD:
            if self._in_head:
                self._refuse(Refusal("head", limit=_LONGEST_HEAD))
            else:  # trailers, or extensions of chunks, without end
                self.transport.abort()
        elif end > 0 and self._begun == 1 and not self._in_message and data.startswith(_METHOD):
            self.scope["relevo.head"] = data[:end]  # type: ignore[typeddict-unknown-key]

    def _tell(self, answer: bytes | Exception) -> None:
        """Write the answer of a request on the short way."""
        head = self._head
        assert head is not None
        if self._known[0] is not head:
            self._known = head, self._door.line(head, self.client[0] if self.client else "")
        identity, told = self._door.told(head, answer, self._known[1], perf_counter() - self._began)
        self._head = None
        if self.transport.is_closing():
            return
        ending = self._ending or self._door.draining
        if told is None and not ending:
            assert type(answer) is bytes
            self.transport.write(_OK % (self._date(), identity, len(answer), answer))
        else:
            self._write(told or Told(200, [_ANSWER], answer), identity, close=ending)  # type: ignore[arg-type]
        if self._held:
            held, self._held = self._held, b""
            self.transport.resume_reading()
            self.data_received(held)

    def _hold(self, data: bytes) -> None:
        """Keep what comes before its turn."""
        self._held += data
        if len(self._held) > _HELD:
            self.transport.pause_reading()

    def _write(self, told: Told, identity: bytes, *, close: bool) -> None:
        headers = [*told.headers, (b"x-request-id", identity), (b"content-length", b"%d" % len(told.body))]
        if close and not self._door.draining:  # then it is among the server's own
            headers.append((b"connection", b"close"))
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(b"".join((STATUS_LINE[told.status], self._date(), lines, b"\r\n", told.body)))
        if close:
            self.transport.close()

    def _date(self) -> bytes:
        """The server's own headers, which change once a second."""
        headers = self.server_state.default_headers
        door = self._door
        if door.dated[0] is not headers:
            door.dated = headers, b"".join([b"%b: %b\r\n" % header for header in headers])
        return door.dated[1]

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what is no whole request, and close."""
        identity = self._door.new_id()
        self._write(self._door.refused(refusal, [], identity), identity, close=True)

    # What the server and the parser call

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        self._door.wires.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        super().connection_lost(exc)
        self._door.wires.discard(self)

    def on_message_begin(self) -> None:
        """Note that a request began."""
        super().on_message_begin()
        self._begun += 1
        self._in_message = self._in_head = True
        self._since = perf_counter()

    def on_headers_complete(self) -> None:
        """Note that its head is whole."""
        self._in_head = False
        self._head_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Note that what came was not all beside the body."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that it is whole."""
        self._in_message = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Note that an answer is whole."""
        self._answered = perf_counter()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the signature is uvicorn's
        """Answer what is not HTTP."""
        self._refuse(Refusal("not-http"))

    def shutdown(self) -> None:
        """Close, after the answer that is under way."""
        if self._head is not None:
            self._ending = True
        else:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """Leave it to ``sweep``, which knows what came the short way."""

    def pause_writing(self) -> None:
        """Note that the other side takes no answers."""
        super().pause_writing()
        self._stuck = perf_counter()

    def resume_writing(self) -> None:
        """Note that it does again."""
        super().resume_writing()
        self._stuck = 0.0

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: such a request is answered as any other."""

    def _owes_a_body(self) -> bool:
        """Whether all that is missing is the body of a request that was answered without it."""
        return self._in_message and not self._in_head and self.cycle.response_complete

    def look(self, now: float, *, patience: float, keep_alive: float) -> None:
        """Close a connection of which nothing comes.

        ``patience`` are the seconds for a head, for what is left of a body that was answered already, and to take
        an answer while nothing is sent; ``keep_alive`` those between two requests.
        """
        if self._stuck:
            left = self.transport.get_write_buffer_size()
            if left != self._left:  # some of it is taken
                self._left, self._stuck = left, now
            elif now - max(self._stuck, self._active) > patience:
                self.transport.abort()
        elif self._head is not None or self.transport.is_closing():
            return
        elif self._in_head and now - self._since > patience:
            self._refuse(Refusal("timeout", seconds=patience))
        elif (self._owes_a_body() and now - self._answered > patience) or (
            self._is_fresh() and now - self._active > keep_alive
        ):
            self.transport.close()


async def sweep(wires: Collection[Wire], *, patience: float, keep_alive: float) -> None:
    """Look at all connections once a second, for ever."""
    while True:
        await asyncio.sleep(_SWEEP)
        now = perf_counter()
        for wire in tuple(wires):
            wire.look(now, patience=patience, keep_alive=keep_alive)
