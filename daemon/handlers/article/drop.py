"""What lies in a drop of an article: the article, its cover, its music."""

import stat
from dataclasses import dataclass
from pathlib import Path

from daemon.errors import BadInput, NothingToDo
from daemon.handlers.article.reading import SUFFIXES, FrontMatter
from daemon.handlers.contract import Note
from daemon.text import shown
from dsp.containers.identify import AUDIO_SUFFIXES

_FILE_BYTES = 32 << 20
_COVER_BYTES = 5 << 20
_PICTURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}


@dataclass(frozen=True)
class ArticleDrop:
    """The files of a drop: plain ones, in its own folder, by name."""

    article: Path
    files: tuple[Path, ...]

    @classmethod
    def of(cls, source: Path, name: str) -> "ArticleDrop":
        """Return what lies in a drop.

        Raises
        ------
        NothingToDo, BadInput
            There is no article, or there are several.
        """
        if not source.is_dir():
            return cls(source, ())
        files = tuple(one for one in sorted(source.iterdir()) if stat.S_ISREG(one.lstat().st_mode))
        articles = [one for one in files if one.suffix.lower() in SUFFIXES]
        if not articles:
            raise NothingToDo("TEXT_EMPTY", f"there is no article in {name!r}")
        if len(articles) > 1:
            names = ", ".join(one.name for one in articles[:5])
            raise BadInput("ARTICLES_SEVERAL", f"one article makes an episode; here are {names}")
        return cls(articles[0], files)

    def text(self) -> bytes:
        """Return the bytes of the article."""
        with self.article.open("rb") as file:
            data = file.read(_FILE_BYTES + 1)
        if len(data) > _FILE_BYTES:
            raise BadInput(
                "TEXT_TOO_LONG", f"{self.article.name} has more than {_FILE_BYTES} bytes"
            )
        return data

    def music(self, front: FrontMatter) -> tuple[dict[str, Path], list[Note]]:
        """Return intro, outro and bed, as far as there are any, and what is said of the others.

        Raises
        ------
        BadInput
            ``MUSIC_NOT_FOUND``: the article names a file that is not there.
        """
        sounds = {one.name: one for one in self.files if one.suffix.lower() in AUDIO_SUFFIXES}
        found: dict[str, Path] = {}
        for part in ("intro", "outro", "bed"):
            named: str | None = getattr(front, part)
            if named is None:
                usual = [one for one in sounds.values() if one.stem.lower() == part]
                if usual:
                    found[part] = usual[0]
            elif named and named not in sounds:
                message = f"{part}: {shown(named)!r} is no recording beside the article"
                raise BadInput("MUSIC_NOT_FOUND", message)
            elif named:
                found[part] = sounds[named]
        left = ", ".join(name for name, path in sounds.items() if path not in found.values())
        return found, [Note("MUSIC_NOT_USED", f"{shown(left)}: not mixed in")] if left else []

    def cover(self) -> tuple[bytes, str]:
        """Return a picture, ``cover.*`` before others, and what it is by its bytes."""
        for path in sorted(self.files, key=lambda one: (one.stem.lower() != "cover", one.name)):
            if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
                with path.open("rb") as file:
                    data = file.read(_COVER_BYTES + 1)
                for magic, mime in _PICTURES.items():
                    if data.startswith(magic) and len(data) <= _COVER_BYTES:
                        return data, mime
        return b"", ""
