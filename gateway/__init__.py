"""The gateway: what the web offers. The only owner of the customer data."""

__version__ = "1.0.0"
