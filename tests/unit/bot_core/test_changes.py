from bot_core.models.changes import Change, document_changes, summary, values


def test_leaves_that_were_changed_added_and_removed_are_named_by_their_paths_in_order() -> None:
    old = {"symbol": "ETHUSDT", "data": {"interval": "1h", "bars": 5}, "tags": [1, 2], "same": {"a": 1}}
    new = {"symbol": "ETHUSDT", "data": {"interval": "5m"}, "tags": [1], "same": {"a": 1}, "name": "x"}
    assert document_changes(old, new) == (
        Change("data.bars", "5", "nothing"),
        Change("data.interval", "'1h'", "'5m'"),
        Change("name", "nothing", "'x'"),
        Change("tags", "[1, 2]", "[1]"),
    )
    assert document_changes(old, old) == ()


def test_a_value_of_another_type_is_a_change_although_it_is_equal() -> None:
    assert [str(change) for change in document_changes({"a": 1}, {"a": True})] == ["a: 1 -> True"]
    assert [str(change) for change in document_changes({"a": 1}, {"a": {"b": 1}})] == ["a: 1 -> {'b': 1}"]


def test_what_looks_like_a_secret_is_never_shown_however_deep_it_lies() -> None:
    old = {"api_key": "K1", "credentials": {"user": "U1", "deep": [{"x": "V1"}]}, "broker": {"a": {"password": "P1"}}}
    new = {"api_key": "K2", "credentials": {"user": "U2"}, "broker": {"a": "redis://user:P2@host/0"}}
    changes = document_changes(old, new)
    assert [change.path for change in changes] == ["api_key", "broker.a", "credentials"]
    text = summary(changes) + str(values(changes)) + repr(changes)
    assert not any(secret in text for secret in ("K1", "K2", "U1", "U2", "V1", "P1", "P2"))
    assert document_changes({"credentials_secret": "a-keys"}, {"credentials_secret": "b-keys"}) == (
        Change("credentials_secret", "'a-keys'", "'b-keys'"),
    )


def test_many_long_values_make_a_short_text() -> None:
    changes = document_changes({}, {f"key{number:03}": "x" * 10_000 for number in range(500)})
    assert len(changes) == 500
    assert len(summary(changes)) < 4000
    assert summary(changes).endswith("and 480 more")
    assert len(values(changes)[0]) == 20


def test_a_document_that_is_no_object_is_one_change() -> None:
    assert [str(change) for change in document_changes("junk", {"a": 1})] == ["document: 'junk' -> {'a': 1}"]
