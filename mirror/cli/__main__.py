"""`python -m mirror.cli`: the program without its entry point."""

from mirror.cli import main

if __name__ == "__main__":
    main()
