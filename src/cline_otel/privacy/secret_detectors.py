"""Defence in depth: detectors of keys, e-mail addresses, URLs, paths and random runs in strings of an open set.

The first line is the catalogue: strings that leave stand in a list, or are ids and model names whose
patterns admit no spaces and no addresses. What could still pass is a secret that somebody put where an id
or a name belongs. Free text that a user has opted in is masked piece by piece instead.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Final, Literal
from urllib.parse import unquote

SecretKind = Literal["key", "e-mail", "URL", "path", "random"]

MASKED: Final = "[masked]"
"""What stands for a piece of free text that looks like a secret."""

_KEY: Final = r"""
    (?<![A-Za-z0-9])[SsPpRr][Kk][-_.](?:live|test|proj|ant|or|svcacct)?[-_]?[A-Za-z0-9_.-]{16,}  # OpenAI, Stripe
    | gh[oprsu]_[A-Za-z0-9]{12,} | github_pat_\w{20,} | glpat-[\w-]{16,}             # GitHub, GitLab
    | (?:AKIA|ASIA)[A-Z0-9]{16} | AIza[\w-]{30,}                                     # AWS, Google
    | xox[abeoprs]-[\w-]{10,} | npm_[A-Za-z0-9]{30,} | hf_[A-Za-z0-9]{30,}           # Slack, npm, Hugging Face
    | glrt-[\w-]{16,} | dckr_pat_[\w-]{16,} | shp(?:at|ss|ca|pa)_[A-Za-z0-9]{16,}    # GitLab, Docker, Shopify
    | (?<![A-Za-z0-9])(?:xai|gsk|pplx|tgp_v1|fw|r8|csk|dop_v1|pcsk|tvly)[-_][A-Za-z0-9]{20,}  # model providers
    | (?<![A-Za-z0-9])nvapi-[\w-]{20,}
    | SG\.[\w-]{16,}\.[\w-]{16,} | (?<![A-Za-z0-9])hv[sb]\.[\w-]{16,} | ya29\.[\w-]{16,}  # SendGrid, Vault, Google
    | eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*                                                # JSON Web Token
