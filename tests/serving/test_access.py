"""Keys and tokens as a service takes them."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from relevo import keys
from relevo.errors import LedgerError
from relevo.service import ServiceSettings
from relevo.serving.access import Access
from relevo.serving.follow import POLL
from relevo.serving.problems import Refusal
from relevo.serving.tokens import Tokens
from support import service
from support.loopback import answering
from support.service import GOOD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relevo.workspace import Workspace

pytestmark = pytest.mark.xdist_group("access")  # one process makes what they share

ISSUER, AUDIENCE = "https://id.example", "relevo"
SIGNER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key(workspace: Workspace, *scopes: str, **options: Any) -> tuple[str, str]:
    """Make a key, and return its id and its text."""
    values: dict[str, Any] = {"who": "test", "expires": timedelta(days=1)} | options
    made, text = keys.create("flights", "test", scopes, **values)
    workspace.ledger.keys.add(made)
    return made.id, text


def token(signer: Any = SIGNER, kid: str = "one", algorithm: str = "RS256", **changes: Any) -> str:
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ana",
        "exp": time.time() + 60,
        "scope": "predict other",
    } | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, signer, algorithm=algorithm, headers={"kid": kid})


def write_keys(path: Path, **signers: Any) -> None:
    """Write a key set with the public halves."""
    found = []
    for kid, signer in signers.items():
        algorithm = jwt.algorithms.RSAAlgorithm
        found.append(
            json.loads(algorithm.to_jwk(signer.public_key())) | {"kid": kid, "alg": "RS256", "use": "sig"}
        )
    path.write_text(json.dumps({"keys": found}))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("guarded")
    made = service.workspace(root)
    write_keys(root / "jwks.json", one=SIGNER)
    (root / "relevo.toml").write_text(
        f'[serve]\njwks = "jwks.json"\nissuer = "{ISSUER}"\naudience = "{AUDIENCE}"\nleeway = 0\n'
        'access_log = "access.jsonl"\n'
    )
    return made


@pytest.fixture(scope="module")
def guarded(place: Workspace) -> Iterator[service.Service]:
    started = service.start(place.project)
    yield started
    assert started.stop() == 0


def status(asked: service.Service, presented: str) -> tuple[int, str]:
    answer = asked.ask(GOOD, authorization=f"Bearer {presented}")
    kind = answer.json().get("type", "").partition("#")[2] if answer.status_code != 200 else ""
    return answer.status_code, kind


def test_without_a_key_nobody_is_answered(guarded: service.Service) -> None:
    answer = guarded.ask(GOOD)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="relevo"'
    assert guarded.client.get("/metrics").status_code == 401
    assert guarded.client.get("/health").status_code == 200
    assert guarded.client.get("/ready").status_code == 200


def test_a_key_does_what_its_scopes_say(place: Workspace, guarded: service.Service) -> None:
    _, predicts = key(place, "predict")
    _, reads = key(place, "read")
    _, all_ = key(place, "admin")
    service.until(lambda: status(guarded, all_)[0] == 200)
    assert status(guarded, predicts) == (200, "")
    assert status(guarded, reads) == (403, "scope")
    sent = {"authorization": f"Bearer {predicts}"}
    assert guarded.client.get("/v1/model", headers=sent).status_code == 403
    assert guarded.client.get("/v1/model", headers={"x-api-key": reads}).status_code == 200


def test_a_revoked_key_is_refused_within_a_second_though_its_head_is_known(
    place: Workspace, guarded: service.Service
) -> None:
    identity, text = key(place, "predict")
    service.until(lambda: status(guarded, text)[0] == 200)
    assert [status(guarded, text)[0] for _ in range(5)] == [200] * 5
    place.ledger.keys.revoke("flights", identity)
    service.until(lambda: status(guarded, text) == (401, "bad-key"))
    assert POLL <= 0.5  # which keeps the promise where nothing else holds the service up


def test_a_new_key_is_checked_once_for_all_who_present_it_at_once(
    place: Workspace, guarded: service.Service
) -> None:
    """A client that opens many connections is not told that the service is busy checking its key."""
    (_, text), (_, last) = key(place, "predict"), key(place, "predict")
    service.until(lambda: status(guarded, last)[0] == 200)  # in this order: who knows the last knows both
    with ThreadPoolExecutor(40) as threads:
        found = [*threads.map(lambda _: status(guarded, text)[0], range(40))]
    assert found == [200] * 40


def test_a_change_of_one_key_has_no_other_checked_anew(place: Workspace) -> None:
    """Whoever is known stays known; whoever was revoked is not, nor is what was read of their heads."""
    access = Access(place, "flights", None)
    (kept, kept_text), (lost, lost_text) = key(place, "predict"), key(place, "predict")
    access.look()

    async def admit(text: str) -> str:
        return (await access.admit([(b"x-api-key", text.encode())], "predict")).id

    assert asyncio.run(admit(kept_text)) == f"key:{kept}"
    assert asyncio.run(admit(lost_text)) == f"key:{lost}"
    before = access.generation
    place.ledger.keys.revoke("flights", lost)
    assert access.look()
    assert access.generation > before
    access.close()  # nothing can be checked any more, only remembered
    assert asyncio.run(admit(kept_text)) == f"key:{kept}"
    with pytest.raises(RuntimeError):
        asyncio.run(admit(lost_text))


def test_a_head_is_known_only_as_it_stands_alone(place: Workspace, guarded: service.Service) -> None:
    """Line ends before a request, which HTTP allows, are no head: nobody may send those instead of a key."""
    _, text = key(place, "predict")
    service.until(lambda: status(guarded, text)[0] == 200)
    body = json.dumps(GOOD).encode()
    head = b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n" + (
        b"x-api-key: %b\r\ncontent-length: %d\r\n\r\n" % (text.encode(), len(body))
    )
    assert spoken(guarded, b"\n\r\n\r\n" + head + body).startswith(b"HTTP/1.1 200")
    assert spoken(guarded, b"\n\r\n\r\n" + body).startswith(b"HTTP/1.1 400")


def spoken(asked: service.Service, data: bytes) -> bytes:
    """What is answered to bytes on a connection of their own."""
    host, _, port = asked.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(data)
        return connection.recv(65536)


def test_an_expired_key_is_refused(place: Workspace, guarded: service.Service) -> None:
    for life in (2, 8, 30):
        _, text = key(place, "predict", expires=timedelta(seconds=life))
        end = time.monotonic() + life
        while not (taken := status(guarded, text)[0] == 200) and time.monotonic() < end:
            time.sleep(0.02)
        if taken:
            break
    assert taken
    service.until(lambda: status(guarded, text) == (401, "bad-key"), life + 60)
    assert status(guarded, key(place, "predict", expires=timedelta(seconds=-1))[1])[0] == 401


def test_a_secret_that_differs_by_one_letter_is_refused(place: Workspace, guarded: service.Service) -> None:
    _, text = key(place, "predict")
    service.until(lambda: status(guarded, text)[0] == 200)
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    assert status(guarded, wrong) == (401, "bad-key")


def test_a_good_token_is_taken(guarded: service.Service) -> None:
    assert status(guarded, token()) == (200, "")
    assert status(guarded, token(scope=["relevo:predict"])) == (200, "")


def test_tokens_that_are_not_good_are_refused(guarded: service.Service) -> None:
    """Expired, not yet valid, of another issuer or for another audience, unsigned, foreign, or lacking a claim."""
    foreign = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = SIGNER.public_key().public_numbers()
    wrong = {
        "expired": token(exp=time.time() - 1),
        "not yet": token(nbf=time.time() + 60),
        "issuer": token(iss="https://evil.example"),
        "audience": token(aud="another"),
        "no expiry": token(exp=None),
        "no subject": token(sub=None),
        "none": token("", algorithm="none"),
        "foreign": token(foreign),
        "unknown kid": token(kid="two"),
        "confused": jwt.encode(
            {"iss": ISSUER, "aud": AUDIENCE, "sub": "a", "exp": time.time() + 60, "scope": "predict"},
            str(public.n).encode() * 2,
            algorithm="HS256",
            headers={"kid": "one"},
        ),
        "another algorithm": token(algorithm="RS512"),
        "curve": token(ec.generate_private_key(ec.SECP256R1()), algorithm="ES256"),
        "rubbish": "a.b.c",
        "cut": token()[:-4],
        "huge": "a" * 9000,
    }
    assert {name: status(guarded, text) for name, text in wrong.items()} == dict.fromkeys(
        wrong, (401, "bad-key")
    )


def test_a_token_without_the_scope_is_refused(guarded: service.Service) -> None:
    assert status(guarded, token(scope="label")) == (403, "scope")
    assert status(guarded, token(scope=None)) == (403, "scope")
    assert status(guarded, token(scope=7)) == (403, "scope")


def test_a_token_ends_while_its_head_is_known(guarded: service.Service) -> None:
    for life in (3, 10, 40):
        text = token(exp=time.time() + life)
        found = [status(guarded, text)[0] for _ in range(3)]
        if found == [200] * 3:
            break
    assert found == [200] * 3
    service.until(lambda: status(guarded, text) == (401, "bad-key"), life + 60)


def test_a_token_that_came_too_early_is_taken_later(tmp_path: Path) -> None:
    """What is remembered of a refusal is forgotten soon."""
    write_keys(tmp_path / "jwks.json", one=SIGNER)
    chosen = ServiceSettings(jwks=str(tmp_path / "jwks.json"), issuer=ISSUER, audience=AUDIENCE, leeway=0)
    access = Access(service.workspace(tmp_path), "flights", Tokens(chosen))
    access.look()

    def admitted(text: str) -> str:
        try:
            return asyncio.run(access.admit([(b"authorization", b"Bearer " + text.encode())], "predict")).id
        except Refusal as refusal:
            return refusal.kind

    for ahead in (3, 10, 30):
        begins = int(time.time()) + ahead
        text = token(nbf=begins)
        if admitted(text) == "bad-key":
            break
    assert admitted(text) == "bad-key"
    time.sleep(max(0.0, begins + 1 - time.time()))
    access._pardoned -= 10
    access.look()
    assert admitted(text) == "token:ana"
    access.close()


def test_two_presented_are_none(guarded: service.Service) -> None:
    good = token()
    answer = guarded.ask(GOOD, authorization=f"Bearer {good}", x_api_key=good)
    assert answer.status_code == 401


def test_new_keys_of_the_provider_are_taken(tmp_path: Path) -> None:
    """A token signed by a key that is not known yet makes the service read the set again, before long."""
    from relevo.serving import tokens

    second = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    write_keys(tmp_path / "jwks.json", one=SIGNER)
    settings = ServiceSettings(jwks=str(tmp_path / "jwks.json"), issuer=ISSUER, audience=AUDIENCE)
    checked = tokens.Tokens(settings)
    assert checked.caller(token(second, kid="two")) is None
    write_keys(tmp_path / "jwks.json", one=SIGNER, two=second)
    assert not checked.look()  # not so soon
    checked._next -= tokens._EVERY
    assert checked.look()
    found = checked.caller(token(second, kid="two"))
    assert found is not None
    assert (found.id, found.scopes) == ("token:ana", frozenset({"predict"}))


def test_no_secret_reaches_a_log(place: Workspace, guarded: service.Service) -> None:
    """Neither the access log nor what the service says holds a key, a token or a body's value."""
    _, text = key(place, "predict")
    service.until(lambda: status(guarded, text)[0] == 200)
    given = token()
    status(guarded, given)
    status(guarded, text[:-1] + "!")
    guarded.ask(
        b'{"Des-I": "secret-destination", "no', authorization=f"Bearer {text}", x_request_id="the-last"
    )
    log = place.project / "access.jsonl"
    service.until(lambda: '"the-last"' in log.read_text())
    said = log.read_text() + guarded.said.read_text()
    assert not any(part in said for part in (text[-30:], given[-30:], "secret-destination"))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["status"] for line in lines} >= {200, 400, 401}
    asked = [line for line in lines if line["path"] == "/v1/predict" and line["status"] == 200][-1]
    assert set(asked) == {"at", "id", "caller", "peer", "method", "path", "status", "ms", "bytes"}
    assert (asked["method"], asked["peer"]) == ("POST", "127.0.0.1")
    assert {line["caller"] for line in lines} >= {"token:ana", ""}


