"""multimep: which way of using a protein language model predicts these mutants best, and which should be made next?"""

__version__ = "0.1.0"


def is_refusal(error: ValueError) -> bool:
    """Whether an error of a room refuses what it was given: its text is for the user, any other error is a defect."""
    return type(error).__module__.startswith("multimep.")
