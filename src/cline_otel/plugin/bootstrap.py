"""A file of one line in an extension's folder, by which its Cline finds what runs plugins without any variable.

Cline looks for a bootstrap beside its program first. One that is a copy does not work, as it looks for what it needs
around itself; one that imports the bootstrap of npm's ``cline`` does. An update of the extension is a new folder
without it, so it is put there again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import msgspec

from cline_otel.operating_system.files import replace, set_mode
from cline_otel.places import EditorPlaces
from cline_otel.plugin.editor_record import read_record, write_record
from cline_otel.plugin.editors import BOOTSTRAP_NAME, ClineInEditor, find_editors
from cline_otel.plugin.errors import PluginInstallError
from cline_otel.private_files import written_beside

_MARKER: Final = b"/* cline-otel: `cline-otel uninstall` takes this file away. */ "
_MODE: Final = 0o644


def write_bootstrap(cline: ClineInEditor, bootstrap: Path) -> Literal["written", "updated", "unchanged"] | None:
    """Puts the file into an extension; None where it has one of its own or cannot use one.

    Args:
        cline: the extension.
        bootstrap: that of npm's ``cline``.

    Raises:
        PluginInstallError: it cannot be written.
    """
    file = cline.bootstrap_file
    if file is None or (cline.has_bootstrap and not is_our_bootstrap(file)):
        return None
    wanted = _MARKER + b"import(" + msgspec.json.encode(bootstrap.as_uri()) + b");\n"
    try:
        present = file.read_bytes() if file.exists() else None
        if present == wanted:
            return "unchanged"
        with written_beside(file, wanted) as temporary:
            set_mode(temporary, _MODE)
            replace(temporary, file)
    except OSError as error:
        raise PluginInstallError(f"cannot write {file}: {error.strerror}; check who owns its directory") from error
    return "written" if present is None else "updated"


def take_bootstrap_out(file: Path) -> None:
    """Removes a file of ours.

    Raises:
        PluginInstallError: it cannot be removed.
    """
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise PluginInstallError(f"cannot remove {file}: {error.strerror}; remove it by hand") from error


def our_bootstraps(editors: Iterable[EditorPlaces]) -> Iterator[Path]:
    """Every file of ours that is there, in extensions that an editor is about to delete too."""
    for editor in editors:
        for folder in ("next/dist", "dist"):
            files = editor.extensions_directory.glob(f"saoudrizwan.*/{folder}/{BOOTSTRAP_NAME}")
            yield from filter(is_our_bootstrap, sorted(files))


def is_our_bootstrap(file: Path) -> bool:
    """Whether a file is one that we have put there."""
    try:
        with file.open("rb") as opened:
            return opened.read(len(_MARKER)) == _MARKER
    except OSError:
        return False


def ask_for_bootstraps(state_directory: Path, bootstrap: Path | None) -> None:
    """Notes that extensions are to have bootstraps, also when they are updated, or that they are not any more.

    Raises:
        PluginInstallError: it cannot be noted.
    """
    record = read_record(state_directory)
    wanted = None if bootstrap is None else str(bootstrap)
    write_record(state_directory, msgspec.structs.replace(record, bootstrap=wanted))


def renew_bootstraps(state_directory: Path, editors: Iterable[EditorPlaces]) -> list[Path]:
    """Puts the file into extensions that have none, as after an update, if that was asked for.

    Args:
        state_directory: ours.
        editors: where editors may be.

    Returns:
        the files that were written; none if npm's ``cline`` is not where it was.
    """
    asked = read_record(state_directory).bootstrap
    if asked is None or not Path(asked).is_file():
        return []
    renewed: list[Path] = []
    for cline in find_editors(editors, None).with_cline:
        # Whoever asked for it sees what is wrong when installing; a bridge goes on without.
        with suppress(PluginInstallError):
            if cline.bootstrap_file is not None and write_bootstrap(cline, Path(asked)) in ("written", "updated"):
                renewed.append(cline.bootstrap_file)
    return renewed
