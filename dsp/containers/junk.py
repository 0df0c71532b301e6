"""What lies among the files of a song and is none of it. Pure, but for ``files_in``.

Rules
-----
1. Junk is known by its kind, not by one spelling: without regard to case, to the form of its
   accents, or to how a file system writes what it cannot store (``:`` as U+F03A, and the like).
2. A copy is set aside only when the original lies beside it: alone, it is the file.
3. Nothing is removed. Who lists a folder leaves out what is named here.

References
----------
Gathered from the issue trackers of programs that watch folders: each entry was once taken for
audio by one of them. Names that Windows cannot hold: Cygwin and WSL add U+F000 to the character;
"Services for Macintosh", which macOS uses on SMB, has a table of its own from U+F001 on.
"""

import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from fnmatch import translate
from pathlib import Path
from typing import Literal

Kind = Literal["plain", "arriving", "junk", "hidden"]


def _any_of(*patterns: str) -> re.Pattern[str]:
    """Return what matches a name that one of the shell patterns matches."""
    return re.compile("|".join(translate(pattern) for pattern in patterns))


_ARRIVING = _any_of(
    *("*.part", "*.partial", "*.filepart", "*.crdownload", "*.download", "*.opdownload"),
    *("*.upload", "*.tmp", "*.temp", "*.!sync", "*.syncthing.*", "~syncthing~*", ".~tmp~"),
    *("*.aria2", "*.!ut", "*.!qb", "*.bc!", "*.fdmdownload", "*.xltd", "*.inprogress"),
    *("_unpack_*", "*~"),
)
# rsync's .name.XXXXXX: the dot in front, six letters or digits behind.
_RSYNC = re.compile(r"\..+\.[a-z0-9]{6}")
_SONGS = (
    *(".wav", ".wave", ".bwf", ".aif", ".aiff", ".aifc", ".flac", ".mp3", ".mp2", ".m4a", ".mp4"),
    *(".ogg", ".oga", ".opus"),
)
_MAPPED = re.compile(r"[\uf000-\uf0ff]")
_PARTIAL = re.compile(
    r"(.+)\.(?:part|partial|filepart|crdownload|download|opdownload|upload|tmp|temp|!sync|aria2|!ut"
    r"|!qb|bc!|fdmdownload|xltd|inprogress)",
    re.IGNORECASE,
)
_AGAIN = r"(?: ?\(\d+\)| \d+| copy| kopie)?"
_JUNK = re.compile(
    "|".join(
        (
            # macOS
            rf"[._ ]*ds[_ .-]?store{_AGAIN}|\._.*|icon[\r?]|\.localized|__macosx{_AGAIN}",
            r"\.(?:spotlight-v\d+|fseventsd|trashes?|trash-\d+|temporaryitems|apple(?:double|db))",
            r"\.documentrevisions-v\d+|\.apdisk|network trash folder",
            # Windows, and the streams of a file that copiers write as files of their own
            rf"(?:eh)?thumbs(?:_vista)?{_AGAIN}\.db(?:[:_.]encryptable)?|desktop{_AGAIN}\.ini",
            r"\$recycle\.bin|system volume information|found\.\d{3}|~\$.*",
            r".+(?:[:._\ua789\uff1a]|%3a)zone\.identifier(?:[:._]\$data)?.*",
            r".+[:\ua789\uff1a](?:afp_\w+|com\.apple\..+|smartscreen|encryptable|\$data)",
            # Linux, servers, programs that synchronise
            r"\.~lock\..*|\.nfs.*|\.smbdelete.*|lost\+found|@eadir|@tmp|[@#]recycle|[@#]snapshot",
            r"\.?@__thumb|@recently-snapshot|\.stfolder.*|\.stversions|\.stignore|\.dropbox.*",
            # What audio workstations leave beside their files: peaks, overviews, analyses.
            r".+\.(?:reapeaks|reapindex|asd|pk|pkf|gpk|peak|sfk|sfl|sfap\d|wfm|ovw|mrk|analysis)",
        )
    ),
    re.DOTALL,
)
# Cygwin: U+F000 and the character. Services for Macintosh: controls alike, the others in order.
_SFM = dict(zip(range(0xF020, 0xF02A), '"*:<>?\\| .', strict=True))
_UNMAPPED = {0xF000 + code: chr(code) for code in range(1, 0x7F)}
# Russian, Japanese, Chinese and Korean stand last.
_COPY_WORD = (
    r"(?:copy|kopie|copie|copia|cópia|kopia|kopi|kopya|kopio|kópia"
    r"|\u043a\u043e\u043f\u0438\u044f|\u30b3\u30d4\u30fc|\u526f\u672c|\ubcf5\uc0ac\ubcf8)"
)
_CONFLICT = r"(?:conflict|konflikt|conflit|conflicto|conflitto|conflito|widersprüchlich|case clash)"
_COPIES = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?P<of>.+?) ?\(\d{1,3}\)",
        rf"(?P<of>.+?) ?[-\u2013] {_COPY_WORD}(?: ?\(?\d{{1,3}}\)?)?",
        rf"(?P<of>.+?) {_COPY_WORD}(?: \d{{1,3}})?",
        rf"(?P<of>.+?) ?\((?:another |\d+(?:st|nd|rd|th) )?{_COPY_WORD}(?: \d{{1,3}})?\)",
        rf"{_COPY_WORD} (?:of|von|de|di|av|af|van|z) (?P<of>.+)",
        rf"(?P<of>.+?) ?[(\[][^()\[\]]*{_CONFLICT}[^()\[\]]*[)\]]",
        rf"(?P<of>.+?)[._-](?:sync-|sf|.*_)?{_CONFLICT}(?:[._-].*)?",
        r"(?P<of>.+?)-(?:desktop|laptop|pc|win|macbook\w*|imac)-[a-z0-9]{4,15}(?:-\d{1,3})?",
    )
)
_COPIES_OF_COPIES = 4
_CLOUD = re.compile(r"\.(.+)\.icloud|(.+)\.(?:nextcloud|owncloud)", re.IGNORECASE)


