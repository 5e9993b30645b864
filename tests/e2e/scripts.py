"""What the scripted model answers: a script per agent, a turn per model call.

A prompt names the script to play with a cue, ``[play:SCRIPT:PLAY]``. PLAY tells apart the Clines of
one run and is handed on to subagents, so that a request can always be assigned to who asked. Within
a play each agent has a script of its own. In texts and arguments ``{workspace}`` stands for Cline's
working folder, ``{play:SCRIPT}`` for a cue to another script, and any other word in braces for a
planted word (``planted.py``), which must never leave the machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_CUE = re.compile(r"\[play:(?P<script>[a-z_]+):(?P<play>[a-z0-9]+)\]")
_HAND_ON = re.compile(r"\{play:(?P<script>[a-z_]+)\}")
_PLACEHOLDER = re.compile(r"\{(?P<name>[a-z_]+)\}")


@dataclass(frozen=True)
class ToolRequest:
    """A tool that the model asks for, with its arguments."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Turn:
    """One answer of the model.

    Attributes:
        text: what it says.
        tools: what it asks for, in order.
        refusals: HTTP statuses that the first attempts get before the answer comes.
        reasoning: what it thinks before it speaks.
        input_tokens: the prompt's tokens, cache reads and writes included; counted from the request when None.
        cache_read_tokens: how many of them came from a cache.
        cache_write_tokens: how many of them were put into a cache.
        held: whether all but the end of the answer is given, and the end when the model server is told to.
        hangs: whether the end of the answer never comes.
    """

    text: str = ""
    tools: tuple[ToolRequest, ...] = ()
    refusals: tuple[int, ...] = ()
    reasoning: str = ""
    input_tokens: int | None = None
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    held: bool = False
    hangs: bool = False


LAST_WORDS = Turn(text="There is nothing left to do.")
"""What a script says after its last turn, for example when teammates report to a lead that is done."""


def cue(script: str, play: str) -> str:
    """The words that make the model play ``script``."""
    return f"[play:{script}:{play}]"


def find_cues(text: str) -> list[tuple[str, str]]:
    """The (script, play) pairs that ``text`` names, in order."""
    return [(match["script"], match["play"]) for match in _CUE.finditer(text)]


def fill_in(value: Any, play: str, words: Mapping[str, str]) -> Any:
    """``value``, a JSON value, with the placeholders in its strings replaced: cues, ``play``, and ``words``."""
    if isinstance(value, str):
        value = _HAND_ON.sub(lambda match: cue(match["script"], play), value)
        known = {"play": play, **words}
        return _PLACEHOLDER.sub(lambda match: known.get(match["name"], match[0]), value)
    if isinstance(value, list):
        return [fill_in(item, play, words) for item in value]
    if isinstance(value, dict):
        return {key: fill_in(item, play, words) for key, item in value.items()}
    return value


def _read(*paths: str) -> ToolRequest:
    return ToolRequest("read_files", {"files": [{"path": "{workspace}/" + path} for path in paths]})


def _run(*commands: str) -> ToolRequest:
    return ToolRequest("run_commands", {"commands": list(commands)})


def _edit(path: str, old: str, new: str) -> ToolRequest:
    return ToolRequest("editor", {"path": "{workspace}/" + path, "old_text": old, "new_text": new})


def _spawn(role: str, task: str) -> ToolRequest:
    return ToolRequest("spawn_agent", {"systemPrompt": f"{role} Never mention {{prompt_word}}.", "task": task})


OWN_TRACE_ID, OWN_SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
"""The span that a command names by itself."""

_WRONG_EDIT = _edit("shop.py", "{prompt_word} is not here", "x")

