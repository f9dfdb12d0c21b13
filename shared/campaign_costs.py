"""The money of a retention campaign: defaults, and the probability from which a contact pays, once for both services.

Law: an amount that a person did not state is the default of docs/definitions.md#empc, and is shown beside the figure.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The share of leavers who accept the offer and stay, gamma, follows Beta(6, 14): 30 % on average.
GAMMA_ALPHA, GAMMA_BETA = 6.0, 14.0
GAMMA_MEAN = GAMMA_ALPHA / (GAMMA_ALPHA + GAMMA_BETA)


@dataclass(frozen=True)
class CampaignCosts:
    """The worth of a customer and the costs of a contact, all in one currency.

    Attributes
    ----------
    clv : float, default=200
        Value of a leaver who accepts the offer and stays; above 0.
    offer : float, default=10
        Cost of the offer, paid for everybody who accepts it; all stayers do.
    contact : float, default=1
        Cost of a contact, paid for everybody who is contacted.
    """

    clv: float = 200.0
    offer: float = 10.0
    contact: float = 1.0

    @property
    def break_even(self) -> float:
        """The churn probability at which the expected profit of a contact is 0; nobody pays if it is 1 or more.

        Examples
        --------
        >>> round(CampaignCosts().break_even, 4)
        0.1642
        """
        return (self.offer + self.contact) / (GAMMA_MEAN * (self.clv - self.offer) + self.offer)

    def expected_profit(self, customers: float, leavers: float) -> float:
        """Compute the expected profit of contacting a number of customers, of whom so many are expected to leave.

        Examples
        --------
        >>> CampaignCosts().expected_profit(100, 50)
        2250.0
        """
        return leavers * (GAMMA_MEAN * (self.clv - self.offer) + self.offer) - customers * (self.offer + self.contact)


DEFAULT_COSTS = CampaignCosts()
