"""The page within a service, asked over HTTP: who may see it, which routes there are, what a file may be."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from relevo import keys
from relevo.gradio.origins import Remote
from relevo.gradio.page import Page
from relevo.gradio.run import Standing
from support import paging, service
from support.service import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relevo.workspace import Workspace
    from support.service import Service

pytestmark = pytest.mark.slow
SMALL = 1 << 16
FIELDS = ["2017-07-14 19:35:00", "226", "SCFA", "SKU", "1"]
"""What the widgets hold: the last is a choice by its place."""


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of two workers, with the page."""
    root = tmp_path_factory.mktemp("mounted")
    service.workspace(root)
    variables = {"RELEVO_SERVE__MAX_UPLOAD": str(SMALL), "RELEVO_SERVE__GRADIO": "true"}
    started = service.start(root, workers=2, variables=variables)
    yield started
    assert started.stop() == 0


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Workspace]]:
    """A service that wants keys, with the page."""
    root = tmp_path_factory.mktemp("guarded")
    made = service.workspace(root)
    key(made, "read")
    started = service.start(root, "--gradio")
    before = set(Path(tempfile.gettempdir()).glob("relevo-gradio-*"))
    yield started, made
    assert started.stop() == 0
    assert before  # what is uploaded does not outlive the service
    assert len(before & set(Path(tempfile.gettempdir()).glob("relevo-gradio-*"))) < len(before)


def key(made: Workspace, *scopes: str) -> str:
    """Make a key."""
    record, text = keys.create("flights", "", list(scopes), who="test", expires=None)
    made.ledger.keys.add(record)
    return text


def split(text: str) -> str:
    """The id of a key."""
    parts = keys.split(text)
    assert parts is not None
    return parts[0]


def begun(client: httpx.Client, url: str, **headers: str) -> tuple[str, dict[str, Any]]:
    """The address of a page and Gradio's description of it."""
    answer = client.get(url + "/", follow_redirects=True, headers=headers)
    assert answer.status_code == 200, answer.text
    found = re.search(r"window\.gradio_config = (\{.*?\});</script>", answer.text, re.DOTALL)
    assert found is not None
    return str(answer.url).rstrip("/"), json.loads(found[1])


def event(config: dict[str, Any], button: str) -> int:
    """The number of what a button does; of the page's opening, for none."""
    if not button:
        return next(int(one["id"]) for one in config["dependencies"] if one["targets"][0][1] == "load")
    (place,) = [one["id"] for one in config["components"] if one["props"].get("elem_id") == button]
    return next(int(one["id"]) for one in config["dependencies"] if one["targets"] == [[place, "click"]])


def pressed(
    client: httpx.Client, url: str, config: dict[str, Any], button: str, data: Sequence[Any]
) -> list[Any]:
    """Press a button, as the browser does."""
    body = {"fn_index": event(config, button), "data": list(data), "session_hash": "test"}
    answer = client.post(f"{url}/gradio_api/run/predict", json=body)
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["data"]
    return found


def given(client: httpx.Client, url: str, name: str, content: bytes) -> dict[str, Any]:
    """Upload a file; gives what the browser then says of it."""
    answer = client.post(f"{url}/gradio_api/upload", files={"files": (name, content)})
    assert answer.status_code == 200, answer.text
    (path,) = answer.json()
    return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}


def test_each_worker_answers_for_each_page(mounted: Service) -> None:
    """There is no session: whichever worker a connection meets has what it needs."""
    url, config = begun(mounted.client, f"{mounted.url}/gradio")
    for _ in range(8):
        with httpx.Client(timeout=30) as another:
            said = pressed(another, url, config, "predict", FIELDS)[0]
            assert "Answered by version 1.0.0." in said


