"""Files that are packed or of another office program: told by their first bytes, so that the advice fits them."""

from __future__ import annotations

import zipfile
from pathlib import Path

from survey.errors import InputError

# The first bytes of what packs files. Sources: RFC 1952 (gzip) and each program's own description of its format.
PACKERS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"\x28\xb5\x2f\xfd": "zstd",
}
ZIP = b"PK\x03\x04"
# Parts that every workbook in Office Open XML has, and every OpenDocument file (ECMA-376 part 2, ODF 1.3 part 2).
_OFFICE, _OPEN_DOCUMENT = "[Content_Types].xml", "META-INF/manifest.xml"


def check_unpacked(path: Path, head: bytes) -> None:
    """Raises InputError for a file that has to be unpacked first; an Excel workbook, though a zip, is none."""
    kind = next((kind for mark, kind in PACKERS.items() if head.startswith(mark)), "")
    if head.startswith(ZIP):
        kind = _kind_of_zip(path)
    if kind == "ods":
        raise InputError("is an OpenDocument file", where=path.name, how="Save it as .xlsx or CSV.")
    if kind:
        raise InputError(f"is compressed ({kind})", where=path.name, how="Unpack it first.")


def _kind_of_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError):
        return ""  # broken: whoever reads workbooks says so
    if _OFFICE in names or any(name.startswith("xl/") for name in names):
        return ""
    return "ods" if _OPEN_DOCUMENT in names else "zip"
