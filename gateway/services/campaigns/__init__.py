"""Use cases of campaigns: planning, drawing, contacts, effects, the ranking of actions, who is not contacted."""
