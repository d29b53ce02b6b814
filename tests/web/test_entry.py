"""Who may look: the one-time address, the cookie, and what other pages can bring a browser to send."""

from __future__ import annotations

import httpx
import pytest

from mirror.gateway.http.key import GatewayKey, fresh_key
from mirror.web.entry import TICKET_S, Tickets, cookie_name, cookie_value, entry_path, proof
from tests.mirroring import SOURCE
from tests.web.site import Site

PAGE = {"accept": "text/html"}
PATHS = ["/", "/team/proj", "/team/proj/runs/run00", "/team/proj/compare", "/-/mirror", "/-/sql", "/team/proj/sweeps/s"]


def ticket_of(path: str) -> str:
    """The ticket of a one-time address."""
    return path.partition("ticket=")[2]


def test_a_ticket_is_good_once_and_for_ten_minutes() -> None:
    key, now = fresh_key(), [1000.0]
    tickets = Tickets(key, now=lambda: now[0])
    first, second = (ticket_of(entry_path(key, now=lambda: now[0])) for _ in range(2))
    assert tickets.admits(first)
    assert not tickets.admits(first)
    now[0] += TICKET_S - 1
    assert tickets.admits(second)
    late = ticket_of(entry_path(key, now=lambda: now[0]))
    now[0] += TICKET_S + 2
    assert not tickets.admits(late)


def test_nobody_makes_a_ticket_without_the_key() -> None:
    tickets = Tickets(fresh_key())
    good = ticket_of(entry_path(fresh_key()))
    nonce, expires, signature = good.split(".")
    for bad in (
        "",
        ".",
        "..",
        good,
        f"{nonce}.{expires}0.{signature}",
        f"{nonce}.nan.{signature}",
        "a.b.ü",
        "\udc80.1.x",
    ):
        assert not tickets.admits(bad)


def test_requests_that_nobody_would_send_are_refused_in_one_sentence(site: Site) -> None:
    auth, url = ("api", site.served.key), site.served.url
    form = "&".join(f"f{number}=x" for number in range(500))
    for answer in (
        httpx.post(f"{url}/-/enter", content=form, headers={"content-type": "application/x-www-form-urlencoded"}),
        httpx.post(f"{url}/-/enter", content=b"x" * (17 << 20)),
        httpx.get(f"{url}/-/assets/{'a' * 5000}", auth=auth),
        httpx.get(f"{url}/-/data/curves", params={"project": SOURCE, "key": "loss", "points": "9" * 5000}, auth=auth),
        httpx.get(f"{url}/-/data/console", params={"run": f"{SOURCE}/run00", "start": "9" * 5000}, auth=auth),
        httpx.get(f"{url}/-/data/runs", params={"project": SOURCE, "columns": "[" * 5_000}, auth=auth),
        httpx.get(f"{url}/-/data/runs", params={"project": SOURCE, "columns": '["a\\u0000"]'}, auth=auth),
    ):
        assert answer.status_code < 500, answer.text


def test_a_cookie_is_of_one_gateway_and_gives_no_key_away() -> None:
    one, other = fresh_key(), fresh_key()
    assert cookie_name(one) != cookie_name(other)
    assert cookie_value(one) not in (cookie_value(other), one.text)
    assert one.text not in cookie_name(one) + cookie_value(one) + entry_path(one) + proof(one, "x")


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_shown_to_who_entered_and_to_nobody_else(site: Site, path: str) -> None:
    with httpx.Client(base_url=site.served.url, headers=PAGE) as client:
        refused = client.get(path)
        assert refused.status_code == 401
        assert "data-settings" not in refused.text
        entered = client.get(site.address(path), follow_redirects=True)
        assert (entered.status_code, entered.url.path) == (200, path)
        assert 'data-settings="' in entered.text
        again = client.get(path)
        assert again.status_code == 200
        policy = again.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        for name, value in (("x-content-type-options", "nosniff"), ("cache-control", "no-store")):
            assert again.headers[name] == value


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(site: Site) -> None:
    answer = httpx.get(site.address("/"))
    (cookie,) = answer.headers.get_list("set-cookie")
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert site.served.key not in cookie


