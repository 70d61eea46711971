import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from rich.console import Console

from bot_core.models.figures import few_digits
from bot_core.models.fleet import FleetFacts, News
from bot_runtime.cli.fleet_picture import Shown, page_of, picture
from bot_runtime.cli.fleet_screen import FleetScreen
from bot_runtime.cli.fleet_table import age_text
from bot_runtime.cli.fleet_view import FleetLine, Order, arranged, totals
from bot_runtime.cli.keys import KeyReader

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def lines(count: int = 40) -> list[FleetLine]:
    return [FleetLine(n, f"bot {n:02}", phase="running", pnl=Decimal(n % 7), note="") for n in range(1, count + 1)]


def pressed(screen: FleetScreen, keys: list[str], shown: list[FleetLine], page: int = 10) -> FleetScreen:
    for key in keys:
        screen = screen.pressed(key, shown, page).fitted(shown, page)
    return screen


@pytest.mark.parametrize(
    ("keys", "selected", "top"),
    [
        ([], 1, 0),
        (["up"], 1, 0),
        (["down", "j"], 3, 0),
        (["page down"], 11, 1),
        (["page down", "page down", "k"], 20, 11),
        (["end"], 40, 30),
        (["end", "down"], 40, 30),
        (["end", "home"], 1, 0),
        (["end", "page up", "page up", "page up", "page up"], 1, 0),
    ],
)
def test_the_mark_moves_and_the_page_follows(keys: list[str], selected: int, top: int) -> None:
    screen = pressed(FleetScreen().fitted(lines(), 10), keys, lines())
    assert (screen.selected, screen.top) == (selected, top)


def test_the_mark_stays_with_its_bot_when_lines_are_sorted_anew() -> None:
    screen = pressed(FleetScreen(), ["down"] * 5 + ["p"], lines())
    assert screen.selected == 6
    again = arranged(lines(), screen.order)
    assert screen.fitted(again, 10).selected == 6
    assert again[0].bot_id == 6  # the most profit first, equal ones by id
    assert pressed(screen, ["p"], again).backwards


def test_a_filter_is_typed_kept_and_dropped() -> None:
    typed = pressed(FleetScreen(), [*"/q x", "backspace", "7"], lines())
    assert (typed.typing, typed.words, typed.done) == (True, "q 7", False)
    kept = pressed(typed, ["enter"], lines())
    assert (kept.typing, kept.words) == (False, "q 7")
    assert pressed(kept, ["escape"], lines()).words == ""
    assert pressed(FleetScreen(), ["/", "escape", "q"], lines()).done


def test_a_bot_alone_is_opened_left_and_changed_with_the_mark() -> None:
    screen = pressed(FleetScreen(), ["down", "enter"], lines())
    assert screen.detail == 2
    assert pressed(screen, ["down"], lines()).detail == 3
    assert pressed(screen, ["escape"], lines()).detail is None
    assert pressed(FleetScreen(), ["enter"], []).detail is None


def test_words_are_sought_in_all_that_a_line_says() -> None:
    found = [FleetLine(1, "Dips", market="BTCUSDT 1h", phase="error"), FleetLine(2, "dips", market="ETHUSDT 1h")]
    assert [line.bot_id for line in arranged(found, Order.ID, "DIPS btc")] == [1]
    assert [line.bot_id for line in arranged(found, Order.ID, "error")] == [1]
    assert arranged(found, Order.ID, "sol") == []


def test_what_is_unknown_comes_last_either_way() -> None:
    found = [FleetLine(1, "a"), FleetLine(2, "b", pnl=Decimal(-5)), FleetLine(3, "c", pnl=Decimal(5))]
    assert [line.bot_id for line in arranged(found, Order.PNL)] == [3, 2, 1]
    assert [line.bot_id for line in arranged(found, Order.PNL, backwards=True)] == [2, 3, 1]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("q", ["q"]),
        ("\x1b[A\x1b[B", ["up", "down"]),
        ("\x1bOA", ["up"]),
        ("\x1b[5~x\x1b[6~", ["page up", "x", "page down"]),
        ("\r\x7f", ["enter", "backspace"]),
        ("\x1b[1;5Cq", ["q"]),  # a key that nobody asked for is passed over as a whole
        ("ü", ["ü"]),
        ("\x1bq", ["escape", "q"]),
    ],
)
def test_characters_become_keys(text: str, keys: list[str]) -> None:
    assert KeyReader().feed(text) == keys


def test_a_sequence_that_comes_in_parts_is_one_key_and_a_lone_escape_is_the_key_itself() -> None:
    reader = KeyReader()
    assert [reader.feed("\x1b"), reader.feed("["), reader.feed("A")] == [[], [], ["up"]]
    assert reader.feed("\x1b") == []
    assert reader.waiting
    assert reader.flush() == ["escape"]


@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize("height", [8, 24, 50])
@pytest.mark.parametrize("detail", [None, 3])
def test_the_picture_fits_every_terminal(width: int, height: int, detail: int | None) -> None:
    found = [FleetLine(n, "[red]a name[/red] " * 5, note="held " * 50, trouble=True) for n in range(300)]
    news = tuple(News(NOW, 1, "error", "many\nlines " * 20) for _ in range(8))
    shown = Shown(
        facts=FleetFacts(at=NOW, trades=news, events=news, notifications={"PENDING": 3, "FAILED": 1}),
        database="sqlite:///x.db",
        totals=totals(found),
        lines=found,
        screen=FleetScreen(detail=detail),
        trouble="the database does not answer",
    )
    shown.screen.fitted(found, page_of(shown, height))
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    with console.capture() as capture:
        console.print(picture(shown, width, height), end="")
    rows = capture.get().splitlines()
    assert max(map(len, rows)) <= width
    assert "[red]" in capture.get()  # a row's text is text
    if detail is None and height > 8:
        assert len(rows) == height


@pytest.mark.parametrize(
    ("amount", "text"),
    [("31.115904", "31.1159"), ("4585.0539155", "4585.05"), ("0.00001234567", "0.0000123457"), ("12345678", "12345678"),
     ("0", "0"), ("100", "100")],
)  # fmt: skip
def test_amounts_have_six_digits_that_count(amount: str, text: str) -> None:
    assert few_digits(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.4, "3 s"), (119, "119 s"), (300, "5 min"), (7200, "2 h"), (400_000, "5 d")]
)
def test_ages_are_short(seconds: float, text: str) -> None:
    assert age_text(seconds) == text
