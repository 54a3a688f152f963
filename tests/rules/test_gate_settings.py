"""Which other hosts the gate leads to, and what is no path to go on to."""

from __future__ import annotations

import pytest

from firstcome import urls
from gateway.onward import same_site


def test_every_faulty_site_is_named_at_once() -> None:
    with pytest.raises(ValueError) as fault:
        urls.origins(
            ("https://good.example", "ftp://a.example", "https://b.example/shop", "http://c.example"),
            plain_http=False,
        )
    said = str(fault.value)
    assert "good" not in said
    assert all(wrong in said for wrong in ("ftp://a.example", "https://b.example/shop", "http://c.example"))


def test_origins_are_compared_as_browsers_spell_them() -> None:
    assert urls.origins(("https://Tickets.Example.org/",), plain_http=False) == (
        "https://tickets.example.org",
    )


@pytest.mark.parametrize(
    "target",
    [
        *("//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "http://evil.example/"),
        *(
            "https:evil.example",
            "javascript:alert(1)",
            "evil.example",
            "",
            "/a\r\nSet-Cookie: x=y",
            "/a\tb",
            "/" + "a" * 500,
        ),
        *("/\x00", " /a", "@evil.example", "?next=//evil.example", "data:text/html,x"),
    ],
)
def test_nothing_but_a_path_of_the_site_is_gone_on_to(target: str) -> None:
    assert same_site(target) == "/"
