"""What a file is shown as, by its name, and the content type under which a browser may have its bytes.

Pure. Types that a browser would run or render are never sent as such: a page of a run's is text, or stands in a frame
that may do nothing.
"""

from __future__ import annotations

from pathlib import PurePosixPath

_IMAGES = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp",
    ".bmp": "image/bmp", ".svg": "image/svg+xml", ".avif": "image/avif", ".ico": "image/x-icon",
}  # fmt: skip
_AUDIO = {
    ".wav": "audio/wav", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".flac": "audio/flac", ".m4a": "audio/mp4",
    ".opus": "audio/ogg",
}  # fmt: skip
_VIDEO = {".mp4": "video/mp4", ".webm": "video/webm", ".ogv": "video/ogg", ".mov": "video/quicktime"}
_TEXTS = frozenset(
    {
        *(".txt", ".log", ".md", ".rst", ".tex", ".csv", ".tsv", ".jsonl", ".xml", ".patch", ".diff", ".lock"),
        *(".yaml", ".yml", ".toml", ".cfg", ".ini"),
        *(".py", ".ipynb", ".sh", ".sql", ".r", ".jl", ".c", ".h", ".cpp", ".cu", ".rs", ".js", ".ts", ".css"),
    }
)
_TEXT_NAMES = frozenset({"requirements.txt", "Dockerfile", "Makefile", "LICENSE"})
TEXT = "text/plain; charset=utf-8"
OCTETS = "application/octet-stream"


def kind_of(name: str) -> str:
    """`image`, `audio`, `video`, `table`, `html`, `json`, `text` or `other`."""
    path = PurePosixPath(name)
    suffix = path.suffix.lower()
    for kind, types in (("image", _IMAGES), ("audio", _AUDIO), ("video", _VIDEO)):
        if suffix in types:
            return kind
    if name.endswith(".table.json"):
        return "table"
    if suffix in (".html", ".htm"):
        return "html"
    if suffix == ".json":
        return "json"
    return "text" if suffix in _TEXTS or path.name in _TEXT_NAMES else "other"


def content_type(name: str, *, framed: bool = False) -> str:
    """The content type of a file's bytes.

    Args:
        name: of the file.
        framed: whether they stand in a frame that may run nothing, where a page may look like one.
    """
    suffix = PurePosixPath(name).suffix.lower()
    media = _IMAGES | _AUDIO | _VIDEO
    if suffix in media:
        return media[suffix]
    kind = kind_of(name)
    if kind == "html":
        return "text/html; charset=utf-8" if framed else TEXT
    return TEXT if kind in ("table", "json", "text") else OCTETS
