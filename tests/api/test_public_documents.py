"""What a crowd asks for: public, cacheable for a second, the same for everybody, and without a cookie."""

from __future__ import annotations

import pytest

from gateway.bodies.line import LineBody
from gateway.bodies.sales import SaleBody
from tests.api.conftest import House, problem

PUBLIC = "public, max-age=1"


async def test_the_state_of_a_line_is_one_small_cacheable_document(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    await buyer.ask("PUT", f"/sales/{sale}/ticket")
    await house.services.snapshot.renew()
    answer = await house.client.get(f"/api/v1/sales/{sale}/line", headers={"Cookie": "session=x; other=y"})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == PUBLIC
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["etag"].startswith('W/"')
    assert "set-cookie" not in answer.headers
    assert answer.headers.get("vary", "accept-encoding").lower() == "accept-encoding"
    assert len(answer.content) < 1000
    body = answer.json()
    assert set(body) == {"phase", "now_serving", "waiting", "calls_per_minute", "stock", "poll", "as_of"}
    assert (body["phase"], body["waiting"], body["stock"]) == ("open", 1, {"state": "available", "left": 10})
    assert set(body["poll"]) == {"floor_ms", "ceiling_ms", "divisor"}


async def test_its_tag_leaves_the_time_out_and_an_unchanged_line_is_not_sent_again(house: House) -> None:
    sale, buyer = await house.sale(), await house.buyer()
    path = f"/api/v1/sales/{sale}/line"
    first = await house.client.get(path)
    await house.services.snapshot.renew()
    second = await house.client.get(path)
    assert second.json()["as_of"] > first.json()["as_of"]
    assert second.headers["etag"] == first.headers["etag"]
    unchanged = await house.client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["cache-control"] == PUBLIC
    await buyer.ask("PUT", f"/sales/{sale}/ticket")
    await house.services.snapshot.renew()
    changed = await house.client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200


async def test_a_pause_is_explained_with_its_beginning(house: House) -> None:
    sale, operator = await house.sale(), await house.operator()
    await operator.ask("POST", f"/operator/sales/{sale}/actions/pause")
    await house.tick(sale)
    await house.services.snapshot.renew()
    held = (await house.client.get(f"/api/v1/sales/{sale}/line")).json()["hold"]
    assert held["reason"] == "paused"
    await house.services.snapshot.renew()
    assert (await house.client.get(f"/api/v1/sales/{sale}/line")).json()["hold"] == held


async def test_its_errors_are_open_to_any_origin_and_kept_by_no_cache(house: House) -> None:
    answer = await house.client.get("/api/v1/sales/nothing/line")
    problem(answer, 404, "unknown_sale")
    assert answer.headers["access-control-allow-origin"] == "*"
    asked = await house.client.options("/api/v1/sales/nothing/line")
    assert asked.headers["access-control-allow-headers"] == "If-None-Match"


async def test_without_its_store_a_line_is_shown_for_a_while_and_then_refused(house: House) -> None:
    sale = await house.sale()
    house.services.snapshot._lines_at -= 1000
    problem(await house.client.get(f"/api/v1/sales/{sale}/line"), 503, "unavailable")
    await house.services.snapshot.renew()
    assert (await house.client.get(f"/api/v1/sales/{sale}/line")).status_code == 200


async def test_without_its_database_the_catalogue_is_shown_for_a_while_and_then_refused(house: House) -> None:
    await house.sale()
    house.services.snapshot._shelf_at -= 10_000
    for path in ("/sales", "/products", f"/products/{house.products[0]}"):
        problem(await house.client.get(f"/api/v1{path}"), 503, "unavailable")


@pytest.mark.parametrize("path", ["/sales", "/products", "/sales/{sale}", "/products/{product}"])
async def test_the_catalogue_is_public_and_sets_no_cookie(house: House, path: str) -> None:
    sale = await house.sale()
    answer = await house.client.get(f"/api/v1{path}".format(sale=sale, product=house.products[0]))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == PUBLIC
    assert "set-cookie" not in answer.headers


async def test_a_sale_and_its_products_say_what_the_contract_says(house: House) -> None:
    sale = await house.sale()
    body = (await house.client.get(f"/api/v1/sales/{sale}")).json()
    assert {"slug", "title", "phase", "lobby_opens_at", "opens_at", "closes_at", "mode", "items"} <= set(body)
    assert set(body) <= set(SaleBody.__struct_fields__)
    item = body["items"][0]
    assert {"product_id", "title", "price", "currency", "limit_per_buyer", "stock_state"} <= set(item)
    product = (await house.client.get(f"/api/v1/products/{house.products[0]}")).json()
    assert (product["sale"], product["stock_state"]) == (sale, "available")
    other = (await house.client.get(f"/api/v1/products/{house.products[1]}")).json()
    assert "sale" not in other
    assert LineBody.__struct_fields__[0] == "phase"


async def test_products_come_in_parts_and_in_the_order_that_is_asked_for(house: House) -> None:
    await house.services.snapshot.renew()
    first = (await house.client.get("/api/v1/products?sort=title&limit=1")).json()
    rest = (await house.client.get(f"/api/v1/products?sort=title&cursor={first['next_cursor']}")).json()
    assert [one["title"] for one in (*first["items"], *rest["items"])] == ["Poster", "Shirt"]
    assert rest["next_cursor"] is None
    problem(await house.client.get("/api/v1/products?sort=colour"), 422, "bad_fields")


async def test_the_keys_of_passes_are_published(house: House) -> None:
    answer = await house.client.get("/.well-known/jwks.json")
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.headers["access-control-allow-origin"] == "*"
    (key,) = answer.json()["keys"]
    assert (key["kty"], key["crv"], key["kid"]) == ("OKP", "Ed25519", "test")
    assert "d" not in key


async def test_openapi_documents_the_calls_their_examples_and_their_problems(house: House) -> None:
    document = (await house.client.get("/schema/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    paths = document["paths"]
    ticket = paths["/api/v1/sales/{sale}/ticket"]
    assert set(ticket) >= {"get", "put", "delete"}
    refusals = ticket["put"]["responses"]["409"]["content"]["application/problem+json"]
    assert {"too_early", "line_closed", "sold_out"} <= set(refusals["examples"])
    assert (
        "challenge_required"
        in ticket["put"]["responses"]["403"]["content"]["application/problem+json"]["examples"]
    )
    assert paths["/api/v1/sales/{sale}/challenge"]["get"]["responses"]["200"]
    assert document["components"]["schemas"]["NewAccount"]["properties"]["email"]["examples"]
    absent = ("rehearsal", "/gate/")
    assert paths["/api/v1/orders/{order_id}/return"]["post"]
    assert [path for path in paths if path.startswith("/api") and any(word in path for word in absent)] == []
    assert all(path.startswith(("/api/v1/", "/health", "/.well-known", "/gate/")) for path in paths), (
        "pages are no calls"
    )


async def test_the_page_about_the_api_loads_nothing_from_elsewhere(house: House) -> None:
    answer = await house.client.get("/schema")
    assert answer.status_code == 200
    assert "text/html" in answer.headers["content-type"]
    assert "<script" not in answer.text
    assert "http://" not in answer.text.replace("http://127.0.0.1", "")
    assert 'src="http' not in answer.text
    assert 'id="problem-sold_out"' in answer.text
