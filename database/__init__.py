"""All SQL of the gateway: tables, migrations and query functions. The only importer of SQLAlchemy."""
