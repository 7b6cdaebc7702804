"""Dashboards and alert rules: whole, in both languages, and about nothing that a real service does not say."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import promql_parser
import pytest
import yaml

from relevo.export import observing
from relevo.texts import speaking
from support import small, watched
from support.service import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.service import Service

FILES = observing.files(small.definition(), ["127.0.0.1:1", "127.0.0.1:2"], key_file="/run/secrets/metrics")
DASHBOARDS = [path for path in FILES if path.endswith(".json")]
UNITS = {"short", "reqps", "s", "bytes", "percentunit"}
NOT_HERE = {"relevo_lookup_age_seconds", "relevo_lookup_rows", "relevo_lookup_missing_total"}
"""Of histories, which the small project has none of."""


@cache
def dashboard(path: str) -> Any:
    return json.loads(FILES[path])


def panels(path: str) -> list[Any]:
    return [panel for panel in dashboard(path)["panels"] if panel["type"] != "row"]


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(FILES["prometheus/rules.yml"])["groups"]
    return list(group["rules"])


def expressions() -> list[str]:
    asked = [target["expr"] for path in DASHBOARDS for panel in panels(path) for target in panel["targets"]]
    filled = [text.replace("$__rate_interval", "1m").replace("$job", "relevo-flights") for text in asked]
    return [*filled, *(rule["expr"] for rule in rules())]


def names(expression: Any) -> Iterator[str]:
    """The metrics that an expression asks for."""
    yield from re.findall(r"\b(?:relevo|process)_[a-z_]+|\bup\b", re.sub(r'"[^"]*"', "", str(expression)))


@pytest.mark.parametrize("path", DASHBOARDS)
def test_a_dashboard_is_whole(path: str) -> None:
    found = dashboard(path)
    assert found["schemaVersion"] >= 36
    assert {one["name"] for one in found["templating"]["list"]} == {"datasource", "job"}
    numbers = [panel["id"] for panel in found["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("path", DASHBOARDS)
def test_every_panel_says_what_it_shows_and_in_which_unit(path: str) -> None:
    for panel in panels(path):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"]
        assert panel["description"].endswith((".", "?")), panel["title"]
        assert defaults["unit"] in UNITS
        assert panel["targets"]
        assert next(step["value"] for step in defaults["thresholds"]["steps"]) is None
        values = [step["value"] for step in defaults["thresholds"]["steps"][1:]]
        assert values == sorted(values)
        for target in panel["targets"]:
            assert target["legendFormat"]


def test_the_ledger_that_is_away_is_red_and_many_restarts_too() -> None:
    shown = {panel["title"]: panel for panel in panels("grafana/dashboards/relevo-service.json")}
    steps = {
        title: [
            (step["value"], step["color"])
            for step in shown[title]["fieldConfig"]["defaults"]["thresholds"]["steps"]
        ]
        for title in ("The ledger answers", "Workers started in place of dead ones")
    }
    assert steps["The ledger answers"] == [(None, "red"), (0.5, "orange"), (1, "green")]
    assert steps["Workers started in place of dead ones"] == [(None, "green"), (1, "orange"), (5, "red")]


def test_every_expression_is_promql() -> None:
    for expression in expressions():
        promql_parser.parse(expression)


def test_every_rule_has_a_remedy_and_a_severity() -> None:
    found = rules()
    assert len({rule["alert"] for rule in found}) == len(found) >= 14
    for rule in found:
        assert rule["labels"]["severity"] in {"page", "warn"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_in_spanish_the_titles_are_other_ones_and_the_questions_the_same() -> None:
    with speaking("es"):
        spanish = observing.files(small.definition(), ["127.0.0.1:1"])
    for path in DASHBOARDS:
        ours, theirs = dashboard(path)["panels"], json.loads(spanish[path])["panels"]
        for one, other in zip(ours, theirs, strict=True):
            assert one["title"] != other["title"]
            assert [t["expr"] for t in one.get("targets", [])] == [
                t["expr"] for t in other.get("targets", [])
            ]
    assert "El servicio no responde a Prometheus." in spanish["prometheus/rules.yml"]


def test_prometheus_is_told_where_the_instances_and_the_key_are() -> None:
    found = yaml.safe_load(FILES["prometheus/prometheus.yml"])
    (job,) = found["scrape_configs"]
    assert job["job_name"] == "relevo-flights"
    assert job["authorization"] == {"credentials_file": "/run/secrets/metrics"}
    assert job["static_configs"] == [{"targets": ["127.0.0.1:1", "127.0.0.1:2"]}]
    source = yaml.safe_load(FILES["grafana/provisioning/datasources/prometheus.yml"])
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    provider = yaml.safe_load(FILES["grafana/provisioning/dashboards/relevo.yml"])
    assert provider["providers"][0]["options"]["path"] == observing.GRAFANA_FOLDER


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with watched.busy(tmp_path_factory.mktemp("watched")) as started:
        until(lambda: {"relevo_alerts", "relevo_feature_values_total"} <= sampled(started))
        yield started


def sampled(running: Service) -> set[str]:
    """The metrics that have a sample."""
    text = running.client.get("/metrics").text
    return set(re.findall(r"^([a-z_]+)[{ ]", text, flags=re.MULTILINE))


@pytest.mark.slow
def test_every_metric_that_is_asked_for_is_said_by_a_real_service(running: Service) -> None:
    used = {name for expression in expressions() for name in names(expression)}
    assert len(used) > 30
    text = running.client.get("/metrics").text
    assert used - sampled(running) - {"up"} == NOT_HERE
    assert all(f"# TYPE {name} " in text for name in NOT_HERE)


@pytest.mark.skipif(watched.PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
def test_promtool_takes_the_files(tmp_path: Path) -> None:
    for name in ("rules.yml", "prometheus.yml"):
        (tmp_path / name).write_text(FILES[f"prometheus/{name}"])
    (tmp_path / "metrics").write_text("key")
    config = (tmp_path / "prometheus.yml").read_text().replace("/run/secrets", str(tmp_path))
    (tmp_path / "prometheus.yml").write_text(config)
    done = subprocess.run(
        [str(watched.PROMTOOL), "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules())} rules found" in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(watched.PROMETHEUS is None, reason="prometheus is not installed (Debian: prometheus)")
def test_a_real_prometheus_answers_every_panel_and_judges_every_rule(
    running: Service, tmp_path: Path
) -> None:
    target = running.url.removeprefix("http://")
    made = observing.files(small.definition(), [target])
    (tmp_path / "rules.yml").write_text(made["prometheus/rules.yml"])
    config = made["prometheus/prometheus.yml"].replace("_interval: 15s", "_interval: 1s")
    with watched.prometheus(tmp_path, config) as url:
        until(lambda: bool(watched.query(url, 'up{job="relevo-flights"} == 1')))
        with suppress(AssertionError):
            until(lambda: not _empty(running, url))
        assert _empty(running, url) == []
        until(lambda: _evaluated(url) == len(rules()))
        until(lambda: _firing(url) >= {"RelevoRunFailed", "RelevoAlert"})
        assert not _firing(url) & {"RelevoDown", "RelevoNoModel", "RelevoFailures", "RelevoLedgerAway"}


def _empty(running: Service, url: str) -> list[str]:
    """The panels that show nothing; they are of the last minute, so the service is asked each time."""
    watched.ask(running)
    found = []
    for panel in (panel for path in DASHBOARDS for panel in panels(path)):
        answers = [watched.query(url, _filled(target["expr"])) for target in panel["targets"]]
        about = {name for target in panel["targets"] for name in names(target["expr"])}
        if not any(answers) and not about & NOT_HERE:
            found.append(panel["title"])
    return found


def _firing(url: str) -> set[str]:
    return {one["metric"]["alertname"] for one in watched.query(url, 'ALERTS{alertstate="firing"}')}


def _filled(expression: str) -> str:
    return expression.replace("$__rate_interval", "1m").replace("$job", "relevo-flights")


def _evaluated(url: str) -> int:
    import urllib.request

    with urllib.request.urlopen(f"{url}/api/v1/rules", timeout=30) as answer:
        found = json.load(answer)["data"]["groups"]
    health = [rule["health"] for group in found for rule in group["rules"]]
    assert "err" not in health
    return health.count("ok")