def test_a_file_of_one_worker_is_scored_by_another(mounted: Service) -> None:
    url, config = begun(mounted.client, f"{mounted.url}/gradio")
    content = b"Fecha-I,Des-I,Emp-I,TIPOVUELO\n2017-07-14 19:35:00,SCFA,SKU,N\nlater,SCFA,SKU,N\n"
    for _ in range(4):
        with (
            httpx.Client(timeout=30) as one,
            httpx.Client(timeout=30) as other,
            httpx.Client(timeout=30) as third,
        ):
            file = given(one, url, "flights.csv", content)
            told, result, _ = pressed(other, url, config, "score", [file])
            assert "2 rows, 1 of them refused." in told
            found = third.get(f"{url}/{result['value']['url']}")
            assert found.status_code == 200
            lines = found.text.splitlines()
            assert (len(lines), lines[0]) == (3, "row,id,probability,decision,label,version,error")
            assert "Fecha-I" in lines[2]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"color,size\nred,1\n", "Fecha-I"),
        ("a.csv", b"", "cannot be read"),
        ("a.csv", bytes(range(256)) * 20, "cannot be read"),
        ("a.jsonl", b'{"Fecha-I": \n', "1 rows, 1 of them refused."),
        ("a.arrow", b"no arrow at all", "cannot be read"),
        ("a.parquet", b"PAR1", "is no format that is taken here"),
        ("<b>.exe", b"MZ", "is no format that is taken here"),
    ],
    ids=["wrong columns", "empty", "binary", "half a line", "not Arrow", "Parquet", "foreign"],
)
def test_a_file_that_is_none_is_refused_in_words(
    mounted: Service, name: str, content: bytes, said: str
) -> None:
    url, config = begun(mounted.client, f"{mounted.url}/gradio")
    told = pressed(mounted.client, url, config, "score", [given(mounted.client, url, name, content)])[0]
    assert said in told
    assert "<b>" not in told


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "undeclared"])
def test_a_huge_file_is_refused(mounted: Service, declared: bool) -> None:
    url, _ = begun(mounted.client, f"{mounted.url}/gradio")
    part = b'--x\r\ncontent-disposition: form-data; name="files"; filename="a.csv"\r\n\r\n'
    pieces = [part, *[b"1,2\n" * 10_000] * 10, b"\r\n--x--\r\n"]
    headers = {"content-type": "multipart/form-data; boundary=x"}
    content = b"".join(pieces) if declared else iter(pieces)
    try:
        answer = mounted.client.post(f"{url}/gradio_api/upload", headers=headers, content=content)
    except httpx.TransportError:
        assert not declared
    else:
        assert answer.status_code in (400, 413)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (0, "yesterday", "must be a date and time such as"),
        (0, None, "is required and absent."),
        (0, 1e300, "must be a date and time such as"),
        (2, "scfa", "must match the pattern"),
        (2, {"a": [1]}, "must be a text."),
        (4, "7", "must be one of: I, N."),
        (4, "<script>alert(1)</script>", "must be one of: I, N."),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(mounted: Service, place: int, value: Any, said: str) -> None:
    url, config = begun(mounted.client, f"{mounted.url}/gradio")
    fields: list[Any] = [*FIELDS]
    fields[place] = value
    answer, _, _, *beside = pressed(mounted.client, url, config, "predict", fields)
    assert "The request breaks the contract." in answer
    assert [number for number, one in enumerate(beside) if one["visible"]] == [place]
    assert said in beside[place]["value"]
    assert "<script" not in answer + beside[place]["value"]


def test_the_language_is_the_browsers(mounted: Service) -> None:
    url, config = begun(mounted.client, f"{mounted.url}/gradio", **{"accept-language": "es-CL,es;q=0.9"})
    assert url.split("/")[-2] == "es"
    shown = json.dumps(config, ensure_ascii=False)
    assert "Una predicción" in shown
    answer, _, _, *beside = pressed(mounted.client, url, config, "predict", ["", *FIELDS[1:]])
    assert "La solicitud" in answer
    assert beside[0]["value"].count("es obligatorio") + beside[0]["value"].count("falta") >= 1
    assert "Respondió la versión 1.0.0." in pressed(mounted.client, url, config, "predict", FIELDS)[0]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "gradio_api/info"),
        ("GET", "gradio_api/queue/data"),
        ("POST", "gradio_api/queue/join"),
        ("POST", "gradio_api/call/predicted"),
        ("GET", "gradio_api/heartbeat/x"),
        ("GET", "gradio_api/proxy=http://127.0.0.1:1/"),
        ("GET", "gradio_api/file=http://127.0.0.1:1/"),
        ("GET", "gradio_api/file=/etc/passwd"),
        ("GET", "gradio_api/runs"),
        ("GET", "config"),
        ("GET", "monitoring"),
        ("GET", "manifest.json"),
        ("POST", "login"),
        ("GET", "assets/../../../../../etc/passwd"),
    ],
)
def test_only_the_routes_that_the_page_needs_are_there(mounted: Service, method: str, path: str) -> None:
    url, _ = begun(mounted.client, f"{mounted.url}/gradio")
    assert mounted.client.request(method, f"{url}/{path}").status_code == 404


def test_files_of_the_machine_are_no_input(mounted: Service, tmp_path: Path) -> None:
    """A path that was posted in place of an upload's is neither read nor deleted."""
    url, config = begun(mounted.client, f"{mounted.url}/gradio")
    secret = tmp_path / "secret.csv"
    secret.write_text("Fecha-I,Des-I,Emp-I,TIPOVUELO\n2017-07-14 19:35:00,SCFA,SKU,N\n")
    strange = (str(secret), "/etc/passwd", "http://127.0.0.1:1/a.csv", {"path": str(secret)}, 1)
    for path in strange:
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        body = {"fn_index": event(config, "score"), "data": [file], "session_hash": "x"}
        answer = mounted.client.post(f"{url}/gradio_api/run/predict", json=body)
        assert answer.status_code == 400
    assert secret.exists()
    mine = Path(given(mounted.client, url, "a.csv", b"x")["path"]).parent
    body["data"] = [{**file, "path": f"{mine}/../{mine.name}/../../{secret}"}]
    assert mounted.client.post(f"{url}/gradio_api/run/predict", json=body).status_code == 400
    assert mounted.client.post(f"{url}/gradio_api/run/predict", content=b"{" * 3_000_000).status_code == 400


