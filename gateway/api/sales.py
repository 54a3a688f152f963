"""Sale windows, from this process's snapshot."""

from __future__ import annotations

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from gateway.api.answers import json_bytes
from gateway.bodies.sales import SaleBody, SaleList
from gateway.documenting import refuses
from gateway.services import Services


@get("/sales", tags=["catalogue"], sync_to_thread=False, responses=refuses("unavailable"))
def list_sales(services: NamedDependency[Services]) -> Response[SaleList]:
    """All sale windows that are no drafts, those that close last first; at most a second old."""
    return json_bytes(services.snapshot.pictures().sale_list)


@get("/sales/{sale:str}", tags=["catalogue"], responses=refuses("unknown_sale", "unavailable"))
async def read_sale(sale: FromPath[str], services: NamedDependency[Services]) -> Response[SaleBody]:
    """One sale window by its slug."""
    await services.snapshot.find(sale)
    return json_bytes(services.snapshot.pictures().sale_json[sale])


HANDLERS = [list_sales, read_sale]
