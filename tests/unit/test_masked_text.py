"""Free text that a user has asked for: no piece of a secret in it survives."""

from __future__ import annotations

import random
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cline_otel.catalogue.values import LONGEST_TEXT, text
from cline_otel.privacy.secret_detectors import MASKED, masked, normalised

ALPHANUMERIC = string.ascii_letters + string.digits
PLACE = re.compile(r"<(w|t|T|x)([0-9]*)>")
"""Where something is planted: a word, a token of so many letters and digits, one in capitals, one in hex digits."""

TEXTS = {
    "OpenAI key": "401 Incorrect API key provided: sk-proj-<t36>. You can find your API key at https://<w>.test/a/<w>.",
    "OpenAI key of a form that is not known": "Incorrect API key provided: <w>.",
    "OpenAI organization": "Rate limit reached for gpt-5 in organization org-<t24> on tokens per min (TPM): Limit 3",
    "Anthropic": '401 {"type":"error","error":{"message":"invalid x-api-key"},"sent":"sk-ant-api03-<t80>"}',
    "bearer": "Request failed with headers Authorization: Bearer <t36> and status 403",
    "bearer in JSON": 'headers: {"authorization": "Bearer <w>", "accept": "*/*"}',
    "bearer in JavaScript": "headers: { authorization: 'Bearer <w>' }",
    "basic": "proxy refused Authorization: Basic <t20>==",
    "cookie": "set-cookie: session=<t40>; Path=/",
    "variable": "OPENAI_API_KEY=<w> is not valid",
    "key in JSON": '{"api_key": "<w>", "model": "gpt-5"}',
    "key in words": "The API key <w> was not found",
    "password in words": "The password is <w>",
    "password in quotes with spaces": '{"password": "<w> <w> <w>", "user": 1}',
    "password of a command": "mysql -uroot -p<w> failed",
    "user of a command": "curl -u <w>:<w> answered 401",
    "short names of passwords": "pwd=<w> PASS=<w> DB_PASS: <w> passphrase: <w>",
    "key in camel case": "accountKey=<w>== secret_key='<w> <w>'",
    "AWS": "The security token included in the request is invalid: AWS_SECRET_ACCESS_KEY=<t40>",
    "AWS key": "An error occurred (InvalidAccessKeyId): AKIA<T16>",
    "AWS account": "User: arn:aws:iam::<w>:user/<w> is not authorized to perform: bedrock:InvokeModel",
    "Azure": "404 The API deployment does not exist: https://<w>.openai.test/openai/deployments/<w>/chat",
    "Google": "API key not valid. Please pass a valid API key. [key=AIza<t35>]",
    "proxy": "Authentication Error, Invalid proxy server token passed. Received=<t24>, Key Hash (Token) =<x64>",
    "password": 'password authentication failed: password="<w>" for 10.11.12.13',
    "connection": "cannot connect to postgres://<w>:<w>@<w>.host.test:5432/<w>?sslmode=require",
    "signed token": "jwt expired: eyJ<t30>.eyJ<t60>.<t43>",
    "private key": "bad key: -----BEGIN PRIVATE KEY-----\n<t64>\n<t64>\n-----END PRIVATE KEY----- in line 3",
    "private key, cut": "bad key: -----BEGIN PRIVATE KEY-----\n<t64>\n<t30>",
    "e-mail": "Account <w>.<w>@<w>.test has no access to this model",
    "Node: open": "ENOENT: no such file or directory, open '/home/<w>/<w>/src/index.ts'",
    "Node: a space": "ENOENT: no such file or directory, open '/Users/<w>/My Files/<w> notes/<w>.ts'",
    "Node: a space in the name": "ENOENT: no such file or directory, open '/srv/<w> <w> <w>'",
    "Node: Windows": "EPERM: operation not permitted, open 'C:\\Users\\<w>\\<w>\\app.ts'",
    "Node: Windows, a space": "EBUSY: locked, rename 'C:\\Users\\<w> <w>\\Work Files\\<w> <w>'",
    "Node: module": "Cannot find module '@<w>/<w>'\nRequire stack:\n- /srv/<w>/dist/main.js",
    "Node: stack": "TypeError: no\n    at async load (file:///opt/<w>/index.mjs:12:7)\n    at <w> (/var/<w>.js:1:1)",
    "Node: host": "getaddrinfo ENOTFOUND <w>.internal.<w>.test",
    "Node: host and port": "connect ECONNREFUSED 10.20.30.40:5432 <w>.lan:5432",
    "Node: URL": "request to http://<w>:8080/v1/<w>?q=<w> failed, reason: socket hang up",
    "Node: JSON": "Unexpected token 's', \"sk-<t36>\" is not valid JSON",
    "Node: command": "Command failed: curl -H 'Authorization: Bearer <t36>' https://<w>.test/<w>",
    "Cline: patch": "Patch could not be applied: src/<w>/<w>.ts: hunk 1: no match",
    "Cline: editor": "No replacement performed: text not found in <w>.java.",
    "Cline: files": "Cannot read .<w>rc.local or <w>.lock",
    "git: https": "fatal: Authentication failed for 'https://<w>:<t36>@git.<w>.test/<w>/<w>.git/'",
    "git: ssh": "git@<w>.test:<w>/<w>.git: Permission denied (publickey).",
    "git: branch": "error: pathspec 'feature/<w>' did not match any file(s) known to git",
    "git: repository": "fatal: detected dubious ownership in repository at '/home/<w>/<w>'",
    "git: identity": "fatal: unable to auto-detect email address (got '<w>@<w>.(none)')",
    "git: index": "fatal: Unable to create '/Users/<w>/<w>/.git/index.lock': File exists.",
    "Python: traceback": 'Trace:\n  File "/home/<w>/<w>/main.py", line 3, in run\n  File "C:\\<w>\\<w>.py"\nKeyError',
    "Python: not found": "FileNotFoundError: [Errno 2] No such file or directory: 'data/<w>.parquet'",
    "Python: database": 'connection to server at "<w>.db.test" (10.1.2.3), port 5432 failed',
    "Python: pool": "HTTPSConnectionPool(host='<w>.test', port=443): Max retries exceeded with url: /v1/<w>?key=<t36>",
}


