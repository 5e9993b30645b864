"""Free text that was asked for: what is spelt otherwise is masked too, and a name in other letters is detected."""

from __future__ import annotations

import re
import unicodedata

import pytest

from cline_otel.catalogue import values
from cline_otel.privacy.secret_detectors import normalised, secret_kind_of

WIDE = re.compile("<(.+?)>")
"""What stands in letters of full width."""

PRIVATE = ("hunter2", "alice", "zebra")
TEXTS = (
    "ran deploy --password hunter2 and failed",
    "ran deploy --db-password=hunter2",
    "curl --user alice:hunter2 answered 401",
    "curl --proxy-user alice:hunter2 answered 401",
    "http --auth-token hunter2",
    "curl --header 'authorization: hunter2'",
    "client_secret => hunter2",
    "client_secret := hunter2",
    "password -> hunter2",
    "no such file: %2Fhome%2Falice%2Fzebra.py",
    "no such file: %252Fhome%252Falice%252Fzebra.py",
    "sent to alice%40example.com",
    "<password=>hunter2",
    "<password>: <zebra>",
    "pass\u200bword=hunter2",
    "pass\u00adword=hunter2",
    "sent to ali\u200bce@exam\u2060ple.com",
    "sent to alice<@>example.com",
    "open </>home</>alice</>zebra",
    "invalid key sk-proj-hunter2",
    "invalid key <sk>-zebra",
)


def spelt(text: str) -> str:
    return WIDE.sub(lambda part: "".join(chr(ord(letter) + 0xFEE0) for letter in part[1]), text)


@pytest.mark.parametrize("text", TEXTS)
def test_no_private_word_survives(text: str) -> None:
    shown = str(values.text(spelt(text)))
    assert "[masked]" in shown
    assert not any(word in unicodedata.normalize("NFKC", shown) for word in PRIVATE), shown


@pytest.mark.parametrize("text", ["100 % of 12 tests", "progress 50%", "the user is unknown", "a -> b", "50%25 done"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert values.text(text) == text


@pytest.mark.parametrize(
    "value",
    [
        "alice%40example.com",
        "%2Fhome%2Falice",
        "alice<@>example.com",
        "ali\u200bce@exam\u200bple.com",
        "<sk->" + "a1" * 12,
    ],
)
def test_a_value_in_other_letters_is_detected(value: str) -> None:
    assert secret_kind_of(spelt(value)) is not None


def test_signs_that_stand_for_whole_words_make_no_text_longer() -> None:
    assert len(normalised("\ufdfa" * 1_000)) <= 2_000
    assert len(str(values.text("\ufdfa \u2100" * 10_000))) <= values.LONGEST_TEXT
