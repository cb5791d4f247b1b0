"""`python -m mixlaw`, which is what `torchrun -m mixlaw` starts: the `mixlaw` command."""

from mixlaw.cli.app import main

if __name__ == "__main__":
    main()