class Planted:
    """A text with secrets made up for it; ``pieces`` are the parts of them that must not survive."""

    def __init__(self, template: str, seed: int) -> None:
        self._random = random.Random(seed)
        self.pieces: list[str] = []
        self.text = PLACE.sub(self._secret, template)

    def _secret(self, place: re.Match[str]) -> str:
        kind, count = place[1], int(place[2] or 9)
        alphabet = {
            "w": "bcdfghjkmnpqrstvwxz",
            "t": ALPHANUMERIC,
            "T": string.ascii_uppercase + string.digits,
            "x": "0123456789abcdef",
        }[kind]
        secret = "".join(self._random.choices(alphabet, k=count))
        starts = [0] if kind == "w" else [0, count // 2 - 4, count - 8]
        self.pieces += [secret[start : start + (9 if kind == "w" else 8)] for start in starts]
        return secret

    def surviving(self, shown: str) -> list[str]:
        """What of them is in a text."""
        return [piece for piece in self.pieces if piece in shown]


@pytest.mark.parametrize("around", ["{}", "first line\n{}\nlast line"], ids=["alone", "among lines"])
@pytest.mark.parametrize("name", TEXTS)
def test_no_piece_of_a_secret_survives_in_masked_text(name: str, around: str) -> None:
    for seed in range(25):
        planted = Planted(around.replace("{}", TEXTS[name]), seed)
        assert planted.surviving(planted.text) == planted.pieces != []
        shown = masked(planted.text)
        assert planted.surviving(shown) == [], shown
        assert MASKED in shown


@pytest.mark.parametrize(
    "whole",
    [
        "The model is overloaded, try again in 20 s",
        "prompt is too long: 213462 tokens > 200000 maximum",
        "Too Many Requests (429)",
        "The operation was aborted",
        "Invalid tool call: key not found",
        "Rate limit reached: 30000 tokens per min",
    ],
)
def test_text_that_has_nothing_of_a_secret_stays_readable(whole: str) -> None:
    assert masked(whole) == whole


@given(st.text(max_size=300))
def test_masking_adds_nothing_but_its_mark(whole: str) -> None:
    at = 0
    for part in masked(whole).split(MASKED):
        found = normalised(whole).find(part, at)
        assert found >= 0
        at = found + len(part)


@pytest.mark.parametrize("shown_of_the_key", range(0, 44, 4))
def test_text_that_is_cut_leaves_no_beginning_of_what_stood_at_the_cut(shown_of_the_key: int) -> None:
    """What is masked before the cut makes room, so the end of what was looked at can be within what leaves."""
    key = Planted("sk-<t40>", 0)
    for longest in (LONGEST_TEXT, 2 * LONGEST_TEXT, 4 * LONGEST_TEXT):
        room = longest - shown_of_the_key
        before = f"https://host.test/{'x' * (room - 300)} "
        shown = text(before + ("word " * 100)[-(room - len(before)) :] + key.text)
        assert shown is not None
        assert key.surviving(shown) == []


@pytest.mark.parametrize("size", [0, 1, LONGEST_TEXT, LONGEST_TEXT + 1, 100_000])
def test_no_more_of_a_text_leaves_than_the_longest(size: int) -> None:
    shown = text("ab " * (size // 3) + "c" * (size % 3))
    assert len(shown or "") <= LONGEST_TEXT
    assert (shown is None) == (size == 0)


def test_a_number_or_a_list_is_no_text() -> None:
    assert [text(value) for value in (None, 1, True, ["a"], {"a": "b"}, "undefined", "null", "")] == [None] * 8


@pytest.mark.parametrize(
    "number",
    [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "+49 151 23456789",
        "DE89 3704 0044 0532 0130 00",
        "fe80::1ff:abcd",
        "::1",
    ],
)
def test_a_number_of_a_card_a_phone_an_account_or_a_machine_is_masked(number: str) -> None:
    shown = masked(f"refused for {number}")
    assert [part for part in number.replace("-", " ").split() if len(part) > 2 and part in shown] == []
