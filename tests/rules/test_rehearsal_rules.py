"""The pure parts of a rehearsal: the crowd that is made up, the figures that are told, the settings that are recommended."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.crowd import crowd_of
from rehearsal.plan import Plan, fault_of
from rehearsal.report import MOST_SAMPLES, Sample, Trial, percentile, recommend, thinned

SHARES = st.floats(0, 1)
PLANS = st.builds(
    Plan,
    crowd=st.integers(1, 300),
    before_opening=SHARES,
    no_show_share=SHARES,
    leave_share=SHARES,
    unpaid_share=SHARES,
    comeback_s=st.integers(0, 600),
    seed=st.integers(0, 1000),
)
TRIALS = st.builds(
    Trial,
    calls_per_minute=st.integers(1, 1000),
    capacity=st.integers(1, 1000),
    sold=st.integers(0, 200),
    sold_most_s=st.none() | st.integers(1, 5000),
    sold_out_s=st.none(),
    ended_s=st.integers(1, 7200),
    wait_p90_s=st.none(),
)


@given(PLANS)
def test_a_plan_and_its_seed_make_one_crowd(plan: Plan) -> None:
    crowd = crowd_of(plan)

    assert crowd == crowd_of(plan)
    assert len({buyer.ticket_id for buyer in crowd}) == plan.crowd
    assert [buyer.comes_ms for buyer in crowd] == sorted(buyer.comes_ms for buyer in crowd)
    assert sum(buyer.comes_ms <= 0 for buyer in crowd) == round(plan.crowd * plan.before_opening)


@given(PLANS, st.integers(1, 1000))
def test_the_settings_of_the_sale_change_nobody_in_the_crowd(plan: Plan, rate: int) -> None:
    other = msgspec.structs.replace(plan, calls_per_minute=rate, capacity=rate, stock=rate)
    assert crowd_of(other) == crowd_of(plan)


@given(st.lists(st.integers(0, 10_000), min_size=1), st.integers(1, 100))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[int], percent: int) -> None:
    found = percentile(values, percent)

    assert found is not None
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


@given(st.lists(st.integers(0, 50), max_size=1000))
def test_a_chart_loses_no_call_and_ends_where_the_sale_ends(calls: list[int]) -> None:
    samples = [Sample(at, count, 0, 0, 0, at) for at, count in enumerate(calls, 1)]
    shown = thinned(samples)

    assert len(shown) <= MOST_SAMPLES
    assert sum(sample.calls for sample in shown) == sum(calls)
    assert shown[-1:] == [] if not calls else shown[-1].at_s == len(calls)


@given(st.lists(TRIALS, min_size=1, max_size=8))
def test_what_is_recommended_sells_as_much_and_no_lower_rate_does_as_well(trials: list[Trial]) -> None:
    best = recommend(trials)

    assert best in trials
    assert best.sold >= 0.99 * max(trial.sold for trial in trials)
    for other in trials:
        if other.calls_per_minute < best.calls_per_minute:
            slower = (other.sold_most_s or other.ended_s) > (best.sold_most_s or best.ended_s)
            assert slower or other.sold < 0.99 * max(trial.sold for trial in trials)


def test_a_plan_whose_times_contradict_each_other_is_refused() -> None:
    assert fault_of(Plan()) is None
    assert fault_of(Plan(payment_median_s=100, payment_p90_s=99)) == (
        "payment_p90_s",
        "must not be below the median",
    )