SCRIPTS: dict[str, tuple[Turn, ...]] = {
    "many_tools": (
        Turn("Looking around.", (ToolRequest("search_codebase", {"queries": ["def price", "{prompt_word}"]}),)),
        Turn("Two files.", (_read("shop.py"), _read("README.md", "missing.md"))),
        Turn("An edit.", (_edit("shop.py", "return net", "return net * 2"),)),
        Turn("An edit of text that is not there.", (_edit("shop.py", "{prompt_word} is not here", "x"),)),
        Turn("A file that is not there.", (_read("missing.py"),)),
        Turn("A slow command.", (_run("sleep 0.3; python3 shop.py"),)),
        Turn(
            "Commands of which one fails.",
            (_run("echo {prompt_word}", "echo {prompt_word} >&2; exit 3"), _run("exit 4")),
        ),
        Turn("A tool that does not exist.", (ToolRequest("consult_{tool_word}", {"about": "{prompt_word}"}),)),
        Turn("Arguments that do not fit.", (ToolRequest("editor", {"wrong": "{prompt_word}"}),)),
        Turn("A good tool beside one that does not exist.", (_run("echo beside"), ToolRequest("no_such_tool", {}))),
        Turn("Done: the price is doubled, and {prompt_word} stays here."),
    ),
    "delegating": (
        Turn(
            "Two helpers at once.",
            (
                _spawn("You read.", "Read what there is about {prompt_word}. {play:reading}"),
                _spawn("You run.", "Run what there is. {play:running}"),
            ),
        ),
        Turn("Checking myself.", (_run("echo checked"),)),
        Turn("Both helpers are done."),
    ),
    "reading": (
        Turn("The file.", (_read("README.md"),)),
        Turn("A slow look.", (_run("sleep 0.4; cat README.md"),)),
        Turn("It is about {prompt_word}."),
    ),
    "running": (
        Turn("It fails.", (_run("sleep 0.2; exit 2"),)),
        Turn("Somebody else shall look.", (_spawn("You look.", "Look at the code. {play:looking}"),)),
        Turn("It failed, and was looked at."),
    ),
    "looking": (
        Turn("The code.", (_read("shop.py"),)),
        Turn("Looked."),
    ),
    "leading": (
        Turn(
            "Two teammates.",
            (
                ToolRequest(
                    "team_spawn_teammate", {"agentId": "{teammate_word}", "rolePrompt": "You review {prompt_word}."}
                ),
                ToolRequest("team_spawn_teammate", {"agentId": "tester", "rolePrompt": "You test {prompt_word}."}),
            ),
        ),
        Turn(
            "Work for both.",
            (
                ToolRequest(
                    "team_run_task",
                    {"agentId": "{teammate_word}", "task": "Review it. {play:reading}", "runMode": "async"},
                ),
                ToolRequest(
                    "team_run_task", {"agentId": "tester", "task": "Test it. {play:looking}", "runMode": "async"}
                ),
            ),
        ),
        Turn("Waiting.", (ToolRequest("team_await_runs", {}),)),
        Turn("The team is done."),
    ),
    "asking_a_server": (
        Turn("One that answers.", (ToolRequest("{server_word}__look_up", {"customer": "{prompt_word}"}),)),
        Turn("One that fails.", (ToolRequest("{server_word}__always_fail", {"customer": "{prompt_word}"}),)),
        Turn("Asked both."),
    ),
    "pausing": (
        Turn("A file.", (_read("README.md"),)),
        Turn("A helper.", (_spawn("You look.", "Look at the code. {play:looking}"),)),
        Turn("A pause before a command.", (_run("echo {prompt_word}"),), held=True),
        Turn("Another one before a file.", (_read("shop.py"),), held=True),
        Turn("Over, with {prompt_word}."),
    ),
    "telling_all": (
        Turn(
            "{prompt_word} first.", (ToolRequest("search_codebase", {"queries": ["{prompt_word}"]}), _read("shop.py"))
        ),
        Turn(
            "An edit that fits, and one that does not.", (_edit("shop.py", "return net", "return net * 2"), _WRONG_EDIT)
        ),
        Turn(
            "Commands.",
            (_run("echo {prompt_word}; cat {workspace}/README.md", "cat {workspace}/{path_word} >&2; exit 3"),),
        ),
        Turn("A skill.", (ToolRequest("skills", {"skill": "{skill_word}", "args": "{prompt_word}"}),)),
        Turn(
            "An agent of the user's own.",
            (ToolRequest("subagent_{agent_word}", {"prompt": "Look for {prompt_word}. {play:looking}"}),),
        ),
        Turn("A tool that does not exist.", (ToolRequest("consult_{tool_word}", {"about": "{prompt_word}"}),)),
        Turn(
            "An MCP server.",
            (
                ToolRequest("{server_word}__{mcp_tool_word}", {"customer": "{prompt_word}"}),
                ToolRequest("{server_word}__always_fail", {"customer": "{prompt_word}"}),
            ),
        ),
        Turn("A pause for {prompt_word}.", (_run("echo {prompt_word}"),), held=True),
        Turn("Over, with {prompt_word}."),
    ),
    "with_a_cache": (
        Turn(
            "First.",
            (_read("README.md"), _read("shop.py")),
            reasoning="I should look at both files.",
            input_tokens=9000,
            cache_read_tokens=4000,
            cache_write_tokens=3000,
        ),
        Turn(
            "Second.",
            (_run("sleep 0.1; echo one"), _run("echo two")),
            reasoning="Now the commands.",
            input_tokens=9500,
            cache_read_tokens=8800,
        ),
        Turn("Last.", input_tokens=9900, cache_read_tokens=9400, cache_write_tokens=200),
    ),
    "refused_at_first": (
        Turn("After two refusals.", (_read("README.md"),), refusals=(429, 500)),
        Turn("At once.", (_run("echo hello"),)),
        Turn("After one more.", refusals=(503,)),
    ),
    "refused_for_good": (Turn(refusals=(401,) * 20),),
    "long_command": (
        Turn("A file first.", (_read("README.md"),)),
        Turn("Now it takes long.", (_run("touch {workspace}/long_command_runs; sleep 300; echo over"),)),
        Turn("This is never asked for."),
    ),
    "brief": (
        Turn("A file.", (_read("README.md"),)),
        Turn("A command.", (_run("sleep 0.2; echo brief"),)),
        Turn("That was brief."),
    ),
    "building": (
        Turn("Builds.", (_run("{traced} {play}-first", "{traced} {play}-second"), _run("{traced} {play}-third"))),
        Turn("A helper.", (_spawn("You build.", "Build it. {play:helping}"),)),
        Turn(
            "One of a trace of its own.",
            (_run(f"TRACEPARENT=00-{OWN_TRACE_ID}-{OWN_SPAN_ID}-01 {{traced}} {{play}}-own; exit 3"),),
        ),
        Turn("It is built."),
    ),
    "helping": (
        Turn("A build.", (_run("{traced} {play}-helpers"),)),
        Turn("Built."),
    ),
    "asking_for_approval": (
        Turn("It is approved.", (_run("sleep 0.2; echo approved"),)),
        Turn("It is denied.", (_run("echo denied"),)),
        Turn("It is denied with a reason.", (_run("echo denied"),)),
        Turn("One that settings approve, and one that is asked about.", (_read("README.md"), _run("echo last"))),
        Turn("Done."),
    ),
    "classic": (
        Turn("A file. <read_file> <path>README.md</path> </read_file>"),
        Turn("A list. <list_files> <path>.</path> <recursive>false</recursive> </list_files>"),
        Turn("A new file. <write_to_file> <path>NEW.md</path> <content>{prompt_word}</content> </write_to_file>"),
        Turn(
            "A command. <execute_command> <command>echo {prompt_word}</command>"
            " <requires_approval>false</requires_approval> </execute_command>"
        ),
        Turn("Over. <attempt_completion> <result>Over, with {prompt_word}.</result> </attempt_completion>", held=True),
    ),
    "unanswered": (
        Turn("A file first.", (_read("README.md"),)),
        Turn("This has no end.", hangs=True),
    ),
    "command_without_end": (
        Turn("A file first.", (_read("README.md"),)),
        Turn("Now it takes long.", (_run("touch {workspace}/{play}_runs; sleep 600; echo over"),)),
        Turn("This is never asked for."),
    ),
    "left_alone": (Turn("Nobody answers.", (_run("echo never"),)),),
}
