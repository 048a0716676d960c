"""Metrics: arrays in, numbers out; no files, no names of clips. Those of retrieval, `captions` and `recommendation`.

scores      where scores come from, in blocks of queries: embeddings, or a matrix in memory or on disk
ranking     scores -> the rank of every relevant item, and each query's best candidates
pairing     one caption a clip: scores -> accuracy@k, with chance beside it
retrieval   ranks -> R@k, AP@k, median rank, accuracy@k, for each query and as means
graded      ranks and gains -> nDCG@k
classification  classes of recordings: accuracy, AP, calibration, abstention, intervals, baselines
ceiling     upper bounds of the metrics where several queries have the same text
chance      expected metrics of a random order, in closed form
breakdown   histograms of ranks, and metrics by a property of the queries
ensembles   weighted means of several systems' scores
intervals   confidence intervals by jackknife and bootstrap over clips
comparison  two systems on the same queries: difference, confidence interval, p-value
protocols   the metrics of each year of the DCASE challenge
captions    metrics of generated captions
recommendation  similar tracks: neighbours, filters, metrics, hubness
checks      validation of ranks, shared by all metrics
"""
