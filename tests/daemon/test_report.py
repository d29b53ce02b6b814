"""What the daemon says about itself holds no secret, and counting is bounded by what it costs."""

from __future__ import annotations

import io
import json

import msgspec

from mirror.daemon.logs import HIDDEN, Log
from mirror.daemon.status.report import DISK_EVERY_S, Looker, cleaned, is_news, sentence
from mirror.layout import Home
from tests.daemon.test_health import NOW, WELL, ago, source

KEY = "0123456789abcdef0123456789abcdef01234567"
SIGNED = "https://bucket.example.com/b/o?X-Signature=abc123"


def test_a_status_is_told_without_secrets_and_as_text_that_can_be_written() -> None:
    troubled = msgspec.structs.replace(
        WELL,
        offline_reason=f"key {KEY}",
        config_error=f"cannot read {SIGNED}",
        sources=[source(last_error=f"GET {SIGNED} failed \udc80", last_error_at=NOW)],
        maintained_at=ago(days=1),
    )
    redactor = Log(io.StringIO()).redactor
    redactor.hide([KEY])
    told = cleaned(troubled, redactor.clean)
    text = msgspec.json.encode(told).decode()
    assert not [secret for secret in (KEY, "abc123") if secret in text]
    assert text.count(HIDDEN) == 3
    assert json.loads(text)["sources"][0]["last_error"].endswith(r"failed \udc80")
    assert told.maintained_at == ago(days=1)
    assert cleaned(WELL, redactor.clean) == WELL


def test_the_sentence_of_the_service_manager_names_the_state_and_that_a_person_is_needed() -> None:
    assert sentence(WELL).startswith("online; last good pull 2026-03-01 11:55 UTC; 0 waiting")
    refused = msgspec.structs.replace(WELL, state="key_refused", offline_since=ago(hours=1), offline_reason="HTTP 401")
    said = sentence(refused, findings=1)
    assert said.startswith("the key is refused since 2026-03-01 11:00 UTC: HTTP 401; ")
    assert said.endswith("`wandb-mirror status` says what to do")


def test_only_what_is_worth_it_is_told_at_once() -> None:
    assert is_news(WELL, None)
    assert not is_news(msgspec.structs.replace(WELL, updated_at=NOW, requests=10), WELL)
    assert is_news(msgspec.structs.replace(WELL, state="key_refused"), WELL)


def test_the_disk_is_counted_now_and_then_and_the_outbox_each_time(home: Home) -> None:
    home.partial.mkdir(parents=True)
    looker = Looker(home)
    first = looker.look(1000.0)
    (home.partial / "a").write_bytes(b"x" * 7)
    assert first.disk is not None
    assert first.disk.partial == 0
    soon = looker.look(1000.0 + DISK_EVERY_S / 2)
    assert soon.disk == first.disk
    assert soon.disk_free is not None
    later = looker.look(1e9).disk
    assert later is not None
    assert later.partial == 7
    home.outbox.joinpath("aside").mkdir(parents=True)
    (home.outbox / "aside" / "new~torn.json").write_bytes(b"{")
    assert looker.look(1e9).outbox.aside == 1