def test_other_sites_get_nothing(mounted: Service) -> None:
    """Neither by a form of theirs, nor by reading what comes back."""
    url, config = begun(mounted.client, f"{mounted.url}/gradio")
    body = {"fn_index": event(config, "predict"), "data": FIELDS}
    foreign = {"sec-fetch-site": "cross-site", "origin": "https://example.org"}
    assert mounted.client.post(f"{url}/gradio_api/run/predict", json=body, headers=foreign).status_code == 403
    page = mounted.client.get(f"{url}/", headers={"origin": "https://example.org"})
    assert not [name for name in page.headers if name.startswith("access-control-")]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http" not in re.sub(
        r"https?://127\.0\.0\.1:\d+", "", re.sub(r"<script>.*?</script>", "", page.text)
    )


def test_a_page_of_another_contract_leads_to_todays(mounted: Service) -> None:
    answer = mounted.client.get(f"{mounted.url}/gradio/en/0123456789ab/")
    assert (answer.status_code, answer.headers["location"]) == (303, "../../")
    gone = mounted.client.post(f"{mounted.url}/gradio/en/0123456789ab/gradio_api/run/predict", json={})
    assert gone.status_code == 410


def test_the_page_is_for_those_who_may_predict(guarded: tuple[Service, Workspace]) -> None:
    """Without a key there is a form and nothing else; what is asked then is asked with the visitor's own."""
    running, made = guarded
    page = f"{running.url}/gradio"
    asker, reader = key(made, "predict"), key(made, "read")  # in this order: who knows the second knows both
    service.until(lambda: running.client.get("/metrics", headers=bearer(reader)).status_code == 200)
    with httpx.Client(timeout=30) as visitor:
        first = visitor.get(page, follow_redirects=True)
        assert first.status_code == 401
        assert 'type="password"' in first.text
        assert "Fecha-I" not in first.text
        for wrong, said in (
            ("nonsense", "is not good"),
            (reader, "lacks the scope"),
            ("", "A key is needed"),
        ):
            again = visitor.post(f"{page}/login", data={"key": wrong}, follow_redirects=True)
            assert (again.status_code, said in again.text) == (401, True)
            assert not visitor.cookies
        found = visitor.post(f"{page}/login", data={"key": asker})
        cookie = found.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        url, config = begun(visitor, page)
        assert "Answered by version 1.0.0." in pressed(visitor, url, config, "predict", FIELDS)[0]
        with httpx.Client(timeout=30) as stranger:
            assert stranger.get(f"{url}/").headers["location"] == "../../"
            for path in ("gradio_api/run/predict", "gradio_api/upload"):
                assert stranger.post(f"{url}/{path}", json={}).status_code == 401
        made.ledger.keys.revoke("flights", split(asker))
        service.until(lambda: visitor.get(f"{url}/").status_code != 200)
        body = {"fn_index": event(config, "predict"), "data": FIELDS}
        assert visitor.post(f"{url}/gradio_api/run/predict", json=body).status_code == 401


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def test_a_visitors_limits_hold_on_the_page(guarded: tuple[Service, Workspace]) -> None:
    """The door counts what is asked through the page among what the key may ask; looking at it costs nothing."""
    running, made = guarded
    record, text = keys.create("flights", "", ["predict"], who="test", expires=None, rate=1 / 3600)
    made.ledger.keys.add(record)
    with httpx.Client(timeout=60, headers=bearer(text)) as visitor:
        service.until(lambda: visitor.get(f"{running.url}/gradio/").status_code == 303)
        url, config = begun(visitor, f"{running.url}/gradio")
        answers = [pressed(visitor, url, config, "predict", FIELDS)[0] for _ in range(2)]
        assert visitor.get(f"{url}/").status_code == 200
    assert "Answered by version" in answers[0]
    assert "There are too many requests." in answers[1]


def shows(visitor: httpx.Client, url: str, config: dict[str, Any], version: str) -> None:
    """Wait until the heading and an answer, of the page as it was opened, are of a version."""

    def now(button: str, data: list[str], words: str) -> bool:
        return words in pressed(visitor, url, config, button, data)[0]

    service.until(lambda: now("", [], f"Version {version} answers."))
    service.until(lambda: now("predict", FIELDS, f"Answered by version {version}."))


