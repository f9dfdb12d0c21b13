"""Campaigns: what an action costs, who is drawn into which arm, and the statistics of the effect."""
