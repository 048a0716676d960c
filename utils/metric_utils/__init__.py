"""Retrieval metrics: arrays in, numbers out; no files, no names of clips.

scores      where scores come from, in blocks of queries: embeddings, or a matrix in memory or on disk
ranking     scores -> the rank of every relevant item, and each query's best candidates
pairing     scores of one caption a clip -> accuracy@k, beside chance
retrieval   ranks -> R@k, AP@k, median rank, accuracy@k, for each query and as means
graded      ranks and gains -> nDCG@k
ceiling     the most that is possible where queries share their words
chance      the same numbers for a random order, in closed form
breakdown   ranks in bins: histograms, and metrics by a property of the queries
ensembles   several systems as one
intervals   how sure a number is: jackknife and bootstrap, by clip
comparison  two systems on the same queries: difference, interval, p-value
protocols   what each year of the DCASE challenge measures
checks      what every metric asks of its ranks
"""
