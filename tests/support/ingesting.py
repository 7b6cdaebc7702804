"""A lake and one table that is ingested again and again from any source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from relevo import contract as contracts
from relevo.clean import clean
from relevo.ingest import ingest
from relevo.lake import Lake
from relevo.project import Table

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.records import Snapshot
    from relevo.sources import Source


class Item(BaseModel):
    id: int
    name: str | None


class Place:
    """A project folder and its lake; ``said`` are the sentences about the last ingest."""

    def __init__(self, root: Path, model: type[BaseModel] = Item) -> None:
        self.root, self.model = root, model
        self.lake = Lake(root / "lake", memory_limit="200MB", threads=2, scratch=root / "scratch")
        self.contract = contracts.read(model)
        self.last: Snapshot | None = None
        self.said: list[str] = []
        self.sizes: list[int] = []

    def ingest(self, source: Source, *, remember: bool = True, **options: Any) -> Snapshot:
        """Ingest; the snapshot is remembered as the ledger would."""
        self.said, self.sizes = [], []
        table = Table("items", self.model, source, **options)
        found = ingest(
            table,
            self.contract,
            self.lake,
            self.root,
            self.last,
            tell=self.said.append,
            received=self.sizes.append,
        )
        if remember:
            self.last = found
        return found

    def clean(self, source: Source, **options: Any) -> Snapshot:
        """Ingest and clean."""
        table = Table("items", self.model, source, **options)
        return clean(table, self.contract, self.lake, self.ingest(source, **options), limit=0.9)

    def rows(self, query: str = "select id, name from raw.items order by _ingested_at, _row") -> list[Any]:
        """Ask the lake."""
        with self.lake.connect() as connection:
            self.lake.bind_all(connection)
            return connection.execute(query).fetchall()

    def ids(self) -> list[int]:
        """The ids in ``raw``, in order."""
        return [row[0] for row in self.rows("select cast(id as bigint) from raw.items order by 1")]
