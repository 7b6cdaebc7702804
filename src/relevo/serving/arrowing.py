"""Arrow's IPC stream format as it comes in: batches become requests as a file's rows do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from relevo.arrow import Batch, DamagedError, Reader, UnfitError
from relevo.serving.incoming import BLOCK, Row, Unreadable, check
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relevo.cells import Cells, Columns
    from relevo.contract import Contract


class ArrowBatches:
    """One batch after the other; what is damaged ends the stream."""

    def __init__(self, contract: Contract, cells: Cells) -> None:
        self._contract, self._cells = contract, cells
        self._reader = Reader()
        self._columns: Columns | None = None

    @property
    def ready(self) -> bool:
        """Whether the schema was read."""
        return self._columns is not None

    def feed(self, piece: bytes) -> Iterator[Sequence[Row]]:
        """Take some bytes; raises ``Unreadable``."""
        batches = self._reader.feed(piece)
        while True:
            with _told():
                batch = next(batches, None)
            if self._columns is None and self._reader.names is not None:
                check(self._contract, self._reader.names)
                self._columns = self._cells.of_columns(self._reader.names)
            if batch is None:
                return
            assert self._columns is not None
            yield from self._blocks(self._columns, batch)

    def finish(self) -> Iterator[Sequence[Row]]:
        """Take the end; raises ``Unreadable`` when something is missing."""
        if not self._reader.whole:
            raise Unreadable(t("the Arrow data are damaged ({detail})", detail="the end is missing"))
        return iter(())

    @staticmethod
    def _blocks(columns: Columns, batch: Batch) -> Iterator[Sequence[Row]]:
        for start in range(0, batch.rows, BLOCK):
            with _told():
                block = [columns.of_values(row) for row in batch.part(start, min(start + BLOCK, batch.rows))]
            yield block


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except UnfitError as error:
        raise Unreadable(str(error)) from error
    except (DamagedError, IndexError, OverflowError, TypeError, ValueError) as error:
        raise Unreadable(t("the Arrow data are damaged ({detail})", detail=str(error)[:200])) from error
