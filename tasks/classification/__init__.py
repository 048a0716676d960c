"""Classification of recordings: which category each has."""
