"""`python -m chaosctl`."""

from chaosctl.cli import main

main()
