"""Free text becomes its class: what providers, Node, git and Cline itself really say."""

from __future__ import annotations

import pytest
from bench.fixed_key import CATALOGUE
from hypothesis import given
from hypothesis import strategies as st

from cline_otel.catalogue.compiled import FALLBACK, SourceEvent
from cline_otel.catalogue.document import catalogued_privacy
from cline_otel.catalogue.values import LONGEST_TEXT, classified
from cline_otel.decode.fields import VAGUE, to_event

ATTRIBUTES, _ = catalogued_privacy()
CLASSES = ATTRIBUTES.classes["error.type"]
CLASS_OF = classified(CLASSES.items())

TEXTS: dict[str, tuple[str, ...]] = {
    "context_window_exceeded": (
        "prompt is too long: 213462 tokens > 200000 maximum",
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
        "input length and max_tokens exceed context limit: 199999 + 8192 > 200000",
        "Input is too long for requested model.",
        "Please reduce the length of the messages or completion.",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "The conversation exceeds the model's context window. Compact the conversation or start a new session.",
        "Requested input length 140000 exceeds maximum input length 131072",
        "400 context_length_exceeded",
    ),
    "rate_limit": (
        "429 Too Many Requests",
        "Rate limit reached for gpt-5 on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000.",
        "This request would exceed your organization's rate limit of 80,000 input tokens per minute.",
        '429 {"type":"error","error":{"type":"rate_limit_error","message":"Number of request tokens has exceeded"}}',
        "Rate limit exceeded: free-models-per-min.",
        "Upstream returned HTTP 429",
        'got status: 429 Too Many Requests. {"error":{"message":"exception parsing response","code":429}}',
        "Resource exhausted. Please try again later. (RESOURCE_EXHAUSTED)",
        "ThrottlingException: Too many tokens, please wait before trying again.",
        "Number of request tokens has exceeded your per-minute rate limit.",
    ),
    "quota": (
        "You exceeded your current quota, please check your plan and billing details.",
        "Request tokens exceed your available quota.",
        "You've reached today's free usage limit for this model.",
        "Your daily spend limit has been reached. Try again in 23h 59m",
        "insufficient_quota",
    ),
    "billing": (
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade.",
        "Insufficient balance. Your Cline credits balance is $0.00.",
        "Not enough credits available",
        "402 Payment Required",
        "This request requires more credits, or fewer max_tokens.",
        "insufficient_credits",
        "the user is not subscribed to required model plan",
        "You can't use this model: billing is not active on your account",
    ),
    "auth": (
        "401 Unauthorized",
        "Incorrect API key provided: ***. You can find your API key in the dashboard.",
        "invalid x-api-key",
        "Invalid API key",
        "Missing API key",
        "API key not valid. Please pass a valid API key.",
        "No Cline account auth token found",
        "The security token included in the request is invalid.",
        "OAuth login requires an interactive terminal session",
        "Token exchange failed",
        "Failed to refresh OpenAI Codex token",
        "Your authentication token has been invalidated. Please try signing in again.",
        "Could not load credentials from any providers",
        "ExpiredTokenException: The security token included in the request is expired",
    ),
    "content_filter": (
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "Output blocked by content filtering policy",
        "Your request was rejected as a result of our safety system.",
        "Response was blocked due to SAFETY",
    ),
    "permission_denied": (
        "403 Forbidden",
        "EACCES: permission denied, open",
        "EPERM: operation not permitted, rename",
        "git: Permission denied (publickey).",
        "User is not authorized to perform: bedrock:InvokeModelWithResponseStream",
        "Access denied.",
        "Your organization does not have access to this model",
    ),
    "overloaded": (
        '529 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
        "The engine is currently overloaded, please try again later",
        "503 Service Unavailable",
        "The model is overloaded. Please try again later.",
        "That model is currently at capacity",
        "No available capacity for this model right now",
    ),
    "timeout": (
        "Request timed out",
        "API request timed out after 120000ms",
        "connect ETIMEDOUT",
        "Command timed out after 5000ms",
        "504 Deadline Exceeded",
        "Timed out waiting for hub shutdown",
        "Headers Timeout Error",
        "The operation was aborted due to timeout",
    ),
    "unknown_tool": (
        "Unknown tool: do_it",
        "AI_NoSuchToolError: Model tried to call unavailable tool 'do_it'.",
        "Tool call do_it was rejected before execution: NoSuchToolError",
    ),
    "search_not_found": (
        "No replacement performed: text not found in the file.",
        "No replacement performed: multiple occurrences of text found in the file.",
        "Patch could not be applied because 2 hunks did not match the current file content.",
        "Could not find matching context (similarity: 0.42). Chunk skipped.",
        "The SEARCH block:\n    const limit = rateLimit(429)\n...does not match anything in the file.",
        "No replacement performed: text not found in src/auth/authenticate.ts.",
        "No replacement performed: text not found in src/network/timeout.ts.",
        "Patch could not be applied because 1 hunk did not match.\napi/quota.ts: hunk 1: Chunk skipped.",
    ),
    "not_found": (
        "ENOENT: no such file or directory, open",
        "404 model not found",
        "The model `gpt-9` does not exist or you do not have access to it.",
        "DiffError: File not found: notes",
        "Update File Error: Missing File: notes",
        "Delete File Error: Missing File: src/network.ts",
        "session not found: dead-session",
        "Model claude-3-haiku is unavailable",
        "Cannot find module 'left'",
    ),
    "network": (
        "fetch failed",
        "connect ECONNREFUSED 127.0.0.1:11434",
        "getaddrinfo ENOTFOUND host",
        "read ECONNRESET",
        "socket hang up",
        "The socket connection was closed",
        "Network error",
        "unable to verify the first certificate",
        "Hub connection closed (code=1006)",
        "other side closed",
        "terminated: UND_ERR_SOCKET",
        "Connection error.",
        "write EPIPE",
    ),
    "mistake_limit": ("maximum consecutive mistakes reached (6)", "Too many consecutive mistakes"),
    "aborted": (
        "This operation was aborted",
        "Run aborted",
        "Interactive runtime abort requested",
        "cli_run_shutdown",
        "cancelled",
        "Request was cancelled by the user",
        "interrupted",
    ),
    "parse_error": (
        "Unexpected token '<', \"<html>\" is not valid JSON",
        "Unexpected end of JSON input",
        "JSON parsing failed",
        "Failed to parse stream chunk",
        "Unknown line while parsing: x",
        "Invalid patch text - incomplete sentinels. Try breaking it into smaller patches.",
        "Invalid Add File line (missing '+'): x",
    ),
    "server_error": (
        "500 Internal Server Error",
        "provider returned 500",
        "502 Bad Gateway",
        "The server had an error while processing your request. Sorry about that!",
        "Internal server error",
        "InternalServerException: The system encountered an unexpected error during processing.",
    ),
    "invalid_request": (
        "400 Bad Request",
        "messages: at least one message is required",
        "422 Unprocessable Entity",
        "Invalid value for 'temperature'",
        "Unsupported parameter: 'max_tokens' is not supported with this model.",
        "Invalid insert_line: 900. insert_line must be a positive one-based boundary line in the range 1-12.",
        "Parameter `old_text` is required when editing an existing file without `insert_line`",
    ),
}

