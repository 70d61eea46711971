import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer

from bot_core.store.upgrade import upgrade
from bot_runtime.cli.frame import build_app
from bot_runtime.cli.main import main
from support.bots import a_document

TRADINGBOT = [sys.executable, "-m", "bot_runtime"]
#: Processes that stay, so there is nothing to print for programs; and what typer itself adds.
WITHOUT_JSON = {"serve", "run", "notify"}


def leaves(command: Any, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that name it."""
    for name, below in getattr(command, "commands", {}).items():
        yield from leaves(below, *words, name)
    if not hasattr(command, "commands"):
        yield words, command


COMMANDS = dict(leaves(typer.main.get_command(build_app())))
each_command = pytest.mark.parametrize("words", COMMANDS, ids=" ".join)


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'bots.db'}"
    upgrade(url)
    monkeypatch.setenv("DATABASE_URL", url)
    return url


def test_a_reader_that_has_seen_enough_ends_the_command_without_a_traceback(tmp_path: Path) -> None:
    for number in range(400):
        (tmp_path / f"{number}.json").write_text(json.dumps(a_document(frobnicate=1)))
    command = [sys.executable, "-u", "-m", "bot_runtime", "validate", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait(30) in {0, 1}


def test_a_reader_that_is_gone_before_the_first_word_is_no_trouble_either() -> None:
    with subprocess.Popen([*TRADINGBOT, "plugins"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 1


def test_ctrl_c_ends_a_command_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    command = [*TRADINGBOT, "db", "upgrade", "--wait", "600"]
    # A suite that runs in the background of a shell has children who ignore the signal.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heard) as process:  # noqa: PLW1509  # no lock is held
        assert process.stderr is not None
        assert process.stderr.readline().startswith("waiting for the database")
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.stderr.read()
        assert process.wait(30) == 130


@pytest.mark.parametrize(
    "words", [[], ["frobnicate"], ["bots"], ["bots", "frobnicate"], ["--frobnicate"], ["run"], [""]]
)
def test_a_wrong_command_is_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert "sage: tradingbot" in out.err


def test_a_database_that_does_not_answer_is_exit_code_three(monkeypatch, capsys) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:hunter2@127.0.0.1:1/none")
    assert main(["bots", "list"]) == 3
    told = capsys.readouterr().err
    assert "does not answer" in told
    assert "hunter2" not in told


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tradingbot {version('tradingbot-operator')}\n"


def is_a_sentence(text: str) -> bool:
    return not text[0].islower() and text.endswith((".", ")"))


@each_command
def test_every_command_explains_itself_and_each_of_its_options(words: tuple[str, ...], capsys) -> None:
    command = COMMANDS[words]
    assert is_a_sentence(command.help.splitlines()[0]), command.help
    for option in command.params:
        assert option.help, f"{option.name} has no help"
        assert is_a_sentence(option.help), option.help
        flag = getattr(option, "is_flag", False)
        assert flag or option.metavar or option.type_descriptor.choices, (
            f"the help does not say what {option.name} takes"
        )
    names = {name for option in command.params for name in option.opts}
    assert ("--json" in names) is (words[0] not in WITHOUT_JSON)
    assert main([*words, "--help"]) == 0
    assert f"tradingbot {' '.join(words)}" in capsys.readouterr().out


def test_run_is_listed_with_the_others_and_means_the_same_to_typer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "Run the named bots" in capsys.readouterr().out
    assert main(["run", "--help"]) == 0
    told = capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        typer.main.get_command(build_app())(["run", "--help"], prog_name="tradingbot")
    assert ended.value.code == 0
    assert capsys.readouterr().out == told


RUBBISH = {
    "an unknown option": ["--frobnicate"],
    "a word": ["frobnicate", "--json"],
    "nothing at all": [""],
    "a number that no column holds": ["9" * 40],
    "a negative number": ["-1"],
    "half a character": ["\udcff"],
    "a folder": ["{folder}"],
    "a file that is no text": ["{binary}"],
    "a file that is not there": ["{folder}/none.json"],
    "many words": ["1", "{binary}", "--user", "\x00", "--wait", "soon"],
}


@each_command
def test_rubbish_is_answered_by_a_sentence(words: tuple[str, ...], url: str, tmp_path: Path, capsys) -> None:
    binary = tmp_path / "binary.json"
    binary.write_bytes(bytes(range(256)))
    (tmp_path / "empty").mkdir()
    for rubbish in RUBBISH.values():
        given = [word.format(binary=binary, folder=tmp_path / "empty") for word in rubbish]
        code = main([*words, *given])
        out = capsys.readouterr()
        assert code in {1, 2}, (given, out)
        assert (out.err + out.out).strip(), given
        assert "Traceback" not in out.err + out.out
        assert "fault of this program" not in out.err, given


#: What a command needs to get as far as the database; no line for those that touch none.
NEEDS_DATABASE: dict[tuple[str, ...], list[str]] = {
    **{words: ["1"] for words in COMMANDS if words[0] == "bots"},
    ("db", "upgrade"): [],
    ("bots", "list"): [],
    ("bots", "sample"): [],
    ("bots", "trial"): [],
    ("bots", "import"): ["{document}"],
    ("halt",): ["--bot", "1"],
    ("resume",): ["--all"],
    ("limits", "list"): [],
    ("limits", "set"): ["--all", "--max-exposure", "1"],
    ("limits", "clear"): ["--all"],
    ("top",): ["--once"],
    ("trace",): ["b1-3f2a91c0-e12"],
    ("messages", "list"): [],
    ("messages", "retry"): ["1"],
}


OTHER_URLS = {
    "frobnicate": {1},
    "mysql://trader:hunter2@localhost/bots": {1},
    "sqlite:////nowhere/at/all/bots.db": {1, 3},
    "sqlite:///{folder}": {1, 3},
    "postgresql+psycopg://trader:hunter2@127.0.0.1:frobnicate/bots": {1},
    "postgresql+psycopg://trader:hunter2@127.0.0.1:1/bots": {3},
}


def told_of_database(words: Sequence[str], url: str, folder: Path, monkeypatch, capsys) -> int:
    """The exit code, once the rest is as it should be."""
    (folder / "binary").write_bytes(bytes(range(256)) * 40)
    (folder / "bot.json").write_text(json.dumps(a_document()))
    monkeypatch.setenv("DATABASE_URL", url.format(binary=folder / "binary", folder=folder))
    code = main([word.format(document=folder / "bot.json") for word in words])
    out = capsys.readouterr()
    assert out.err.splitlines()[-1].startswith("tradingbot: "), out
    assert "Traceback" not in out.err
    assert "hunter2" not in out.err
    assert "fault of this program" not in out.err
    return code


@pytest.mark.parametrize("words", NEEDS_DATABASE, ids=" ".join)
def test_a_file_that_is_no_database_is_told_in_a_sentence(words: tuple[str, ...], tmp_path, monkeypatch, capsys):
    given = [*words, *NEEDS_DATABASE[words]]
    assert told_of_database(given, "sqlite:///{binary}", tmp_path, monkeypatch, capsys) == 1


@pytest.mark.parametrize("url", OTHER_URLS)
@pytest.mark.parametrize("words", [("db", "upgrade"), ("bots", "list")], ids=" ".join)
def test_a_database_that_is_none_is_told_in_a_sentence(
    words: tuple[str, ...], url: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    assert told_of_database(words, url, tmp_path, monkeypatch, capsys) in OTHER_URLS[url]


def test_a_fault_of_the_program_is_a_sentence_and_shows_its_place_to_who_asks(monkeypatch, capsys) -> None:
    monkeypatch.setattr("bot_runtime.cli.plugins.installed_plugins", lambda: {}["token=hunter2"])
    assert main(["plugins"]) == 1
    assert capsys.readouterr().err == (
        "tradingbot: that is a fault of this program: KeyError: 'token=***; LOG_LEVEL=DEBUG shows where it happened\n"
    )
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    assert main(["plugins"]) == 1
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert "hunter2" not in told.replace('["token=hunter2"]', "")  # the line of this very file


WITHOUT_AN_EXTRA = """
import sys
sys.modules[sys.argv[1]] = None
from bot_runtime.cli.main import main
print([main(words) for words in (["--version"], ["run", "--help"], ["bots", "list"], [])])
"""


@pytest.mark.parametrize("library", ["typer", "rich"])
def test_without_the_extra_a_sentence_names_it_and_run_does_without(library: str) -> None:
    command = [sys.executable, "-c", WITHOUT_AN_EXTRA, library]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[0, 0, 2, 2]\n")
    assert done.stderr.splitlines() == [
        f"{named} is in the extra `cli`, which is not installed: pip install 'tradingbot-operator[cli]'; "
        "without it there is `tradingbot run ID...`"
        for named in ("`tradingbot bots`", "`tradingbot`")
    ]


def test_the_shell_completes_commands_and_options_without_a_database(monkeypatch, capsys) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("_TRADINGBOT_COMPLETE", "complete_bash")

    def completed(line: str) -> list[str]:
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
        assert main([]) == 0
        return capsys.readouterr().out.split()

    assert completed("tradingbot bots ex") == ["export"]
    assert completed("tradingbot halt --fl") == ["--flatten"]


def test_the_shells_script_is_shown_and_installed(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    assert main(["--show-completion", "bash"]) == 0
    assert "complete -o default -F _tradingbot_completion tradingbot" in capsys.readouterr().out
    assert main(["--install-completion", "bash"]) == 0
    script = tmp_path / ".bash_completions" / "tradingbot.sh"
    assert "_tradingbot_completion" in script.read_text()
    assert str(script) in (tmp_path / ".bashrc").read_text()
