"""The promise between the services. Imports nothing of ours."""
