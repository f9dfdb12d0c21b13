"""The money of contacts: the probability from which one pays, and the profit that is expected of them.

Law: an amount that a person did not state is a default of `shared/campaigns/catalogue.toml`, and is shown beside the
figure.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.campaigns.catalogue import Action, built_in_catalogue

_DEFAULTS = built_in_catalogue().defaults
#: The share of leavers who accept the offer and stay, gamma, follows Beta(6, 14): 30 % on average.
GAMMA_ALPHA, GAMMA_BETA = _DEFAULTS.gamma_alpha, _DEFAULTS.gamma_beta
GAMMA_MEAN = GAMMA_ALPHA / (GAMMA_ALPHA + GAMMA_BETA)


@dataclass(frozen=True)
class CampaignCosts:
    """The worth of a customer and the costs of a contact, all in one currency.

    Attributes
    ----------
    clv : float, default=200
        Value of a leaver who accepts the offer and stays; at least `catalogue.LEAST_WORTH`.
    offer : float, default=10
        Cost of the offer, paid for everybody who accepts it; all stayers do.
    contact : float, default=1
        Cost of a contact, paid for everybody who is contacted.
    kept : float, default=0.3
        Share of the contacted leavers who accept and stay: an assumption.
    """

    clv: float = _DEFAULTS.clv
    offer: float = _DEFAULTS.offer
    contact: float = _DEFAULTS.contact
    kept: float = GAMMA_MEAN

    @property
    def break_even(self) -> float:
        """The churn probability at which the expected profit of a contact is 0; nobody pays if it is 1 or more.

        Examples
        --------
        >>> round(CampaignCosts().break_even, 4)
        0.1642
        """
        return (self.offer + self.contact) / (self.kept * (self.clv - self.offer) + self.offer)

    def expected_profit(self, customers: float, leavers: float) -> float:
        """Compute the expected profit of contacting a number of customers, of whom so many are expected to leave.

        Examples
        --------
        >>> round(CampaignCosts().expected_profit(100, 50), 6)
        2250.0
        """
        return leavers * (self.kept * (self.clv - self.offer) + self.offer) - customers * (self.offer + self.contact)


def costs_of(action: Action, clv: float, effect: float) -> CampaignCosts:
    """Return the costs of an action with an effect that is assumed or was measured."""
    return CampaignCosts(clv, action.offer, action.contact, effect)


DEFAULT_COSTS = CampaignCosts()
