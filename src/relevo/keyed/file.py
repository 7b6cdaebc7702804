"""Reading a keyed file: checked once, then mapped, by any number of threads."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import lmdb
import orjson

from relevo import digest as digests
from relevo import disk
from relevo.errors import WorkspaceError
from relevo.keyed.codec import UNFIT, Cells, Key
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FORMAT = 1
ROWS, CARD = b"rows", b"card"


def card_of(key: Sequence[str], types: Sequence[str]) -> dict[str, Any]:
    """What a file says of its own layout."""
    return {"format": FORMAT, "key": list(key), "types": list(types)}


class KeyedFile:
    """A file open for reading, in the shape that features look rows up in. May be shared by threads.

    It stays whole and readable after the file's name is gone. ``misses`` holds how many unknown keys were
    asked for; a file that takes another's place may go on counting in its list.
    """

    def __init__(self, mapped: _Mapped, digest: str, key: Key, cells: Cells) -> None:
        self.sha256 = digest
        self.misses = [0]
        self._mapped: _Mapped | None = mapped
        self._transaction = mapped.environment.begin(db=mapped.table)
        self._rows = int(self._transaction.stat(mapped.table)["entries"])
        self._find = self._transaction.get
        self._encode, self._decode = key.encode, cells.decode
        self._find(b"\0")  # LMDB reads the table's root at the first request, which must be one thread's

    @classmethod
    def open(cls, path: Path, digest: str, *, key: Sequence[str], types: Sequence[str]) -> KeyedFile:
        """Open a file of these types of key and other cells, whose SHA-256 is ``digest``.

        Raises ``WorkspaceError`` when it is absent, cut off, altered, or of another layout.
        """
        with disk.explained(path):
            found = digests.of_file(path)
        if found != digest:
            raise _damaged(
                path, t("its SHA-256 is {found}, not {digest}", found=found[:12], digest=digest[:12])
            )
        try:
            mapped = _map(path)
            card = mapped.card()
        except (lmdb.Error, ValueError) as error:
            raise _damaged(path, str(error)) from error
        if card != card_of(key, types):
            raise _damaged(path, t("it holds other columns"))
        return cls(mapped, digest, Key(key), Cells(types))

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the other cells of a key, given bare or as a tuple; ``default`` when it is unknown."""
        try:
            found = self._find(self._encode(key))
        except UNFIT:
            found = None
        if found is None:
            self.misses[0] += 1
            return default
        return self._decode(found)

    @property
    def missing(self) -> int:
        """How many unknown keys were asked for."""
        return self.misses[0]

    def __len__(self) -> int:
        return self._rows

    def __bool__(self) -> bool:
        return True

    def close(self) -> None:
        """Give the map back; nothing may be asked afterwards."""
        if self._mapped is not None:
            self._transaction.abort()
            self._mapped = None


class _Mapped:
    """An environment of this process; LMDB lets a process open a file only once."""

    def __init__(self, path: Path) -> None:
        self.environment = lmdb.open(
            str(path),
            map_size=path.stat().st_size,
            subdir=False,
            readonly=True,
            lock=False,
            readahead=False,
            max_dbs=1,
        )
        self.table = self.environment.open_db(ROWS, create=False)

    def card(self) -> Any:
        with self.environment.begin() as transaction:
            return orjson.loads(transaction.get(CARD) or b"null")


_maps: WeakValueDictionary[tuple[int, int, int], _Mapped] = WeakValueDictionary()
_opening = threading.Lock()


def _map(path: Path) -> _Mapped:
    with _opening:
        status = path.stat()
        identity = (os.getpid(), status.st_dev, status.st_ino)
        mapped = _maps.get(identity)
        if mapped is None:
            mapped = _maps[identity] = _Mapped(path)
        return mapped


def _damaged(path: Path, problem: str) -> WorkspaceError:
    return WorkspaceError(
        t(
            "{path}: the keyed file was cut off or altered ({problem}). `relevo run` in the project's folder makes "
            "it anew.",
            path=path,
            problem=problem,
        )
    )
