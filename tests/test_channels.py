"""Settings of alerts: where they come from, and that secrets stay out of the file and of messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from relevo.channels import AlertSettings, EmailChannel, WebhookChannel
from relevo.errors import ProjectError
from relevo.workspace import Settings

MAIL = '[alerts.email.oncall]\nhost = "smtp.example.com"\nfrom = "a@example.com"\nto = ["b@example.com"]\n'
HOOK = '[alerts.webhooks.ops]\nurl = "https://ops.example.com/x"\n'
SECRET = "hunter2-correct-horse"  # noqa: S105 - made for the test


def read(folder: Path, text: str) -> AlertSettings:
    (folder / "relevo.toml").write_text(text, encoding="utf-8")
    return Settings.read(folder).alerts


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(ProjectError) as error:
        read(folder, text)
    assert SECRET not in str(error.value) + repr(error.value.__cause__)
    return [f"{one.field}: {one.problem}" for one in error.value.mistakes]


def test_without_a_section_there_are_no_channels(tmp_path: Path) -> None:
    settings = read(tmp_path, "")
    assert settings.channels == {}
    assert settings.lasting("escalate_after").total_seconds() == 1800


def test_channels_are_known_by_their_section(tmp_path: Path) -> None:
    chat = '[alerts.apprise.chat]\nurls_file = "chat"\nseverity = "note"\nlanguage = "es"\n'
    settings = read(tmp_path, MAIL + 'severity = "page"\n' + HOOK + 'role = "escalation"\n' + chat)
    assert list(settings.channels) == ["email.oncall", "webhooks.ops", "apprise.chat"]
    assert list(settings.carrying("page")) == [("email.oncall", "en"), ("apprise.chat", "es")]
    assert list(settings.carrying("warn")) == [("apprise.chat", "es")]
    assert list(settings.carrying("page", "escalation")) == [("webhooks.ops", "en")]


def test_a_variable_adds_the_secret_to_what_the_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEVO_ALERTS__EMAIL__ONCALL__PASSWORD", SECRET)
    monkeypatch.setenv("RELEVO_ALERTS__EMAIL__ONCALL__TO", "c@example.com, d@example.com")
    monkeypatch.setenv("RELEVO_ALERTS__WEBHOOKS__OPS__SECRET", SECRET)
    settings = read(tmp_path, MAIL + 'user = "relevo"\n' + HOOK)
    channel, hook = settings.channels["email.oncall"], settings.channels["webhooks.ops"]
    assert isinstance(channel, EmailChannel)
    assert isinstance(hook, WebhookChannel)
    assert channel.password is not None
    assert channel.password.get_secret_value() == SECRET
    assert (channel.host, channel.to) == ("smtp.example.com", ("c@example.com", "d@example.com"))
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_paths_count_from_the_project(tmp_path: Path) -> None:
    text = MAIL + 'password_file = "secrets/smtp"\nca_file = "/etc/ca.pem"\n'
    channel = read(tmp_path, text).at(tmp_path).channels["email.oncall"]
    assert isinstance(channel, EmailChannel)
    assert (channel.password_file, channel.ca_file) == (tmp_path / "secrets" / "smtp", Path("/etc/ca.pem"))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (MAIL + f'password = "{SECRET}"\n', "alerts.email.oncall.password"),
        (HOOK + f'secret = "{SECRET}"\n', "alerts.webhooks.ops.secret"),
        (f'[alerts.apprise.chat]\nurls = "json://{SECRET}"\n', "alerts.apprise.chat.urls"),
    ],
)
def test_a_secret_in_the_file_is_refused(tmp_path: Path, text: str, key: str) -> None:
    (said,) = mistakes(tmp_path, text)
    assert said == f"{key}: a secret must not stand in a file that is shared."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MAIL.replace('host = "smtp.example.com"\n', ""), "alerts.email.oncall.host: it is missing."),
        (MAIL + 'hots = "x"\n', "alerts.email.oncall.hots: there is no such setting."),
        (MAIL + 'severity = "all"\n', "alerts.email.oncall.severity: it cannot be used: Input should be"),
        (
            MAIL + 'security = "none"\nuser = "u"\n',
            "alerts.email.oncall: it cannot be used: a password would",
        ),
        (
            MAIL.replace('"b@', '"b@x\\nBcc: c@x", "b@'),
            "alerts.email.oncall.to.0: it cannot be used: “b@x",
        ),
        (
            HOOK.replace("https", "http"),
            "alerts.webhooks.ops.url: it cannot be used: messages travel by https",
        ),
        (
            HOOK.replace("//", f"//u:{SECRET}@"),
            "alerts.webhooks.ops.url: it cannot be used: it is no URL such as",
        ),
        (
            HOOK.replace("https://ops", "ftp://ops"),
            "alerts.webhooks.ops.url: it cannot be used: it is no URL",
        ),
        (HOOK.replace("webhooks.ops", "webhooks.Ops-1"), "alerts.webhooks.Ops-1.[key]: it cannot be used:"),
        (
            '[alerts]\nescalate_after = "soon"\n',
            "alerts.escalate_after: it cannot be used: “soon” is not a dur",
        ),
        ("[alerts]\nquiet_windows = 0\n", "alerts.quiet_windows: it cannot be used: Input should be greater"),
    ],
)
def test_mistakes_are_named_without_what_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    if "email" in text:
        monkeypatch.setenv("RELEVO_ALERTS__EMAIL__ONCALL__PASSWORD", SECRET)
    (found,) = mistakes(tmp_path, text)
    assert found.startswith(said)


def test_a_variable_that_is_no_json_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEVO_ALERTS", f'{{"{SECRET}')
    (found,) = mistakes(tmp_path, "")
    assert "should hold JSON does not" in found


def test_http_is_for_this_machine(tmp_path: Path) -> None:
    for host in ("localhost:8080", "127.0.0.1", "[::1]:9"):
        read(tmp_path, HOOK.replace("https://ops.example.com", f"http://{host}"))
