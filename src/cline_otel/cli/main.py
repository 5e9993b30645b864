"""The command line. Commands import what they need when they run, so that ``--help`` stays quick."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from cline_otel.cli.errors import fail
from cline_otel.cli.sources import CommandOnRecordings, SourceName
from cline_otel.defects import described
from cline_otel.operating_system.standard_streams import open_missing_streams
from cline_otel.version import __version__

_TIMES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _OneLineErrors(click.Group):
    """Every error is one line on stderr and a non-zero exit; a defect of ours names its place, never its data."""

    def main(self, *args: Any, **extra: Any) -> Any:
        open_missing_streams()
        try:
            return super().main(*args, **{**extra, "standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx is not None else "cline-otel"
            fail(f"{_sentence(error.format_message())} (see `{command} --help`)", error.exit_code)
        except click.ClickException as error:
            fail(_sentence(error.format_message()), error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            sys.exit(130)
        except BrokenPipeError:
            sys.exit(1)
        except Exception as error:
            if sys.flags.dev_mode:
                raise
            fail(
                f"a defect in cline-otel, {described(error)}; "
                "what was committed is kept. Please report this line (python -X dev shows more)"
            )


def _sentence(text: str) -> str:
    """One line that goes on after ``error:``, as click's messages do not."""
    line = " ".join(text.split()).rstrip(".")
    return line[:1].lower() + line[1:]


@click.group(cls=_OneLineErrors, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="cline-otel")
def main() -> None:
    """What the Cline coding agent does, as OpenTelemetry spans, metrics and log records over OTLP.

    With no endpoint set nothing leaves this machine. Point it at a collector with
    OTEL_EXPORTER_OTLP_ENDPOINT. Code, file contents, paths, arguments, prompts, personal data and keys
    never leave.
    """


@main.command()
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Where to receive OTLP over HTTP; port 0 is any free one.  [default: 127.0.0.1:4319]",
)
@click.option(
    "--listen-grpc",
    metavar="HOST:PORT",
    help="Where to receive OTLP over gRPC.  [default: 127.0.0.1:4320]",
)
@click.option("--no-listen", is_flag=True, help="Receive nothing; read files only.")
@click.option(
    "--environment-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Lines NAME=value that go before the environment; nobody else may use the file (`chmod 600`).",
)
@click.option(
    "--log-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where reports go instead of stderr; what is over 1 MiB goes into FILE.1.",
)
def run(
    listen: str | None,
    *,
    listen_grpc: str | None,
    no_listen: bool,
    environment_file: Path | None,
    log_file: Path | None,
) -> None:
    """Run the bridge: read Cline's events, translate, store, deliver.

    Reads what Cline and its plugin write, and receives what Cline sends. What was received survives a crash.
    Stop it with Ctrl-C: what can be sent within 5 s is sent, the rest waits for the next start.
    """
    from cline_otel.cli.run import run_bridge

    run_bridge(
        listen=listen,
        listen_grpc=listen_grpc,
        listening=not no_listen,
        environment_file=environment_file,
        log_file=log_file,
    )


_DRAIN = click.option(
    "--drain",
    "drain_seconds",
    type=click.FloatRange(0, 600),
    default=10.0,
    metavar="SECONDS",
    help="How long what Cline did may be read and sent afterwards.  [default: 10]",
)


