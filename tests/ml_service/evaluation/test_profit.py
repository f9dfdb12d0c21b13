"""The expected maximum profit: its golden value, its laws, and its part in the report."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_service.evaluation.profit import empc
from ml_service.reporting.html import report_page
from ml_service.reporting.text import report_text
from ml_service.training.pipeline import Trained
from shared.campaigns.costs import GAMMA_MEAN, CampaignCosts
from tests.evaluate.profit import run
from tests.ml_service.conftest import SLOW_S

GOLDEN_LABEL = np.array([0, 1, 0, 1, 0, 1, 0, 1], np.int8)
GOLDEN_SCORE = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 0.9])
amounts = st.floats(0, 500, allow_nan=False)
costs = st.builds(CampaignCosts, clv=st.floats(0.5, 1000), offer=amounts, contact=amounts)
scored_rows = st.lists(st.tuples(st.integers(0, 1), st.integers(-30, 30)), min_size=1, max_size=40)


def as_arrays(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([y for y, _ in rows], np.int8), np.array([s for _, s in rows], np.float64)


def best_by_trying(label: np.ndarray, score: np.ndarray, money: CampaignCosts) -> tuple[float, float]:
    """Try every cut at each of many acceptance rates, as the definition says it."""
    gammas = (np.arange(4000) + 0.5) / 4000
    density = gammas**5 * (1 - gammas) ** 13
    density /= density.sum()
    cuts = [np.inf, *np.unique(score)[::-1]]
    leavers = np.array([((score >= cut) & (label == 1)).sum() for cut in cuts])
    others = np.array([((score >= cut) & (label == 0)).sum() for cut in cuts])
    kept = gammas[:, None] * (money.clv - money.offer) - money.contact
    profit = leavers * kept - others * (money.offer + money.contact)
    best = profit.argmax(axis=1)
    n = len(label)
    return float(density @ profit.max(axis=1)) / n, float(density @ (leavers + others)[best]) / n


def test_the_golden_value_of_the_definitions() -> None:
    found = empc(GOLDEN_LABEL, GOLDEN_SCORE)
    assert found.profit == pytest.approx(23.8755934, abs=5e-8)
    assert found.share == pytest.approx(0.8743701, abs=5e-8)


@pytest.mark.parametrize("money", [CampaignCosts(), CampaignCosts(50, 5, 2), CampaignCosts(1000, 40, 0)])
def test_it_is_the_best_cut_at_each_acceptance_rate_averaged_over_all_rates(money: CampaignCosts) -> None:
    rng = np.random.default_rng(4)
    score = np.round(rng.normal(size=300), 1)
    label = (rng.random(300) < 1 / (1 + np.exp(2 - score))).astype(np.int8)
    assert empc(label, score, money) == pytest.approx(best_by_trying(label, score, money), rel=2e-3)


@given(scored_rows, costs)
def test_it_is_never_negative_and_the_share_is_one(rows: list[tuple[int, int]], money: CampaignCosts) -> None:
    profit, share = empc(*as_arrays(rows), money)
    assert profit >= 0 and 0 <= share <= 1


@given(scored_rows)
def test_only_the_order_of_the_scores_counts(rows: list[tuple[int, int]]) -> None:
    label, score = as_arrays(rows)
    assert empc(label, score) == empc(label, 1 / (1 + np.exp(-score / 7))) == empc(label, score**3)


@given(scored_rows, st.data())
def test_a_weight_counts_a_row_as_often(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    label, score = as_arrays(rows)
    times = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)).filter(any))
    weighted = empc(label, score, weights=np.array(times, np.float64))
    assert weighted == pytest.approx(empc(np.repeat(label, times), np.repeat(score, times)))


def test_nobody_is_contacted_where_nobody_leaves_or_the_offer_costs_more_than_a_customer_is_worth() -> None:
    assert empc(np.zeros(8, np.int8), GOLDEN_SCORE) == (0, 0)
    assert empc(GOLDEN_LABEL, GOLDEN_SCORE, CampaignCosts(clv=10, offer=20)) == (0, 0)


def test_a_contact_pays_from_the_break_even_probability_on() -> None:
    money = CampaignCosts(clv=150, offer=12, contact=3)
    p = money.break_even
    alone = p * (GAMMA_MEAN * (money.clv - money.offer) - money.contact) - (1 - p) * (money.offer + money.contact)
    assert alone == pytest.approx(0, abs=1e-12)
    assert money.expected_profit(1, p) == pytest.approx(0, abs=1e-12)
    assert money.expected_profit(1, p + 0.01) > 0 > money.expected_profit(1, p - 0.01)


def test_the_report_says_whom_to_contact_with_an_interval_and_what_is_assumed(dated_model: Trained) -> None:
    report = dated_model.report
    profit = report.profit
    assert profit is not None and profit.share_interval is not None and profit.empc_interval is not None
    assert profit.share_interval[0] <= profit.share <= profit.share_interval[1] and 0 < profit.share < 1
    assert profit.empc_interval[0] <= profit.empc <= profit.empc_interval[1]
    assert (profit.n, profit.prevalence) == (report.test.n, report.test.prevalence)
    page = re.sub(r"<[^>]+>", "", report_page(report).decode())
    for told in (page, report_text(report)):
        assert f"Contact the top {100 * profit.share:.1f} % (95 % interval" in told
        assert "worth 200, an accepted offer costs 10, a contact 1;" in told and "Beta(6, 14)" in told


@pytest.mark.slow
@pytest.mark.timeout(SLOW_S)
def test_the_share_chosen_before_brings_no_less_in_the_next_month_than_other_cuts_in_nine_seeds_of_ten() -> None:
    found = [run(seed) for seed in range(1, 11)]
    for rival in ("F1's threshold", "list cut"):
        assert sum(each["share of the report"] >= each[rival] for each in found) >= 9, rival
