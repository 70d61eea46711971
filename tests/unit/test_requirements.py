import ast
import runpy
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
_PROOFS = runpy.run_path(str(PROJECT / "scripts" / "requirements-proved"))["proofs"]()


def test_each_criterion_of_the_requirements_has_a_row_with_a_test() -> None:
    assert list(_PROOFS) == [f"{requirement}.{criterion}" for requirement in range(1, 11) for criterion in range(1, 6)]
    assert [name for name, tests in _PROOFS.items() if not tests] == []


def test_each_test_that_the_requirements_name_exists() -> None:
    named = {test for tests in _PROOFS.values() for test in tests}
    assert sorted(test for test in named if not _exists(test)) == []


def _exists(test: str) -> bool:
    file, _, name = test.partition("::")
    path = PROJECT / file
    if not path.exists():
        return False
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name for node in tree.body)
