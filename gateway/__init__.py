"""The gateway: the API and the page. The only owner of the customer data."""

__version__ = "1.0.0"
