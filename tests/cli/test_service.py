"""``install --service``: what is written for each service manager, what is run, and where no secret may be."""

from __future__ import annotations

import os
import plistlib
import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bridge.process import Bridge, Home, is_one_clear_line
from cline_otel.service.environment import environment_text, parse_environment, service_variables
from cline_otel.service.install import MANAGERS
from cline_otel.service.interface import MARKER, ServiceCommand, ServiceError, ServiceUser
from cline_otel.settings.reference import variables

SECRETS = {
    "OTEL_EXPORTER_OTLP_HEADERS": "api-key=first-hidden-thing",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://u:second-hidden-thing@127.0.0.1:9",
    "CLINE_OTEL_BRIDGE_LISTEN_TOKEN": "third-hidden-thing-0123456789",
}
HIDDEN = "hidden-thing"
TOOLS = {"systemd": "systemctl", "launchd": "launchctl", "task-scheduler": "schtasks"}
FILES = {
    "systemd": ".config/systemd/user/cline-otel.service",
    "launchd": "Library/LaunchAgents/cline-otel.plist",
    "task-scheduler": "state/service.xml",
}
ODD = 'a "b" \\ $HOME 100% ü'
USER = ServiceUser(Path("/home") / ODD, Path("/home") / ODD / ".config", 501, "DOMAIN\\user & co")
COMMAND = ServiceCommand((f"/opt/{ODD}/python", "-P", "-m", "cline_otel"), Path("/var") / ODD)
TASK = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"


