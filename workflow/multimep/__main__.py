"""`python -m multimep` is the command multimep."""

from multimep.cli import main

main()
