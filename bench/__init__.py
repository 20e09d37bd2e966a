"""bench: which model family is best on this data set, and how sure is that?"""

__version__ = "0.1.0"
