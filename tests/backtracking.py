"""What a pattern costs a text, counted and not timed: a matcher that backtracks as `re` does and counts its steps.

It works on the tree that `re` itself parses, without any of the shortcuts of a real one, so what is cheap here is cheap
there too. What costs do not depend on, such as groups that are kept, it leaves out.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

_parser: Final[Any] = importlib.import_module("re._parser")
_MANY: Final = 1 << 30
_LIKELY: Final = "x1A-. /\n" + "".join(map(chr, range(256)))

Matcher = Callable[[int, Callable[[int], bool]], bool]


class TooManyStepsError(Exception):
    """More steps than anybody is ready to wait for."""


class Counter:
    """Counts the steps of one pattern.

    Args:
        pattern: as it was compiled, or its source with its flags.
    """

    def __init__(self, pattern: str | bytes, flags: int = 0) -> None:
        self._flags = flags & ~(re.UNICODE | re.DEBUG)
        if isinstance(pattern, bytes):
            self._flags &= ~re.ASCII
        self.tree: Any = _parser.parse(pattern, self._flags)
        self._flags |= self.tree.state.flags
        self._steps = 0
        self._limit = 0
        self._text = ""
        self._matcher = self._sequence(self.tree)

    def steps(self, text: str, *, search: bool, limit: int) -> int:
        """How many steps it takes to find all in a text, or to match it whole; ``limit + 1`` if more."""
        self._text, self._steps, self._limit = text, 0, limit
        length = len(text)
        try:
            with _deep_stack():
                if not search:
                    self._matcher(0, lambda end: end == length)
                place = 0
                while search and place <= length:
                    ends: list[int] = []
                    found = self._matcher(place, lambda end: ends.append(end) or True)  # noqa: B023
                    place = max(ends[0], place + 1) if found else place + 1
        except TooManyStepsError:
            return limit + 1
        return self._steps

    def _step(self, number: int = 1) -> None:
        self._steps += number
        if self._steps > self._limit:
            raise TooManyStepsError

    def _sequence(self, nodes: Any) -> Matcher:
        matchers = [self._node(str(operation), argument) for operation, argument in nodes]
        match matchers:
            case []:
                return lambda place, then: then(place)
            case [only]:
                return only

        def run(index: int, place: int, then: Callable[[int], bool]) -> bool:
            if index == len(matchers):
                return then(place)
            return matchers[index](place, lambda end: run(index + 1, end, then))

        return lambda place, then: run(0, place, then)

    def _node(self, operation: str, argument: Any) -> Matcher:
        match operation:
            case "LITERAL" | "NOT_LITERAL" | "ANY" | "IN":
                return self._one(self._accepts(operation, argument))
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                return self._repeat(operation, *argument)
            case "SUBPATTERN":
                return self._sequence(argument[3])
            case "ATOMIC_GROUP":
                return self._atomic(self._sequence(argument))
            case "BRANCH":
                return self._branch([self._sequence(branch) for branch in argument[1]])
            case "ASSERT" | "ASSERT_NOT":
                return self._look(argument[0], argument[1], is_wanted=operation == "ASSERT")
            case "AT":
                return self._at(str(argument))
        raise NotImplementedError(operation)

    @staticmethod
    def _branch(branches: list[Matcher]) -> Matcher:
        def match(place: int, then: Callable[[int], bool]) -> bool:
            for branch in branches:  # noqa: SIM110 - any() would take a piece of the machine's stack
                if branch(place, then):
                    return True
            return False

        return match

    def _one(self, accepts: Callable[[str], bool]) -> Matcher:
        def match(place: int, then: Callable[[int], bool]) -> bool:
            self._step()
            return place < len(self._text) and accepts(self._text[place]) and then(place + 1)

        return match

    def _accepts(self, operation: str, argument: Any) -> Callable[[str], bool]:
        ignores_case = bool(self._flags & re.IGNORECASE)

        def accepts(character: str) -> bool:
            code = ord(character)
            match operation:
                case "LITERAL":
                    return code == argument
                case "NOT_LITERAL":
                    return bool(code != argument)
                case "ANY":
                    return character != "\n" or bool(self._flags & re.DOTALL)
            is_negated = str(argument[0][0]) == "NEGATE"
            return any(_is_member(character, str(kind), what) for kind, what in argument[is_negated:]) != is_negated

        if ignores_case and operation != "NOT_LITERAL":
            return cache(lambda character: accepts(character.lower()) or accepts(character.upper()))
        return cache(accepts)

    def _repeat(self, operation: str, least: int, most: int, body: Any) -> Matcher:
        if operation == "POSSESSIVE_REPEAT":
            return self._atomic(self._repeat("MAX_REPEAT", least, most, body))
        most = min(int(most), _MANY)
        if len(body) == 1 and str(body[0][0]) in ("LITERAL", "NOT_LITERAL", "ANY", "IN") and operation == "MAX_REPEAT":
            return self._run(least, most, self._accepts(str(body[0][0]), body[0][1]))
        matcher = self._sequence(body)

        def run(done: int, place: int, then: Callable[[int], bool]) -> bool:
            self._step()

            def once_more() -> bool:
                return done < most and matcher(
                    place, lambda end: (end > place or done < least) and run(done + 1, end, then)
                )

            if done < least:
                return once_more()
            return (once_more() or then(place)) if operation == "MAX_REPEAT" else (then(place) or once_more())

        return lambda place, then: run(0, place, then)

    def _run(self, least: int, most: int, accepts: Callable[[str], bool]) -> Matcher:
        def match(place: int, then: Callable[[int], bool]) -> bool:
            text, end = self._text, place
            last = min(len(text), place + most)
            while end < last and accepts(text[end]):
                end += 1
            self._step(end - place + 1)
            while end >= place + least:
                self._step()
                if then(end):
                    return True
                end -= 1
            return False

        return match

    def _atomic(self, matcher: Matcher) -> Matcher:
        def match(place: int, then: Callable[[int], bool]) -> bool:
            ends: list[int] = []
            return matcher(place, lambda end: ends.append(end) or True) and then(ends[0])

        return match

    def _look(self, direction: int, nodes: Any, *, is_wanted: bool) -> Matcher:
        width = nodes.getwidth()[0]
        matcher = self._sequence(nodes)

        def match(place: int, then: Callable[[int], bool]) -> bool:
            start = place if direction > 0 else place - width
            return (start >= 0 and matcher(start, lambda _: True)) == is_wanted and then(place)

        return match

    def _at(self, where: str) -> Matcher:
        is_multiline = bool(self._flags & re.MULTILINE)

        def is_word(place: int) -> bool:
            return 0 <= place < len(self._text) and _is_member(self._text[place], "CATEGORY", "CATEGORY_WORD")

        def holds(place: int) -> bool:
            text, length = self._text, len(self._text)
            match where:
                case "AT_BEGINNING":
                    return place == 0 or (is_multiline and text[place - 1] == "\n")
                case "AT_BEGINNING_STRING":
                    return place == 0
                case "AT_END":
                    return place >= length - (text.endswith("\n")) or (is_multiline and text[place] == "\n")
                case "AT_END_STRING":
                    return place == length
                case "AT_BOUNDARY":
                    return is_word(place - 1) != is_word(place)
                case "AT_NON_BOUNDARY":
                    return is_word(place - 1) == is_word(place)
            raise NotImplementedError(where)

        def match(place: int, then: Callable[[int], bool]) -> bool:
            self._step()
            return holds(place) and then(place)

        return match


def _is_member(character: str, kind: str, what: Any) -> bool:
    code = ord(character)
    match kind:
        case "LITERAL":
            return bool(code == what)
        case "RANGE":
            return bool(what[0] <= code <= what[1])
    name = str(what)
    answer = {
        "DIGIT": character.isdecimal(),
        "SPACE": character.isspace(),
        "WORD": character.isalnum() or character == "_",
    }[name.rpartition("_")[2]]
    return answer != ("_NOT_" in name)


def attacks(tree: Any, pieces: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """What to begin a text with and what to repeat in it: of each repeat of a pattern what it repeats and what leads up
    to it, and pieces that any pattern gets."""
    yield from (("", piece) for piece in pieces)
    seen = set()
    for before, body in _repeats(tree, ""):
        for attack in ((before, body), ("", before + body), ("", body), (before + body, " ")):
            if attack[1] and attack not in seen:
                seen.add(attack)
                yield attack


def _repeats(nodes: Any, before: str) -> Iterator[tuple[str, str]]:
    for operation, argument in nodes:
        for body in _bodies(str(operation), argument):
            if "REPEAT" in str(operation):
                yield before, _example(body)
            yield from _repeats(body, before)
        before += _example([(operation, argument)])


def _bodies(operation: str, argument: Any) -> list[Any]:
    match operation:
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            return [argument[2]]
        case "SUBPATTERN":
            return [argument[3]]
        case "ATOMIC_GROUP":
            return [argument]
        case "BRANCH":
            return list(argument[1])
    return []


def _example(nodes: Any) -> str:
    """A text that matches, more or less: looks are not looked at."""
    text = ""
    for operation, argument in nodes:
        match str(operation):
            case "LITERAL":
                text += chr(argument)
            case "NOT_LITERAL" | "ANY":
                text += "x"
            case "IN":
                accepts = Counter("")._accepts("IN", argument)
                text += next((each for each in _LIKELY if accepts(each)), "")
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                text += _example(argument[2]) * max(1, argument[0])
            case _ as other:
                bodies = _bodies(other, argument)
                text += _example(bodies[0]) if bodies else ""
    return text


@contextmanager
def _deep_stack() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
