"""An address shows host and path, and nothing that would open it."""

from __future__ import annotations

import pickle

import msgspec
import pytest

from mirror.api.rows.contents import to_contents
from mirror.api.rows.listed import ListedContents
from mirror.api.transport.signed_url import SignedUrl

SECRET = "sesame"


@pytest.mark.parametrize(
    "text",
    [
        f"https://bucket.example.com/runs/1/a%20b.txt?X-Signature={SECRET}&X-Expires=1",
        f"https://user:{SECRET}@bucket.example.com/a",
        f"/files/a?token={SECRET}",
        f"https://bucket.example.com/a#{SECRET}",
        f"https://[broken/{SECRET}",
        f"https://bucket.example.com/a;sig={SECRET}",
    ],
)
def test_a_signature_is_never_shown(text: str) -> None:
    url = SignedUrl(text)
    assert SECRET not in f"{url} {url!r} {[url]} {url.part_key}"
    assert url.reveal() == text
    with pytest.raises(TypeError):
        pickle.dumps(url)
    with pytest.raises(TypeError):
        msgspec.json.encode(url)


def test_the_part_key_stays_when_the_signature_changes() -> None:
    first, second = (
        SignedUrl("https://b.example.com/x/1.parquet?sig=a"),
        SignedUrl("https://b.example.com/x/1.parquet?sig=b"),
    )
    assert first.part_key == second.part_key == "https://b.example.com/x/1.parquet"
    assert first != second
    assert len({first, second, SignedUrl(first.reveal())}) == 2


@pytest.mark.parametrize(
    ("text", "fetchable"),
    [
        ("https://b.example.com/a", True),
        ("http://localhost:1/a?b", True),
        ("/files/a", True),
        ("s3://bucket/a", False),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("", False),
        ("https://[broken", False),
    ],
)
def test_references_to_other_stores_are_told_apart(text: str, fetchable: bool) -> None:
    assert SignedUrl(text).is_fetchable == fetchable


def test_contents_show_no_signature_either() -> None:
    node = {
        "id": "s",
        "name": "r",
        "files": {
            "edges": [{"node": {"id": "f", "name": "n", "directUrl": f"https://b.example.com/f?sig={SECRET}"}}],
            "pageInfo": {},
        },
        "parquetHistory": {"parquetUrls": [f"https://b.example.com/p?sig={SECRET}"]},
        "loggedArtifacts": None,
        "usedArtifacts": None,
    }
    contents = to_contents(msgspec.json.encode(node), files_first=50, artifacts_first=20)
    assert isinstance(contents, ListedContents)
    assert SECRET not in repr(contents)