ROUTES = {
    "predict": [
        "POST /v1/predict",
        "POST /v1/predict?explain=true",
        "POST /v1/explain",
        "POST /v1/score",
        "GET /v1/recommend/1",
        "POST /v2/models/flights/infer",
        "POST /v2/models/flights/versions/1.0.0/infer",
    ],
    "label": ["POST /v1/labels"],
    "read": [
        "GET /v1/model",
        "GET /metrics",
        "GET /openapi.json",
        "GET /v2",
        "GET /v2/models/flights",
        "GET /v2/models/flights/ready",
        "GET /nothing",
        "POST //v1/predict",
    ],
}


def test_every_route_wants_its_scope(place: Workspace, guarded: service.Service) -> None:
    """And no other: with any other scope it is 403, without a key 401, and with its own something else."""
    made = {scope: key(place, scope)[1] for scope in ROUTES}
    last = next(reversed(made.values()))
    service.until(lambda: guarded.client.get("/v1/model", headers={"x-api-key": last}).status_code == 200)
    for wanted, routes in ROUTES.items():
        for method, path in (route.split() for route in routes):
            said = guarded.client.request(method, path, json=GOOD).status_code
            assert (path, said) == (path, 401)
            for scope, text in made.items():
                answer = guarded.client.request(method, path, json=GOOD, headers={"x-api-key": text})
                assert (path, scope, answer.status_code == 403) == (path, scope, scope != wanted)
                assert answer.status_code not in {401, 500}


