"""The contract between the services. Imports no other package of ours."""
