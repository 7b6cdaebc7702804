"""Sources are checked when a project is loaded, and replaced where ``--set`` says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from relevo.definition import origins
from relevo.sources import Batches, Files, Folder, Query, Rows, public
from support import small

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relevo.sources import Source


def items() -> Iterator[Any]:
    yield from ()


GOOD: list[Source] = [
    Files("x.csv"),
    Folder("inbox"),
    Query("select 1", "env:URL", watermark="x", lag="1d"),
    Query("select 1", "sqlite:///x.db"),
    Batches("https://h/{number}", headers={"Authorization": "Bearer env:TOKEN", "Accept": "text/csv"}),
    Batches("env:URL"),
    Rows(items),
    Rows("module:function"),
]


def checked(source: Any) -> list[str]:
    project = small.definition().project
    tables = [replace(project.tables[0], source=source), *project.tables[1:]]
    return [f"{m.field}: {m.problem} {m.remedy}" for m in origins.check(replace(project, tables=tables))]


@pytest.mark.parametrize("source", GOOD, ids=repr)
def test_sound_sources_pass(source: Source) -> None:
    assert checked(source) == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("data/*.csv", "its source is a str. Write one of Files, Folder"),
        (Batches("https://h/batches"), "“https://h/batches” is no URL of batches. Write http"),
        (Batches("ftp://h/{number}"), "is no URL of batches"),
        (Batches("https://h/{number}", per_run=0), "per_run is 0. Write 1 or more."),
        (Batches("https://h/{number}", tries=0), "tries is 0."),
        (Batches("https://h/{number}", headers={"X-Api-Key": "abc"}), "the header X-Api-Key holds a secret"),
        (Query("select 1", "x.db"), "“x.db” is no database URL."),
        (Query("select 1", "sqlite:///x.db", lag=3), "there is a lag, but no watermark."),
        (Rows("function"), "“function” is no function."),
        (Rows(3), "“3” is no function."),  # type: ignore[arg-type]
        (Folder("inbox", settled=-1), "settled is -1."),
    ],
)
def test_mistakes_name_the_table_and_the_remedy(source: Any, said: str) -> None:
    (found,) = checked(source)
    assert found.startswith("Table departures: ")
    assert said in found


@pytest.mark.parametrize("source", GOOD, ids=repr)
def test_any_source_may_be_replaced_by_files(source: Source) -> None:
    assert origins.redirect(source, "y.csv", "t") == (Files(str(Path("y.csv").absolute())), [])


def test_the_options_of_csv_stay() -> None:
    for source in (
        Folder("i", delimiter="|", encoding="latin-1"),
        Batches("env:U", delimiter="|", encoding="latin-1"),
    ):
        found, _ = origins.redirect(source, "/y.csv", "t")
        assert found == Files("/y.csv", delimiter="|", encoding="latin-1")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (Batches("https://h/{number}", per_run=2), "http://127.0.0.1:1/{number}"),
        (Batches("https://h/{number}"), "env:OTHER"),
        (Query("select 1", "sqlite:///x.db", watermark="x"), "postgresql://h/d"),
        (Query("select 1", "sqlite:///x.db"), "env:OTHER"),
    ],
)
def test_a_url_takes_the_place_of_one_of_its_kind(source: Batches | Query, text: str) -> None:
    found, mistakes = origins.redirect(source, text, "t")
    assert (found, mistakes) == (replace(source, url=text), [])
    assert isinstance(found, Batches | Query)
    assert found.place == text


@pytest.mark.parametrize(
    ("source", "text", "said"),
    [
        (Files("x.csv"), "http://h/{number}", "cannot take the place of Files"),
        (Query("select 1", "env:U"), "http://h/{number}", "cannot take the place of Query"),
        (Batches("env:U"), "postgresql://h/d", "cannot take the place of Batches"),
        (Rows(items), "env:U", "cannot take the place of Rows"),
        (Query("select 1", "env:U"), "postgresql://u:p4ss@h/d", "holds a password"),
        (Batches("env:U"), "http://h/{number}?token=t0k3n", "holds a password"),
    ],
)
def test_other_urls_are_refused_without_their_secrets(source: Source, text: str, said: str) -> None:
    found, (mistake,) = origins.redirect(source, text, "t")
    assert found is source
    assert said in mistake.problem
    assert "p4ss" not in str(mistake) + repr(found)
    assert "t0k3n" not in str(mistake)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://u:p@h:1/a@b/{number}?api_key=k&n=1#f", "http://h:1/a@b/{number}?api_key=***&n=1#f"),
        ("postgresql+psycopg://u:p/w%40@h/d?sslpassword=x", "postgresql+psycopg://h/d?sslpassword=***"),
        ("sqlite:///x.db", "sqlite:///x.db"),
        ("env:NAME", "env:NAME"),
    ],
)
def test_a_url_is_shown_without_secrets(url: str, shown: str) -> None:
    assert public(url) == shown
    assert "p/w" not in repr(Query("select 1", url)) + repr(Batches(url))