def test_keys_of_the_provider_are_taken_while_the_ledger_is_away(tmp_path: Path) -> None:
    second = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    write_keys(tmp_path / "jwks.json", one=SIGNER)
    chosen = ServiceSettings(jwks=str(tmp_path / "jwks.json"), issuer=ISSUER, audience=AUDIENCE)
    made, checked = service.workspace(tmp_path), Tokens(chosen)
    access = Access(made, "flights", checked)
    access.look()

    async def admit(text: str) -> str:
        return (await access.admit([(b"authorization", b"Bearer " + text.encode())], "predict")).id

    withdrawn = token()
    assert asyncio.run(admit(withdrawn)) == "token:ana"
    write_keys(tmp_path / "jwks.json", two=second)
    checked._next = 0.0
    made.ledger.close()
    made.own.rename(tmp_path / "away")
    with pytest.raises(LedgerError):
        access.look()
    assert asyncio.run(admit(token(second, kid="two"))) == "token:ana"
    with pytest.raises(Refusal, match="bad-key"):
        asyncio.run(admit(withdrawn))
    access.close()


def test_until_the_ledger_was_asked_there_may_be_keys(tmp_path: Path) -> None:
    access = Access(service.workspace(tmp_path), "flights", None)

    async def admit() -> str:
        return (await access.admit([], "predict")).id

    with pytest.raises(Refusal, match="no-key"):
        asyncio.run(admit())
    access.look()
    assert asyncio.run(admit()) == ""
    access.close()


@pytest.mark.parametrize(
    "said",
    [
        b"no HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\nff\r\n{",
    ],
)
def test_a_provider_that_answers_nonsense_stops_no_service(said: bytes) -> None:
    with answering(lambda _: said) as provider:
        chosen = ServiceSettings(jwks=f"{provider.url}/jwks.json", issuer=ISSUER, audience=AUDIENCE)
        assert Tokens(chosen).caller(token()) is None