def composed(name: str) -> str:
    """Return a name in the one form in which names are compared: Macs decompose accents."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def kind_of(name: str) -> Kind:
    """Sort one name, of a file or a folder, at any depth."""
    small = composed(name).lower()
    # Most names by far, at a tenth of the cost: what is sorted otherwise begins with a sign, has
    # another suffix, one of three words, or a character that stands for another.
    if small.endswith(_SONGS) and small[0].isalnum() and not _MAPPED.search(small):
        odd = "zone.identifier" in small or ".syncthing." in small or "com.apple." in small
        if not odd:
            return "plain"
    return _sorted(name, small)


def _sorted(name: str, small: str) -> Kind:
    spellings = {small}
    if not small.isascii():  # as it was before a file system came that cannot hold it
        spellings |= {small.translate(_UNMAPPED), small.translate(_SFM).translate(_UNMAPPED)}
    if any(_JUNK.fullmatch(each) for each in spellings):
        return "junk"
    if stands_for(name):  # before rsync's names, which look alike
        return "hidden"
    if _ARRIVING.match(small) or _RSYNC.fullmatch(small):
        return "arriving"
    return "hidden" if small.startswith(".") else "plain"


def waits_for(name: str) -> str:
    """Return under which name a partial download will be complete; empty when it does not say.

    Beside the complete file, it is the rest of an earlier try.
    """
    found = _PARTIAL.fullmatch(name)
    return found[1] if found else ""


def stands_for(name: str) -> str:
    """Return of which file `name` is a cloud drive's placeholder; empty: it is none."""
    found = _CLOUD.fullmatch(name)
    return found[1] or found[2] if found else ""


def copies_among(paths: Iterable[str]) -> dict[str, str]:
    """Return each copy that a sync tool or a file manager made, with the original beside it."""
    by_name = {_key(path): path for path in paths}
    found: dict[str, str] = {}
    for key, path in by_name.items():
        seen = {key}
        for _ in range(_COPIES_OF_COPIES):
            seen = {original for each in seen for original in _originals(*each)}
            if here := sorted(by_name[each] for each in seen if each in by_name and each != key):
                found[path] = here[0]
                break
    return found


def said_of_copy(copy: str, original: str) -> str:
    """Return the warning about a copy that is set aside."""
    return f"{copy} is a copy of {original} by its name, and is left out"


def _key(path: str) -> tuple[str, str, str]:
    folder, _, name = composed(path).rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    return (folder, stem.casefold(), suffix.lower()) if dot and stem else (folder, name, "")


def _originals(folder: str, stem: str, suffix: str) -> Iterator[tuple[str, str, str]]:
    for pattern in _COPIES:
        if found := pattern.fullmatch(stem):
            yield folder, found["of"], suffix


def files_in(folder: Path) -> list[Path]:
    """Return the files of a folder, sorted by path: no junk, nothing hidden, no links.

    Without recursion: who made the folder may have nested more than Python's stack has room for.
    """
    files: list[Path] = []
    folders = [folder]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if kind_of(entry.name) in ("junk", "hidden"):
                    continue
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    folders.append(Path(entry.path))
                elif stat.S_ISREG(mode):
                    files.append(Path(entry.path))
    return sorted(files)
