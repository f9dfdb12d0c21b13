"""Use cases: what decides or writes. No Flask in here."""
