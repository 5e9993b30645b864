"""Environment variables of Cline, of editors and of others, which are read where they matter or by the libraries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cline_otel.settings.variable import A_DIRECTORY, A_FILE, Variables, variable

CLINE_PREFIX: Final = "CLINE_"


@dataclass(frozen=True, kw_only=True, eq=False)
class ClineVariables(Variables):
    """Cline's own variables, which say where its files are."""

    dir: str | None = variable(
        None, A_DIRECTORY, "Cline's own directory, in which the plugin is installed.", unset="`~/.cline`"
    )
    data_dir: str | None = variable(
        None,
        A_DIRECTORY,
        "Where Cline keeps its data: logs, sessions, settings and copies of a remote config.",
        unset="`data` in Cline's directory, in which settings and remote config are looked for in any case",
    )
    log_path: str | None = variable(
        None, A_FILE, "Cline's log.", unset="`logs/cline.log` and `logs/code.log` where Cline keeps its data"
    )
    session_data_dir: str | None = variable(
        None, A_DIRECTORY, "Where Cline keeps its sessions.", unset="`sessions` where Cline keeps its data"
    )
    db_data_dir: str | None = variable(
        None, A_DIRECTORY, "Where Cline keeps its databases.", unset="`db` where Cline keeps its data"
    )
    global_settings_path: str | None = variable(
        None,
        A_FILE,
        "A file with Cline's settings, in which its own opt-out is looked for too.",
        unset="`settings/global-settings.json` where Cline keeps its data",
    )
    plugin_import_timeout_ms: str | None = variable(
        None,
        "milliseconds",
        "How long Cline waits for the plugin to load, and then goes on without it.",
        unset="`4000`; in a command of `cline-otel exec` `60000`",
    )
    plugin_idle_timeout_ms: str | None = variable(
        None,
        "milliseconds",
        "How long Cline does not call the plugin until it ends its process, whose runs then go on in another.",
        unset="`1800000`",
    )
    hub_discovery_path: str | None = variable(
        None,
        A_FILE,
        "The file in which Cline's hub says that it runs; `cline-otel install` reports a hub.",
        unset="`locks/hub/production.json` where Cline keeps its data",
    )
    wrapper_path: str | None = variable(
        None,
        A_FILE,
        "The `cline` of npm, which editors need to load plugins; `cline-otel install --editors` sets it for them.",
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class EditorVariables(Variables):
    """Where editors keep things, and where it is said what is in their environment."""

    appdata: str | None = variable(
        None, A_DIRECTORY, "Where editors keep their data on Windows.", unset="`AppData/Roaming` in the home directory"
    )
    xdg_config_home: str | None = variable(
        None, A_DIRECTORY, "Where editors keep their data on Linux.", unset="`.config` in the home directory"
    )
    xdg_data_home: str | None = variable(
        None,
        A_DIRECTORY,
        "Where code-server keeps its data, and JetBrains' IDEs their plugins.",
        unset="`.local/share` in the home directory",
    )
    zdotdir: str | None = variable(
        None,
        A_DIRECTORY,
        "Where zsh has its files, into which `cline-otel install --editors` writes.",
        unset="the home directory",
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class OtherVariables(Variables):
    """Variables that others have defined, and that are read where they matter or by the libraries."""

    do_not_track: str | None = variable(
        None,
        "anything but `0` and `false`",
        "Switches telemetry off: nothing is read, stored or sent (consoledonottrack.com).",
    )
    traceparent: str | None = variable(
        None,
        "as W3C Trace Context has it",
        "The span in which Cline was started, a pipeline's for example; the plugin records it.",
    )
    github_step_summary: str | None = variable(
        None, "a file, set by GitHub Actions", "Where `cline-otel exec` appends its step summary, as Markdown."
    )
    http_proxy: str | None = variable(
        None, "a URL", "The proxy for `http` endpoints of OTLP over HTTP; gRPC reads `grpc_proxy` too.", secret=True
    )
    ssl_cert_dir: str | None = variable(
        None, A_DIRECTORY, "Where the authorities are that OTLP over TLS trusts, instead of the system's."
    )
    grpc_default_ssl_roots_file_path: str | None = variable(
        None, A_FILE, "The authorities that OTLP over gRPC trusts, instead of the system's."
    )
    https_proxy: str | None = variable(None, "a URL", "The proxy for `https` endpoints.", secret=True)
    no_proxy: str | None = variable(None, "host names, separated by commas", "Hosts that are reached without a proxy.")
    path: str | None = variable(
        None, "directories", "Where `cline-otel install` looks for a Cline that will load the plugin."
    )
    shell: str | None = variable(
        None,
        "a program",
        "The login shell, into whose files `cline-otel install --editors` writes.",
        unset="the one that the system has for the user",
    )
    grpc_verbosity: str | None = variable(
        None, "`DEBUG`, `INFO`, `ERROR`, `NONE`", "What the gRPC library reports on stderr.", unset="`NONE`"
    )
    columns: str | None = variable(
        None,
        "a number",
        "How many characters wide output is.",
        unset="the terminal's width; into a pipe 80, of `status` and `preview` 160",
    )
    no_color: str | None = variable(None, "anything", "Tables and traces are printed without colors (no-color.org).")
