"""The hunt for mutants: it finds what no test states, and leaves what is stated and the work tree alone."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest
from bench import mutants
from bench.mutants import TARGETS, Target, UntestableError, Verdict, hunt, possible_mutants, sample_of
from bench.mutations import KEPT_OR_WAITED, Mutant, mutants_of

from source_tree import ROOT, needs_source

MODULE = """
LIMIT = 3


def is_many(number: int) -> bool:
    return number >= LIMIT


def is_few(number: int) -> bool:
    return number < LIMIT
"""
TESTS = """
from counting import is_few, is_many


def test_the_limit_is_many():
    assert [is_many(number) for number in (2, 3, 4)] == [False, True, True]


def test_far_from_the_limit():
    assert is_few(0) and not is_few(9)
"""
TARGET = Target(("src/counting.py",), ("tests/test_counting.py",))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in {"src/counting.py": MODULE, "tests/test_counting.py": TESTS, ".gitignore": ".out\n"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def files(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and ".git" not in path.parts}


def test_what_a_test_states_is_killed_and_what_none_states_survives(tree: Path) -> None:
    before = files(tree)
    (verdict,) = hunt(tree, [TARGET], sample=100, seed=0, minutes=10, jobs=2)
    assert verdict.tried == verdict.possible
    reports = [mutant.report().splitlines() for mutant in verdict.survivors]
    assert reports == [
        [
            "src/counting.py:10: another comparison",
            "    -     return number < LIMIT",
            "    +     return (number <= LIMIT)",
        ]
    ]
    assert 0 < verdict.percent < 100
    assert files(tree) == before


def test_a_sample_is_the_same_for_the_same_seed(tree: Path) -> None:
    possible = possible_mutants(tree, [TARGET])
    samples = [[mutant for _, mutant in sample_of(possible, 2, seed)] for seed in range(20)]
    assert samples == [[mutant for _, mutant in sample_of(possible, 2, seed)] for seed in range(20)]
    assert {mutant for sample in samples for mutant in sample} == {mutant for _, mutant in possible}


def test_after_its_minutes_no_further_mutant_is_tried(tree: Path) -> None:
    (verdict,) = hunt(tree, [TARGET], sample=100, seed=0, minutes=0, jobs=1)
    assert verdict.tried == 0
    assert verdict.describe(5).endswith("too few to judge")


MANY, FEW = Target(("src/many/*.py",), ()), Target(("src/few/*.py",), ())
POSSIBLE = [
    (target, Mutant(f"{target.name}.py", number, "", "", ""))
    for target, most in ((MANY, 90), (FEW, 5))
    for number in range(most)
]


@pytest.mark.parametrize(
    ("sample", "of_many", "of_few"), [(4, 2, 2), (10, 5, 5), (30, 25, 5), (200, 90, 5)], ids=lambda each: str(each)
)
def test_a_package_with_little_code_is_tried_as_much_as_the_others(sample: int, of_many: int, of_few: int) -> None:
    for seed in range(5):
        chosen = Counter(target for target, _ in sample_of(POSSIBLE, sample, seed))
        assert (chosen[MANY], chosen[FEW]) == (of_many, of_few)


@pytest.mark.parametrize(
    ("tried", "possible", "survivors", "judged", "over"),
    [
        (0, 0, 0, False, False),
        (0, 500, 0, False, False),
        (19, 500, 19, False, False),
        (19, 19, 1, True, True),
        (20, 500, 1, True, False),
        (20, 500, 2, True, True),
        (100, 500, 6, True, True),
    ],
)
def test_a_package_is_judged_by_itself_where_one_survivor_is_not_too_many_or_all_were_tried(
    tried: int, possible: int, survivors: int, judged: bool, over: bool
) -> None:
    verdict = Verdict(MANY, tried, possible, tuple(mutant for _, mutant in POSSIBLE[:survivors]))
    assert (verdict.is_judged(5), verdict.is_over(5)) == (judged, over)
    assert ("too few to judge" in verdict.describe(5), "over 5 %" in verdict.describe(5)) == (not judged, over)


@pytest.mark.parametrize(
    ("survivors", "at_most", "status"),
    [((0, 0), 5, 0), ((2, 0), 5, 1), ((0, 2), 5, 1), ((0, 0), 0, 0), ((0, 1), 0, 1), ((0, 0), 1, 1)],
)
def test_one_package_that_is_over_fails_the_whole_as_does_a_sample_that_judges_none(
    survivors: tuple[int, int],
    at_most: int,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    verdicts = [
        Verdict(target, 30, 500, tuple(mutant for _, mutant in POSSIBLE[:number]))
        for target, number in zip((MANY, FEW), survivors, strict=True)
    ]
    monkeypatch.setattr(mutants, "hunt", lambda *_: verdicts)
    assert mutants.main([f"--at-most={at_most}"]) == status
    said = capsys.readouterr().out
    assert f"many: {survivors[0]} of 30 mutants survived" in said
    assert f"few: {survivors[1]} of 30 mutants survived" in said


def test_tests_that_fail_without_any_change_are_said(tree: Path) -> None:
    (tree / "tests" / "test_counting.py").write_text("def test_it():\n    assert False\n")
    with pytest.raises(UntestableError, match="fail without any change"):
        hunt(tree, [TARGET], sample=1, seed=0, minutes=10, jobs=1)


def test_code_and_tests_that_are_not_there_are_said(tree: Path) -> None:
    for target in (Target(("src/gone.py",), TARGET.tests), Target(TARGET.code, ("tests/gone.py",))):
        with pytest.raises(UntestableError, match="no such"):
            hunt(tree, [target], sample=1, seed=0, minutes=10, jobs=1)


@needs_source
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.code[0])
def test_all_that_the_table_names_is_there(target: Target) -> None:
    """Else: name it anew in ``bench/mutants.py``."""
    assert any(list(ROOT.glob(glob)) for glob in target.code)
    assert [glob for glob in target.tests if not list(ROOT.glob(glob))] == []


CHANGES = {
    "a < b": "a <= b",
    "a and b": "a or b",
    "not a": "a",
    "a + b": "a - b",
    "a is None": "a is not None",
    "f(1)": "f(2)",
    "f(True)": "f(False)",
    "a if b else c": "c if b else a",
}


@pytest.mark.parametrize("before", CHANGES)
def test_a_change_is_one_wrong_key(tmp_path: Path, before: str) -> None:
    (tmp_path / "module.py").write_text(f"x = {before}\n")
    changed = [mutant.changed for mutant in mutants_of(tmp_path, Path("module.py"))]
    assert changed == [f"x = ({CHANGES[before]})\n".replace("(f(2))", "f((2))").replace("(f(False))", "f((False))")]


STATEMENTS = {
    "if a:\n    b.c = d\n": {"if (not a):\n    b.c = d\n", "if a:\n    pass\n"},
    "def f():\n    return a\n": {"def f():\n    return None\n"},
    "def f():\n    return None\n": set(),
    "def f():\n    return False\n": {"def f():\n    return (True)\n"},
    "for a in b:\n    continue\n": {"for a in b:\n    pass\n"},
    "a += b\n": {"pass\n"},
    "f(\n    a,  # b\n)\n": {"pass\n"},
    'def f(a: Literal[1]) -> Literal[2]:\n    """3"""\n    raise E(4)\n': set(),
    "assert a == 1, f(2)\n": set(),
}


@pytest.mark.parametrize("before", STATEMENTS)
def test_a_change_of_a_statement_is_one_forgotten_line(tmp_path: Path, before: str) -> None:
    (tmp_path / "module.py").write_text(before)
    assert {mutant.changed for mutant in mutants_of(tmp_path, Path("module.py"))} == STATEMENTS[before]


@needs_source
def test_what_is_left_alone_by_its_name_is_still_called_so() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "src/cline_otel").rglob("*.py")))
    assert [name for name in KEPT_OR_WAITED if name not in source] == []


def test_how_much_is_kept_and_how_long_is_waited_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "bounded.py").write_text(
        "_MEMORY: Final = 16\nnames = Cache(max_entries=8, size=4)\nis_full = size >= _MEMORY\n"
    )
    assert [mutant.changed for mutant in mutants_of(tmp_path, Path("bounded.py"))] == [
        "_MEMORY: Final = 16\nnames = Cache(max_entries=8, size=(5))\nis_full = size >= _MEMORY\n"
    ]
