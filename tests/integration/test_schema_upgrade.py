import concurrent.futures
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import inspect, text

from bot_core.schema import metadata
from bot_core.store.upgrade import VERSION_TABLE, alembic_config, connected, upgrade
from support.postgres import PostgresServer


def test_an_empty_database_gets_every_table_and_a_second_upgrade_changes_nothing(database_url: str) -> None:
    again = upgrade(database_url)
    assert (again.before, again.after, again.trigger_problem) == ("0004", "0004", None)
    with connected(database_url) as connection:
        assert set(metadata.tables) <= set(inspect(connection).get_table_names())


def test_the_models_and_the_migrations_agree(database_url: str) -> None:
    config = alembic_config()
    with connected(database_url) as connection:
        config.attributes["connection"] = connection
        command.check(config)


def test_tables_of_a_later_version_are_left_as_they_are(database_url: str) -> None:
    with connected(database_url) as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0999'"))
    done = upgrade(database_url)
    assert (done.before, done.after, done.newer) == ("0999", "0999", True)
    with connected(database_url) as connection:
        assert connection.scalar(text("SELECT count(*) FROM trading_bots")) == 0


@pytest.mark.postgres
def test_two_upgrades_at_once_both_succeed(postgres: PostgresServer) -> None:
    name = postgres.create_database()
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(upgrade, [postgres.url(name)] * 2))
        assert sorted(str(result.before) for result in results) == ["0004", "None"]
    finally:
        postgres.drop_database(name)


def test_two_upgrades_at_once_both_succeed_on_sqlite(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(upgrade, [url] * 2))
    assert sorted(str(result.before) for result in results) == ["0004", "None"]


@pytest.mark.postgres
def test_a_table_that_is_there_already_is_left_as_it_is(postgres: PostgresServer) -> None:
    name = postgres.create_database()
    try:
        postgres.execute("CREATE TABLE usr_users (id int PRIMARY KEY, email text, odd text)", database=name)
        upgrade(postgres.url(name))
        with connected(postgres.url(name)) as connection:
            columns = [column["name"] for column in inspect(connection).get_columns("usr_users")]
            assert columns == ["id", "email", "odd"]
            assert connection.scalar(text("SELECT count(*) FROM trading_bots")) == 0
    finally:
        postgres.drop_database(name)


@pytest.mark.postgres
def test_without_the_right_to_make_triggers_the_upgrade_says_so_and_goes_on(postgres: PostgresServer) -> None:
    name = postgres.create_database()
    role = f"trader_{name}"
    try:
        upgrade(postgres.url(name))
        postgres.execute("DROP TRIGGER tradingbot_notify_rows ON trading_bots", database=name)
        postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
        postgres.execute(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}", database=name)
        url = postgres.url(name).replace("tradingbot:" + postgres.password, f"{role}:x")
        done = upgrade(url)
        assert done.after == "0004"
        assert done.trigger_problem is not None
        assert "permission denied" in done.trigger_problem
    finally:
        postgres.drop_database(name)
        postgres.execute(f"DROP ROLE IF EXISTS {role}")
