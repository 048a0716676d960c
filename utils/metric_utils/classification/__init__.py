"""Classification: scores or log-probabilities of classes in, metrics out; no files, no names.

label_scores  clips with one or several labels, by any score: accuracy, AP of each class, chance
windows       logits of windows -> log-probabilities of recordings
counts        confusion matrix -> accuracy, balanced accuracy, macro-F1, precision and recall of each class
calibration   reliability table, expected calibration error, temperature
abstention    accuracy against the share of recordings that are answered
resampling    all metrics of a system, their intervals, and differences of two systems
baselines     the majority class, and a logistic regression
"""
