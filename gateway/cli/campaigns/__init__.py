"""Commands of campaigns, of the universal hold-out and of the list of those who must not be contacted."""
