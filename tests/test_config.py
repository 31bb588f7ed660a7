from __future__ import annotations

import dataclasses
import inspect
import math
import pwd
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from prefactor_agent import config
from prefactor_agent.config import ConfigurationError, configure
from prefactor_agent.conversation import stages


@pytest.mark.parametrize(
    "option, value, wanted",
    [
        ("disabled", "no", "True or False"),
        ("capture_content", "false", "True or False"),
        ("allow_http", 1, "True or False"),
        ("states", "on", "True or False"),
        ("flush_timeout", "5", "0 or more seconds"),
        ("flush_timeout", math.nan, "0 or more seconds"),
        ("keep_days", -1, "0 or more days"),
        ("keep_days", False, "0 or more days"),  # it is 0 to Python, and would remove all calls
        ("keep_bytes", "1GB", "0 or more bytes"),
        ("redact_keys", "password", "a list of texts"),
        ("redact_keys", [1], "a list of texts"),
        ("redact_patterns", r"\d+", "a list of texts"),
        ("hide_tools", "look_up", "a list of texts"),
        ("redact", "all", "a function"),
        ("on_terminate", 3, "a function"),
        ("on_budget_exceeded", 3, "a function"),
        ("budgets", ["perceived"], "a dict of seconds by stage"),
        ("rates", [2.5], "a dict of rates by model"),
        ("quality_schemas", ["csat"], "a dict of quality schemas by name"),
        ("purpose", "production", "live, smoke_test or eval"),
        ("journal", 5, "a path"),
        ("api_url", 3, "a text"),
        ("agent_id", 3, "a text"),
        ("agent_version", 4, "a text"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(option: str, value: Any, wanted: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configure(**{"states": True, option: value})
    assert str(refused.value) == f"{option} must be {wanted}, not {value!r}"
    assert config.settings().states is False, "nothing of it was taken"


ROOT = Path(__file__).parent.parent


def test_what_can_be_chosen_is_what_the_table_of_settings_has() -> None:
    parameters = [*inspect.signature(configure).parameters]
    assert parameters == [*config.TABLE]
    known = [one.name for one in dataclasses.fields(config.Settings)]
    assert [name for name in known if name not in config.TABLE] == [
        "flush_interval",
        "agent_name",
        "schemas",
    ], "what is not for users"
    assert configure.__doc__ is not None
    described = re.findall(r"^        (\w+): \S", configure.__doc__, re.MULTILINE)
    assert described == [*parameters, "ConfigurationError"]


def documented(file: str) -> dict[str, str | None]:
    """The settings in the tables of a document, each with its variable."""
    rows = [line.split("|") for line in (ROOT / file).read_text().splitlines() if "| `" in line]
    return {
        name: next(iter(re.findall(r"`(PREFACTOR_\w+)`", row[2])), None)
        for row in rows
        for name in re.findall(r"^ `(\w+)` $", row[1])
        if name in config.TABLE
    }


def test_each_setting_is_documented_beside_its_variable() -> None:
    variables = {name: setting.variable for name, setting in config.TABLE.items()}
    assert documented("docs/settings.md") == variables
    some = documented("README.md")
    assert some and some.items() <= variables.items()


@pytest.mark.parametrize(
    "name", [name for name, setting in config.TABLE.items() if setting.variable]
)
def test_each_variable_is_read_and_what_is_chosen_wins(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    default = getattr(config.Settings(journal=tmp_path), name)
    flag = isinstance(default, bool)
    text = str(not default).lower() if flag else str(tmp_path / "environment")
    variable = config.TABLE[name].variable
    assert variable is not None
    monkeypatch.setenv(variable, text)
    found = getattr(config.settings(), name)
    assert found != default
    configure(**{name: default if flag else str(tmp_path / "chosen")})
    assert getattr(config.settings(), name) != found


def test_a_flag_that_is_neither_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFACTOR_CAPTURE_CONTENT", "no way")
    with pytest.raises(ConfigurationError) as refused:
        config.settings()
    assert str(refused.value) == "PREFACTOR_CAPTURE_CONTENT must be true or false, not 'no way'"


def test_a_token_of_the_wrong_kind_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as refused:
        configure(api_token=b"hunter2")  # type: ignore[arg-type]
    assert str(refused.value) == "api_token must be a text"


@pytest.mark.parametrize(
    "budgets, why",
    [
        (
            {"percieved": 1},
            "'percieved' is no stage: perceived, pickup, or one of an answer's that docs/latency.md"
            " names",
        ),
        ({"tool:": 1}, "'tool:' is no stage"),
        ({"perceived": "1"}, "perceived must be 0 or more seconds, not '1'"),
        ({"llm_ttft": -1}, "llm_ttft must be 0 or more seconds, not -1"),
    ],
)
def test_a_budget_that_would_never_be_exceeded_is_refused(budgets: Any, why: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configure(budgets=budgets)
    assert str(refused.value).startswith(f"budgets: {why}")


@pytest.mark.parametrize(
    "rates, why",
    [
        ({"gpt-4o": 2.5}, "'gpt-4o' must have a dict of US dollars by unit"),
        ({"gpt-4o": {}}, "'gpt-4o' must have a dict of US dollars by unit"),
        ({"gpt-4o": {"in": 2.5}}, "gpt-4o has no unit 'in': there are input, cached_input,"),
        ({"nova-3": {"minute": -1}}, "minute of nova-3 must be 0 or more US dollars, not -1"),
        ({"nova-3": {"minute": "1"}}, "minute of nova-3 must be 0 or more US dollars, not '1'"),
    ],
)
def test_a_rate_that_could_not_be_used_is_refused(rates: Any, why: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configure(rates=rates)
    assert str(refused.value).startswith(f"rates: {why}")


def test_each_stage_can_have_a_budget() -> None:
    names = [*(name for name in stages.ORDER if name != stages.TOOL), "tool:look_up", "perceived"]
    names += ["llm_queue_2", "llm_ttft_10", "llm_tool_call_2"]
    configure(budgets=dict.fromkeys(names, 1.0))
    assert config.settings().budgets == dict.fromkeys(names, 1.0)


def test_what_is_empty_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of ``configure(api_token=os.environ.get("MY_TOKEN", ""))``."""
    monkeypatch.setenv("PREFACTOR_AGENT_ID", "from-the-environment")
    monkeypatch.delenv("PREFACTOR_JOURNAL")
    configure(api_token="", agent_id="", journal="")
    chosen = config.settings()
    assert chosen.api_token is None
    assert not chosen.delivers
    assert chosen.agent_id == "from-the-environment"
    assert chosen.journal == config.default_journal()


def test_lists_of_any_kind_and_paths_are_taken(tmp_path: Path) -> None:
    configure(redact_keys={"Password"}, hide_tools=("pay",), redact_patterns=["x+"])
    configure(journal=tmp_path / "j.db")
    chosen = config.settings()
    assert chosen.redact_keys == {"password"}
    assert (chosen.hide_tools, chosen.redact_patterns) == ({"pay"}, ("x+",))
    assert chosen.journal == tmp_path / "j.db"


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user: no ``HOME``, and no entry in passwd."""

    def unknown(*_: object) -> None:
        raise KeyError

    for name in ("HOME", "XDG_STATE_HOME", "PREFACTOR_JOURNAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(pwd, "getpwnam", unknown)


def test_without_a_home_directory_a_journal_can_be_chosen(
    homeless: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        config.settings()
    assert str(refused.value) == (
        "no home directory is known for ~/.local/state: set PREFACTOR_JOURNAL to an absolute path"
    )
    assert config.settings(tmp_path / "given.db").journal == tmp_path / "given.db"
    monkeypatch.setenv("PREFACTOR_JOURNAL", str(tmp_path / "environment.db"))
    assert config.settings().journal == tmp_path / "environment.db"
    monkeypatch.delenv("PREFACTOR_JOURNAL")
    configure(journal=tmp_path / "chosen.db")
    assert config.settings().journal == tmp_path / "chosen.db"


def test_a_home_directory_that_nobody_knows_is_refused(homeless: None) -> None:
    with pytest.raises(ConfigurationError, match="no home directory is known for ~nobody/j"):
        configure(journal="~nobody/j.db")


def test_a_journal_stays_where_it_is_when_the_program_goes_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PREFACTOR_JOURNAL", "calls/j.db")
    before = config.settings().journal
    monkeypatch.chdir(tmp_path)
    assert config.settings().journal == before == config._STARTED_IN / "calls" / "j.db"
    configure(journal=":memory:")
    assert config.settings().journal == tmp_path / ":memory:", "a file as any other"


def test_a_working_directory_that_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    configure(journal=tmp_path / "j.db")
    with pytest.raises(ConfigurationError) as refused:
        configure(journal="j.db")
    assert str(refused.value) == (
        "j.db is relative, and the working directory is gone (No such file or directory): "
        "set PREFACTOR_JOURNAL to an absolute path"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="others have no XDG_STATE_HOME")
def test_a_relative_state_directory_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The XDG Base Directory Specification: such a path is invalid, and to be ignored."""
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    assert config.default_journal() == Path("/home/me/.local/state/prefactor-agent/journal.db")
    monkeypatch.setenv("XDG_STATE_HOME", "/var/state")
    assert config.default_journal() == Path("/var/state/prefactor-agent/journal.db")


@pytest.mark.parametrize(
    "name, entry, why",
    [
        ("livekit:call", {"schema": {}}, "'livekit:call' is no name for a schema of yours"),
        (" ", {"schema": {}}, "' ' is no name for a schema of yours"),
        ("csat", {"type": "object"}, "csat must be a dict with a JSON schema as its schema"),
        ("csat", {"schema": {}, "summary": "x"}, "csat: a quality schema has no 'summary'"),
    ],
)
def test_a_quality_schema_that_cannot_be_registered_is_refused(
    name: str, entry: Any, why: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configure(quality_schemas={name: entry})
    assert str(refused.value) == f"quality_schemas: {why}"
