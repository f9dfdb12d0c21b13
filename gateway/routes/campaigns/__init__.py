"""Routes of campaigns: plan, draw, export, contacts, effect; actions; who is not contacted."""
