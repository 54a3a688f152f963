"""One order as operators work on it: found, told from its beginning, with its buyer. Decides nothing; knows no HTTP. Blocks."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from gateway import records
from gateway.bodies.cases import MomentBody, OrderStoryBody, PersonBody, PlaceBody, RefundableBody
from gateway.bodies.operator import OperatorOrderList
from gateway.queued import operator_body, undecided_now
from gateway.sessions import Principal
from shop.orders import person as people
from shop.orders import story as stories
from shop.orders.offers import OF_QUEUED

if TYPE_CHECKING:
    from gateway.services import Services


def tell(services: Services, order_id: str, person: PersonBody) -> OrderStoryBody:
    """The order and everything that happened to it, decided or not. Raises UnknownOrder."""
    names = records.names_of(services)
    entry = undecided_now(services, order_id)
    if entry is not None:
        return OrderStoryBody(
            order=operator_body(services, entry),
            ticket_id=entry.pass_jti.rpartition(".")[0],
            person=person,
            moments=[_moment(moment, names) for moment in stories.read_beginning(services.db, entry)],
            actions=list(OF_QUEUED),
        )
    story = stories.read_story(services.db, order_id)
    return OrderStoryBody(
        order=records.order_body(story.order),
        ticket_id=story.ticket_id,
        person=person,
        moments=[_moment(moment, names) for moment in story.moments],
        actions=list(story.offers),
        refundable=None if story.refundable is None else RefundableBody(**asdict(story.refundable)),
    )


def person_for(services: Services, principal: Principal, order_id: str) -> PersonBody:
    """The buyer: as they are for operators, which is audited; masked for viewers. Raises UnknownOrder."""
    if principal.role == "viewer":
        return masked_person(services, order_id)
    whose = _account_in_lane(services, order_id)
    found = people.open_person(services.db, services.kit, principal.subject_id, order_id, whose)
    return _person(found, masked=False)


def masked_person(services: Services, order_id: str) -> PersonBody:
    """The buyer, masked. Raises UnknownOrder."""
    whose = _account_in_lane(services, order_id)
    return _person(people.masked_person(services.db, services.kit, order_id, whose), masked=True)


def _account_in_lane(services: Services, order_id: str) -> str | None:
    """Whose order it is, where only its lane knows that."""
    entry = undecided_now(services, order_id)
    return None if entry is None else entry.account_id


def account_of(services: Services, principal: Principal, email: str) -> str | None:
    """The account with this address, None when there is none; audited without the address."""
    return people.find_buyer(services.db, services.kit, principal.subject_id, email)


def orders_of(services: Services, principal: Principal, email: str) -> OperatorOrderList:
    """The newest orders of the buyer with this address; more of them by the account_id that they carry."""
    account_id = account_of(services, principal, email)
    if account_id is None:
        return OperatorOrderList(items=[], next_cursor=None)
    return records.list_orders(services, account_id=account_id)


def _moment(moment: stories.Moment, names: dict[str, str]) -> MomentBody:
    detail = {name: value for name, value in moment.detail.items() if value not in ("", None)}
    if "operator_id" in detail:
        detail["operator"] = names.get(str(detail["operator_id"]), detail["operator_id"])
    return MomentBody(at=moment.at, kind=moment.kind, what=moment.what, detail=detail)


def _person(found: people.Person, *, masked: bool) -> PersonBody:
    to = found.address
    address = None
    if to is not None:
        address = PlaceBody(
            recipient=to.recipient,
            line1=to.line1,
            line2=to.line2,
            city=to.city,
            postcode=to.postcode,
            country=to.country,
            phone=to.phone,
        )
    return PersonBody(masked=masked, email=found.email, name=found.name, phone=found.phone, address=address)