OF_NO_CLASS = (
    "Unknown error",
    "something went wrong",
    "No output generated. Check the stream for errors.",
    "Model returned empty response",
    "Provider returned error",
)


@pytest.mark.parametrize(("text", "name"), [(text, name) for name, texts in TEXTS.items() for text in texts])
def test_what_is_really_said_has_its_class(text: str, name: str) -> None:
    assert CLASS_OF(text) == name


@pytest.mark.parametrize("text", OF_NO_CLASS)
def test_what_says_nothing_has_no_class(text: str) -> None:
    assert CLASS_OF(text) is None


def test_every_class_is_learnt_from_something() -> None:
    assert CLASSES.keys() == TEXTS.keys()


def test_every_class_is_a_value_that_its_attribute_may_have() -> None:
    for target, classes in ATTRIBUTES.classes.items():
        attribute = ATTRIBUTES.attributes[target]
        assert classes.keys() <= (attribute.values or set(ATTRIBUTES.values[attribute.values_from or ""]))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("TypeError in src/auth/authenticate.ts line 12: x is undefined", None),
        ("could not write /home/someone/billing/rate-limit/429.ts", None),
        ("The SEARCH block:\nif (error === 'unauthorized') cancel()\n...does not match", "search_not_found"),
    ],
)
def test_the_words_of_a_path_or_of_code_do_not_decide(text: str, name: str | None) -> None:
    assert CLASS_OF(text) == name


@given(st.text(max_size=2_000))
def test_a_text_becomes_a_class_or_nothing_and_never_a_part_of_itself(text: str) -> None:
    assert CLASS_OF(text) in (None, *CLASSES)


@given(st.one_of(st.none(), st.integers(), st.floats(), st.booleans(), st.lists(st.text())))
def test_what_is_no_text_has_no_class(value: object) -> None:
    assert CLASS_OF(value) in (None, "_OTHER")


def test_only_the_beginning_of_a_text_is_looked_at() -> None:
    assert CLASS_OF("x" * LONGEST_TEXT + " 401 Unauthorized") is None
    assert CLASS_OF("401 Unauthorized " + "x" * 1_000_000) == "auth"


# --- where the class goes -------------------------------------------------------------------------------


def classifying() -> list[tuple[SourceEvent, str, str]]:
    return [
        (entry, field, target)
        for entry in CATALOGUE.vocabularies["cline"].events.values()
        for field, target in entry.classified.items()
    ]


@pytest.mark.parametrize(
    ("entry", "field", "target"), classifying(), ids=[f"{entry.name}: {field}" for entry, field, _ in classifying()]
)
def test_the_class_counts_only_where_no_other_field_says_more(entry: SourceEvent, field: str, target: str) -> None:
    assert any(handler.slot == FALLBACK and handler.name == target for handler in entry.handlers[field])
    text = "connect ECONNREFUSED 127.0.0.1:11434"
    alone = to_event(entry, "cline-log", 1, {field: text}, {})
    assert alone is not None
    assert alone.attributes[target] == "network"
    others = [name for name, targets in entry.fields.items() if target in targets and name != field]
    for other in others:
        for said in (*VAGUE, "something new"):
            event = to_event(entry, "cline-log", 1, {other: said, field: text}, {})
            assert event is not None
            assert event.attributes[target] == "network"
        event = to_event(entry, "cline-log", 1, {field: text, other: "TypeError"}, {})
        assert event is not None
        assert event.attributes[target] == "TypeError"