def test_a_used_address_asks_for_the_key_which_admits_too(site: Site) -> None:
    address = site.address("/team/proj")
    with httpx.Client() as client:
        assert client.get(address).status_code == 303
    with httpx.Client(base_url=site.served.url) as client:
        used = client.get(address)
        assert used.status_code == 403
        assert "was used" in used.text
        wrong = client.post("/-/enter", data={"key": "0" * 40, "next": "/"})
        assert wrong.status_code == 403
        right = client.post("/-/enter", data={"key": f" {site.served.key} ", "next": "/team/proj?x=1"})
        assert (right.status_code, right.headers["location"]) == (303, "/team/proj?x=1")
        assert client.get("/", headers=PAGE).status_code == 200


@pytest.mark.parametrize("following", ["https://example.org", "//example.org", "/\\example.org", "javascript:1", ""])
def test_nobody_is_led_elsewhere(site: Site, following: str) -> None:
    answer = httpx.post(f"{site.served.url}/-/enter", data={"key": site.served.key, "next": following})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_what_is_no_page_stays_a_refusal_for_programs(site: Site) -> None:
    auth = ("api", site.served.key)
    assert httpx.get(f"{site.served.url}/team/proj", auth=auth).status_code == 404  # no browser asks
    assert httpx.get(f"{site.served.url}/team/proj", auth=auth, headers=PAGE).status_code == 200
    assert httpx.get(f"{site.served.url}/-/nothing", auth=auth, headers=PAGE).status_code == 404
    assert httpx.get(f"{site.served.url}/a/b/c/d", auth=auth, headers=PAGE).status_code == 404
    assert httpx.get(f"{site.served.url}/-/assets/..%2Fapp.py", auth=auth).status_code == 404


def test_other_pages_of_the_browser_get_nothing(site: Site) -> None:
    key = GatewayKey(site.served.key)
    cookies = {cookie_name(key): cookie_value(key)}
    url = f"{site.served.url}/-/data/projects"

    def status(**headers: str) -> int:
        with httpx.Client(cookies=cookies) as client:
            return client.get(
                url, headers={name.replace("_", "-"): value for name, value in headers.items()}
            ).status_code

    assert status() == 200
    assert status(sec_fetch_site="same-origin") == 200
    assert status(sec_fetch_site="same-site") == 403  # another port of this host
    assert status(sec_fetch_site="cross-site") == 403
    assert status(origin="http://localhost:1") == 403
    assert status(host="example.org") == 403
    with httpx.Client(cookies=cookies) as client:
        form = client.post(f"{site.served.url}/-/data/edit", data={"run": f"{SOURCE}/run00"})
        assert form.status_code == 403  # a form cannot send our header
        assert client.post(url.replace("projects", "sql"), json={"query": "SELECT 1"}).status_code == 403


def test_bytes_of_a_run_come_as_what_runs_nothing(site: Site) -> None:
    auth = ("api", site.served.key)

    def get(name: str, **headers: str) -> httpx.Response:
        return httpx.get(f"{site.served.url}/-/file/team/proj/{name}", auth=auth, headers=headers)

    image = get("run00/media%2Fimages%2Fs.png")
    assert (image.status_code, image.headers["content-type"]) == (200, "image/png")
    page = "a%20b%252F%E2%98%83%3F&%23%3Cx%3E/media%2Fhtml%2Fp.html"
    alone = get(page)
    assert alone.headers["content-type"] == "text/plain; charset=utf-8"
    framed = get(page, **{"sec-fetch-dest": "iframe"})
    assert framed.headers["content-type"] == "text/html; charset=utf-8"
    for answer in (image, alone, framed):
        assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert get("run00/nothing.bin").status_code == 404
    assert get("run00").status_code == 404
    assert httpx.get(f"{site.served.url}/-/file/team/proj/run00/media%2Fimages%2Fs.png").status_code == 401
