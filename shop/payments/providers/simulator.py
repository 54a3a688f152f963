"""The adapter for the payment stand-in: its API by httpx, its callbacks by Standard Webhooks.

The stand-in is spoken to as any provider would be: over HTTP, with an API key, an Idempotency-Key and a time limit. Nothing of
its inside is known here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import httpx
import msgspec

from shop.payments.providers import MAX_CALLBACK_BYTES, Asked, Callback, Opened
from shop.payments.rules import (
    BodyTooLarge,
    Fact,
    ProviderRefused,
    ProviderUnavailable,
    Report,
    Unreadable,
)
from shop.payments.webhooks import read_secrets, verify

T = TypeVar("T")

TIMEOUT_S = 5.0
_AMOUNT_LIMIT = 2**53  # what every JSON reader and a BIGINT hold exactly

Amount = Annotated[int, msgspec.Meta(ge=0, le=_AMOUNT_LIMIT)]
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]


class _Payment(msgspec.Struct):
    """The stand-in's payment as its API shows it."""

    id: str
    reference: str
    status: Literal["open", "processing", "succeeded", "failed", "cancelled"]
    amount: Amount
    captured: Amount
    refunded: Amount
    currency: Currency
    checkout_url: str


class _Envelope(msgspec.Struct):
    """What every event has."""

    type: str
    data: msgspec.Raw


class _EventData(msgspec.Struct):
    """The data of an event about a payment."""

    reference: str
    amount: Amount
    currency: Currency
    refunded: Amount = 0


_FACTS = {
    "payment.pending": Fact.PENDING,
    "payment.succeeded": Fact.SUCCEEDED,
    "payment.failed": Fact.FAILED,
    "payment.cancelled": Fact.CANCELLED,
    "payment.refunded": Fact.REFUNDED,
}
_ASK_AGAIN = frozenset({408, 409, 425, 429})
_LONGEST_ANSWER = 65_536
_EVENT_TYPE = re.compile(r"[a-z0-9_.]{1,64}")
_REFERENCE = re.compile(r"[A-Za-z0-9_-]{1,32}")


class SimulatorProvider:
    """A `Provider` that speaks to the stand-in at `url`.

    `secrets` are `whsec_…` texts; several while one is being replaced. Safe to use from several threads.
    """

    name = "simulator"

    def __init__(
        self, url: str, api_key: str, secrets: Sequence[str], *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._keys = read_secrets(secrets)
        self._client = httpx.Client(
            base_url=url,
            headers={"authorization": f"Bearer {api_key}"},
            # httpx limits each step by itself; `_request` limits them together.
            timeout=httpx.Timeout(timeout_s * 0.6, connect=timeout_s * 0.4),
            follow_redirects=False,
            trust_env=False,
        )
        self._timeout_s = timeout_s

    def close(self) -> None:
        """Close the pooled connections."""
        self._client.close()

    def start(self, asked: Asked) -> Opened:
        body = {
            "reference": asked.payment_id,
            "amount": asked.amount,
            "currency": asked.currency,
            "description": asked.title,
            "return_url": asked.return_url,
            "expires_at": asked.expires_at.isoformat(),
        }
        payment = self._payment(self._ask("POST", "/v1/payments", body, key=asked.payment_id))
        return Opened(payment.id, payment.checkout_url)

    def fetch(self, payment_id: str, provider_ref: str | None) -> Report | None:
        answer = self._ask("GET", self._path(payment_id, provider_ref), missing_is_fine=True)
        return None if answer is None else _report(self._payment(answer))

    def cancel(self, payment_id: str, provider_ref: str | None) -> Report | None:
        path = self._path(payment_id, provider_ref) + "/cancel"
        answer = self._ask("POST", path, {}, key=f"cancel-{payment_id}", missing_is_fine=True)
        return None if answer is None else _report(self._payment(answer))

    def refund(self, payment_id: str, provider_ref: str | None, amount: int, key: str) -> Report:
        path = self._path(payment_id, provider_ref) + "/refunds"
        payment = self._payment(self._ask("POST", path, {"amount": amount}, key=f"refund-{payment_id}-{key}"))
        return Report(Fact.REFUNDED, payment.captured, payment.currency, payment.refunded)

    def read_callback(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Callback:
        if len(body) > MAX_CALLBACK_BYTES:
            raise BodyTooLarge(f"a callback has at most {MAX_CALLBACK_BYTES} bytes")
        return self.read_event(verify(headers, body, self._keys, now), body)

    def read_event(self, event_id: str, body: bytes) -> Callback:
        envelope = _decode(body, _Envelope)
        if _EVENT_TYPE.fullmatch(envelope.type) is None:
            raise Unreadable("the callback's type is not a plain word")
        fact = _FACTS.get(envelope.type)
        if fact is None:
            return Callback(event_id, envelope.type, None, None)
        data = _decode(bytes(envelope.data), _EventData)
        if _REFERENCE.fullmatch(data.reference) is None:
            raise Unreadable("the callback's reference is not an id")
        report = Report(fact, data.amount, data.currency, data.refunded)
        return Callback(event_id, envelope.type, data.reference, report)

    def _path(self, payment_id: str, provider_ref: str | None) -> str:
        return f"/v1/payments/{provider_ref}" if provider_ref else f"/v1/references/{payment_id}"

    def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        key: str | None = None,
        missing_is_fine: bool = False,
    ) -> bytes | None:
        headers = {} if key is None else {"idempotency-key": key}
        try:
            status, content = self._request(method, path, body, headers)
        except httpx.HTTPError as error:
            raise ProviderUnavailable(
                f"the payment provider does not answer ({type(error).__name__})"
            ) from error
        if status == 404 and missing_is_fine:
            return None
        if 200 <= status < 300:
            return content
        if 400 <= status < 500 and status not in _ASK_AGAIN:
            raise ProviderRefused(f"the payment provider answered {status}")
        raise ProviderUnavailable(f"the payment provider answered {status}")

    def _request(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        """Status and body, in time and of a reasonable size; an answer that trickles in is none."""
        deadline = time.monotonic() + self._timeout_s
        content = bytearray()
        with self._client.stream(method, path, json=body, headers=headers) as answer:
            for chunk in answer.iter_bytes():
                content += chunk
                if time.monotonic() > deadline or len(content) > _LONGEST_ANSWER:
                    raise ProviderUnavailable("the payment provider's answer takes no end")
            return answer.status_code, bytes(content)

    def _payment(self, content: bytes | None) -> _Payment:
        if content is None:
            raise ProviderRefused("the payment provider does not know this payment")
        try:
            return msgspec.json.decode(content, type=_Payment)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ProviderUnavailable("the payment provider's answer cannot be read") from error


def _report(payment: _Payment) -> Report:
    match payment.status:
        case "open" | "processing":
            return Report(Fact.PENDING, payment.amount, payment.currency)
        case "succeeded":
            return Report(Fact.SUCCEEDED, payment.captured, payment.currency, payment.refunded)
        case "failed":
            return Report(Fact.FAILED, payment.amount, payment.currency)
        case "cancelled":
            return Report(Fact.CANCELLED, payment.amount, payment.currency)


def _decode(body: bytes, kind: type[T]) -> T:
    """RecursionError is what a body of thousands of brackets ends in."""
    try:
        return msgspec.json.decode(body.decode("utf-8"), type=kind)
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError) as error:
        raise Unreadable("the callback's body cannot be read") from error
