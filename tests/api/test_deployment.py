"""One server under all its names, and who may see the key."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.api.transport.deployment import SAAS_BASE_URLS, Deployment, deployment_of, is_loopback, normal_base_url
from mirror.errors import ConfigError


@pytest.mark.parametrize("url", SAAS_BASE_URLS)
def test_the_three_addresses_of_the_saas_are_one_deployment(url: str) -> None:
    deployment = deployment_of(url + "/")
    assert deployment.id == "wandb.ai"
    assert deployment.base_url == url
    assert set(deployment.base_urls) == set(SAAS_BASE_URLS)
    assert deployment.app_url.startswith(("https://wandb.ai", "https://forge.coreweave.com/wandb"))


def test_an_alias_of_the_saas_makes_it_the_saas() -> None:
    assert deployment_of("https://wandb-cache.example.com", ("https://api.wandb.ai",)).id == "wandb.ai"


def test_a_home_made_under_an_alias_is_still_this_deployment() -> None:
    old = deployment_of("https://old.example.com")
    new = deployment_of("https://new.example.com:8443", ("https://old.example.com",))
    assert new.id == "new.example.com:8443"
    assert old.id in new.names
    assert new.host == "new.example.com:8443"


@pytest.mark.parametrize(
    ("given_url", "normal"),
    [
        (" HTTPS://W.Example.COM:443/ ", "https://w.example.com"),
        ("http://w.example.com:80", "http://w.example.com"),
        ("https://w.example.com/api/wandb/", "https://w.example.com/api/wandb"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_a_base_url_has_one_spelling(given_url: str, normal: str) -> None:
    assert normal_base_url(given_url) == normal
    assert normal_base_url(normal) == normal


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.wandb.ai",
        "ftp://w.example.com",
        "https://",
        "https://user:pa55word@w.example.com",
        "https://w.example.com/?token=pa55word",
        "https://w.example.com/#pa55word",
        "https://w.example.com/a b",
        "https://w.example.com\\evil",
        "https://w.example.com:port",
        "https://w.example.com/a/%2e%2e/b",
        "https://wandb.ai",
        "http://api.wandb.ai",
    ],
)
def test_what_is_no_base_url_is_refused_without_repeating_secrets(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        deployment_of(url)
    assert raised.value.hint
    assert "pa55word" not in str(raised.value)


BASE = deployment_of("https://w.example.com/api/wandb", ("https://alias.example.com",))


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://w.example.com/api/wandb", True),
        ("https://w.example.com/api/wandb/graphql", True),
        ("https://W.EXAMPLE.com:443/api/wandb/files/a?b=c", True),
        ("http://w.example.com/api/wandb/graphql", False),
        ("https://w.example.com:8443/api/wandb/graphql", False),
        ("https://w.example.com/api/wandb-evil/graphql", False),
        ("https://w.example.com/graphql", False),
        ("https://w.example.com/api/wandb/../../evil", False),
        ("https://w.example.com/api/wandb/%2e%2e/evil", False),
        ("https://w.example.com.evil.com/api/wandb/graphql", False),
        ("https://w.example.com@evil.com/api/wandb/graphql", False),
        ("https://evil.com\\@w.example.com/api/wandb/", False),
        ("https://alias.example.com/graphql", False),
        ("https://user:word@w.example.com/api/wandb/graphql", False),
        ("https://w.example.com/api/wandb/\\..\\evil", False),
        ("//w.example.com/api/wandb", False),
        ("/api/wandb/graphql", False),
        ("not a url\x00", False),
    ],
)
def test_only_addresses_under_the_base_url_may_get_the_key(url: str, may: bool) -> None:
    assert BASE.is_base_url(url) is may


@given(st.text(max_size=60))
def test_no_text_at_all_breaks_the_question(text: str) -> None:
    assert BASE.is_base_url(text) in {True, False}
    assert not BASE.is_base_url("https://" + text + ".evil.com/")
    with contextlib.suppress(ConfigError):
        assert isinstance(deployment_of(text), Deployment)


def test_loopback_is_known_by_name_and_by_number() -> None:
    assert all(is_loopback(url) for url in ("http://localhost:1", "http://127.3.2.1", "http://[::1]:2"))
    assert not any(is_loopback(url) for url in ("https://localhost.example.com", "http://10.0.0.1"))


def test_netrc_is_searched_with_the_port_first() -> None:
    assert deployment_of("http://w.example.com:8080").netrc_machines == ("w.example.com:8080", "w.example.com")
