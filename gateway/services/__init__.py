"""Use cases: the code that decides or writes. No Flask in here."""