def test_a_page_waits_for_a_version_and_follows_promotions(tmp_path: Path) -> None:
    """In process, from before the first version on."""
    made = service.workspace(tmp_path, {}, SECOND, release="")
    with paging.shown(tmp_path / "page.txt", str(tmp_path)) as address, httpx.Client(timeout=60) as visitor:
        waiting = visitor.get(address)
        assert (waiting.status_code, "There is no model to answer with yet" in waiting.text) == (503, True)
        service.promote(made, "1.0.0")
        service.until(lambda: visitor.get(address).status_code == 303)
        url, config = begun(visitor, address)
        shows(visitor, url, config, "1.0.0")
        service.promote(made, "1.0.1")
        shows(visitor, url, config, "1.0.1")


def test_a_page_of_a_service_follows_it_and_outlives_it(tmp_path: Path) -> None:
    """A promotion there shows here; the service away is said in words; back again it answers on the same page."""
    root = tmp_path / "served"
    made = service.workspace(root, {}, SECOND)
    text = key(made, "predict", "read")
    (tmp_path / "key").write_text(text + "\n")
    running = service.start(root)
    port = running.url.rpartition(":")[2]
    arguments = ["--url", running.url, "--key-file", str(tmp_path / "key")]
    with paging.shown(tmp_path / "page.txt", *arguments) as address, httpx.Client(timeout=60) as visitor:
        url, config = begun(visitor, address)
        shows(visitor, url, config, "1.0.0")
        service.promote(made, "1.0.1")
        shows(visitor, url, config, "1.0.1")
        assert running.stop() == 0
        answer, _, _, *beside = pressed(visitor, url, config, "predict", FIELDS)
        assert "The service does not answer. Nothing was lost" in answer
        assert not any(one["visible"] for one in beside)
        file = given(visitor, url, "a.csv", b"Fecha-I\n2017-07-14\n")
        assert "The service does not answer." in pressed(visitor, url, config, "score", [file])[0]
        service.until(lambda: visitor.get(address, follow_redirects=True).status_code == 503)
        assert 'http-equiv="refresh"' in visitor.get(address, follow_redirects=True).text
        again = service.start(root, "--port", port)
        try:
            shows(visitor, url, config, "1.0.1")
        finally:
            assert again.stop() == 0
    assert text not in (tmp_path / "page.txt").read_text()


def test_nobody_far_away_asks_with_the_pages_own_key(tmp_path: Path) -> None:
    """On another address than loopback the page's key reads the contract; visitors need their own."""
    root = tmp_path / "served"
    made = service.workspace(root)
    own, theirs = key(made, "predict", "read"), key(made, "predict")
    (tmp_path / "key").write_text(own)
    running = service.start(root)
    try:
        arguments = ["--url", running.url, "--key-file", str(tmp_path / "key"), "--host", "0.0.0.0"]  # noqa: S104
        with paging.shown(tmp_path / "page.txt", *arguments) as shown, httpx.Client(timeout=30) as visitor:
            address = shown.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
            assert visitor.get(address).status_code == 401
            visitor.post(f"{address}/login", data={"key": theirs})
            url, config = begun(visitor, address)
            assert "Answered by version 1.0.0." in pressed(visitor, url, config, "predict", FIELDS)[0]
    finally:
        assert running.stop() == 0


def test_a_page_without_a_key_of_its_own_says_what_a_visitors_key_lacks(tmp_path: Path) -> None:
    """The contract is read with the visitor's key then; and while no version answers, that is what is said."""
    made = service.workspace(tmp_path, release="")
    whole, predict = key(made, "predict", "read"), key(made, "predict")
    running = service.start(tmp_path)

    def opened(own: str, visitors: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            page = Page(Remote(running.url, own, shared=False), prefix="", max_upload=SMALL)
            transport = httpx.ASGITransport(Standing(page, None, ""))
            async with httpx.AsyncClient(transport=transport, base_url="http://page") as visitor:
                return await visitor.get("/", headers={"authorization": f"Bearer {visitors}"})

        return asyncio.run(ask())

    try:
        none = opened("", whole)
        assert (none.status_code, "There is no model to answer with yet" in none.text) == (503, True)
        lacking = opened("", predict)
        service.promote(made, "1.0.0")
        service.until(lambda: opened("", whole).status_code == 303)
        for answer in (lacking, opened("", predict)):
            assert (answer.status_code, "It lacks the scope “read”." in answer.text) == (401, True)
            assert 'name="key"' in answer.text
            assert 'http-equiv="refresh"' not in answer.text
        assert opened(whole, predict).status_code == 303
        own = opened(predict, predict)
        assert (own.status_code, "the page&#x27;s own key" in own.text) == (503, True)
    finally:
        assert running.stop() == 0