@pytest.fixture(params=TOOLS)
def manager(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose service managers only note what they are asked for, and do as a file says."""
    home = Home(tmp_path / "home")
    programs = home.directory / "bin"
    programs.mkdir()
    for tool in TOOLS.values():
        noting = f'#!/bin/sh\necho "{tool} $*" >> {home.directory}/asked\n. {home.directory}/then\n'
        (programs / tool).write_text(noting)
        (programs / tool).chmod(0o755)
    (home.directory / "then").write_text("")
    home.environment["PATH"] = f"{programs}:{os.environ['PATH']}"
    home.environment["CLINE_OTEL_BRIDGE_LISTEN"] = "off"
    return home


def asked(home: Home) -> list[str]:
    file = home.directory / "asked"
    return file.read_text().splitlines() if file.exists() else []


def files_below(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def starts_by_hand(home: Home) -> str:
    """For ``then``: what the service manager does when it is asked to start the service."""
    words = [sys.executable, "-P", "-m", "cline_otel", "run", "--environment-file", str(home.state / "service.env")]
    start = f"{shlex.join(words)} >/dev/null 2>&1 & echo $! > {home.state}/started"
    return f"case $* in *'enable --now'*|*bootstrap*|*/Run*) {start};; esac\n"


def test_no_value_of_a_setting_is_anywhere_but_in_the_file_for_the_user_alone(home: Home, manager: str) -> None:
    (home.directory / "then").write_text("exit 7\n")
    for options in (["--dry-run"], []):
        answer = home.run("install", "--service", "--service-manager", manager, *options, environment=SECRETS)
        assert HIDDEN not in answer.stdout + answer.stderr
        assert set(SECRETS) <= set(re.findall(r"\w+", answer.stdout))
    settings = home.state / "service.env"
    assert {path for path, content in files_below(home.directory).items() if HIDDEN.encode() in content} == {settings}
    assert stat.S_IMODE(settings.stat().st_mode) == 0o600
    assert SECRETS.items() <= parse_environment(settings.read_text(), settings).items()


def test_a_dry_run_writes_and_runs_nothing(home: Home, manager: str) -> None:
    before = files_below(home.directory)
    for command in ("install", "uninstall"):
        answer = home.run(command, "--service", "--dry-run", "--service-manager", manager)
        assert (answer.returncode, answer.stderr) == (0, "")
    assert files_below(home.directory) == before


def test_what_is_shown_in_a_dry_run_is_what_is_written_and_run(home: Home, manager: str) -> None:
    shown = home.run("install", "--service", "--dry-run", "--service-manager", manager).stdout
    (home.directory / "then").write_text(starts_by_hand(home))
    try:
        assert home.run("install", "--service", "--service-manager", manager).returncode == 0
    finally:
        subprocess.run(["kill", (home.state / "started").read_text().strip()], check=False)
    file = home.directory / FILES[manager]
    assert str(file) in shown
    assert file.read_bytes().decode("utf-16" if manager == "task-scheduler" else "utf-8") in shown
    commands = [line.removesuffix("  (may fail)") for line in shown.partition("Commands:\n\n")[2].splitlines()]
    assert asked(home) == commands


def test_what_is_installed_twice_is_there_once_and_is_taken_away_whole(home: Home, manager: str) -> None:
    (home.directory / "then").write_text("exit 7\n")
    before = files_below(home.directory)
    for said in ("Installed ", "Already there, nothing to do: "):
        answer = home.run("install", "--service", "--service-manager", manager)
        assert f"{said}{home.directory / FILES[manager]}" in answer.stdout
    assert answer.returncode == 1
    assert is_one_clear_line(answer.stderr, TOOLS[manager], "exit code 7", "uninstall --service")
    answer = home.run("uninstall", "--service", "--service-manager", manager)
    assert answer.returncode == 0
    (home.directory / "asked").unlink()
    assert files_below(home.directory) == before
    again = home.run("uninstall", "--service", "--service-manager", manager)
    assert again.stdout == f"Not installed: no {home.directory / FILES[manager]}\n"


def test_without_a_service_manager_nothing_is_written_and_the_error_says_what_to_do(home: Home, manager: str) -> None:
    before = files_below(home.directory)
    answer = home.run("install", "--service", "--service-manager", manager, environment={"PATH": "/nowhere"})
    assert answer.returncode == 1
    assert is_one_clear_line(answer.stderr, f"there is no {TOOLS[manager]} here", "cline-otel run", "cline-otel exec")
    assert files_below(home.directory) == before


def test_a_service_without_its_manager_can_still_be_taken_away(home: Home, manager: str) -> None:
    (home.directory / "then").write_text("exit 7\n")
    home.run("install", "--service", "--service-manager", manager)
    answer = home.run("uninstall", "--service", "--service-manager", manager, environment={"PATH": "/nowhere"})
    assert answer.returncode == 0
    assert not (home.directory / FILES[manager]).exists()
    assert not (home.state / "service.env").exists()


def test_a_file_of_somebody_else_is_neither_replaced_nor_removed(home: Home, manager: str) -> None:
    file = home.directory / FILES[manager]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("of somebody else")
    for command in ("install", "uninstall"):
        answer = home.run(command, "--service", "--service-manager", manager)
        assert answer.returncode == 1
        assert is_one_clear_line(answer.stderr, str(file), "not a file that cline-otel wrote")
    assert file.read_text() == "of somebody else"
    assert not (home.state / "service.env").exists()
    assert asked(home) == []


def test_a_setting_that_cannot_be_used_is_said_before_anything_is_written(home: Home) -> None:
    answer = home.run("install", "--service", environment={"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"})
    assert answer.returncode == 2
    assert is_one_clear_line(answer.stderr, "OTEL_EXPORTER_OTLP_TIMEOUT")
    assert not (home.state / "service.env").exists()


@pytest.mark.parametrize(
    "options", [["--dry-run"], ["--service-manager", "systemd"], ["--service", "--cline-dir", "x"]]
)
def test_options_of_the_one_are_refused_with_the_other(home: Home, options: list[str]) -> None:
    for command in ("install", "uninstall"):
        assert home.run(command, *options).returncode == 2
    assert not home.cline.exists()


def test_the_plugin_and_the_service_are_installed_apart(home: Home) -> None:
    (home.directory / "then").write_text("exit 7\n")
    home.run("install", "--service")
    assert not (home.cline / "plugins").exists()
    home.run("install")
    home.run("uninstall")
    assert (home.state / "service.env").exists()


def test_status_says_whether_a_service_is_installed(home: Home) -> None:
    home.run("install")
    with Bridge(home, listen=None):
        pass
    assert home.status()["service"] is None
    (home.directory / "then").write_text("exit 7\n")
    home.run("install", "--service", "--service-manager", "systemd")
    assert home.status()["service"] == {"manager": "systemd", "file": str(home.directory / FILES["systemd"])}


def test_a_bridge_reads_its_settings_from_a_file_before_its_environment(home: Home) -> None:
    settings = home.directory / "settings.env"
    settings.write_text(
        "# comment\n\nOTEL_SERVICE_NAME=of the = file\r\nCLINE_OTEL_BRIDGE_EXCLUDE=gen_ai.request.model\n"
    )
    settings.chmod(0o600)
    log = home.directory / "bridge.log"
    options = ("--environment-file", str(settings), "--log-file", str(log))
    bridge = Bridge(home, *options, listen=None, environment={"CLINE_OTEL_BRIDGE_EXCLUDE": "gen_ai.tool.name"})
    bridge.launch()
    try:
        bridge_is_up = lambda: "state directory" in log.read_text() if log.exists() else False  # noqa: E731
        from waiting import wait_until

        wait_until(bridge_is_up, "the bridge's report in its file")
    finally:
        bridge.kill()
    assert "excluded         gen_ai.request.model" in log.read_text()
    assert bridge.lines == []
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("A=1\n", 0o644, "chmod 600"),
        ("A=1\nno line of this form, with a hidden-thing\n", 0o600, "line 2"),
        ("1A=1\n", 0o600, "line 1"),
        (None, 0o600, "cannot be read"),
    ],
)
def test_a_file_of_settings_that_cannot_be_used_is_one_line(home: Home, text: str | None, mode: int, said: str) -> None:
    settings = home.directory / "settings.env"
    if text is not None:
        settings.write_text(text)
        settings.chmod(mode)
    answer = home.run("run", "--environment-file", settings)
    assert answer.returncode == 2
    assert is_one_clear_line(answer.stderr, str(settings), said)
    assert HIDDEN not in answer.stderr


def test_every_setting_that_a_bridge_goes_by_is_carried_and_nothing_of_one_command() -> None:
    every = {each.name: "x" for each in variables()} | {"OTEL_EXPORTER_OF_OTHERS_KEY": "x", "https_proxy": "x"}
    carried = service_variables(every | {"HOME": "/", "LANG": "C"}, Path("/state"), "systemd")
    assert every.keys() - carried.keys() == {
        "CLINE_OTEL_EXEC_ID",
        "CLINE_OTEL_TRACEPARENT_AS",
        "CLINE_OTEL_TRACEPARENT_TO_COMMANDS",
        "CLINE_OTEL_TRACE_URL",
        "CLINE_PLUGIN_IDLE_TIMEOUT_MS",
        "CLINE_PLUGIN_IMPORT_TIMEOUT_MS",
        "COLUMNS",
        "GITHUB_STEP_SUMMARY",
        "NO_COLOR",
        "PATH",
        "TRACEPARENT",
    }
    assert carried.keys() <= every.keys()
    assert carried["CLINE_OTEL_BRIDGE_STATE_DIR"] == "/state"
    assert carried["CLINE_OTEL_SERVICE"] == "systemd"


@pytest.mark.parametrize("name", ["CLINE_DIR", "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "CLINE_OTEL_BRIDGE_PRICES"])
def test_a_path_is_whole_wherever_the_service_starts(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert service_variables({name: "some/file"}, Path("/state"), "systemd")[name] == str(tmp_path / "some/file")
    assert service_variables({name: "~/file"}, Path("/state"), "systemd")[name] == str(Path.home() / "file")


def test_each_of_several_directories_is_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    name = "CLINE_OTEL_BRIDGE_CLINE_DIRS"
    carried = service_variables({name: os.pathsep.join(("a", "/b"))}, Path("/state"), "systemd")[name]
    assert carried == os.pathsep.join((str(tmp_path / "a"), "/b"))


def test_a_value_is_read_as_it_was_written_whatever_is_in_it() -> None:
    odd = {"OTEL_A": " 'q' \"d\" \\n $HOME # %s = ü \udcff ", "OTEL_B": "\u2028\x0b\x85"}
    carried = service_variables(odd, Path("/state"), "systemd")
    assert parse_environment(environment_text(carried).decode("utf-8", "surrogateescape"), Path("x")) == carried
    with pytest.raises(ServiceError, match=r"OTEL_A.*several lines"):
        service_variables({"OTEL_A": "first\nsecond"}, Path("/state"), "systemd")


def test_every_definition_is_marked_as_ours(manager: str) -> None:
    unit = MANAGERS[manager].unit(USER, COMMAND)
    assert MARKER.encode() in unit or MARKER.encode("utf-16-le") in unit


def test_the_agent_of_launchd_is_a_property_list_with_the_whole_command() -> None:
    agent = plistlib.loads(MANAGERS["launchd"].unit(USER, COMMAND))
    assert agent["ProgramArguments"] == list(COMMAND.arguments_with_log)
    assert agent["Label"] == "cline-otel"
    assert agent["RunAtLoad"] is True
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert agent["ThrottleInterval"] >= 10
    assert agent["ExitTimeOut"] >= 15
    assert agent["Umask"] == 0o077
    assert "EnvironmentVariables" not in agent
    assert "UserName" not in agent


def test_the_task_of_windows_has_the_form_of_its_schema() -> None:
    unit = MANAGERS["task-scheduler"].unit(USER, COMMAND)
    assert unit.startswith(b"\xff\xfe<\x00?\x00")
    task = ElementTree.fromstring(unit)
    assert task.tag == f"{TASK}Task"

    def text(path: str) -> str | None:
        return task.findtext(path.replace("/", f"/{TASK}").replace("./", f"./{TASK}", 1).replace(f"{TASK}{TASK}", TASK))

    assert [child.tag.removeprefix(TASK) for child in task] == [
        "RegistrationInfo", "Triggers", "Principals", "Settings", "Actions",
    ]  # fmt: skip
    # A trigger is a sequence: what all triggers have comes first.
    trigger = task.find(f"{TASK}Triggers/{TASK}LogonTrigger")
    assert trigger is not None
    assert [child.tag.removeprefix(TASK) for child in trigger] == ["Enabled", "UserId"]
    assert text("./Triggers/LogonTrigger/UserId") == USER.name
    assert text("./Principals/Principal/RunLevel") == "LeastPrivilege"
    assert text("./Principals/Principal/LogonType") == "InteractiveToken"
    principal, actions = task.find(f"{TASK}Principals/{TASK}Principal"), task.find(f"{TASK}Actions")
    assert principal is not None
    assert actions is not None
    assert actions.get("Context") == principal.get("id")
    assert text("./Settings/ExecutionTimeLimit") == "PT0S"
    assert text("./Settings/RestartOnFailure/Interval") == "PT1M"
    assert 1 <= int(text("./Settings/RestartOnFailure/Count") or 0) <= 255
    assert text("./Settings/MultipleInstancesPolicy") in {"Parallel", "Queue", "IgnoreNew", "StopExisting"}
    assert text("./Actions/Exec/Command") == COMMAND.program[0]
    assert text("./Actions/Exec/Arguments") == subprocess.list2cmdline(COMMAND.arguments_with_log[1:])


def test_the_unit_of_systemd_stops_in_time_comes_back_and_needs_no_namespace() -> None:
    unit = MANAGERS["systemd"].unit(USER, COMMAND).decode()
    service = dict(line.split("=", 1) for line in unit.splitlines() if "=" in line and not line.startswith("#"))
    assert service["Restart"] == "on-failure"
    assert int(service["RestartSec"]) >= 10
    assert int(service["TimeoutStopSec"]) >= 15
    assert service["NoNewPrivileges"] == "yes"
    assert service["WantedBy"] == "default.target"
    assert service["ExecStart"].startswith('"/opt/a \\"b\\" \\\\ $HOME 100%% ü/python" -P -m cline_otel run')
    assert service["ExecStart"].endswith('"/var/a \\"b\\" \\\\ $$HOME 100%% ü/service.env"')
    needs_namespaces = re.compile(
        "^(Protect|Private|ReadOnly|ReadWrite|Inaccessible|Bind|Temporary|User=|Group=|Environment)", re.M
    )
    assert not needs_namespaces.search(unit)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_systemd_understands_every_line_of_the_unit(tmp_path: Path) -> None:
    program = tmp_path / "a $HOME, 100 % ü" / "python"
    program.parent.mkdir()
    program.symlink_to(sys.executable)
    unit = tmp_path / "cline-otel.service"
    command = ServiceCommand((str(program), "-P", "-m", "cline_otel"), tmp_path / ODD)
    unit.write_bytes(MANAGERS["systemd"].unit(USER, command))
    answer = subprocess.run(
        ["systemd-analyze", "--user", "--man=no", "verify", unit],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.returncode, answer.stderr) == (0, "")
