"""The second line of privacy: shapes of keys and tokens, refused even where a string may be of an open set.

Ids and model names are the only strings that leave without standing in a list, and their patterns
admit no spaces, paths, addresses or URLs. What could still pass is a key that somebody put where an id
belongs. Values are looked at once; gates remember their answers.
"""

from __future__ import annotations

import re
from typing import Final

_KEY_SHAPES: Final = re.compile(
    r"""
    (?:sk|pk|rk)[-_](?:live|test|proj|ant|or|svcacct)?[-_]?[A-Za-z0-9_-]{16,}   # OpenAI, Anthropic, Stripe
    | gh[oprsu]_[A-Za-z0-9]{12,} | github_pat_\w{20,} | glpat-[\w-]{16,}             # GitHub, GitLab
    | (?:AKIA|ASIA)[A-Z0-9]{16} | AIza[\w-]{30,}                                     # AWS, Google
    | xox[abeoprs]-[\w-]{10,} | npm_[A-Za-z0-9]{30,} | hf_[A-Za-z0-9]{30,}           # Slack, npm, Hugging Face
    | eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*                                                # JSON Web Token
    """,
    re.VERBOSE,
)
_RANDOM_RUN: Final = re.compile(r"(?=[a-z]*[0-9A-Z])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{32,}")


def looks_like_a_key(value: str) -> bool:
    """Whether a string has the shape of a key or token, anywhere in it."""
    return _KEY_SHAPES.search(value) is not None


def looks_random(value: str) -> bool:
    """Whether a string that should be a name has a long unbroken run of letters and digits."""
    return _RANDOM_RUN.search(value) is not None