@main.command(name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_DRAIN
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND...", type=click.UNPROCESSED)
def exec_(command: tuple[str, ...], drain_seconds: float) -> None:
    """Run a command with a bridge beside it, as in a CI job: `cline-otel exec -- cline "Fix the tests"`.

    The command has our standard streams, gets the signals that we get, and we exit with its exit code. It runs even
    if no bridge can, or telemetry is off. Afterwards the hub that it started is ended, what it did is read and sent,
    and the ids of its traces are printed on stderr. In a job docs/ci.md says what else.
    """
    from cline_otel.cli.exec import exec_command

    sys.exit(exec_command(command, drain_seconds))


@main.command()
@_DRAIN
def pipe(drain_seconds: float) -> None:
    """Pass a stream on unchanged, with a bridge beside whoever writes it: `cline --json "..." | cline-otel pipe`.

    Standard input goes to standard output byte for byte, whatever becomes of the bridge. Afterwards what Cline did is
    read and sent, as with `exec`, which also prints the traces and knows the job; a hub is left alone.
    """
    from cline_otel.cli.pipe import pipe as pass_on

    sys.exit(pass_on(drain_seconds))


_CLINE_DIRECTORY = click.option(
    "--cline-dir",
    type=click.Path(path_type=Path),
    help="Cline's directory.  [default: CLINE_DIR, else ~/.cline, and CLINE_OTEL_BRIDGE_CLINE_DIRS]",
)
_SERVICE_MANAGER = click.option(
    "--service-manager",
    type=click.Choice(("systemd", "launchd", "task-scheduler")),
    help="With --service: which one.  [default: this system's]",
)
_SERVICE_DRY_RUN = click.option(
    "--dry-run", is_flag=True, help="With --service: only show the files and the commands, and no setting's value."
)


@main.command()
@_CLINE_DIRECTORY
@click.option("--editors", is_flag=True, help="Also set CLINE_WRAPPER_PATH, by which the plugin loads in editors.")
@click.option(
    "--editor-bootstrap",
    is_flag=True,
    help="Also put a file into the extension's folder in editors, by which the plugin loads there.",
)
@click.option("--service", is_flag=True, help="Instead of the plugin: the bridge as a service, from login on.")
@_SERVICE_MANAGER
@_SERVICE_DRY_RUN
def install(
    cline_dir: Path | None,
    *,
    editors: bool,
    editor_bootstrap: bool,
    service: bool,
    service_manager: str | None,
    dry_run: bool,
) -> None:
    """Install the plugin into Cline: it reports every agent and call.

    Says which editors there are, which Cline is in each, and what reports it. There the plugin loads by what npm's
    `cline` brings along. --editors says where that is: in the files of your login shell (bash, zsh, fish), else in
    environment.d, on macOS by launchctl too, on Windows by setx. `uninstall` takes it all out again.

    With --service, install the bridge as a service of yours, with the settings that this shell has: a user's unit of
    systemd, an agent of launchd, or a task of Windows' Task Scheduler. It starts at once and at each login, and again
    after a failure; other settings need the command again.
    """
    of_plugin = cline_dir is not None or editors or editor_bootstrap
    if _is_about_service(of_plugin=of_plugin, service=service, only_service=service_manager is not None or dry_run):
        from cline_otel.cli.service import install_service

        install_service(service_manager, dry_run=dry_run)
    else:
        from cline_otel.cli.plugin import install_plugin

        install_plugin(cline_dir, editors=editors, editor_bootstrap=editor_bootstrap)


@main.command()
@_CLINE_DIRECTORY
@click.option("--service", is_flag=True, help="Instead of the plugin: the service, with its settings and reports.")
@_SERVICE_MANAGER
@_SERVICE_DRY_RUN
@click.option(
    "--purge", is_flag=True, help="The state directory too: the journal with what waits in it, the spool, the key."
)
def uninstall(
    cline_dir: Path | None, *, service: bool, service_manager: str | None, dry_run: bool, purge: bool
) -> None:
    """Remove the plugin and what `install` wrote for editors, or with --service the service; and say what is left."""
    only_service = service_manager is not None or dry_run
    of_plugin = cline_dir is not None or purge
    if _is_about_service(of_plugin=of_plugin, service=service, only_service=only_service):
        from cline_otel.cli.service import uninstall_service

        uninstall_service(service_manager, dry_run=dry_run)
    else:
        from cline_otel.cli.plugin import uninstall_plugin

        uninstall_plugin(cline_dir, purge_state=purge)


def _is_about_service(*, of_plugin: bool, service: bool, only_service: bool) -> bool:
    if service and of_plugin:
        raise click.UsageError(
            "--cline-dir, --editors and --purge are for the plugin; "
            "the service reads the Clines that the variables name"
        )
    if only_service and not service:
        raise click.UsageError("--service-manager and --dry-run are for --service")
    return service


@main.command("import")
@click.argument("paths", nargs=-1, metavar="[PATH...]", type=click.Path(path_type=Path, readable=False))
@click.option("--dry-run", is_flag=True, help="Only show what there is.")
@click.option("--since", type=click.DateTime(_TIMES), help="Prompts from then on, UTC.")
@click.option("--until", type=click.DateTime(_TIMES), help="Prompts before then, UTC.")
@click.option("--surface", "surfaces", multiple=True, metavar="NAME", help="Only this surface; may be repeated.")
@click.option("--metrics", is_flag=True, help="Metrics too, as points of the past, which many backends refuse.")
def import_history(
    paths: tuple[Path, ...],
    dry_run: bool,
    since: datetime | None,
    until: datetime | None,
    surfaces: tuple[str, ...],
    metrics: bool,
) -> None:
    """Send what Cline's files hold of the past: all sessions, each prompt once.

    Finds the sessions of every Cline that is read; or name folders: one of sessions, a session's, or one that has
    `sessions` in it. Shows what there is first. What the bridge told is not sent again, nor what was imported; what
    was broken off goes on.
    """
    from cline_otel.cli.import_history import import_paths

    import_paths(paths, since=since, until=until, surfaces=surfaces, dry_run=dry_run, metrics=metrics)


@main.command(cls=CommandOnRecordings)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path, readable=False))
@click.option("--only", type=SourceName(), help="Read only this source.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write traces.jsonl, metrics.jsonl, logs.jsonl there.",
)
@click.option("--send", is_flag=True, help="Also send traces and logs to the endpoint that OTEL_* names.")
@click.option("--metrics", is_flag=True, help="With --send: metrics too.")
def replay(paths: tuple[Path, ...], only: str | None, output: Path | None, send: bool, metrics: bool) -> None:
    """Turn recordings into telemetry, as the bridge would have.

    PATH is a recording ({recordings}) or a folder of recordings. The format is recognized by the
    content, also in files compressed by gzip or zstd and in what Docker, Kubernetes or systemd made of a log.
    Without --output the traces are drawn in the terminal. The same input gives the same bytes.
    """
    from cline_otel.cli.replay import replay_paths

    replay_paths(list(paths), only, output, send=send, metrics=metrics)


