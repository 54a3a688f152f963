"""What our letters say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shop.mail.letters import Mail, Occasion, order_letter
from shop.mail.render import LOCALES, money, render

ORDER: dict[str, Any] = {
    "order_id": "o" * 22,
    "sale_title": "가을 <한정> & autumn",
    "lines": [("Poster <A2>", 2), ("Cap", 1)],
    "total": 45_000,
    "currency": "KRW",
    "hold_expires_at": datetime(2026, 5, 4, 10, 42, tzinfo=UTC),
    "reason": "sold_out",
}


def written(
    occasion: Occasion, locale: str, base_url: str = "https://sale.example.com/", **changes: Any
) -> Mail:
    """The mail for an occasion, with every fact that it could ask for."""
    facts = dict(order_letter(occasion, "account", **(ORDER | changes)).facts)
    return render(
        occasion, locale, to="a+b@example.com", base_url=base_url, facts=facts | {"code": "01234567"}
    )


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("occasion", Occasion)
def test_every_occasion_has_a_letter_in_every_language(occasion: Occasion, locale: str) -> None:
    mail = written(occasion, locale)
    assert mail.subject
    assert "\n" not in mail.subject
    assert len(mail.text) > 80
    assert "\n\n\n" not in mail.text
    assert "{" not in mail.text
    hangul = sum("가" <= char <= "힣" for char in mail.text)
    assert (hangul >= 30) is (locale == "ko")


@pytest.mark.parametrize("occasion", Occasion)
def test_an_unknown_language_is_written_in_english(occasion: Occasion) -> None:
    assert written(occasion, "xx").text == written(occasion, "en").text


@pytest.mark.parametrize("locale", LOCALES)
def test_an_order_letter_says_what_how_much_until_when_and_where(locale: str) -> None:
    mail = written(Occasion.ORDER_RESERVED, locale)
    assert ORDER["sale_title"] in mail.subject
    assert "Poster <A2>" in mail.text
    assert "₩45,000" in mail.text
    assert {"en": "May 4, 10:42 (UTC)", "ko": "5월 4일 19:42 (KST)"}[locale] in mail.text
    assert f"https://sale.example.com/orders/{'o' * 22}\n" in mail.text


@pytest.mark.parametrize("locale", LOCALES)
def test_a_rejection_says_why(locale: str) -> None:
    reasons = (
        "sold_out",
        "over_limit",
        "pass_used",
        "not_on_sale",
        "bad_address",
        "account_closed",
        "failed",
        "other",
    )
    texts = {written(Occasion.ORDER_REJECTED, locale, reason=reason).text for reason in reasons}
    assert len(texts) == len(reasons)


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize(
    ("occasion", "path"), [(Occasion.VERIFY_CODE, "verify"), (Occasion.RESET_CODE, "reset")]
)
def test_a_code_letter_holds_the_code_and_a_link_with_both_in_its_fragment(
    occasion: Occasion, path: str, locale: str
) -> None:
    mail = written(occasion, locale)
    assert "01234567" in mail.text
    assert "01234567" not in mail.subject
    assert f"https://sale.example.com/{path}#email=a%2Bb@example.com&code=01234567\n" in mail.text


@pytest.mark.parametrize("occasion", Occasion)
def test_without_an_origin_there_is_no_link(occasion: Occasion) -> None:
    assert "://" not in written(occasion, "en", base_url="").text


@pytest.mark.parametrize("occasion", [occasion for occasion in Occasion if occasion.startswith("order")])
def test_an_order_letter_can_do_with_few_facts(occasion: Occasion) -> None:
    letter = order_letter(occasion, "account", order_id="o", sale_title="A sale")
    assert render(occasion, "en", to="a@example.com", base_url="", facts=letter.facts).text


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [(45_000, "KRW", "₩45,000"), (4500, "USD", "$45.00"), (1, "KWD", "KWD0.001")],
)
def test_money_has_the_decimals_of_its_currency(amount: int, currency: str, shown: str) -> None:
    assert money(amount, currency, "en") == shown
