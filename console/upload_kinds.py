"""Files that are no list of calls at all, such as a PDF: told by their first bytes, before columns are looked for."""

from __future__ import annotations

from pathlib import Path

from survey.errors import InputError

EXPORT = "Let the telephone system export its calls as CSV or as an Excel workbook, and hand that in."
UNPACK = "Unpack it, and hand in the file inside."
SAVE_AS = "Open it in Excel or LibreOffice, save it as an Excel workbook or as CSV, and hand that in."
# https://www.garykessler.net/library/file_sigs.html
SIGNATURES = (
    (b"%PDF-", "a PDF", EXPORT),
    (b"\x89PNG", "a picture (PNG)", EXPORT),
    (b"\xff\xd8\xff", "a picture (JPEG)", EXPORT),
    (b"GIF8", "a picture (GIF)", EXPORT),
    (b"II*\0", "a picture (TIFF)", EXPORT),
    (b"MM\0*", "a picture (TIFF)", EXPORT),
    (b"RIFF", "a sound or a picture", EXPORT),
    (b"OggS", "a sound", EXPORT),
    (b"\x1f\x8b", "a packed file (gzip)", UNPACK),
    (b"7z\xbc\xaf", "a packed file (7z)", UNPACK),
    (b"Rar!", "a packed file (RAR)", UNPACK),
    (b"BZh", "a packed file (bzip2)", UNPACK),
    (b"{\\rtf", "a text document (RTF)", SAVE_AS),
    (b"<!doctype html", "a web page (HTML)", SAVE_AS),
    (b"<html", "a web page (HTML)", SAVE_AS),
    (b"<?xml", "an XML document", SAVE_AS),
)
# Workbooks, new and old: intake knows what to say of those.
EXCEL = (b"PK", b"\xd0\xcf\x11\xe0")
HEAD_BYTES = 4_096
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x1b\0")
# Of a hundred bytes of text, fewer than this are control signs.
MOST_CONTROLS = 5


def check_kind(path: Path) -> None:
    """Raises InputError for a file that is plainly something else than a table or JSON."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    begin = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for signature, what, how in SIGNATURES:
        if head.startswith(signature) or begin.startswith(signature):
            raise InputError(f"is {what}, not a list of calls", where=path.name, how=how)
    controls = sum(byte < 32 and byte not in _TEXT_CONTROLS for byte in head)
    if not head.startswith(EXCEL) and 100 * controls > MOST_CONTROLS * len(head):
        raise InputError(
            "is neither text nor an Excel workbook, so it is no list of calls", where=path.name, how=EXPORT
        )