@main.command()
@click.argument("paths", nargs=-1, metavar="[PATH...]", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--last",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="The newest N spans and log records of this installation that left or wait.",
)
@click.option("--only", type=SourceName(), help="Read only this source.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line.")
def preview(paths: tuple[Path, ...], last: int | None, only: str | None, as_json: bool) -> None:
    """Show exactly what would leave, or left, and what would not and why.

    Of recordings (PATH as for `replay`): event by event, which fields are taken, which are not, and what comes
    out, with its bytes. With --last: as it was sent. Values that do not leave are never shown.
    """
    from cline_otel.cli.preview import preview_last, preview_paths

    if bool(paths) == (last is not None):
        raise click.UsageError("name recordings, or give --last N for what this installation sent: one of the two")
    if last is None:
        preview_paths(list(paths), only, as_json=as_json)
    elif only is not None:
        raise click.UsageError("--only is for recordings")
    else:
        preview_last(last, as_json=as_json)


@main.command()
def demo() -> None:
    """Replay a bundled run of the real Cline and draw its trace."""
    from cline_otel.cli.demo import run_demo

    run_demo()


@main.command()
@click.argument("event", required=False)
@click.option("--privacy", is_flag=True, help="What is always exported, what if you ask for it, and what never.")
def explain(event: str | None, privacy: bool) -> None:
    """Show what an event becomes, and which of its fields are never exported.

    Without EVENT, lists all events of all sources.
    """
    from cline_otel.cli.explain import explain_event, explain_privacy

    if not privacy:
        explain_event(event)
    elif event is None:
        explain_privacy()
    else:
        raise click.UsageError("--privacy covers all events: name none")


@main.command()
@click.option("--erase", is_flag=True, help="Also erase what was collected and not sent yet, from the disk too.")
def off(erase: bool) -> None:
    """Switch telemetry off, within a second: nothing is read, stored or sent.

    Holds for the plugin and the bridge, running or not, until `cline-otel on`. What waits is kept.
    """
    from cline_otel.cli.off import switch_off

    switch_off(erase=erase)


@main.command()
def on() -> None:
    """Undo `cline-otel off`: telemetry resumes from now."""
    from cline_otel.cli.off import switch_on

    switch_on()


@main.group("dead-letters")
def dead_letters() -> None:
    """What a destination refused for good: kept, so that it can be sent again."""


_SIGNALS = click.option(
    "--signal",
    type=click.Choice(["traces", "metrics", "logs"]),
    help="Only those of this signal.",
)


@dead_letters.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_dead_letters(as_json: bool) -> None:
    """Show how many there are, since when, and what their destination answered; nothing of what they hold."""
    from cline_otel.cli.dead_letters import show

    show(as_json=as_json)


@dead_letters.command("send")
@_SIGNALS
def send_dead_letters(signal: str | None) -> None:
    """Put them into the queue again, as after the backend's limit was raised.

    They are sent like everything else that waits, to where the settings say now. Where a signal has several
    destinations, those that have taken them get them again, with the same ids.
    """
    from cline_otel.cli.dead_letters import send

    send(signal)


@dead_letters.command("drop")
@_SIGNALS
def drop_dead_letters(signal: str | None) -> None:
    """Delete them."""
    from cline_otel.cli.dead_letters import drop

    drop(signal)


@main.group()
def key() -> None:
    """The key of this installation's pseudonyms."""


@key.command()
def rotate() -> None:
    """Make a new key: names have other pseudonyms from now on, within a second."""
    from cline_otel.cli.key import rotate as rotate_key

    rotate_key()


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Show what was read, delivered and dropped, and what waits."""
    from cline_otel.cli.status import show_status

    show_status(as_json=as_json)
