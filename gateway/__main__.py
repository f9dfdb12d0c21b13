"""`python -m gateway`: the same commands as `retainstream`."""

from gateway.cli.main import main

if __name__ == "__main__":
    main()
