"""Campaigns: their lists, arms, contacts, and what became of both arms."""
