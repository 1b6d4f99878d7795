"""multimep: which way of using a protein language model predicts these mutants best, and which should be made next?"""

__version__ = "0.1.0"