"""
_E_MAIL: Final = r"(?<![\w.%+-])[\w.%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,8}\.[A-Za-z]{2,63}"
_URL: Final = r"""
    (?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{0,31}://\S+ | (?<![^\s/@:])[^\s/@:]{1,64}:[^\s/@]{1,128}@[\w.-]+
"""
_PATH: Final = r"""
    (?:^|(?<=[\s"'`(=:,\[]))(?:~|\.{1,2})?/[^\s"'`)\],]+                             # absolute, from home, relative
    | \b[A-Za-z]:[\\/][^\s"'`)\],]* | \\\\[\w.-]+\\\S*                               # a drive, a share
    | (?:^|[/\\])(?:Users|home|root|var|tmp|etc|mnt|opt|srv|private|workspaces?|Documents|Desktop|Downloads)[/\\]\S*
    | (?<![^\s/\\])[^\s/\\]{1,128}?\.(?:                                              # a file, by its name
        gguf|ggml|safetensors|onnx|bin|pth?|py|ipynb|[cm]?[jt]sx?|json|ya?ml|toml|md|txt|csv|sql|env|pem|key)\b
"""
_IN_TEXT: Final = r"""
    (?m:^[ \t]+at[ ].*$|^[ \t]*File[ ]".*$)                                          # frames of a stack
    | '[^'\n]*[/\\][^'\n]*' | "[^"\n]*[/\\][^"\n]*" | `[^`\n]*[/\\][^`\n]*`           # a path with spaces
    | (?<![\w.@-])[\w.@-]{1,255}(?:[/\\][\w.@-]{1,255})+[/\\]?                       # relative
    | (?<![\w-])[SsPpRr][Kk]-[\w-]{3,} | \barn:\S+ | \b(?:org|proj|user|acct|cus|key)[-_][A-Za-z0-9]{8,}
    | (?<![\w.%+-])[\w.%+-]{1,64}@[\w.-]+
    | (?<![\w.-])\.?[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}\.[A-Za-z][A-Za-z0-9-]{1,62}\b(?::\d+)?  # a host, a file
    | \b\d{1,3}(?:\.\d{1,3}){3}\b(?::\d+)? | (?<![\w:])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,8}(?:%\w+)?  # IPv4, 6
    | (?<![\w.])\+?\d(?:[ -]?\d){8,24}(?![\w.]) | \b[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){3,8}\b  # cards, phones, accounts
"""
_VALUE: Final = r"""(?:"[^"\n]*"|'[^'\n]*'|[^\s'"]+)"""
_ASSIGNED: Final = rf"""
    (?i:
        [\w-]{{0,32}}(?:key|secret|token|passw(?:or)?d|passphrase|credentials?|authorization|cookie)[\w-]{{0,32}}
        | \w{{0,32}}(?<![a-z])(?:pwd|pass)
    )['"]?\s*(?:[=:]{{1,2}}>?|->)\s*(?:(?i:bearer|basic|token)\s+)?{_VALUE}
    | (?i:api[ _-]?key|bearer|basic)['"]?\s+(?:(?i:is|was|provided|given|used)[:\s]\s*)?{_VALUE}
    | (?i:secret|token|passw(?:or)?d|passphrase)\s+(?i:is|was|provided|given|used)[:\s]\s*{_VALUE}
    | (?<!\S)--(?i:[\w-]{{0,32}}(?:key|secret|token|passw(?:or)?d|passphrase|pass|pwd|credentials?|auth|cookie|header)
        [\w-]{{0,32}}|(?:proxy-)?user(?:name)?)(?:\s*=\s*|\s+){_VALUE}
    | (?<!\S)-[up]\s?[^\s-]\S*                                                       # of a command: who and how
"""
_PEM: Final = r"-----BEGIN[\s\S]*?(?:-----END[^-]*-----|\Z)"


@cache
def _detectors() -> dict[SecretKind, re.Pattern[str]]:
    # Compiled when they are needed first: most commands look at no values.
    return {
        "key": re.compile(_KEY, re.VERBOSE),
        "e-mail": re.compile(_E_MAIL),
        "URL": re.compile(_URL, re.VERBOSE),
        "path": re.compile(_PATH, re.VERBOSE),
    }


@cache
def _pieces() -> re.Pattern[str]:
    return re.compile("|".join((_PEM, _ASSIGNED, _KEY, _E_MAIL, _URL, _PATH, _IN_TEXT)), re.VERBOSE)


_MOST_ENCODINGS: Final = 3
_MOST_LETTERS: Final = 2
_ENCODED: Final = re.compile(r"(?<!\S)[^\s%]*+%\S++")
_LONG_RUN: Final = re.compile(r"(?<![A-Za-z0-9])(?=[a-z]*[0-9A-Z])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{32,}")
_MIXED_RUN: Final = re.compile(
    r"(?<![A-Za-z0-9])(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{20,}"
)
_RUN: Final = re.compile(r"[A-Za-z0-9]{16,}")
_RANDOM_BITS: Final = 3.7
"""Bits per character; twenty random letters and digits have 4.0 in the mean, words joined in a name 3 to 3.8."""
_RANDOM_CHANGES: Final = 0.45
"""How often upper case, lower case and digits take turns: random 0.62, joined words 0.3."""


def secret_kind_of(value: str, *, may_be_random: bool = False) -> SecretKind | None:
    """The first kind of secret that is found anywhere in a string, or None. Ids may be random, names may not."""
    for spelling in dict.fromkeys((value, plain := normalised(value), decoded(plain))):
        for kind, pattern in _detectors().items():
            if pattern.search(spelling):
                return kind
        if not may_be_random and _looks_random(spelling):
            return "random"
    return None


def masked(text: str) -> str:
    """Free text with ``MASKED`` for every piece that looks like a secret, random runs included; normalised before."""
    text = _ENCODED.sub(_mask_encoded, normalised(text))
    return _RUN.sub(lambda run: MASKED if _may_be_random(run[0]) else run[0], _pieces().sub(MASKED, text))


def normalised(text: str) -> str:
    """A text in the letters that it shows: those of full width and other forms as usual ones, invisible ones gone.

    It is at most twice as long: a sign that stands for whole words is a space.
    """
    if text.isascii():
        return text
    plain = "".join(
        shown if len(shown := unicodedata.normalize("NFKC", letter)) <= _MOST_LETTERS else " " for letter in text
    )
    return "".join(letter for letter in plain if unicodedata.category(letter) != "Cf")


def decoded(text: str) -> str:
    """A text without percent-encoding, whether it was encoded once or some times more."""
    for _ in range(_MOST_ENCODINGS):
        before, text = text, unquote(text) if "%" in text else text
        if text == before:
            break
    return normalised(text)


def _mask_encoded(word: re.Match[str]) -> str:
    plain = decoded(word[0])
    return word[0] if plain == word[0] or masked(plain) == plain else MASKED


def _may_be_random(run: str) -> bool:
    """In free text rather too much than too little: words joined in capitals stay, as names of errors have them."""
    has_digit, has_letter = any(map(str.isdigit, run)), any(map(str.isalpha, run))
    return (has_digit and has_letter) or _changes_per_character(run) >= _RANDOM_CHANGES


def _looks_random(value: str) -> bool:
    if _LONG_RUN.search(value):
        return True
    return any(
        _bits_per_character(run) >= _RANDOM_BITS and _changes_per_character(run) >= _RANDOM_CHANGES
        for run in _MIXED_RUN.findall(value)
    )


def _bits_per_character(run: str) -> float:
    return -sum(n / len(run) * math.log2(n / len(run)) for n in Counter(run).values())


def _changes_per_character(run: str) -> float:
    kinds = [(character.isdigit(), character.isupper()) for character in run]
    return sum(before != after for before, after in pairwise(kinds)) / (len(run) - 1)
