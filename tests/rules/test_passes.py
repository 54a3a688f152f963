"""The pass: anybody can check one, nobody else can make one."""

from __future__ import annotations

import base64

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waiting_room.passes import Pass, PassReader, PassSigner, jwks
from waiting_room.refusals import InvalidToken

SEEDS = {"k1": b"1" * 32, "k2": b"2" * 32}
SIGNER = PassSigner("k1", SEEDS)
IAT, EXP = 1_700_000_000, 1_700_000_900
PASS = Pass("sale0000001", "AAAAAAAAAAAAAA", "ann", IAT, EXP, "AAAAAAAAAAAAAA.1", "k1")
TOKEN = SIGNER.sign(PASS)
NOW = IAT * 1000
TEXTS = st.text("abcXYZ019_-", min_size=1, max_size=24)


@given(TEXTS, TEXTS, TEXTS, st.integers(0, 2**40), st.integers(1, 10**6), st.sampled_from(["k1", "k2"]))
def test_any_pass_that_was_signed_is_read_back_as_it_was(
    sale: str, ticket: str, account: str, iat: int, life: int, kid: str
) -> None:
    admission = Pass(sale, ticket, account, iat, iat + life, f"{ticket}.1", kid)
    assert PassReader(SEEDS).read(SIGNER.sign(admission), iat * 1000) == admission


def test_signing_the_same_pass_again_gives_the_same_bytes() -> None:
    assert PassSigner("k2", SEEDS).sign(PASS) == TOKEN


def test_a_pass_is_good_from_30_seconds_before_its_issue_until_it_expires() -> None:
    reader = PassReader(SEEDS)
    assert reader.read(TOKEN, (IAT - 30) * 1000) == PASS
    assert reader.read(TOKEN, EXP * 1000 - 1) == PASS
    for outside in ((IAT - 30) * 1000 - 1, EXP * 1000):
        with pytest.raises(InvalidToken):
            reader.read(TOKEN, outside)


@given(st.integers(0, len(TOKEN) - 1), st.characters())
def test_any_changed_character_makes_it_worthless_also_where_the_true_one_is_remembered(
    place: int, other: str
) -> None:
    reader = PassReader(SEEDS)
    reader.read(TOKEN, NOW)
    changed = TOKEN[:place] + other + TOKEN[place + 1 :]
    if _meaning(changed) != _meaning(TOKEN):
        with pytest.raises(InvalidToken):
            reader.read(changed, NOW)


@given(st.text(max_size=300))
def test_any_other_text_is_refused_and_nothing_worse(text: str) -> None:
    with pytest.raises(InvalidToken):
        PassReader(SEEDS).read(text, NOW)


def test_a_header_of_a_thousand_brackets_is_refused_like_any_other() -> None:
    deep = base64.urlsafe_b64encode(b"[" * 1_400).decode().rstrip("=")
    with pytest.raises(InvalidToken):
        PassReader(SEEDS).read(f"{deep}.e30.AAAA", NOW)


@pytest.mark.parametrize(
    "reader", [PassReader(SEEDS), PassReader.of_jwks(jwks(SEEDS))], ids=["ours", "public"]
)
def test_other_tokens_never_pass_for_a_pass(reader: PassReader) -> None:
    assert reader.read(TOKEN, NOW) == PASS
    claims = jwt.decode(TOKEN, options={"verify_signature": False})
    key = SIGNER._keys["k1"]
    others = [
        jwt.encode(claims, None, algorithm="none", headers={"kid": "k1", "typ": "firstcome-pass+jwt"}),
        jwt.encode(
            claims, SEEDS["k1"], algorithm="HS256", headers={"kid": "k1", "typ": "firstcome-pass+jwt"}
        ),
        jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": "k2", "typ": "firstcome-pass+jwt"}),
        jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": "k9", "typ": "firstcome-pass+jwt"}),
        jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": "k1"}),
        jwt.encode(
            claims | {"exp": "soon"},
            key,
            algorithm="EdDSA",
            headers={"kid": "k1", "typ": "firstcome-pass+jwt"},
        ),
        jwt.encode({"exp": EXP}, key, algorithm="EdDSA", headers={"kid": "k1", "typ": "firstcome-pass+jwt"}),
    ]
    for other in others:
        with pytest.raises(InvalidToken):
            reader.read(other, NOW)


def test_a_stranger_can_verify_a_pass_with_the_published_keys() -> None:
    published = jwt.PyJWKSet.from_dict(jwks(SEEDS))
    claims = jwt.decode(TOKEN, published["k1"], algorithms=["EdDSA"], options={"verify_exp": False})
    assert claims["sub"] == "ann"
    assert claims["jti"] == PASS.jti
    assert all("d" not in key for key in jwks(SEEDS)["keys"])


def test_what_is_remembered_is_bounded() -> None:
    reader = PassReader(SEEDS, remembered=3)
    for number in range(10):
        reader.read(SIGNER.sign(Pass("s", "t", f"buyer{number}", IAT, EXP, "t.1", "k1")), NOW)
    assert len(reader._known) == 3


def _meaning(token: str) -> list[bytes | str]:
    """What a token says, apart from bits that base64 ignores at the end of a part."""
    try:
        return [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")]
    except ValueError:
        return [token]
