"""Real documents with something wrong in them: nothing raises, every refusal names a path, no secret is shown."""

import copy
import json
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bot_core.models.bot import BotRow, desired_state
from bot_core.models.config import parse_config
from bot_core.models.shapes.normalise import bot_documents
from support.mutation import ODD, SECRET, mutate
from support.shapes import SAMPLES, SHAPES

_FILES = [path.read_text(encoding="utf-8") for path in sorted(SAMPLES.rglob("*.json"))]
DOCUMENTS = [*SHAPES.values(), *(bot for text in _FILES if text.strip() for bot in bot_documents(json.loads(text)))]
#: Keys that mean something at one place or another, so that they are also met where they mean nothing.
KEYS = sorted({key for document in DOCUMENTS for key in document} | {"type", "name", "enabled", "params", "", "a.b"})
_VALUES = st.one_of(
    st.sampled_from(ODD),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=3)
        ),
        max_leaves=5,
    ),
)
_MUTATION = st.tuples(
    st.sampled_from(["drop", "replace", "add", "rename", "move", "secret"]),
    st.lists(st.integers(0, 11), min_size=1, max_size=5),
    _VALUES,
    st.sampled_from(KEYS),
)


@settings(
    max_examples=1000, deadline=None, phases=[Phase.reuse, Phase.generate], suppress_health_check=[HealthCheck.too_slow]
)
@given(original=st.sampled_from(DOCUMENTS), mutations=st.lists(_MUTATION, min_size=1, max_size=4))
def test_a_mutated_document_raises_nothing_and_every_refusal_names_a_path(
    original: dict[str, Any], mutations: list[tuple[str, list[int], Any, str]]
) -> None:
    document = copy.deepcopy(original)
    # Secrets come last: one that was moved under another name can't be known for what it is.
    for mutation in sorted(mutations, key=lambda mutation: mutation[0] == "secret"):
        mutate(document, *mutation)
    before = copy.deepcopy(document)
    parsed = parse_config(document)
    assert repr(document) == repr(before)
    assert (parsed.config is None) == bool(parsed.problems)
    assert all(problem.path for problem in parsed.problems)
    told = [*map(str, parsed.problems), *map(str, parsed.notices)]
    assert all(text.isprintable() for text in told)
    assert SECRET not in "".join(told)
    if parsed.canonical is not None:
        canonical = json.dumps(parsed.canonical)
        assert SECRET not in canonical
        again = parse_config(json.loads(canonical))
        # As text: NaN, which unknown keys may hold, is not equal to itself.
        assert parsed.config is None or repr(again.config) == repr(parsed.config)
    row = BotRow(id=1, user_id=1, status="enabled", config=json.dumps(document))
    assert row.name
    assert row.config_hash
    assert desired_state(row).reason
    assert parse_config(row.config).error == parsed.error
