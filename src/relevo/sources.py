"""Where rows come from: what a project declares, and nothing secret.

``env:NAME`` in a URL or a header stands for an environment variable, read when rows are taken. A source is
known by what is declared: with ``env:NAME`` by that name, so the service may move and its password change.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Format = Literal["csv", "parquet", "jsonl"]
BatchFormat = Literal["csv", "parquet", "jsonl", "json"]
SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
"""What a file's ending says of its format; ``.gz`` and ``.zst`` may follow, except for Parquet."""
VARIABLE = "env:"
NUMBER = "{number}"
WEB = ("http://", "https://")
SECRET_HEADER = re.compile(r"auth|cookie|token|key|secret|password|credential", re.IGNORECASE)
"""Headers of such names may hold their value in an environment variable alone."""
_SCHEME = re.compile(r"([A-Za-z][\w+.-]*://)(.*)", re.DOTALL)
_SECRET_PARAMETER = re.compile(
    r"([?&;][^=&#]*(?:auth|token|key|secret|pass|sig|credential)[^=&#]*=)[^&#]*", re.IGNORECASE
)


@dataclass(frozen=True)
class Files:
    """Files below the project's folder (or at an absolute path), by path or glob, in name order.

    ``delimiter``, ``quote`` and ``escape`` are for CSV; a delimiter left out is the one of ``, ; tab |``
    under which the header names most of the contract's columns. ``encoding`` is any of Python's.
    ``format`` is by ending unless given. ``origin`` names a column to be filled with the name of the file that
    a row stands in, where the file says what no column does. What is in force is what the files hold at
    each ingest.
    """

    pattern: str
    format: Format | None = None
    delimiter: str | None = None
    quote: str = '"'
    escape: str = '"'
    encoding: str = "utf-8"
    origin: str | None = None


@dataclass(frozen=True)
class Folder:
    """A folder in which files appear; each is taken once and stays in force for ever.

    ``path`` is below the project's folder or absolute, ``pattern`` a glob below it. A file is known by its
    content: a copy, or a file renamed, moved or removed after it was taken, changes nothing. A file changed
    less than ``settled`` seconds ago may still be growing: it is waited for, and left for the next ingest
    if it goes on changing. A name that was taken before and now has other content is an error, for nobody
    can tell whether its rows are new; ``reuse_names`` says that they are. The other options are those of
    ``Files``.
    """

    path: str
    pattern: str = "*"
    format: Format | None = None
    delimiter: str | None = None
    quote: str = '"'
    escape: str = '"'
    encoding: str = "utf-8"
    settled: float = 2.0
    reuse_names: bool = False

    @property
    def files(self) -> Files:
        """The files that are there, and how they are read."""
        pattern = f"{self.path.rstrip('/')}/{self.pattern}"
        return Files(pattern, self.format, self.delimiter, self.quote, self.escape, self.encoding)


@dataclass(frozen=True)
class Query:
    """A SELECT on a database: ``url`` is SQLAlchemy's (Postgres, SQLite), or ``env:NAME``.

    Without ``watermark`` each ingest takes the whole answer, which replaces the former one. With it, the
    name of a column of the answer whose value never falls from one new row to the next (a number, a time,
    a text that sorts so), each ingest takes what is new: it asks for the rows at or above the highest
    watermark taken, and drops those that are in ``raw`` already, once for each time they are there. So a row
    that appears later with that same watermark is neither lost nor doubled. ``lag`` (``"10min"`` for times,
    a number for numbers) asks for that much below it too, for transactions that commit late. A row changed
    in place is taken again, as one more row, when its watermark rose. A null watermark is an error.
    """

    sql: str
    url: str = field(repr=False)
    watermark: str | None = None
    lag: str | float | None = None
    place: str = field(init=False)
    """The URL without credentials."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", public(self.url))


@dataclass(frozen=True)
class Batches:
    """An HTTP service that hands out numbered batches: GET ``url`` with ``{number}`` from ``first`` upwards.

    A batch is taken once, whole or not at all, and stays in force; the next ingest goes on behind the last
    one taken. ``end`` lists the statuses that mean there is no more (``"empty"`` a batch without rows);
    ``per_run`` is the most new batches of one run. ``format`` is by Content-Type unless given: CSV,
    Parquet, JSON lines, or JSON, a list of objects, which ``rows`` (``"data"``, ``"result.items"``) finds
    within an envelope. ``headers`` may hold ``env:NAME``, and must where their name sounds secret.

    A connection that fails, silence for ``timeout`` seconds, a status of 429 or 5xx and a body that ends
    too early are tried again, ``tries`` times in all and for ``patience`` seconds a batch at the most,
    with waits that double. ``largest`` is the most bytes of a body. The CSV options are those of ``Files``.
    """

    url: str = field(repr=False)
    format: BatchFormat | None = None
    rows: str | None = None
    first: int = 1
    per_run: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    end: tuple[int | Literal["empty"], ...] = (404, 204)
    delimiter: str | None = None
    quote: str = '"'
    escape: str = '"'
    encoding: str | None = None
    timeout: float = 60
    tries: int = 6
    patience: float = 600
    largest: int = 256 << 20
    place: str = field(init=False)
    """The URL without credentials."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", public(self.url))


@dataclass(frozen=True)
class Rows:
    """A Python function, or ``"module:function"``, that yields rows: Arrow batches or tables, or dicts.

    Arrow is anything with ``__arrow_c_stream__`` or ``__arrow_c_array__`` (pyarrow, Polars, arro3); a dict
    is one row, a list of dicts several. A function without a parameter ``since`` gives everything at each
    ingest, which replaces what it gave before. One with it yields ``batch, "cursor"`` pairs and is given
    the cursor of the last batch taken, None at first: it goes on from there. Each such batch is taken whole
    and stays in force.
    """

    function: Callable[..., Any] | str

    @property
    def name(self) -> str:
        """The function as ``module:function``; one of ``project.py`` by its own name alone."""
        if isinstance(self.function, str):
            return self.function
        module = str(getattr(self.function, "__module__", ""))
        name = str(getattr(self.function, "__qualname__", type(self.function).__qualname__))
        return name if module.startswith("relevo_project_") else f"{module}:{name}"

    def __repr__(self) -> str:
        return f"Rows({self.name!r})"


Source = Files | Folder | Query | Batches | Rows
"""What a table may be read from."""


def public(url: str) -> str:
    """A URL without user, password, and parameters whose name sounds secret."""
    found = _SCHEME.match(url)
    if not found:
        return url
    scheme, rest = found[1], found[2]
    whole = rest.partition("?")[0] if not scheme.startswith(WEB) else re.split(r"[/?#]", rest, maxsplit=1)[0]
    return scheme + _SECRET_PARAMETER.sub(r"\1***", rest[whole.rfind("@") + 1 :])
