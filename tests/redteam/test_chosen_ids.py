"""An id that somebody chose does not pass for one that a machine made, whatever form it borrows."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.resources import files
from typing import Final

import pytest
from bench.fixed_key import KEY

from cline_otel.catalogue import values
from cline_otel.privacy.pseudonyms import PSEUDONYM, Pseudonyms
from waiting import PATIENCE_SECONDS

CHOSEN: Final = (
    "msg_zebra_alice_at_example_com", "run_zebracor", "run_Zebracor", "agent_1234567890123_zebracorp",
    "agent_1795357897484_zebracorp", "1234567890123", "1795357897484_zebracorp", "call_alice", "call_alice-smith-1",
    "req-payroll-merger", "resp_1_alice_smith", "chatcmpl-project-merger-2", "msg_zebracor", "msg_zebracor_1",
    "call_1|fc_alice", "toolu_customer_acme",
)  # fmt: skip
MADE: Final = (
    "run_v0QVF1-S", "run_OGa_9zai", "msg_Pf9RbIHr", "msg__H7NgOkc", "msg_mwxvnkef_1", "agent_1795367634632_8fsm61",
    "conv_1795358814217_v6vy9q3", "1795367633961_33vlf", "agent_1795357897484_pat33nc14", "1795368770068",
    "01M8252PGQHN3S9EYQRD3JPE4P", "f1333096-e88d-442c-91b5-24c30a13553c", "error_a23dc051-0cb3-4963-b3c6-7be9d54b38ed",
)  # fmt: skip
OF_PROVIDERS: Final = (
    "toolu_01A09q90qw90lq917835lq9", "chatcmpl-24accb23-bfe1-4c66-9c0e-a1a86762e6d0", "call_1", "call_Zc4q8d1x",
    "resp_68a1b2c3d4e5f60718293a4b5c6d7e8f", "call_9f8e7d6c|fc_1a2b3c4d", "fake-0001",
)  # fmt: skip
GATES: Final = {
    by_providers: values.identifier(Pseudonyms(KEY), by_providers=by_providers) for by_providers in (False, True)
}


@pytest.mark.parametrize("chosen", CHOSEN)
@pytest.mark.parametrize("by_providers", [False, True])
def test_what_somebody_chose_is_a_pseudonym(chosen: str, by_providers: bool) -> None:
    shown = GATES[by_providers](chosen)
    assert shown == Pseudonyms(KEY).of("id", chosen)
    assert PSEUDONYM.fullmatch(str(shown))


@pytest.mark.parametrize("made", MADE)
def test_an_id_as_cline_makes_them_leaves_as_it_is(made: str) -> None:
    assert [gate(made) for gate in GATES.values()] == [made, made]


@pytest.mark.parametrize("made", OF_PROVIDERS)
def test_an_id_as_providers_make_them_leaves_as_it_is(made: str) -> None:
    assert GATES[True](made) == made


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_plugin_gives_each_id_the_result_of_the_bridge() -> None:
    plugin = files("cline_otel.plugin").joinpath("cline-otel.js")
    ids = [*CHOSEN, *MADE, *OF_PROVIDERS]
    script = f"""
        import {{ pathToFileURL }} from "node:url";
        const {{ createPseudonyms, PATTERNS }} = await import(pathToFileURL({json.dumps(str(plugin))}));
        const ofKey = createPseudonyms({{ version: 1, key: "{KEY.hex()}", built_in_tools: [] }});
        const ids = {json.dumps(ids)};
        const shown = ids.map((id) => [ofKey.identifier(id), PATTERNS.providerId.test(id) ? id : ofKey.identifier(id)]);
        console.log(JSON.stringify(shown));
    """
    printed = subprocess.run(
        ["node", "--input-type=module", "--eval", script],
        stdout=subprocess.PIPE, check=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert json.loads(printed.stdout) == [[GATES[False](each), GATES[True](each)] for each in ids]


def test_a_count_is_no_telephone_number() -> None:
    for number in (9175551234, 4917112345678, "9175551234", 4111111111111111):
        assert values.amount(number) is None
    assert values.amount(2_000_000_000) == 2_000_000_000
